//! Merging packs as they are: no delta is searched for, and nothing is inflated.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use govc_git::pack::reader::Base;
use govc_git::pack::{EntryKind, NoCache, Pack, PackWriter};
use govc_git::{ObjectFormat, ObjectId};

use super::{Chosen, invalid};
use crate::checkpoint::{Appender, DEFLATE_LEVEL};
use crate::disk::Open;
use crate::store::Store;

/// Deltas of one pack may come to stand on those of another: a chain that gets longer than this
/// is broken.
const CHAIN_MAX: u32 = 250;
/// How often it is looked whether the store is closing.
const LOOK_EVERY: usize = 1024;

impl Store {
    /// Writes every entry of the chosen packs, each object once, into one pack. Returns where pack
    /// and index are.
    pub(super) fn merge_as_they_are(
        &self,
        chosen: &Chosen,
        aside: &Path,
        format: ObjectFormat,
    ) -> io::Result<(PathBuf, PathBuf)> {
        let mut order = Vec::new();
        let mut seen: HashMap<ObjectId, ()> = HashMap::new();
        for (number, pack) in chosen.packs.iter().enumerate() {
            for &position in pack.index().positions_in_pack_order() {
                let id = pack.index().id(position).to_owned();
                if seen.insert(id, ()).is_none() {
                    order.push((number, position, id));
                }
            }
        }
        drop(seen);
        let count = u32::try_from(order.len()).map_err(io::Error::other)?;
        let (pack_path, index_path) = (aside.join("pack"), aside.join("idx"));
        let file = self.disk.open(&pack_path, Open::Replace)?;
        let mut writer =
            PackWriter::new(Appender::new(&*file), format, count).map_err(io::Error::other)?;
        let mut written: HashMap<ObjectId, Place> = HashMap::with_capacity(order.len());
        for (number, (pack, position, id)) in order.into_iter().enumerate() {
            if number % LOOK_EVERY == 0 && self.is_closing() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let Some(pack) = chosen.packs.get(pack) else {
                continue;
            };
            let place = write_entry(&mut writer, pack, position, &id, &written)?;
            written.insert(id, place);
        }
        let mut done = writer.finish().map_err(io::Error::other)?;
        done.out.flush()?;
        drop(done.out);
        let index = done.entries.write_index(&done.checksum);
        let index_file = self.disk.open(&index_path, Open::Replace)?;
        index_file.write_at(0, &index)?;
        Ok((pack_path, index_path))
    }
}

/// Where an object is in the new pack, and on how many deltas it stands.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    depth: u32,
}

/// Writes the entry at `position` of `pack`. An object's base is in the same pack; if another pack
/// had it before, that one's is written already.
fn write_entry<W: Write>(
    writer: &mut PackWriter<W>,
    pack: &Pack,
    position: u32,
    id: &ObjectId,
    written: &HashMap<ObjectId, Place>,
) -> io::Result<Place> {
    let damaged = |error: &dyn std::error::Error| invalid(format!("pack {}: {error}", pack.id()));
    let entry = pack.raw_entry(position).map_err(|error| damaged(&error))?;
    if crc32fast::hash(&entry.bytes) != pack.index().crc32(position) {
        return Err(invalid(format!(
            "pack {}: object {id} is damaged",
            pack.id()
        )));
    }
    let base = match pack.base_of(position).map_err(|error| damaged(&error))? {
        None => None,
        Some(Base::Position(base)) => Some(pack.index().id(base).to_owned()),
        Some(Base::External(base)) => {
            return Err(invalid(format!(
                "pack {}: the base {base} of {id} is not in it",
                pack.id()
            )));
        }
    };
    let Some(base) = base else {
        let offset = writer
            .raw(id, &entry.kind, &entry)
            .map_err(io::Error::other)?;
        return Ok(Place { offset, depth: 0 });
    };
    match written.get(&base) {
        Some(place) if place.depth < CHAIN_MAX => {
            let base_distance = writer.offset() - place.offset;
            let kind = EntryKind::OfsDelta { base_distance };
            let offset = writer.raw(id, &kind, &entry).map_err(io::Error::other)?;
            let depth = place.depth + 1;
            Ok(Place { offset, depth })
        }
        // It comes later in the same pack: named by its id, it is found all the same.
        None => {
            let kind = EntryKind::RefDelta { base };
            let offset = writer.raw(id, &kind, &entry).map_err(io::Error::other)?;
            Ok(Place { offset, depth: 1 })
        }
        Some(_) => {
            let object = pack
                .object_at(position, &|_| None, &NoCache)
                .map_err(|error| damaged(&error))?;
            let offset = writer
                .whole(id, object.kind, &object.data, DEFLATE_LEVEL)
                .map_err(io::Error::other)?;
            Ok(Place { offset, depth: 0 })
        }
    }
}
