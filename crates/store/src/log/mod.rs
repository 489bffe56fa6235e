//! The node's log: all repositories, in the order in which they were answered.
//!
//! It is a chain of segments. One append is one record and one `fdatasync`. A segment is never
//! written by two processes, and never again after a write or a sync of it failed: the next one's
//! header says up to which byte it counts, so what may or may not have reached the disk before the
//! failure can never be taken for answered later on.

mod read;
mod record;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::journal::AppendError;
use govc_engine::{Entry, RepoKey};

pub(crate) use read::{Event, LogSummary, ReadError, read};

use crate::disk::{Disk, DiskFile, Open};
use crate::format::{self, Encoder, FormatError};
use record::{HEADER_AREA_BYTES, RECORD_BYTES_MAX, RecordKind, RecordParts};

/// A record names who the records before it name, as far back as this, and at least
/// [`RECENT_RECORDS_MIN`] of them: damage of that size is known by its victims.
const RECENT_BYTES: u64 = 8 << 10;
const RECENT_RECORDS_MIN: usize = 4;
/// More keys than these are not repeated.
const RECENT_KEYS_MAX: usize = 512;

/// The greatest version of the log's format that this program reads and writes.
pub(crate) const VERSION: u32 = record::VERSION;

/// The log, as it is appended to.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    /// Whether changes are answered before they are durable.
    early: bool,
    epoch: u64,
    /// Those that count, oldest first, with the bytes that they have on the disk.
    segments: VecDeque<(u64, u64)>,
    /// The one that is appended to; `None` when it may not be written any more, or is full.
    current: Option<Segment>,
    /// The newest segment that counts, and where its next record goes.
    end: (u64, u64),
    /// Up to where that segment is durable: what the next header says of it.
    durable_end: u64,
    /// Never used twice, whatever became of it.
    next_segment: u64,
    last_record: u64,
    /// Records up to this number are durable.
    durable: u64,
    /// Records that are written and not known to be durable, oldest first.
    unsynced: VecDeque<Unsynced>,
    recent: VecDeque<(u64, Vec<RepoKey>)>,
    counts: LogCounts,
    closed: bool,
    /// The memory of the last record, for the next one.
    spare: Vec<u8>,
}

/// More memory than this is not kept for the next record.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// What was done since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogCounts {
    pub(crate) appends: u64,
    pub(crate) syncs: u64,
    pub(crate) bytes_written: u64,
}

struct Segment {
    file: Arc<dyn DiskFile>,
    bytes: u64,
}

struct Unsynced {
    bytes: Vec<u8>,
}

fn segment_name(number: u64) -> String {
    format!("{number:010}.log")
}

fn segment_number(name: &OsStr) -> Option<u64> {
    let digits = name.to_str()?.strip_suffix(".log")?;
    let only_digits = digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| digits.parse().ok()).flatten()
}

/// The payload of a record: how many entries, and each with its length before it.
pub(crate) fn encode_batch(entries: &[Arc<Entry>]) -> Result<Vec<u8>, FormatError> {
    // Roughly what an entry and each of its objects take beside their bytes: growing would copy.
    let room = |entry: &Arc<Entry>| {
        let objects = &entry.objects;
        256 + objects.inline_bytes() + 48 * objects.inline.len()
    };
    let mut out = Encoder {
        bytes: Vec::with_capacity(entries.iter().map(room).sum()),
    };
    out.number(entries.len() as u64);
    for entry in entries {
        out.nested(|out| format::encode_entry(out, entry))?;
    }
    Ok(out.bytes)
}

/// Reads what [`encode_batch`] wrote: the entries' bytes, which share its memory.
pub(crate) fn split_batch(payload: Bytes) -> Result<Vec<Bytes>, FormatError> {
    let mut input = format::Decoder::new(payload);
    let count = input.count(17, "a batch")?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(input.string("an entry")?);
    }
    input.end("a batch")?;
    Ok(entries)
}

impl Log {
    /// Continues the log that `summary` tells of, in a segment of its own.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        segment_bytes: u64,
        early: bool,
        summary: &LogSummary,
        epoch: u64,
    ) -> io::Result<Log> {
        let newest = summary.segments.last().map_or(0, |(number, _)| *number);
        let mut log = Log {
            disk,
            dir: dir.to_owned(),
            segment_bytes,
            early,
            epoch,
            segments: summary.segments.iter().copied().collect(),
            current: None,
            end: (newest, summary.end),
            durable_end: summary.end,
            next_segment: summary.newest_number + 1,
            last_record: summary.last_record,
            durable: summary.last_record,
            unsynced: VecDeque::new(),
            recent: VecDeque::new(),
            counts: LogCounts::default(),
            closed: false,
            spare: Vec::new(),
        };
        if !summary.clean && !summary.segments.is_empty() {
            log.write_again(newest, summary.durable_end, summary.end)?;
        }
        log.roll(0)?;
        if summary.torn.is_none() {
            log.give_back(newest, summary.end);
        }
        for number in &summary.void {
            log.disk.remove(&log.path(*number))?;
        }
        Ok(log)
    }

    /// Makes durable what was read of the segment `number` and was perhaps never synced: its header,
    /// and what is between two places. Where the server before us met an error when it synced, the
    /// system takes the bytes for durable, though they may be in its cache alone: they are written
    /// once more.
    fn write_again(&self, number: u64, from: u64, to: u64) -> io::Result<()> {
        const PIECE_BYTES: u64 = 1 << 20;
        let file = self.disk.open(&self.path(number), Open::Write)?;
        let mut buffer = Vec::new();
        for (mut at, end) in [(0, HEADER_AREA_BYTES), (from.max(HEADER_AREA_BYTES), to)] {
            while at < end {
                buffer.resize((end - at).min(PIECE_BYTES) as usize, 0);
                let got = file.read_at(at, &mut buffer)?;
                if got == 0 {
                    break;
                }
                file.write_at(at, &buffer[..got])?;
                at += got as u64;
            }
        }
        file.sync()
    }

    /// Gives back what was preallocated for a segment and never written: a server that is started
    /// often must not fill the disk. What is torn stays, for whoever wants to look at it.
    fn give_back(&mut self, number: u64, end: u64) {
        let Some(segment) = self.segments.iter_mut().find(|(n, _)| *n == number) else {
            return;
        };
        let path = self.dir.join(segment_name(number));
        let cut = self.disk.open(&path, Open::Write);
        // It is of no use, and of no harm where it fails.
        if cut.and_then(|file| file.truncate(end)).is_ok() {
            segment.1 = end;
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_name(number))
    }

    /// Begins a segment with room for `least` bytes of records.
    fn roll(&mut self, least: u64) -> io::Result<()> {
        self.current = None;
        let number = self.next_segment;
        self.next_segment += 1;
        let path = self.path(number);
        let bytes = self.segment_bytes.max(HEADER_AREA_BYTES + least);
        match self.begin_segment(&path, number, bytes) {
            Ok(file) => {
                self.segments.push_back((number, bytes));
                self.end = (number, HEADER_AREA_BYTES);
                self.durable_end = HEADER_AREA_BYTES;
                self.current = Some(Segment { file, bytes });
                Ok(())
            }
            Err(error) => {
                // Whether it stays or goes makes no difference: its number is never used again,
                // and no later segment will name it.
                let _ = self.disk.remove(&path);
                Err(error)
            }
        }
    }

    /// Begins a new segment, so that those before it can go. What was written is durable then.
    ///
    /// # Errors
    /// Whatever the disk met.
    pub(crate) fn begin_segment_anew(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        self.sync_early()?;
        self.roll(0)
    }

    fn begin_segment(
        &mut self,
        path: &Path,
        number: u64,
        bytes: u64,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let header = record::SegmentHeader {
            number,
            previous: self.end.0,
            previous_end: self.durable_end,
            first_record: self.durable + 1,
            epoch: self.epoch,
            acknowledged_early: self.early,
        };
        let file: Arc<dyn DiskFile> = self.disk.open(path, Open::New)?.into();
        file.preallocate(bytes)?;
        file.write_at(0, &header.encode())?;
        self.counts.syncs += 1;
        file.sync()?;
        self.disk.sync_dir(&self.dir)?;
        Ok(file)
    }

    /// Appends one record, durable unless the log is one that is answered early.
    ///
    /// Returns the number of the record, and of the segment that it is in.
    pub(crate) fn append(
        &mut self,
        own: Vec<RepoKey>,
        payload: &[u8],
    ) -> Result<(u64, u64), AppendError> {
        if self.closed {
            let why = io::Error::other("the store is closed");
            return Err(AppendError::Failed(why));
        }
        if payload.len() > RECORD_BYTES_MAX {
            let why = format!("a batch of {} bytes is too large", payload.len());
            return Err(AppendError::Failed(io::Error::other(why)));
        }
        let place = self.write(RecordKind::Batch, own, payload)?;
        self.counts.appends += 1;
        Ok(place)
    }

    fn write(
        &mut self,
        kind: RecordKind,
        own: Vec<RepoKey>,
        payload: &[u8],
    ) -> Result<(u64, u64), AppendError> {
        let number = self.last_record + 1;
        let (recent, recent_bytes) = self.recent_keys();
        let mut record = std::mem::take(&mut self.spare);
        let parts = RecordParts {
            kind,
            number,
            durable: self.durable,
            own: &own,
            recent: &recent,
            recent_bytes,
            payload,
        };
        record::encode(&parts, &mut record);
        let len = record.len() as u64;
        let fits = |log: &Log| {
            let room = |segment: &Segment| log.end.1 + len <= segment.bytes;
            log.current.as_ref().is_some_and(room)
        };
        if !fits(self) {
            // What is written must be durable before a header says that it counts.
            if self.sync_all().is_err() || self.current.is_none() {
                self.recover_unsynced(len).map_err(refused)?;
            }
            if !fits(self) {
                self.roll(len).map_err(refused)?;
            }
        }
        match self.write_to_current(&record) {
            Ok(()) => {}
            Err(Failure {
                error,
                may_be_there,
            }) => {
                // This segment is done with. The next one's header makes what may be there void.
                self.current = None;
                match self.recover_unsynced(len) {
                    Ok(()) => self.write_to_current(&record).map_err(|again| {
                        self.current = None;
                        match again.may_be_there {
                            true => AppendError::Unknown,
                            false => refused(again.error),
                        }
                    })?,
                    Err(_) if may_be_there => return Err(AppendError::Unknown),
                    Err(_) => return Err(refused(error)),
                }
            }
        }
        self.end.1 += len;
        self.last_record = number;
        self.counts.bytes_written += len;
        self.remember(len, own);
        if self.early {
            self.unsynced.push_back(Unsynced { bytes: record });
        } else {
            self.durable = number;
            self.durable_end = self.end.1;
            if record.capacity() <= SPARE_BYTES_MAX {
                self.spare = record;
            }
        }
        Ok((number, self.end.0))
    }

    fn write_to_current(&mut self, record: &[u8]) -> Result<(), Failure> {
        let failure = |may_be_there| {
            move |error| Failure {
                error,
                may_be_there,
            }
        };
        let Some(segment) = &self.current else {
            return Err(failure(false)(io::Error::other("there is no segment")));
        };
        // A write that fails has not written all: without its end the record is none.
        segment
            .file
            .write_at(self.end.1, record)
            .map_err(failure(false))?;
        if !self.early {
            self.counts.syncs += 1;
            segment.file.sync().map_err(failure(true))?;
        }
        Ok(())
    }

    /// Begins a new segment after a failure, and writes what was answered and is not durable into
    /// it: it counts from there, and what was written of it before does not.
    fn recover_unsynced(&mut self, room: u64) -> io::Result<()> {
        let bytes = |record: &Unsynced| record.bytes.len() as u64;
        let lost: u64 = self.unsynced.iter().map(bytes).sum();
        self.roll(lost + room)?;
        for record in &self.unsynced {
            let Some(current) = &self.current else { break };
            if let Err(error) = current.file.write_at(self.end.1, &record.bytes) {
                self.current = None;
                return Err(error);
            }
            self.end.1 += record.bytes.len() as u64;
        }
        self.sync_all()
    }

    /// Makes everything durable that was written.
    pub(crate) fn sync_all(&mut self) -> io::Result<()> {
        if self.unsynced.is_empty() {
            return Ok(());
        }
        let Some(segment) = &self.current else {
            return Err(io::Error::other("the log's segment is not usable"));
        };
        self.counts.syncs += 1;
        if let Err(error) = segment.file.sync() {
            self.current = None;
            return Err(error);
        }
        self.durable = self.last_record;
        self.durable_end = self.end.1;
        self.unsynced.clear();
        Ok(())
    }

    /// Makes durable what was answered early. After a failure it is written once more, elsewhere.
    pub(crate) fn sync_early(&mut self) -> io::Result<()> {
        if self.sync_all().is_ok() {
            return Ok(());
        }
        self.current = None;
        self.recover_unsynced(0)
    }

    fn recent_keys(&self) -> (Vec<RepoKey>, u64) {
        let mut keys = Vec::new();
        let mut bytes = 0;
        for (records, (len, own)) in self.recent.iter().rev().enumerate() {
            let enough = records >= RECENT_RECORDS_MIN && bytes >= RECENT_BYTES;
            if enough || keys.len() + own.len() > RECENT_KEYS_MAX {
                break;
            }
            bytes += len;
            keys.extend(
                own.iter()
                    .filter(|key| !keys.contains(*key))
                    .copied()
                    .collect::<Vec<_>>(),
            );
        }
        (keys, bytes)
    }

    fn remember(&mut self, len: u64, own: Vec<RepoKey>) {
        self.recent.push_back((len, own));
        let mut bytes: u64 = self.recent.iter().map(|(len, _)| len).sum();
        while self.recent.len() > RECENT_RECORDS_MIN {
            let oldest = self.recent.front().map_or(0, |(len, _)| *len);
            if bytes - oldest < RECENT_BYTES {
                break;
            }
            bytes -= oldest;
            self.recent.pop_front();
        }
    }

    /// The number of the segment that is appended to.
    pub(crate) fn newest_segment(&self) -> u64 {
        self.end.0
    }

    /// The number of the oldest segment.
    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        self.segments.front().map(|(number, _)| *number)
    }

    /// Removes the segments before `number`; the one that is appended to stays.
    pub(crate) fn remove_before(&mut self, number: u64) -> io::Result<()> {
        while let Some((oldest, _)) = self.segments.front().copied() {
            if oldest >= number || oldest == self.end.0 {
                break;
            }
            match self.disk.remove(&self.path(oldest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.segments.pop_front(),
            };
        }
        Ok(())
    }

    /// How many bytes it has on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes).sum()
    }

    pub(crate) fn counts(&self) -> LogCounts {
        self.counts
    }

    /// Says that the server stopped as it should. Nothing is appended after that.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        self.sync_early()?;
        let early = std::mem::replace(&mut self.early, false);
        let closed = self
            .sync_all()
            .map_err(AppendError::Failed)
            .and_then(|()| self.write(RecordKind::Closed, Vec::new(), b""));
        self.early = early;
        self.closed = true;
        match closed {
            Ok(_) => Ok(()),
            Err(AppendError::Failed(error)) => Err(error),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }
}

struct Failure {
    error: io::Error,
    /// The record may be whole on the disk.
    may_be_there: bool,
}

/// What an append that certainly wrote nothing answers.
fn refused(error: io::Error) -> AppendError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::Full,
        _ => AppendError::Failed(error),
    }
}
