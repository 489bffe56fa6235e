//! A pack written again without some of its objects.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use std::collections::HashMap;

use govc_engine::journal::{PackBytes, PackId};
use govc_git::pack::reader::Base;
use govc_git::pack::{EntryKind, NoCache, Pack, PackIndex, PackWriter};
use govc_git::{ObjectId, oid};

use crate::checkpoint::{Appender, DEFLATE_LEVEL};
use crate::disk::{Disk, Open};
use crate::objects::pack_path;
use crate::store::Store;

/// How often it is looked whether the store is closing.
const LOOK_EVERY: u32 = 1024;

/// What a pack became.
pub(super) struct Rewritten {
    /// What was in it.
    pub(super) had: PackIndex,
    /// How many of its objects are gone.
    pub(super) gone: u64,
    /// So many bytes the new pack is smaller.
    pub(super) bytes_saved: u64,
    /// `None`: nothing of it was left.
    new: Option<New>,
}

/// A pack that is durable aside.
struct New {
    id: PackId,
    pack: PathBuf,
    index: PathBuf,
    bytes: PackBytes,
}

impl Rewritten {
    /// What names the new pack, where there is one.
    pub(super) fn new_id(&self) -> Option<PackId> {
        self.new.as_ref().map(|new| new.id)
    }

    /// The new pack, where there is one.
    pub(super) fn bytes(&self) -> Option<(PackId, PackBytes)> {
        let new = self.new.as_ref()?;
        Some((new.id, new.bytes.clone()))
    }

    /// Gives the new pack its name in the repository's directory `dir`. The folder is not synced.
    ///
    /// # Errors
    /// Whatever the disk met.
    pub(super) fn link_into(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let Some(new) = &self.new else {
            return Ok(());
        };
        // Without its index git does not see a pack: it comes last.
        for (from, extension) in [(&new.pack, "pack"), (&new.index, "idx")] {
            match disk.hard_link(from, &pack_path(dir, new.id, extension)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => linked?,
            }
        }
        Ok(())
    }
}

impl Store {
    /// Writes what `is_kept` of `pack` into a pack in the folder `aside`, durably, each entry as it
    /// is where what it stands on is kept. `None`: all of it is.
    ///
    /// # Errors
    /// Whatever the disk met; [`io::ErrorKind::InvalidData`] where the pack is damaged;
    /// [`io::ErrorKind::Interrupted`] when the store is closing.
    pub(super) fn rewrite_pack(
        &self,
        pack: &Pack,
        is_kept: &dyn Fn(&oid) -> bool,
        aside: &Path,
    ) -> io::Result<Option<Rewritten>> {
        let disk = &*self.disk;
        let index = pack.index();
        let kept: Vec<u32> = index
            .positions_in_pack_order()
            .iter()
            .copied()
            .filter(|&position| is_kept(index.id(position)))
            .collect();
        let gone = u64::from(index.len()) - kept.len() as u64;
        if gone == 0 {
            return Ok(None);
        }
        let before = pack.bytes().len() as u64;
        if kept.is_empty() {
            return Ok(Some(Rewritten {
                had: index.clone(),
                gone,
                bytes_saved: before,
                new: None,
            }));
        }
        if disk.kind(aside)?.is_none() {
            disk.create_dir(aside)?;
        }
        let count = u32::try_from(kept.len()).map_err(io::Error::other)?;
        let (pack_file_path, index_file_path) = (
            aside.join(format!("{}.pack", pack.id())),
            aside.join(format!("{}.idx", pack.id())),
        );
        let file = disk.open(&pack_file_path, Open::Replace)?;
        let mut writer = PackWriter::new(Appender::new(&*file), pack.id().kind(), count)
            .map_err(io::Error::other)?;
        let mut written: HashMap<ObjectId, u64> = HashMap::with_capacity(kept.len());
        for (number, position) in (0u32..).zip(kept) {
            if number.is_multiple_of(LOOK_EVERY) && self.is_closing() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let id = index.id(position).to_owned();
            let offset = write_entry(&mut writer, pack, position, &id, &written)?;
            written.insert(id, offset);
        }
        let mut done = writer.finish().map_err(io::Error::other)?;
        done.out.flush()?;
        drop(done.out);
        file.sync()?;
        let bytes = done.entries.write_index(&done.checksum);
        let index_file = disk.open(&index_file_path, Open::Replace)?;
        index_file.write_at(0, &bytes)?;
        index_file.sync()?;
        let new = New {
            id: PackId(done.checksum),
            bytes: PackBytes {
                pack: file.map()?,
                index: index_file.map()?,
            },
            pack: pack_file_path,
            index: index_file_path,
        };
        // The old pack goes when this one is listed: it is looked at first.
        let format = pack.id().kind();
        let found = PackIndex::parse(new.bytes.index.clone(), format).map_err(damaged)?;
        found.verify().map_err(damaged)?;
        Pack::new(new.id.0, new.bytes.pack.clone(), found.clone()).map_err(damaged)?;
        if u64::from(found.len()) + gone != u64::from(index.len()) {
            return Err(damaged(format!(
                "objects of pack {} were left out",
                pack.id()
            )));
        }
        Ok(Some(Rewritten {
            had: index.clone(),
            gone,
            bytes_saved: before.saturating_sub(new.bytes.pack.len() as u64),
            new: Some(new),
        }))
    }
}

/// Writes the entry at `position`. A delta stays one where its base was written before.
fn write_entry<W: Write>(
    writer: &mut PackWriter<W>,
    pack: &Pack,
    position: u32,
    id: &ObjectId,
    written: &HashMap<ObjectId, u64>,
) -> io::Result<u64> {
    let at_fault = |error: &dyn std::error::Error| damaged(format!("pack {}: {error}", pack.id()));
    let entry = pack.raw_entry(position).map_err(|error| at_fault(&error))?;
    if crc32fast::hash(&entry.bytes) != pack.index().crc32(position) {
        return Err(damaged(format!(
            "pack {}: object {id} is damaged",
            pack.id()
        )));
    }
    let base = match pack.base_of(position).map_err(|error| at_fault(&error))? {
        None => {
            let whole = writer.raw(id, &entry.kind, &entry);
            return whole.map_err(io::Error::other);
        }
        Some(Base::Position(base)) => written.get(pack.index().id(base)),
        Some(Base::External(base)) => written.get(&base),
    };
    if let Some(base) = base {
        let base_distance = writer.offset() - base;
        let kind = EntryKind::OfsDelta { base_distance };
        return writer.raw(id, &kind, &entry).map_err(io::Error::other);
    }
    let object = pack
        .object_at(position, &|_| None, &NoCache)
        .map_err(|error| at_fault(&error))?;
    writer
        .whole(id, object.kind, &object.data, DEFLATE_LEVEL)
        .map_err(io::Error::other)
}

fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
