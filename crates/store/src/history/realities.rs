//! What was in realities: every entry of theirs that a checkpoint has taken out of the log, without
//! the bytes of its objects.
//!
//! The files `govc/realities-*` have the entries of all realities of one repository, in the order
//! in which they came, each with where the one before it of the same reality is. There are many
//! realities, and few entries in each: one file costs one sync for all of them, and who wants the
//! past of one follows its chain.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::{Entry, Place, RepoKey, Seq, Time};

use super::{
    FILE_BYTES_MAX, FRAME_BYTES_MAX, FRAME_HEAD_BYTES, HEADER_BYTES, MAGIC, VERSION, as_kept,
    frame, is_kept, unreadable,
};
use crate::directory;
use crate::disk::{Disk, DiskFile, Open};
use crate::format::{self, Decoder, Encoder, FormatError};

/// How the names of its files begin.
pub(crate) const PREFIX: &str = "realities-";
/// The kind of its frames.
const REALITY: u8 = 3;

/// What of it counts, and where the newest entry of each reality is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RealityHistory {
    /// The files and how many bytes of each count, oldest first.
    pub(crate) files: Vec<(u64, u64)>,
    pub(crate) last: BTreeMap<RepoKey, Frame>,
    /// Some of what the files have is of realities that are forgotten.
    pub(crate) has_litter: bool,
}

/// Where an entry is. Files are numbered from 1: 0 is nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) file: u64,
    pub(crate) offset: u64,
}

fn path_of(dir: &Path, file: u64) -> PathBuf {
    dir.join(directory::OURS)
        .join(format!("{PREFIX}{file:010}"))
}

/// Appends those of `entries` that are of realities and [kept](is_kept). What is returned counts
/// once a checkpoint says so. With `anew` a file of at least that number is begun: the last one may
/// not be written any more.
///
/// # Errors
/// Whatever the disk met. The files that counted before count as before.
pub(crate) fn append(
    disk: &dyn Disk,
    dir: &Path,
    history: &RealityHistory,
    anew: Option<u64>,
    entries: &[Arc<Entry>],
) -> io::Result<RealityHistory> {
    let mut history = history.clone();
    let is_one = |entry: &&Arc<Entry>| entry.host.is_some() && is_kept(entry);
    if !entries.iter().any(|entry| is_one(&entry)) {
        return Ok(history);
    }
    let (file, start, fresh) = match history.files.last().copied() {
        Some((file, at)) if anew.is_none() && at < FILE_BYTES_MAX => (file, at, false),
        last => {
            let after_last = last.map_or(1, |(file, _)| file + 1);
            (anew.unwrap_or(0).max(after_last), 0, true)
        }
    };
    let mut out = Vec::new();
    if fresh {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        history.files.push((file, HEADER_BYTES));
    }
    let bad = |error: FormatError| io::Error::new(io::ErrorKind::InvalidData, error);
    for entry in entries.iter().filter(is_one) {
        let offset = start + out.len() as u64;
        let here = Frame { file, offset };
        let before = history.last.insert(entry.repo, here).unwrap_or_default();
        let mut content = Encoder::default();
        content.number(before.file);
        content.number(before.offset);
        format::encode_entry(&mut content, &as_kept(entry)).map_err(bad)?;
        frame(&mut out, REALITY, &content.bytes);
    }
    let how = if fresh { Open::Replace } else { Open::Write };
    let to = disk.open(&path_of(dir, file), how)?;
    to.write_at(start, &out)?;
    to.sync()?;
    if fresh {
        disk.sync_dir(&dir.join(directory::OURS))?;
    }
    if let Some(counted) = history.files.last_mut() {
        counted.1 = start + out.len() as u64;
    }
    Ok(history)
}

/// Writes the entries of realities that are not forgotten into files of their own, the first with
/// the number `first` or greater. What is returned counts once a checkpoint says so.
///
/// # Errors
/// Whatever the disk met. The files that counted before are left as they are.
pub(crate) fn sweep(
    disk: &dyn Disk,
    dir: &Path,
    history: &RealityHistory,
    first: u64,
) -> io::Result<RealityHistory> {
    let after_last = history.files.iter().map(|(file, _)| file + 1).max();
    let mut next = Some(first.max(after_last.unwrap_or(1)));
    let mut new = RealityHistory::default();
    for key in history.last.keys() {
        let mut of_one = Vec::new();
        backwards(disk, dir, history, *key, |entry| {
            of_one.push(entry);
            true
        })?;
        of_one.reverse();
        new = append(disk, dir, &new, next, &of_one)?;
        if !of_one.is_empty() {
            // From here on it begins files by itself.
            next = None;
        }
    }
    Ok(new)
}

/// Up to `limit` entries of the reality `key` with numbers greater than `after`, oldest first.
///
/// # Errors
/// Whatever reading met.
pub(crate) fn entries(
    disk: &dyn Disk,
    dir: &Path,
    history: &RealityHistory,
    key: RepoKey,
    after: Option<Seq>,
    limit: usize,
) -> io::Result<Vec<Arc<Entry>>> {
    let mut found = Vec::new();
    backwards(disk, dir, history, key, |entry| {
        let is_after = after.is_none_or(|after| entry.seq > after);
        if is_after && entry.step == 0 {
            found.push(entry);
        }
        is_after
    })?;
    found.reverse();
    found.truncate(limit);
    Ok(found)
}

/// The entry of the reality `key` at `place`, if it is here.
///
/// # Errors
/// Whatever reading met.
pub(crate) fn entry(
    disk: &dyn Disk,
    dir: &Path,
    history: &RealityHistory,
    key: RepoKey,
    place: Place,
) -> io::Result<Option<Arc<Entry>>> {
    let mut found = None;
    backwards(disk, dir, history, key, |entry| {
        let order = (entry.seq, entry.step).cmp(&place);
        found = order.is_eq().then_some(entry);
        order.is_gt()
    })?;
    Ok(found)
}

/// The entries from `since` on that answer their requests again, of all realities.
///
/// # Errors
/// Whatever reading met.
pub(crate) fn answered(
    disk: &dyn Disk,
    dir: &Path,
    history: &RealityHistory,
    since: Time,
    take: &mut dyn FnMut(&Arc<Entry>),
) -> io::Result<()> {
    for key in history.last.keys() {
        backwards(disk, dir, history, *key, |entry| {
            let is_wanted = entry.time >= since;
            if is_wanted && entry.cause.idempotency.is_some() {
                take(&entry);
            }
            is_wanted
        })?;
    }
    Ok(())
}

/// Gives `take` the entries of the reality `key`, newest first, until it says false.
fn backwards(
    disk: &dyn Disk,
    dir: &Path,
    history: &RealityHistory,
    key: RepoKey,
    mut take: impl FnMut(Arc<Entry>) -> bool,
) -> io::Result<()> {
    let mut next = history.last.get(&key).copied().unwrap_or_default();
    let mut open: Option<(u64, Box<dyn DiskFile>)> = None;
    while next.file != 0 {
        let path = path_of(dir, next.file);
        let file = match open.take() {
            Some((number, file)) if number == next.file => file,
            _ => disk.open(&path, Open::Read)?,
        };
        let (entry, before) = read(&*file, &path, next.offset)?;
        let is_earlier = (before.file, before.offset) < (next.file, next.offset);
        if entry.repo != key || !is_earlier {
            return Err(unreadable(&path, "its entries are not in order"));
        }
        open = Some((next.file, file));
        if !take(Arc::new(entry)) {
            break;
        }
        next = before;
    }
    Ok(())
}

/// Which reality the entry at `offset` is of.
///
/// # Errors
/// Whatever reading met.
pub(crate) fn key_at(file: &dyn DiskFile, offset: u64) -> io::Result<RepoKey> {
    read(file, Path::new(""), offset).map(|(entry, _)| entry.repo)
}

fn read(file: &dyn DiskFile, path: &Path, offset: u64) -> io::Result<(Entry, Frame)> {
    let damaged = || unreadable(path, format!("it is damaged at byte {offset}"));
    let mut head = [0; FRAME_HEAD_BYTES];
    if file.read_at(offset, &mut head)? < head.len() || head[0] != REALITY {
        return Err(damaged());
    }
    let number = |at: usize| {
        let bytes = head.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let (len, crc) = (number(1) as usize, number(5));
    if len > FRAME_BYTES_MAX || len as u64 > file.len()? {
        return Err(damaged());
    }
    let mut content = vec![0; len];
    let got = file.read_at(offset + FRAME_HEAD_BYTES as u64, &mut content)?;
    if got < len || crc32fast::hash(&content) != crc {
        return Err(damaged());
    }
    let content = Bytes::from(content);
    let mut input = Decoder::new(content.clone());
    let what = "where an entry of a reality is";
    let wrong = |error: FormatError| unreadable(path, error);
    let before = Frame {
        file: input.number(what).map_err(wrong)?,
        offset: input.number(what).map_err(wrong)?,
    };
    let entry = content.slice(content.len() - input.remaining()..);
    Ok((format::decode_entry(entry).map_err(wrong)?, before))
}
