//! How a segment and a record of the log look.
//!
//! A segment begins with [`HEADER_AREA_BYTES`] that hold its header twice; records follow without
//! gaps, and zeros to the end of what was preallocated. A record is a fixed head, the keys of the
//! repositories that it and its predecessors name, and a payload, each with its own checksum: who
//! is hit by damage can mostly be read, whatever was damaged.

use bytes::Bytes;
use govc_engine::RepoKey;

/// What is before the first record.
pub(super) const HEADER_AREA_BYTES: u64 = 4096;
const HEADER_COPY_AT: usize = 2048;
const HEADER_BYTES: usize = 64;
const SEGMENT_MAGIC: &[u8; 8] = b"govclog\n";
/// The version of segments and records.
pub(super) const VERSION: u32 = 1;

/// What a segment says of itself and of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Its number, which is in its name too.
    pub(super) number: u64,
    /// The number of the segment before it; 0 where there was none.
    pub(super) previous: u64,
    /// Up to which byte that one counts. What is beyond was never acknowledged.
    pub(super) previous_end: u64,
    /// The number of its first record.
    pub(super) first_record: u64,
    /// How often numbers have jumped ahead.
    pub(super) epoch: u64,
    /// Whether changes in it were acknowledged before they were durable.
    pub(super) acknowledged_early: bool,
}

/// What may be at the beginning of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoundHeader {
    Good(SegmentHeader),
    /// Of a version that is not known.
    Later(u32),
    /// None: it was never made whole, or it is damaged.
    Bad,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(SEGMENT_MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&u32::from(self.acknowledged_early).to_le_bytes());
        for number in [
            self.number,
            self.previous,
            self.previous_end,
            self.first_record,
            self.epoch,
        ] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.resize(HEADER_BYTES - 4, 0);
        header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        let mut area = vec![0; HEADER_AREA_BYTES as usize];
        area[..HEADER_BYTES].copy_from_slice(&header);
        area[HEADER_COPY_AT..HEADER_COPY_AT + HEADER_BYTES].copy_from_slice(&header);
        area
    }

    pub(super) fn find(segment: &[u8]) -> FoundHeader {
        for at in [0, HEADER_COPY_AT] {
            let Some(header) = segment.get(at..at + HEADER_BYTES) else {
                continue;
            };
            let (content, crc) = header.split_at(HEADER_BYTES - 4);
            if !content.starts_with(SEGMENT_MAGIC) || u32_at(crc, 0) != crc32fast::hash(content) {
                continue;
            }
            let version = u32_at(content, 8);
            if version != VERSION {
                return FoundHeader::Later(version);
            }
            return FoundHeader::Good(SegmentHeader {
                acknowledged_early: u32_at(content, 12) != 0,
                number: u64_at(content, 16),
                previous: u64_at(content, 24),
                previous_end: u64_at(content, 32),
                first_record: u64_at(content, 40),
                epoch: u64_at(content, 48),
            });
        }
        FoundHeader::Bad
    }
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    /// Entries that became durable together.
    Batch = 1,
    /// The server stopped as it should. Nothing follows.
    Closed = 2,
}

pub(super) const HEAD_BYTES: usize = 48;
pub(super) const RECORD_MAGIC: &[u8; 4] = b"gvr\x01";
/// What a record ends with. A payload may end in zeros, which is what is there before it is
/// written: without this a record whose write failed could be whole.
const END: u8 = 0xa5;
/// The longest record; a longer batch is refused.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 30;

/// What goes into a record.
pub(super) struct RecordParts<'a> {
    pub(super) kind: RecordKind,
    pub(super) number: u64,
    /// Records up to this number were durable when this one was written.
    pub(super) durable: u64,
    /// The repositories that it names.
    pub(super) own: &'a [RepoKey],
    /// The repositories that the records of the last `recent_bytes` before it name.
    pub(super) recent: &'a [RepoKey],
    pub(super) recent_bytes: u64,
    pub(super) payload: &'a [u8],
}

/// Writes a record into `record`, in place of what was there.
pub(super) fn encode(parts: &RecordParts<'_>, record: &mut Vec<u8>) {
    let mut names = Vec::with_capacity(8 + 16 * (parts.own.len() + parts.recent.len()));
    for keys in [parts.own, parts.recent] {
        names.extend_from_slice(&(keys.len() as u32).to_le_bytes());
        for key in keys {
            names.extend_from_slice(&key.0);
        }
    }
    record.clear();
    record.reserve(HEAD_BYTES + names.len() + parts.payload.len() + 1);
    record.extend_from_slice(RECORD_MAGIC);
    record.extend_from_slice(&[parts.kind as u8, 0, 0, 0]);
    record.extend_from_slice(&parts.number.to_le_bytes());
    record.extend_from_slice(&parts.durable.to_le_bytes());
    for number in [
        names.len() as u32,
        parts.payload.len() as u32,
        u32::try_from(parts.recent_bytes).unwrap_or(u32::MAX),
        crc32fast::hash(&names),
        crc32fast::hash(parts.payload),
    ] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    record.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    record.extend_from_slice(&names);
    record.extend_from_slice(parts.payload);
    record.push(END);
}

/// A record as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kind: RecordKind,
    pub(super) number: u64,
    pub(super) durable: u64,
    pub(super) own: Vec<RepoKey>,
    pub(super) recent: Vec<RepoKey>,
    pub(super) recent_bytes: u64,
    /// Where its payload is, from the start of the segment.
    pub(super) payload: std::ops::Range<usize>,
    /// Where the record ends.
    pub(super) end: usize,
    /// Its payload and its end are whole.
    pub(super) payload_good: bool,
}

/// The record that begins at `at`, if its head and names are whole and its payload is within
/// `segment`.
pub(super) fn find(segment: &Bytes, at: usize) -> Option<Found> {
    let head = segment.get(at..at.checked_add(HEAD_BYTES)?)?;
    if !head.starts_with(RECORD_MAGIC) || u32_at(head, 44) != crc32fast::hash(&head[..44]) {
        return None;
    }
    let kind = match head[4] {
        1 => RecordKind::Batch,
        2 => RecordKind::Closed,
        _ => return None,
    };
    let names_at = at + HEAD_BYTES;
    let payload_at = names_at.checked_add(u32_at(head, 24) as usize)?;
    let end = payload_at.checked_add(u32_at(head, 28) as usize)?;
    let names = segment.get(names_at..payload_at)?;
    if crc32fast::hash(names) != u32_at(head, 36) {
        return None;
    }
    let (own, rest) = keys(names)?;
    let (recent, rest) = keys(rest)?;
    if !rest.is_empty() {
        return None;
    }
    let payload = segment.get(payload_at..end)?;
    let last = segment.get(end)?;
    Some(Found {
        kind,
        number: u64_at(head, 8),
        durable: u64_at(head, 16),
        own,
        recent,
        recent_bytes: u64::from(u32_at(head, 32)),
        payload: payload_at..end,
        end: end + 1,
        payload_good: crc32fast::hash(payload) == u32_at(head, 40) && *last == END,
    })
}

fn keys(bytes: &[u8]) -> Option<(Vec<RepoKey>, &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let len = (u32::from_le_bytes(*count) as usize).checked_mul(16)?;
    let keys = rest.get(..len)?;
    let (keys, _) = keys.as_chunks::<16>();
    Some((keys.iter().map(|key| RepoKey(*key)).collect(), &rest[len..]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
