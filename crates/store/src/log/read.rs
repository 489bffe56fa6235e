//! Reading the log when the store opens.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;

use bytes::Bytes;
use govc_engine::RepoKey;

use super::record::{
    self, FoundHeader, HEAD_BYTES, HEADER_AREA_BYTES, RECORD_MAGIC, RecordKind, SegmentHeader,
};
use super::segment_number;
use crate::disk::{Disk, FileKind, Open};

/// What is met in the log, in its order.
#[derive(Debug)]
pub(crate) enum Event {
    /// A whole record.
    Batch {
        /// In which segment it is.
        segment: u64,
        /// How often numbers had jumped before it.
        epoch: u64,
        /// The entries, as [`super::encode_batch`] wrote them.
        payload: Bytes,
    },
    /// Something is damaged, and whole records follow it.
    Damaged {
        /// In which segment it is.
        segment: u64,
        /// Where, from the start of the segment.
        at: u64,
        /// How long it is.
        bytes: u64,
        /// The repositories that may have entries there; `None` when that cannot be told.
        repositories: Option<Vec<RepoKey>>,
    },
}

/// What is known once the log was read.
#[derive(Debug, Default)]
pub(crate) struct LogSummary {
    /// The segments that count, oldest first, with the bytes that they have on the disk.
    pub(crate) segments: Vec<(u64, u64)>,
    /// Those that do not: they were never made whole.
    pub(crate) void: Vec<u64>,
    /// The greatest number that any segment has, counting or not.
    pub(crate) newest_number: u64,
    /// Up to which byte the newest segment counts.
    pub(crate) end: u64,
    /// From which byte on nothing in it says that it is durable.
    pub(crate) durable_end: u64,
    /// The number of the last record.
    pub(crate) last_record: u64,
    /// How often numbers have jumped ahead.
    pub(crate) epoch: u64,
    /// Whether what was acknowledged may be missing at the end.
    pub(crate) acknowledged_early: bool,
    /// The server was stopped as it should.
    pub(crate) clean: bool,
    /// Where in the newest segment a record was cut that never became whole, and how long it was.
    pub(crate) torn: Option<(u64, u64)>,
}

/// Why the log cannot be read at all.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Version { segment: u64, version: u32 },
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

/// Damage whose extent or victims are not known yet.
struct Pending {
    segment: u64,
    at: u64,
    bytes: u64,
    /// The number that the damaged record would have.
    number: u64,
    /// What the damaged record itself still tells: its names, and its whole length.
    own: Option<(Vec<RepoKey>, u64)>,
}

/// Reads all that counts, oldest first.
pub(crate) fn read(
    disk: &dyn Disk,
    dir: &Path,
    mut event: impl FnMut(Event),
) -> Result<LogSummary, ReadError> {
    let mut files = BTreeMap::new();
    let mut summary = LogSummary::default();
    for entry in disk.list(dir)? {
        let Some(number) = segment_number(&entry.name).filter(|_| entry.kind == FileKind::File)
        else {
            continue;
        };
        let bytes = disk.open(&dir.join(&entry.name), Open::Read)?.map()?;
        summary.newest_number = summary.newest_number.max(number);
        match SegmentHeader::find(&bytes) {
            FoundHeader::Good(header) if header.number == number => {
                files.insert(number, (bytes, Some(header)));
            }
            FoundHeader::Later(version) => {
                return Err(ReadError::Version {
                    segment: number,
                    version,
                });
            }
            // Its making was interrupted; or it is damaged, and then there are records in it.
            _ if next_good(&bytes, HEADER_AREA_BYTES as usize, bytes.len(), 0).is_none() => {
                summary.void.push(number);
            }
            _ => {
                files.insert(number, (bytes, None));
            }
        }
    }

    // From the newest back: each says up to where the one before it counts.
    let mut chain = Vec::new();
    let mut next = files.last_key_value().map(|(number, _)| (*number, None));
    while let Some((number, end)) = next {
        let Some((bytes, header)) = files.remove(&number) else {
            break;
        };
        next = match &header {
            Some(header) => Some((header.previous, Some(header.previous_end))),
            None => files.last_key_value().map(|(number, _)| (*number, None)),
        };
        chain.push((number, bytes, header, end));
    }
    chain.reverse();
    summary.void.extend(files.into_keys());

    let mut pending: Option<Pending> = None;
    let newest = chain.len().saturating_sub(1);
    for (place, (number, bytes, header, end)) in chain.into_iter().enumerate() {
        summary.segments.push((number, bytes.len() as u64));
        summary.clean = false;
        if let Some(header) = header {
            summary.epoch = header.epoch;
            summary.acknowledged_early = header.acknowledged_early;
            // Segments before it may be gone, and their records with them.
            summary.last_record = summary
                .last_record
                .max(header.first_record.saturating_sub(1));
        } else {
            // Without its header nobody knows what came before it.
            event(Event::Damaged {
                segment: number,
                at: 0,
                bytes: HEADER_AREA_BYTES,
                repositories: None,
            });
        }
        let limit = end.map_or(bytes.len(), |end| bytes.len().min(end as usize));
        let mut at = HEADER_AREA_BYTES as usize;
        // The records of this segment that no later one says are durable, and where they begin.
        let mut unsure: VecDeque<(u64, usize)> = VecDeque::new();
        while at < limit {
            let found = record::find(&bytes, at)
                .filter(|found| found.end <= limit && found.number > summary.last_record);
            match found {
                Some(found) if found.payload_good => {
                    if let Some(damage) = pending.take() {
                        event(damage.resolve(&found));
                    }
                    unsure.retain(|(number, _)| *number > found.durable);
                    unsure.push_back((found.number, at));
                    summary.last_record = found.number;
                    summary.clean = found.kind == RecordKind::Closed;
                    at = found.end;
                    if found.kind == RecordKind::Batch {
                        event(Event::Batch {
                            segment: number,
                            epoch: summary.epoch,
                            payload: Bytes::copy_from_slice(&bytes[found.payload]),
                        });
                    }
                }
                found => {
                    let expected = summary.last_record + 1;
                    let own = found.map(|found| (found.own, (found.end - at) as u64));
                    let good = next_good(&bytes, at + 1, limit, expected);
                    let is_newest = place == newest && end.is_none();
                    let next = match good {
                        // What this record says was durable cannot have been lost by a crash.
                        Some((next, durable)) if !is_newest || durable >= expected => next,
                        _ if is_newest => {
                            let used = used_bytes(&bytes[at..limit]);
                            summary.torn = (used > 0).then_some((at as u64, used));
                            break;
                        }
                        _ => limit,
                    };
                    summary.clean = false;
                    let bytes = (next - at) as u64;
                    match &mut pending {
                        Some(damage) => {
                            damage.bytes += bytes;
                            damage.own = None;
                        }
                        None => {
                            pending = Some(Pending {
                                segment: number,
                                at: at as u64,
                                bytes,
                                number: expected,
                                own,
                            });
                        }
                    }
                    at = next;
                }
            }
        }
        summary.end = at as u64;
        summary.durable_end = unsure.front().map_or(at, |(_, at)| *at) as u64;
    }
    // The newest segment has no record that would name who was hit before it.
    if let Some(damage) = pending {
        event(damage.resolve_without());
    }
    Ok(summary)
}

impl Pending {
    /// `next` is the first whole record after the damage.
    fn resolve(self, next: &record::Found) -> Event {
        let by_itself = self.own.filter(|(_, len)| *len == self.bytes);
        let by_next = (next.recent_bytes >= self.bytes).then(|| next.recent.clone());
        // Names that were read from the damaged record itself are exact when it was one record.
        let one = next.number == self.number + 1;
        let repositories = match by_itself {
            Some((own, _)) if one => Some(own),
            _ => by_next,
        };
        Event::Damaged {
            segment: self.segment,
            at: self.at,
            bytes: self.bytes,
            repositories,
        }
    }

    fn resolve_without(self) -> Event {
        let by_itself = self.own.filter(|(_, len)| *len == self.bytes);
        Event::Damaged {
            segment: self.segment,
            at: self.at,
            bytes: self.bytes,
            repositories: by_itself.map(|(own, _)| own),
        }
    }
}

/// The next whole record from `at` on with a number of at least `least`: where it begins, and what
/// it says was durable.
fn next_good(segment: &Bytes, mut at: usize, limit: usize, least: u64) -> Option<(usize, u64)> {
    while at + HEAD_BYTES <= limit {
        at += memchr::memmem::find(&segment[at..limit], RECORD_MAGIC)?;
        if let Some(found) = record::find(segment, at)
            && found.payload_good
            && found.end <= limit
            && found.number >= least
        {
            return Some((at, found.durable));
        }
        at += 1;
    }
    None
}

/// How many bytes there are up to the last that is not zero.
fn used_bytes(bytes: &[u8]) -> u64 {
    const BLOCK: usize = 4096;
    let mut end = bytes.len();
    while end >= BLOCK && bytes[end - BLOCK..end] == [0; BLOCK] {
        end -= BLOCK;
    }
    let used = bytes[..end].iter().rposition(|byte| *byte != 0);
    used.map_or(0, |last| last as u64 + 1)
}
