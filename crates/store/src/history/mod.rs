//! Every entry that a checkpoint has taken out of the log, without the bytes of its objects, and
//! every [`ENTRIES_PER_TABLE`] of them all refs as they were. Of steps of staging, which have no
//! number, it has those that answer their requests again ([`is_kept`]).
//!
//! The files `govc/history-*` are only ever appended to; the checkpoint says how far they count,
//! and where the tables are. What is older than anybody keeps goes by writing what is left into new
//! files ([`cut`]), which begin with the refs after the last entry that went.

pub(crate) mod realities;

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::journal::{Floor, Moment, PastRefs};
use govc_engine::repository::history::ENTRIES_PER_TABLE;
use govc_engine::{Entry, EntryEdit, NewObjects, Place, Refs, Seq, Time};
use govc_git::ObjectFormat;

use crate::directory;
use crate::disk::{Disk, DiskFile, Open};
use crate::format::{self, Decoder, Encoder, FormatError};

/// How the names of its files begin.
pub(crate) const PREFIX: &str = "history-";

const MAGIC: &[u8; 12] = b"govchistory\n";
const VERSION: u32 = 1;
const HEADER_BYTES: u64 = 16;
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Kind, length and checksum.
const FRAME_HEAD_BYTES: usize = 9;
const FRAME_BYTES_MAX: usize = 1 << 30;

const ENTRY: u8 = 1;
const TABLE: u8 = 2;
/// The state that a history which was cut begins with: the number and the time of the change that
/// led to it, and a table. Frames of kind 3 are in the history of realities.
const BASE: u8 = 4;

/// What of the history counts, and where its tables are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HistoryIndex {
    /// The files and how many bytes of each count, oldest first.
    pub(crate) files: Vec<(u64, u64)>,
    /// Where whole tables are, oldest first.
    pub(crate) points: Vec<Point>,
    /// How many entries follow the last table.
    pub(crate) since_table: u64,
    /// The state that it begins with, where it was cut.
    pub(crate) base: Option<Floor>,
}

/// Where a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// The number of the entry that follows it.
    pub(crate) seq: Seq,
    /// Its time.
    pub(crate) time: Time,
    /// Which file it is in.
    pub(crate) file: u64,
    /// Where it begins.
    pub(crate) offset: u64,
}

fn path_of(dir: &Path, file: u64) -> PathBuf {
    dir.join(directory::OURS)
        .join(format!("{PREFIX}{file:010}"))
}

fn frame(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    out.extend_from_slice(content);
}

/// Applies an entry to the refs of its repository; those of realities are kept elsewhere.
pub(crate) fn apply(refs: &mut Refs, entry: &Entry) {
    if entry.host.is_some() {
        return;
    }
    for edit in &entry.edits {
        if let EntryEdit::Ref { name, after, .. } = edit {
            refs.set(name.clone(), after.clone());
        }
    }
}

fn unreadable(path: &Path, error: impl std::fmt::Display) -> io::Error {
    let why = format!("{}: {error}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Whether a history has `entry`: a change, or a step of staging that answers its request again.
pub(crate) fn is_kept(entry: &Entry) -> bool {
    entry.step == 0 || entry.cause.idempotency.is_some()
}

/// The entry as a history has it: without bytes of objects, and of a step of staging nothing but
/// where it is and its answer.
fn as_kept(entry: &Arc<Entry>) -> Arc<Entry> {
    if entry.step == 0 {
        return format::without_objects(entry);
    }
    Arc::new(Entry {
        repo: entry.repo,
        host: entry.host,
        seq: entry.seq,
        step: entry.step,
        time: entry.time,
        cause: entry.cause.clone(),
        edits: Vec::new(),
        objects: NewObjects::default(),
    })
}

/// Appends those of `entries` that are the repository's own and [kept](is_kept). They follow a
/// state with the refs `refs`; `refs` is what they lead to afterwards. What is returned counts once
/// a checkpoint says so.
///
/// With `anew` the file of that number is begun: the last one may not be written any more.
///
/// # Errors
/// Whatever the disk met. The files that counted before count as before.
pub(crate) fn append(
    disk: &dyn Disk,
    dir: &Path,
    index: &HistoryIndex,
    anew: Option<u64>,
    refs: &mut Refs,
    format: ObjectFormat,
    entries: &[Arc<Entry>],
) -> io::Result<HistoryIndex> {
    let mut index = index.clone();
    let is_of_history = |entry: &&Arc<Entry>| entry.host.is_none() && is_kept(entry);
    if !entries.iter().any(|entry| is_of_history(&entry)) {
        return Ok(index);
    }
    let last = index.files.last().copied();
    let (file, mut at, fresh) = match last {
        Some((file, at)) if anew.is_none() && at < FILE_BYTES_MAX => (file, at, false),
        last => {
            let after_last = last.map_or(1, |(file, _)| file + 1);
            (anew.unwrap_or(0).max(after_last), HEADER_BYTES, true)
        }
    };
    let mut out = Vec::new();
    let start = if fresh {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        index.files.push((file, at));
        0
    } else {
        at
    };
    let bad = |error: FormatError| io::Error::new(io::ErrorKind::InvalidData, error);
    for entry in entries.iter().filter(is_of_history) {
        let is_step = entry.step > 0;
        let is_due = index.since_table >= ENTRIES_PER_TABLE as u64 && !is_step;
        if index.points.is_empty() || is_due {
            let mut table = Encoder::default();
            format::encode_refs(&mut table, refs, format).map_err(bad)?;
            index.points.push(Point {
                // The change that may follow a step.
                seq: entry.seq + u64::from(is_step),
                time: entry.time,
                file,
                offset: start + out.len() as u64,
            });
            index.since_table = 0;
            frame(&mut out, TABLE, &table.bytes);
        }
        let mut bytes = Encoder::default();
        format::encode_entry(&mut bytes, &as_kept(entry)).map_err(bad)?;
        frame(&mut out, ENTRY, &bytes.bytes);
        index.since_table += u64::from(!is_step);
        apply(refs, entry);
    }
    let path = path_of(dir, file);
    let how = if fresh { Open::Replace } else { Open::Write };
    let to = disk.open(&path, how)?;
    to.write_at(start, &out)?;
    to.sync()?;
    if fresh {
        disk.sync_dir(&dir.join("govc"))?;
    }
    at = start + out.len() as u64;
    if let Some(counted) = index.files.last_mut() {
        counted.1 = at;
    }
    Ok(index)
}

/// A history that is being written anew.
struct Rewriting<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    index: HistoryIndex,
    file: u64,
    out: Vec<u8>,
}

impl Rewriting<'_> {
    fn begin_file(&mut self) {
        self.out.clear();
        self.out.extend_from_slice(MAGIC);
        self.out.extend_from_slice(&VERSION.to_le_bytes());
    }

    /// A table comes here, before the entry with this number and time.
    fn point(&mut self, seq: Seq, time: Time) {
        self.index.points.push(Point {
            seq,
            time,
            file: self.file,
            offset: self.out.len() as u64,
        });
        self.index.since_table = 0;
    }

    fn end_file(&mut self) -> io::Result<()> {
        let to = self
            .disk
            .open(&path_of(self.dir, self.file), Open::Replace)?;
        to.write_at(0, &self.out)?;
        to.sync()?;
        self.index.files.push((self.file, self.out.len() as u64));
        self.file += 1;
        Ok(())
    }
}

/// Writes what comes after the change `base` into files of its own, the first of them with the
/// number `first` or greater. What is returned counts once a checkpoint says so; the files that
/// counted before are left as they are.
///
/// # Errors
/// Whatever the disk met; [`io::ErrorKind::NotFound`] where there is no such state.
pub(crate) fn cut(
    disk: &dyn Disk,
    dir: &Path,
    index: &HistoryIndex,
    first: u64,
    base: Floor,
    format: ObjectFormat,
) -> io::Result<HistoryIndex> {
    let bad = |error: FormatError| io::Error::new(io::ErrorKind::InvalidData, error);
    let there = refs_at(disk, dir, index, Moment::Seq(base.seq))?;
    let mut refs = there.ok_or(io::ErrorKind::NotFound)?.refs;
    let after_last = index.files.iter().map(|(file, _)| file + 1).max();
    let mut new = Rewriting {
        disk,
        dir,
        index: HistoryIndex {
            base: Some(base),
            ..HistoryIndex::default()
        },
        file: first.max(after_last.unwrap_or(1)),
        out: Vec::new(),
    };
    new.begin_file();
    new.point(base.seq, base.time);
    let mut table = Encoder::default();
    table.number(base.seq);
    table.time(base.time);
    format::encode_refs(&mut table, &refs, format).map_err(bad)?;
    frame(&mut new.out, BASE, &table.bytes);
    let mut reader = Reader::after(disk, dir, index, Some(base.seq));
    while let Some(entry) = reader.entry()? {
        if (entry.seq, entry.step) <= (base.seq, 0) {
            continue;
        }
        if new.out.len() as u64 >= FILE_BYTES_MAX {
            new.end_file()?;
            new.begin_file();
        }
        let is_step = entry.step > 0;
        if new.index.since_table >= ENTRIES_PER_TABLE as u64 && !is_step {
            new.point(entry.seq, entry.time);
            let mut table = Encoder::default();
            format::encode_refs(&mut table, &refs, format).map_err(bad)?;
            frame(&mut new.out, TABLE, &table.bytes);
        }
        let mut bytes = Encoder::default();
        format::encode_entry(&mut bytes, &entry).map_err(bad)?;
        frame(&mut new.out, ENTRY, &bytes.bytes);
        new.index.since_table += u64::from(!is_step);
        apply(&mut refs, &entry);
    }
    new.end_file()?;
    disk.sync_dir(&dir.join(directory::OURS))?;
    Ok(new.index)
}

/// Removes files of history, of the repository and of its realities, that do not count. Files from
/// `from` on stay: somebody may be writing them.
///
/// # Errors
/// Whatever the disk met.
pub(crate) fn tidy(
    disk: &dyn Disk,
    dir: &Path,
    counts: &HistoryIndex,
    of_realities: &realities::RealityHistory,
    from: u64,
) -> io::Result<()> {
    let ours = dir.join(directory::OURS);
    let mut any = false;
    for entry in disk.list(&ours)? {
        let name = entry.name.to_string_lossy().into_owned();
        let number = |prefix| {
            name.strip_prefix(prefix)
                .and_then(|n| n.parse::<u64>().ok())
        };
        let counted = |files: &[(u64, u64)], n| files.iter().any(|(file, _)| *file == n);
        let is_over = match (number(PREFIX), number(realities::PREFIX)) {
            (Some(n), _) => n < from && !counted(&counts.files, n),
            (_, Some(n)) => n < from && !counted(&of_realities.files, n),
            _ => false,
        };
        if is_over {
            disk.remove(&ours.join(&entry.name))?;
            any = true;
        }
    }
    match any {
        true => disk.sync_dir(&ours),
        false => Ok(()),
    }
}

enum Frame {
    Entry(Arc<Entry>),
    Table(Refs),
    Base(Floor, Refs),
}

/// Reads frames from a point on.
struct Reader<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    files: &'a [(u64, u64)],
    open: Option<Box<dyn DiskFile>>,
    at: u64,
    /// Read ahead, from `at` on.
    buffer: Bytes,
}

impl<'a> Reader<'a> {
    fn new(disk: &'a dyn Disk, dir: &'a Path, index: &'a HistoryIndex, from: Point) -> Reader<'a> {
        let first = index.files.partition_point(|(file, _)| *file < from.file);
        Reader {
            disk,
            dir,
            files: &index.files[first..],
            open: None,
            at: from.offset,
            buffer: Bytes::new(),
        }
    }

    /// From where the entries with numbers greater than `after` are found; `None`: from the first.
    fn after(
        disk: &'a dyn Disk,
        dir: &'a Path,
        index: &'a HistoryIndex,
        after: Option<Seq>,
    ) -> Reader<'a> {
        let is_before = |point: &Point| after.is_some_and(|after| point.seq <= after);
        Reader::at_last(disk, dir, index, is_before)
    }

    /// From the last of the points that `is_before` holds for, or the first.
    fn at_last(
        disk: &'a dyn Disk,
        dir: &'a Path,
        index: &'a HistoryIndex,
        is_before: impl FnMut(&Point) -> bool,
    ) -> Reader<'a> {
        let place = index.points.partition_point(is_before).saturating_sub(1);
        match index.points.get(place) {
            Some(point) => Reader::new(disk, dir, index, *point),
            None => Reader {
                disk,
                dir,
                files: &[],
                open: None,
                at: 0,
                buffer: Bytes::new(),
            },
        }
    }

    /// The next entry, whatever is between.
    fn entry(&mut self) -> io::Result<Option<Arc<Entry>>> {
        loop {
            match self.next()? {
                Some(Frame::Entry(entry)) => return Ok(Some(entry)),
                Some(Frame::Table(_) | Frame::Base(..)) => {}
                None => return Ok(None),
            }
        }
    }

    fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let Some((number, end)) = self.files.first().copied() else {
                return Ok(None);
            };
            if self.at >= end {
                self.files = &self.files[1..];
                self.at = HEADER_BYTES;
                self.open = None;
                self.buffer = Bytes::new();
                continue;
            }
            let path = path_of(self.dir, number);
            if self.open.is_none() {
                let file = self.disk.open(&path, Open::Read)?;
                let mut header = [0; HEADER_BYTES as usize];
                file.read_at(0, &mut header)?;
                if !header.starts_with(MAGIC) {
                    return Err(unreadable(&path, "it is no history of govc"));
                }
                let version = header
                    .last_chunk()
                    .map_or(0, |bytes| u32::from_le_bytes(*bytes));
                if version != VERSION {
                    let why = format!("version {version} is unknown to this program");
                    return Err(unreadable(&path, why));
                }
                self.open = Some(file);
            }
            return self.frame(&path, end).map(Some);
        }
    }

    /// Makes sure that `len` bytes from `at` on are in the buffer.
    fn fill(&mut self, path: &Path, len: usize, end: u64) -> io::Result<()> {
        const AHEAD_BYTES: usize = 64 << 10;
        if self.buffer.len() >= len {
            return Ok(());
        }
        let left = end - self.at;
        if len as u64 > left {
            return Err(unreadable(
                path,
                format!("it is damaged at byte {}", self.at),
            ));
        }
        let take = left.min(len.max(AHEAD_BYTES) as u64) as usize;
        let mut buffer = vec![0; take];
        let file = self.open.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let got = file.read_at(self.at, &mut buffer)?;
        buffer.truncate(got);
        if got < len {
            return Err(unreadable(path, "it is shorter than it was"));
        }
        self.buffer = Bytes::from(buffer);
        Ok(())
    }

    fn frame(&mut self, path: &Path, end: u64) -> io::Result<Frame> {
        self.fill(path, FRAME_HEAD_BYTES, end)?;
        let kind = self.buffer[0];
        let number = |at: usize| {
            let bytes = self.buffer.get(at..).and_then(|rest| rest.first_chunk());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let (len, crc) = (number(1) as usize, number(5));
        let damaged = |at: u64| unreadable(path, format!("it is damaged at byte {at}"));
        if len > FRAME_BYTES_MAX {
            return Err(damaged(self.at));
        }
        self.fill(path, FRAME_HEAD_BYTES + len, end)?;
        let content = self.buffer.slice(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + len);
        if crc32fast::hash(&content) != crc {
            return Err(damaged(self.at));
        }
        self.buffer = self.buffer.slice(FRAME_HEAD_BYTES + len..);
        let began = self.at;
        self.at += (FRAME_HEAD_BYTES + len) as u64;
        match kind {
            // An entry that somebody keeps must not keep all that was read with it.
            ENTRY => format::decode_entry(Bytes::copy_from_slice(&content))
                .map(|entry| Frame::Entry(Arc::new(entry)))
                .map_err(|error| unreadable(path, error)),
            TABLE => format::decode_refs(&mut Decoder::new(content))
                .map(Frame::Table)
                .map_err(|error| unreadable(path, error)),
            BASE => decode_base(content).map_err(|error| unreadable(path, error)),
            _ => Err(damaged(began)),
        }
    }
}

fn decode_base(content: Bytes) -> Result<Frame, FormatError> {
    const WHAT: &str = "the beginning of a history";
    let mut input = Decoder::new(content);
    let base = Floor {
        seq: input.number(WHAT)?,
        time: input.time(WHAT)?,
    };
    Ok(Frame::Base(base, format::decode_refs(&mut input)?))
}

/// Up to `limit` entries with numbers greater than `after`.
///
/// # Errors
/// Whatever reading met.
pub(crate) fn entries(
    disk: &dyn Disk,
    dir: &Path,
    index: &HistoryIndex,
    after: Option<Seq>,
    limit: usize,
) -> io::Result<Vec<Arc<Entry>>> {
    let mut found = Vec::new();
    let mut reader = Reader::after(disk, dir, index, after);
    while found.len() < limit {
        let Some(entry) = reader.entry()? else { break };
        if entry.step == 0 && after.is_none_or(|after| entry.seq > after) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// The entry at `place`, if it is here.
///
/// # Errors
/// Whatever reading met.
pub(crate) fn entry(
    disk: &dyn Disk,
    dir: &Path,
    index: &HistoryIndex,
    place: Place,
) -> io::Result<Option<Arc<Entry>>> {
    let mut reader = Reader::after(disk, dir, index, Some(place.0));
    while let Some(entry) = reader.entry()? {
        match (entry.seq, entry.step).cmp(&place) {
            Ordering::Less => {}
            Ordering::Equal => return Ok(Some(entry)),
            Ordering::Greater => break,
        }
    }
    Ok(None)
}

/// The entries from `since` on that answer their requests again.
///
/// # Errors
/// Whatever reading met.
pub(crate) fn answered(
    disk: &dyn Disk,
    dir: &Path,
    index: &HistoryIndex,
    since: Time,
    take: &mut dyn FnMut(&Arc<Entry>),
) -> io::Result<()> {
    let mut reader = Reader::at_last(disk, dir, index, |point| point.time <= since);
    while let Some(entry) = reader.entry()? {
        if entry.time >= since && entry.cause.idempotency.is_some() {
            take(&entry);
        }
    }
    Ok(())
}

/// The refs after the last entry that `moment` includes.
///
/// # Errors
/// Whatever reading met.
pub(crate) fn refs_at(
    disk: &dyn Disk,
    dir: &Path,
    index: &HistoryIndex,
    moment: Moment,
) -> io::Result<Option<PastRefs>> {
    let includes = |seq: Seq, time: Time| match moment {
        Moment::Seq(until) => seq <= until,
        Moment::Time(until) => time <= until,
    };
    let place = index
        .points
        .partition_point(|point| includes(point.seq, point.time));
    let Some(point) = place
        .checked_sub(1)
        .and_then(|place| index.points.get(place))
    else {
        return Ok(None);
    };
    let mut reader = Reader::new(disk, dir, index, *point);
    let (mut refs, mut found) = match reader.next()? {
        Some(Frame::Table(refs)) => (refs, None),
        Some(Frame::Base(base, refs)) => (refs, Some((base.seq, base.time))),
        _ => return Err(unreadable(&path_of(dir, point.file), "a table is missing")),
    };
    while let Some(Frame::Entry(entry)) = reader.next()? {
        if !includes(entry.seq, entry.time) {
            break;
        }
        if entry.step == 0 {
            apply(&mut refs, &entry);
            found = Some((entry.seq, entry.time));
        }
    }
    Ok(found.map(|(seq, time)| PastRefs { seq, time, refs }))
}
