//! Packs that are safe and in the pool, and that no entry names yet.

use std::io;
use std::sync::Arc;

use govc_git::ObjectKind;
use govc_git::pack::{PackError, PackWriter};

use crate::journal::{PackId, PackSpool};
use crate::pool::{GraphSource, PoolError};
use crate::{NewObject, NewObjects, ObjectBody, Repository};

/// An entry has at most about this many bytes of objects in it; more become a pack first.
pub const INLINE_BYTES_MAX: usize = 1 << 20;

/// Objects are deflated at this level: fast, and nearly as small as any other.
const DEFLATE_LEVEL: u8 = 1;

/// A pack that is durable and in the pool, and that no entry names yet. Nothing in it is visible.
/// When this is dropped it is removed, unless an entry that is durable, or may be, names it.
#[must_use = "a pack that no entry names is removed when this is dropped"]
pub struct Quarantined {
    repository: Arc<Repository>,
    pack: PackId,
    /// Whether the pool took it, on behalf of this push.
    in_pool: bool,
}

/// Why objects could not be put aside.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// The pack could not be written.
    #[error("a pack could not be written: {0}")]
    Write(#[from] io::Error),
    /// The pack could not be made.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The pool did not take it.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

impl Quarantined {
    /// What names the pack.
    pub fn pack(&self) -> PackId {
        self.pack
    }
}

impl Drop for Quarantined {
    fn drop(&mut self) {
        let Quarantined {
            repository, pack, ..
        } = self;
        let stays = repository.leave_quarantine(*pack, || {
            if let Err(error) = repository.packs().remove(repository.key(), *pack) {
                tracing::warn!(pack = %pack.0, %error, "a refused pack could not be removed");
            }
        });
        if self.in_pool && !stays {
            repository.pool().remove_pack(*pack);
        }
    }
}

impl Repository {
    /// Makes the pack that arrived in `spool` durable under the name `pack`, and takes it into
    /// the pool, until an entry names it. Blocks on the disk.
    ///
    /// # Errors
    /// [`QuarantineError::Write`] and [`QuarantineError::Pool`]; nothing of it stays then.
    pub fn keep(
        self: &Arc<Self>,
        spool: Box<dyn PackSpool>,
        pack: PackId,
        index: &[u8],
        graph: GraphSource,
    ) -> Result<Quarantined, QuarantineError> {
        // First: from here on nobody removes a pack of that name.
        self.enter_quarantine(pack);
        let mut quarantined = Quarantined {
            repository: Arc::clone(self),
            pack,
            in_pool: false,
        };
        let bytes = spool.keep(pack, index)?;
        self.pool().add_pack(pack, bytes, graph)?;
        quarantined.in_pool = true;
        Ok(quarantined)
    }

    /// Puts objects that are too large for an entry into a pack: what is left in `objects` is
    /// below [`INLINE_BYTES_MAX`], and the pack is named in it. `None` when they are not too large.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// [`QuarantineError`]; `objects` is as it was.
    pub fn put_aside(
        self: &Arc<Self>,
        objects: &mut NewObjects,
    ) -> Result<Option<Quarantined>, QuarantineError> {
        if objects.inline_bytes() <= INLINE_BYTES_MAX {
            return Ok(None);
        }
        // A delta's base might stay behind in the entry: deltas are small, they stay too.
        let is_whole = |object: &&NewObject| matches!(object.body, ObjectBody::Whole(_));
        let format = self.pool().format();
        let whole: Vec<&NewObject> = objects.inline.iter().filter(is_whole).collect();
        let count = u32::try_from(whole.len()).map_err(io::Error::other)?;
        let spool = self.packs().receive(self.key())?;
        let mut writer = PackWriter::new(Spooled(spool), format, count)?;
        for object in &whole {
            if let ObjectBody::Whole(data) = &object.body {
                writer.whole(&object.id, object.kind, data, DEFLATE_LEVEL)?;
            }
        }
        let written = writer.finish()?;
        let pack = PackId(written.checksum);
        let has_commits = whole.iter().any(|object| object.kind == ObjectKind::Commit);
        let graph = if has_commits {
            GraphSource::Scan
        } else {
            GraphSource::Commits(Vec::new())
        };
        let index = written.entries.write_index(&written.checksum);
        let quarantined = self.keep(written.out.0, pack, &index, graph)?;
        for object in &mut objects.inline {
            if matches!(object.body, ObjectBody::Whole(_)) {
                object.body = ObjectBody::Elsewhere;
            }
        }
        objects.packs.push(pack);
        Ok(Some(quarantined))
    }
}

/// Lets a pack be written to where packs arrive.
struct Spooled(Box<dyn PackSpool>);

impl io::Write for Spooled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
