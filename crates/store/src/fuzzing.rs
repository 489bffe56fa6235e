//! A door for the fuzzer to what is read from a disk and is nobody else's business.

use std::path::Path;

use bytes::Bytes;
use govc_engine::Time;
use govc_git::ObjectFormat;

use crate::disk::{self, Disk, Open, SimDisk};
use crate::format::{self, FormatError};
use crate::history::{self, HistoryIndex, Point};
use crate::projection::{OnDisk, Projection};
use crate::{directory, log};

/// Reads a checkpoint, and gives its bytes written again.
///
/// # Errors
/// [`FormatError`], as when it is read or written.
pub fn checkpoint(file: Bytes) -> Result<Vec<u8>, FormatError> {
    format::encode_checkpoint(&format::decode_checkpoint(file)?)
}

/// Reads a log of one segment; gives its batches, each cut into entries as far as it can be, and
/// how much damage is in it.
pub fn log(segment: &[u8], number: u64) -> Option<(Vec<Vec<Bytes>>, usize)> {
    let disk = SimDisk::new(0);
    let file = disk
        .open(Path::new(&format!("{number:010}.log")), Open::Replace)
        .ok()?;
    file.write_at(0, segment).ok()?;
    let (mut batches, mut damages) = (Vec::new(), 0);
    log::read(&disk, Path::new(""), |event| match event {
        log::Event::Batch { payload, .. } => {
            batches.push(log::split_batch(payload).unwrap_or_default());
        }
        log::Event::Damaged { .. } => damages += 1,
    })
    .ok()?;
    Some((batches, damages))
}

/// Reads a file of a history from its first frame on; gives how many entries it has after each of
/// its first numbers, `None` where it is damaged, and whether its table can be read.
pub fn history(bytes: &[u8]) -> (Vec<Option<usize>>, bool) {
    const FIRST_FRAME_AT: u64 = 16;
    let disk = SimDisk::new(0);
    let path = format!("{}/{}{:010}", directory::OURS, history::PREFIX, 1);
    let made = disk::create_dirs(&disk, Path::new(directory::OURS))
        .and_then(|()| disk.open(Path::new(&path), Open::Replace))
        .and_then(|file| file.write_at(0, bytes));
    if made.is_err() {
        return (Vec::new(), false);
    }
    let index = HistoryIndex {
        files: vec![(1, bytes.len() as u64)],
        points: vec![Point {
            seq: 0,
            time: Time(i64::MIN),
            file: 1,
            offset: FIRST_FRAME_AT,
        }],
        since_table: 0,
    };
    let dir = Path::new("");
    let after = |seq| history::entries(&disk, dir, &index, seq, 1000);
    let counts =
        [None, Some(0), Some(1), Some(2)].map(|seq| after(seq).ok().map(|entries| entries.len()));
    let moment = govc_engine::journal::Moment::Seq(u64::MAX);
    let refs = history::refs_at(&disk, dir, &index, moment);
    (counts.to_vec(), refs.is_ok())
}

/// What is in `packed-refs` and HEAD.
#[derive(Debug)]
pub struct Refs {
    /// `packed-refs` as we would write it, without peeled ids.
    pub packed: Vec<u8>,
    /// HEAD as we would write it.
    pub head: Option<Vec<u8>>,
    /// How much of it is no ref.
    pub broken: usize,
    /// Why the files are not what git leaves.
    pub damage: Option<String>,
}

/// Reads `packed-refs` and HEAD.
pub fn packed_refs(packed: &[u8], head: &[u8], format: ObjectFormat) -> Option<Refs> {
    let disk = SimDisk::new(0);
    for (name, content) in [("packed-refs", packed), ("HEAD", head)] {
        let file = disk.open(Path::new(name), Open::Replace).ok()?;
        file.write_at(0, content).ok()?;
    }
    let mut found = OnDisk::read(&disk, Path::new("")).ok()?;
    let damage = found.damage(format);
    let refs = found.refs(format);
    let projection = Projection::of(&refs, &|_| None);
    Some(Refs {
        packed: projection.packed,
        head: projection.loose.get(b"HEAD".as_slice()).cloned(),
        broken: found.broken.len(),
        damage,
    })
}
