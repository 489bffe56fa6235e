//! The file `govc/checkpoint`: a repository as it was after one change.

use bytes::Bytes;
use govc_engine::journal::{Floor, PackId};
use govc_engine::{RefName, Refs, RepoKey, RepositoryRecord, Seq, Time};
use govc_git::{ObjectFormat, ObjectId};

use super::codec::{Decoder, Encoder, FormatError, format_byte, format_of};
use super::hooks::{decode_hooks, encode_hooks};
use super::lfs::{decode_lfs, encode_lfs};
use super::realities::{decode_realities, decode_written, encode_realities, encode_written};
use super::record::{decode_record, encode_record};
use super::refs::{decode_refs, encode_refs};
use super::transactions::{decode_transactions, encode_transactions};
use super::workspaces::{decode_workspaces, encode_workspaces};
use crate::history::realities::RealityHistory;
use crate::history::{HistoryIndex, Point};
use crate::holdings::Holdings;
use crate::projection::Seen;
use crate::repo::Retained;

const MAGIC: &[u8; 8] = b"govcckpt";
/// The version of the file. One that has nothing that version 1 could not say is written as such.
pub(crate) const VERSION: u32 = 2;
/// The version without parts at its end.
const VERSION_WITHOUT_PARTS: u32 = 1;

/// The numbers of the parts at the end. None is ever used for something else.
mod part {
    pub(super) const LFS: u64 = 1;
    pub(super) const REPLACED: u64 = 2;
    pub(super) const WORKSPACES: u64 = 3;
    pub(super) const TRANSACTIONS: u64 = 4;
    pub(super) const REALITIES: u64 = 5;
    pub(super) const WRITTEN_REALITIES: u64 = 6;
    pub(super) const HOOKS: u64 = 7;
    pub(super) const RETAINED: u64 = 8;
    /// The version of each of them.
    pub(super) const VERSION: u8 = 1;
}
const HEAD_BYTES: usize = 24;

/// A repository as it was after one change, and where its past and its objects are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    pub(crate) key: RepoKey,
    /// How often the node's numbers had jumped.
    pub(crate) epoch: u64,
    pub(crate) seq: Seq,
    pub(crate) step: u32,
    pub(crate) time: Time,
    pub(crate) record: RepositoryRecord,
    pub(crate) refs: Refs,
    /// What the annotated tags that refs point at lead to.
    pub(crate) peeled: Vec<(ObjectId, ObjectId)>,
    /// Oldest first.
    pub(crate) packs: Vec<PackId>,
    pub(crate) history: HistoryIndex,
    /// The digest of the `packed-refs` to come.
    pub(crate) packed_to_come: [u8; 32],
    /// What the refs' files were when the checkpoint was made.
    pub(crate) before: Seen,
    /// How many commits `objects/info/commit-graph` has.
    pub(crate) graph_commits: u64,
    /// Large files, workspaces, transactions.
    pub(crate) holdings: Holdings,
    /// Where the past of its realities is.
    pub(crate) reality_history: RealityHistory,
    /// Packs that others have replaced, and since when: their files stay for a while.
    pub(crate) replaced: Vec<(PackId, Time)>,
    /// What is kept of the past.
    pub(crate) retained: Retained,
}

/// The bytes of a checkpoint.
pub(crate) fn encode_checkpoint(checkpoint: &Checkpoint) -> Result<Vec<u8>, FormatError> {
    let format = checkpoint.record.object_format;
    let mut out = Encoder::default();
    out.raw(&checkpoint.key.0);
    out.byte(format_byte(format)?);
    out.number(checkpoint.epoch);
    out.number(checkpoint.seq);
    out.number(u64::from(checkpoint.step));
    out.time(checkpoint.time);
    out.nested(|out| encode_record(out, &checkpoint.record))?;
    encode_refs(&mut out, &checkpoint.refs, format)?;
    out.number(checkpoint.peeled.len() as u64);
    for (tag, target) in &checkpoint.peeled {
        out.id(tag, format)?;
        out.id(target, format)?;
    }
    out.number(checkpoint.packs.len() as u64);
    for pack in &checkpoint.packs {
        out.id(&pack.0, format)?;
    }
    let history = &checkpoint.history;
    out.number(history.files.len() as u64);
    for (file, bytes) in &history.files {
        out.number(*file);
        out.number(*bytes);
    }
    out.number(history.points.len() as u64);
    let mut before = (0, 0);
    for point in &history.points {
        // Both only grow, and fall only by a clock or a writer that is wrong.
        out.signed(point.seq.wrapping_sub(before.0) as i64);
        out.signed(point.time.0.wrapping_sub(before.1));
        out.number(point.file);
        out.number(point.offset);
        before = (point.seq, point.time.0);
    }
    out.number(history.since_table);
    out.raw(&checkpoint.packed_to_come);
    out.raw(&checkpoint.before.packed);
    out.number(checkpoint.before.loose.len() as u64);
    for (name, content) in &checkpoint.before.loose {
        out.string(name.as_bytes());
        out.string(content);
    }
    out.number(checkpoint.graph_commits);
    let Holdings {
        lfs,
        workspaces,
        transactions,
        hooks,
        realities,
        written,
    } = &checkpoint.holdings;
    let parts = [
        (part::LFS, !lfs.is_empty()),
        (part::REPLACED, !checkpoint.replaced.is_empty()),
        (part::WORKSPACES, !workspaces.is_empty()),
        (part::TRANSACTIONS, !transactions.is_empty()),
        (part::HOOKS, !hooks.is_empty()),
        (part::REALITIES, !realities.is_empty()),
        (
            part::WRITTEN_REALITIES,
            !written.is_empty() || !checkpoint.reality_history.files.is_empty(),
        ),
        (part::RETAINED, has_retained(checkpoint)),
    ];
    let parts: Vec<u64> = parts
        .iter()
        .filter(|part| part.1)
        .map(|part| part.0)
        .collect();
    if !parts.is_empty() {
        out.number(parts.len() as u64);
    }
    for part in &parts {
        out.number(*part);
        out.byte(part::VERSION);
        out.nested(|out| match *part {
            part::LFS => {
                encode_lfs(out, lfs);
                Ok(())
            }
            part::REPLACED => encode_replaced(out, &checkpoint.replaced, format),
            part::WORKSPACES => encode_workspaces(out, workspaces, format),
            part::TRANSACTIONS => encode_transactions(out, transactions, format),
            part::HOOKS => {
                encode_hooks(out, hooks);
                Ok(())
            }
            part::REALITIES => encode_realities(out, realities, format),
            part::RETAINED => {
                encode_retained(out, checkpoint);
                Ok(())
            }
            _ => encode_written(
                out,
                &checkpoint.holdings,
                &checkpoint.reality_history,
                format,
            ),
        })?;
    }
    let version = match parts.is_empty() {
        true => VERSION_WITHOUT_PARTS,
        false => VERSION,
    };

    let mut file = Vec::with_capacity(HEAD_BYTES + out.bytes.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&version.to_le_bytes());
    file.extend_from_slice(&(out.bytes.len() as u64).to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&out.bytes).to_le_bytes());
    file.extend_from_slice(&out.bytes);
    Ok(file)
}

const HAS_FLOOR: u8 = 1;
const HAS_BASE: u8 = 2;
const HAS_COLLECTED: u8 = 4;
const HAS_LITTER: u8 = 8;
const HAS_LITTER_OF_REALITIES: u8 = 16;

/// Whether a checkpoint has something to say of what is kept.
fn has_retained(checkpoint: &Checkpoint) -> bool {
    let mut written = checkpoint.holdings.written.values();
    checkpoint.retained != Retained::default()
        || checkpoint.history.base.is_some()
        || checkpoint.reality_history.has_litter
        || written.any(|reality| reality.gone_since.is_some())
}

/// Flags and what they say is there, and the realities that are gone, each with since when.
fn encode_retained(out: &mut Encoder, checkpoint: &Checkpoint) {
    let Retained {
        floor,
        collected,
        litter,
    } = checkpoint.retained;
    let base = checkpoint.history.base;
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    out.byte(
        flag(floor.is_some(), HAS_FLOOR)
            | flag(base.is_some(), HAS_BASE)
            | flag(collected.is_some(), HAS_COLLECTED)
            | flag(litter, HAS_LITTER)
            | flag(
                checkpoint.reality_history.has_litter,
                HAS_LITTER_OF_REALITIES,
            ),
    );
    for state in [floor, base].into_iter().flatten() {
        out.number(state.seq);
        out.time(state.time);
    }
    if let Some(collected) = collected {
        out.number(collected);
    }
    let written = checkpoint.holdings.written.iter();
    let gone = written.filter_map(|(key, reality)| Some((key, reality.gone_since?)));
    let gone: Vec<_> = gone.collect();
    out.number(gone.len() as u64);
    for (key, since) in gone {
        out.raw(&key.0);
        out.time(since);
    }
}

/// What [`encode_retained`] wrote.
#[derive(Default)]
struct DecodedRetained {
    retained: Retained,
    base: Option<Floor>,
    litter_of_realities: bool,
    gone: Vec<(RepoKey, Time)>,
}

fn decode_retained(input: &mut Decoder) -> Result<DecodedRetained, FormatError> {
    const WHAT: &str = "what a checkpoint says is kept";
    const ALL: u8 = HAS_FLOOR | HAS_BASE | HAS_COLLECTED | HAS_LITTER | HAS_LITTER_OF_REALITIES;
    let flags = input.byte(WHAT)?;
    if flags & !ALL != 0 {
        return Err(FormatError::Invalid(WHAT));
    }
    let state = |input: &mut Decoder, flag: u8| match flags & flag {
        0 => Ok(None),
        _ => Ok(Some(Floor {
            seq: input.number(WHAT)?,
            time: input.time(WHAT)?,
        })),
    };
    let floor = state(input, HAS_FLOOR)?;
    let base = state(input, HAS_BASE)?;
    let collected = match flags & HAS_COLLECTED {
        0 => None,
        _ => Some(input.number(WHAT)?),
    };
    let mut gone = Vec::new();
    for _ in 0..input.count(17, WHAT)? {
        gone.push((input.key()?, input.time(WHAT)?));
    }
    input.end(WHAT)?;
    Ok(DecodedRetained {
        retained: Retained {
            floor,
            collected,
            litter: flags & HAS_LITTER != 0,
        },
        base,
        litter_of_realities: flags & HAS_LITTER_OF_REALITIES != 0,
        gone,
    })
}

fn encode_replaced(
    out: &mut Encoder,
    replaced: &[(PackId, Time)],
    format: ObjectFormat,
) -> Result<(), FormatError> {
    out.number(replaced.len() as u64);
    for (pack, since) in replaced {
        out.id(&pack.0, format)?;
        out.time(*since);
    }
    Ok(())
}

fn decode_replaced(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<Vec<(PackId, Time)>, FormatError> {
    const WHAT: &str = "replaced packs of a checkpoint";
    let count = input.count(format.len_in_bytes(), WHAT)?;
    let mut replaced = Vec::with_capacity(count);
    for _ in 0..count {
        replaced.push((PackId(input.id(format)?), input.time(WHAT)?));
    }
    input.end(WHAT)?;
    Ok(replaced)
}

/// Reads what [`encode_checkpoint`] wrote.
pub(crate) fn decode_checkpoint(file: Bytes) -> Result<Checkpoint, FormatError> {
    const WHAT: &str = "a checkpoint";
    let number = |at: usize| {
        let bytes = file.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    if !file.starts_with(MAGIC) {
        return Err(FormatError::Invalid(WHAT));
    }
    let version = number(8);
    if !(VERSION_WITHOUT_PARTS..=VERSION).contains(&version) {
        return Err(FormatError::Unknown {
            what: "checkpoint",
            number: u64::from(version),
            version: u64::from(version),
        });
    }
    let content = file.get(HEAD_BYTES..).ok_or(FormatError::Truncated(WHAT))?;
    if crc32fast::hash(content) != number(20) {
        return Err(FormatError::Invalid("the checksum of a checkpoint"));
    }
    let mut input = Decoder::new(file.slice(HEAD_BYTES..));
    let key = input.key()?;
    let format = format_of(input.byte(WHAT)?)?;
    let epoch = input.number(WHAT)?;
    let seq = input.number(WHAT)?;
    let step = u32::try_from(input.number(WHAT)?).map_err(|_| FormatError::Invalid(WHAT))?;
    let time = input.time(WHAT)?;
    let record = decode_record(&mut input.nested(WHAT)?)?;
    let refs = decode_refs(&mut input)?;
    let id_bytes = format.len_in_bytes();
    let count = input.count(2 * id_bytes, WHAT)?;
    let mut peeled = Vec::with_capacity(count);
    for _ in 0..count {
        peeled.push((input.id(format)?, input.id(format)?));
    }
    let count = input.count(id_bytes, WHAT)?;
    let mut packs = Vec::with_capacity(count);
    for _ in 0..count {
        packs.push(PackId(input.id(format)?));
    }
    let mut history = HistoryIndex::default();
    for _ in 0..input.count(2, WHAT)? {
        history
            .files
            .push((input.number(WHAT)?, input.number(WHAT)?));
    }
    let mut last = (0u64, 0i64);
    for _ in 0..input.count(4, WHAT)? {
        last.0 = last.0.wrapping_add(input.signed(WHAT)? as u64);
        last.1 = last.1.wrapping_add(input.signed(WHAT)?);
        history.points.push(Point {
            seq: last.0,
            time: Time(last.1),
            file: input.number(WHAT)?,
            offset: input.number(WHAT)?,
        });
    }
    history.since_table = input.number(WHAT)?;
    let packed_to_come = input.array(WHAT)?;
    let mut before = Seen {
        packed: input.array(WHAT)?,
        ..Seen::default()
    };
    for _ in 0..input.count(2, WHAT)? {
        let name = RefName::new(input.string(WHAT)?);
        before.loose.insert(name, input.string(WHAT)?.to_vec());
    }
    let graph_commits = input.number(WHAT)?;
    let mut holdings = Holdings::default();
    let mut replaced = Vec::new();
    let mut reality_history = RealityHistory::default();
    let mut kept = DecodedRetained::default();
    if version > VERSION_WITHOUT_PARTS {
        const PART_LEAST_BYTES: usize = 3;
        for _ in 0..input.count(PART_LEAST_BYTES, WHAT)? {
            let (number, version) = (input.number(WHAT)?, input.byte(WHAT)?);
            let mut content = input.nested(WHAT)?;
            match (number, version) {
                (part::LFS, part::VERSION) => holdings.lfs = decode_lfs(&mut content)?,
                (part::REPLACED, part::VERSION) => {
                    replaced = decode_replaced(&mut content, format)?;
                }
                (part::WORKSPACES, part::VERSION) => {
                    holdings.workspaces = decode_workspaces(&mut content, format)?;
                }
                (part::TRANSACTIONS, part::VERSION) => {
                    holdings.transactions = decode_transactions(&mut content, format)?;
                }
                (part::HOOKS, part::VERSION) => holdings.hooks = decode_hooks(&mut content)?,
                (part::REALITIES, part::VERSION) => {
                    holdings.realities = decode_realities(&mut content, format)?;
                }
                (part::WRITTEN_REALITIES, part::VERSION) => {
                    reality_history = decode_written(&mut content, &mut holdings, format)?;
                }
                (part::RETAINED, part::VERSION) => kept = decode_retained(&mut content)?,
                _ => {
                    return Err(FormatError::Unknown {
                        what: "part of a checkpoint",
                        number,
                        version: u64::from(version),
                    });
                }
            }
        }
    }
    input.end(WHAT)?;
    if record.object_format != format {
        return Err(FormatError::Invalid(WHAT));
    }
    history.base = kept.base;
    reality_history.has_litter = kept.litter_of_realities;
    for (key, since) in kept.gone {
        if let Some(reality) = holdings.written.get_mut(&key) {
            reality.gone_since = Some(since);
        }
    }
    Ok(Checkpoint {
        key,
        epoch,
        seq,
        step,
        time,
        record,
        refs,
        peeled,
        packs,
        history,
        packed_to_come,
        before,
        graph_commits,
        holdings,
        replaced,
        reality_history,
        retained: kept.retained,
    })
}
