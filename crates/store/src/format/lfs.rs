//! What a repository has of Git LFS.

use govc_engine::repository::lfs::Referenced;
use govc_engine::{Lfs, LfsLock, LfsOid};

use super::codec::{Decoder, Encoder, FormatError};

pub(super) fn encode_lock(out: &mut Encoder, lock: &LfsLock) {
    out.string(lock.id.as_bytes());
    out.string(lock.path.as_bytes());
    out.string(lock.owner.as_bytes());
    out.time(lock.locked_at);
}

/// Reads what [`encode_lock`] wrote, to the end of `input`.
pub(super) fn decode_lock(input: &mut Decoder) -> Result<LfsLock, FormatError> {
    const WHAT: &str = "a lock";
    let lock = LfsLock {
        id: input.text(WHAT)?.into(),
        path: input.text(WHAT)?.into(),
        owner: input.text(WHAT)?.into(),
        locked_at: input.time(WHAT)?,
    };
    input.end(WHAT)?;
    Ok(lock)
}

/// All objects, each with its size and the number and step since when it is referenced; then all
/// locks.
pub(super) fn encode_lfs(out: &mut Encoder, lfs: &Lfs) {
    out.number(lfs.objects().count() as u64);
    for (oid, Referenced { size, since }) in lfs.objects() {
        out.raw(&oid.0);
        out.number(size);
        out.number(since.0);
        out.number(u64::from(since.1));
    }
    out.number(lfs.lock_count() as u64);
    for lock in lfs.locks_after(None) {
        out.nested(|out| encode_lock(out, lock));
    }
}

/// Reads what [`encode_lfs`] wrote, to the end of `input`.
pub(super) fn decode_lfs(input: &mut Decoder) -> Result<Lfs, FormatError> {
    const WHAT: &str = "what a repository has of Git LFS";
    const OBJECT_LEAST_BYTES: usize = 35;
    let count = input.count(OBJECT_LEAST_BYTES, WHAT)?;
    let mut objects = Vec::with_capacity(count);
    for _ in 0..count {
        let oid = LfsOid(input.array(WHAT)?);
        let size = input.number(WHAT)?;
        let seq = input.number(WHAT)?;
        let step = u32::try_from(input.number(WHAT)?).map_err(|_| FormatError::Invalid(WHAT))?;
        let since = (seq, step);
        objects.push((oid, Referenced { size, since }));
    }
    const LOCK_LEAST_BYTES: usize = 5;
    let count = input.count(LOCK_LEAST_BYTES, WHAT)?;
    let mut locks = Vec::with_capacity(count);
    for _ in 0..count {
        locks.push(decode_lock(&mut input.nested(WHAT)?)?);
    }
    input.end(WHAT)?;
    Ok(Lfs::from_parts(objects, locks))
}
