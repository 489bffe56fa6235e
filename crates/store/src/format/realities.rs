//! Realities, as entries and checkpoints have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use govc_engine::{
    MadeBatch, Metric, Promotion, Realities, RealityBatch, RealityEdit, RealityId, RealityNames,
    RealityRange, RealityResults, RefName, Seq,
};
use govc_git::ObjectFormat;

use super::codec::{Decoder, Encoder, FormatError};
use super::lfs::{decode_lfs, encode_lfs};
use super::refs::{decode_target, encode_target};
use super::transactions::{decode_transactions, encode_transactions};
use super::workspaces::{decode_workspaces, encode_workspaces};
use crate::history::realities::{Frame, RealityHistory};
use crate::holdings::{Holdings, SavedReality};

const WHAT: &str = "a reality";
/// More realities than this are in no batch: what says so is damaged.
const COUNT_MAX: u64 = 1 << 24;

const MADE: u8 = 1;
const PROMOTED: u8 = 2;
const DISCARDED: u8 = 3;
const RESULTS: u8 = 4;

const COUNTED: u8 = 1;
const LISTED: u8 = 2;

const HAS_PARENT: u8 = 1;
const HAS_TIP: u8 = 2;
const HAS_OID: u8 = 4;
const IN_MEMORY: u8 = 8;
const EXPIRES: u8 = 16;

pub(super) fn encode_edit(
    out: &mut Encoder,
    edit: &RealityEdit,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    match edit {
        RealityEdit::Made(batch) => {
            out.byte(MADE);
            encode_batch(out, batch, format)
        }
        RealityEdit::Promoted {
            reality,
            into,
            commit,
        } => {
            out.byte(PROMOTED);
            encode_id(out, *reality);
            out.string(into.as_bytes());
            out.id(commit, format)
        }
        RealityEdit::Discarded(ranges) => {
            out.byte(DISCARDED);
            encode_ranges(out, ranges);
            Ok(())
        }
        RealityEdit::Results(results) => {
            out.byte(RESULTS);
            encode_results(out, results, format)
        }
    }
}

/// Reads what [`encode_edit`] wrote.
pub(super) fn decode_edit(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<RealityEdit, FormatError> {
    Ok(match input.byte(WHAT)? {
        MADE => RealityEdit::Made(Arc::new(decode_batch(input, format)?)),
        PROMOTED => RealityEdit::Promoted {
            reality: decode_id(input)?,
            into: RefName::new(input.string(WHAT)?),
            commit: input.id(format)?,
        },
        DISCARDED => RealityEdit::Discarded(decode_ranges(input)?.into()),
        RESULTS => RealityEdit::Results(Arc::new(decode_results(input, format)?)),
        _ => return Err(FormatError::Invalid(WHAT)),
    })
}

/// The hash of the ids in an edit, where it has one.
pub(super) fn format_in(edit: &RealityEdit) -> Option<ObjectFormat> {
    let id = match edit {
        RealityEdit::Made(batch) => batch.oid.or(batch.tip),
        RealityEdit::Promoted { commit, .. } => Some(*commit),
        RealityEdit::Discarded(_) => None,
        RealityEdit::Results(results) => results.commit,
    };
    id.map(|id| id.kind())
}

fn encode_id(out: &mut Encoder, id: RealityId) {
    out.number(id.made);
    out.number(u64::from(id.index));
}

fn decode_id(input: &mut Decoder) -> Result<RealityId, FormatError> {
    Ok(RealityId {
        made: input.number(WHAT)?,
        index: index(input)?,
    })
}

fn index(input: &mut Decoder) -> Result<u32, FormatError> {
    let number = input.number(WHAT)?;
    if number > COUNT_MAX {
        return Err(FormatError::Invalid(WHAT));
    }
    Ok(number as u32)
}

fn encode_batch(
    out: &mut Encoder,
    batch: &RealityBatch,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    out.byte(
        flag(batch.parent.is_some(), HAS_PARENT)
            | flag(batch.tip.is_some(), HAS_TIP)
            | flag(batch.oid.is_some(), HAS_OID)
            | flag(batch.in_memory, IN_MEMORY)
            | flag(batch.expires_at.is_some(), EXPIRES),
    );
    out.raw(&batch.keys);
    match &batch.names {
        RealityNames::Counted { prefix, count } => {
            out.byte(COUNTED);
            out.string(prefix.as_bytes());
            out.number(u64::from(*count));
        }
        RealityNames::Listed(names) => {
            out.byte(LISTED);
            out.number(names.len() as u64);
            names.iter().for_each(|name| out.string(name.as_bytes()));
        }
    }
    if let Some(parent) = batch.parent {
        encode_id(out, parent);
    }
    out.number(batch.base);
    out.string(batch.head.as_bytes());
    for id in [&batch.tip, &batch.oid].into_iter().flatten() {
        out.id(id, format)?;
    }
    if let Some(expires_at) = batch.expires_at {
        out.time(expires_at);
    }
    Ok(())
}

fn decode_batch(input: &mut Decoder, format: ObjectFormat) -> Result<RealityBatch, FormatError> {
    let flags = input.byte(WHAT)?;
    if flags & !(HAS_PARENT | HAS_TIP | HAS_OID | IN_MEMORY | EXPIRES) != 0 {
        return Err(FormatError::Invalid(WHAT));
    }
    let has = |flag: u8| flags & flag != 0;
    let keys = input.array(WHAT)?;
    let names = match input.byte(WHAT)? {
        COUNTED => RealityNames::Counted {
            prefix: input.text(WHAT)?.into(),
            count: index(input)?,
        },
        LISTED => {
            let count = input.count(1, WHAT)?;
            let mut names = Vec::with_capacity(count);
            for _ in 0..count {
                names.push(input.text(WHAT)?.into_boxed_str());
            }
            RealityNames::Listed(names.into())
        }
        _ => return Err(FormatError::Invalid(WHAT)),
    };
    let parent = has(HAS_PARENT).then(|| decode_id(input)).transpose()?;
    let base = input.number(WHAT)?;
    let head = RefName::new(input.string(WHAT)?);
    let tip = has(HAS_TIP).then(|| input.id(format)).transpose()?;
    let oid = has(HAS_OID).then(|| input.id(format)).transpose()?;
    let expires_at = has(EXPIRES).then(|| input.time(WHAT)).transpose()?;
    Ok(RealityBatch {
        keys,
        names,
        parent,
        base,
        head,
        tip,
        oid,
        in_memory: has(IN_MEMORY),
        expires_at,
    })
}

fn encode_ranges(out: &mut Encoder, ranges: &[RealityRange]) {
    out.number(ranges.len() as u64);
    for range in ranges {
        out.number(range.made);
        out.number(u64::from(range.first));
        out.number(u64::from(range.count));
    }
}

fn decode_ranges(input: &mut Decoder) -> Result<Vec<RealityRange>, FormatError> {
    let count = input.count(3, WHAT)?;
    let mut ranges = Vec::with_capacity(count);
    for _ in 0..count {
        ranges.push(RealityRange {
            made: input.number(WHAT)?,
            first: index(input)?,
            count: index(input)?,
        });
    }
    Ok(ranges)
}

fn encode_results(
    out: &mut Encoder,
    results: &RealityResults,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    out.time(results.at);
    out.byte(match results.passed {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    });
    out.byte(u8::from(results.commit.is_some()));
    if let Some(commit) = &results.commit {
        out.id(commit, format)?;
    }
    out.number(results.metrics.len() as u64);
    for (name, metric) in &results.metrics {
        out.string(name.as_bytes());
        out.raw(&metric.get().to_bits().to_le_bytes());
    }
    Ok(())
}

fn decode_results(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<RealityResults, FormatError> {
    let at = input.time(WHAT)?;
    let passed = match input.byte(WHAT)? {
        0 => None,
        1 => Some(false),
        2 => Some(true),
        _ => return Err(FormatError::Invalid(WHAT)),
    };
    let commit = match input.byte(WHAT)? {
        0 => None,
        1 => Some(input.id(format)?),
        _ => return Err(FormatError::Invalid(WHAT)),
    };
    let mut metrics = BTreeMap::new();
    for _ in 0..input.count(9, WHAT)? {
        let name = input.text(WHAT)?.into();
        let number = f64::from_bits(u64::from_le_bytes(input.array(WHAT)?));
        let metric = Metric::new(number).ok_or(FormatError::Invalid(WHAT))?;
        metrics.insert(name, metric);
    }
    Ok(RealityResults {
        metrics,
        passed,
        commit,
        at,
    })
}

/// All of a repository: batches with the numbers and times of their changes, what became of some
/// of them, and what was measured in it.
pub(super) fn encode_realities(
    out: &mut Encoder,
    realities: &Realities,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    out.number(realities.batches(0).count() as u64);
    for made in realities.batches(0) {
        out.number(made.seq);
        out.time(made.time);
        out.nested(|out| encode_batch(out, &made.batch, format))?;
    }
    let (discarded, promoted) = realities.fates();
    encode_ranges(out, &discarded);
    out.number(promoted.len() as u64);
    for (id, promotion) in &promoted {
        encode_id(out, *id);
        out.time(promotion.at);
        out.number(promotion.seq);
        out.string(promotion.into.as_bytes());
        out.id(&promotion.commit, format)?;
    }
    out.byte(u8::from(realities.results().is_some()));
    match realities.results() {
        Some(results) => encode_results(out, results, format),
        None => Ok(()),
    }
}

/// Reads what [`encode_realities`] wrote, to the end of `input`.
pub(super) fn decode_realities(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<Realities, FormatError> {
    const BATCH_LEAST_BYTES: usize = 3;
    let count = input.count(BATCH_LEAST_BYTES, WHAT)?;
    let mut batches = Vec::with_capacity(count);
    for _ in 0..count {
        let (seq, time): (Seq, _) = (input.number(WHAT)?, input.time(WHAT)?);
        let mut content = input.nested(WHAT)?;
        let batch = decode_batch(&mut content, format)?;
        content.end(WHAT)?;
        batches.push(MadeBatch::new(seq, time, Arc::new(batch)));
    }
    let discarded = decode_ranges(input)?;
    let count = input.count(5, WHAT)?;
    let mut promoted = Vec::with_capacity(count);
    for _ in 0..count {
        let id = decode_id(input)?;
        let promotion = Promotion {
            at: input.time(WHAT)?,
            seq: input.number(WHAT)?,
            into: RefName::new(input.string(WHAT)?),
            commit: input.id(format)?,
        };
        promoted.push((id, promotion));
    }
    let results = match input.byte(WHAT)? {
        0 => None,
        1 => Some(Arc::new(decode_results(input, format)?)),
        _ => return Err(FormatError::Invalid(WHAT)),
    };
    input.end(WHAT)?;
    Ok(Realities::from_parts(
        batches, &discarded, promoted, results,
    ))
}

/// The realities that were written to: the files of their history, and each with its place in
/// them, the refs that it changed, and what else it has.
pub(super) fn encode_written(
    out: &mut Encoder,
    holdings: &Holdings,
    history: &RealityHistory,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    out.number(history.files.len() as u64);
    for (file, bytes) in &history.files {
        out.number(*file);
        out.number(*bytes);
    }
    out.number(holdings.written.len() as u64);
    for (key, reality) in &holdings.written {
        out.raw(&key.0);
        out.nested(|out| encode_saved(out, reality, history.last.get(key), format))?;
    }
    Ok(())
}

fn encode_saved(
    out: &mut Encoder,
    reality: &SavedReality,
    last: Option<&Frame>,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    out.number(reality.epoch);
    out.number(reality.seq);
    out.number(u64::from(reality.step));
    out.time(reality.time);
    let last = last.copied().unwrap_or_default();
    out.number(last.file);
    out.number(last.offset);
    out.number(reality.overlay.len() as u64);
    for (name, target) in &reality.overlay {
        out.string(name.as_bytes());
        encode_target(out, target, format)?;
    }
    let holdings = &reality.holdings;
    out.nested(|out| encode_lfs(out, &holdings.lfs));
    out.nested(|out| encode_workspaces(out, &holdings.workspaces, format))?;
    out.nested(|out| encode_transactions(out, &holdings.transactions, format))?;
    out.nested(|out| encode_realities(out, &holdings.realities, format))
}

/// Reads what [`encode_written`] wrote, to the end of `input`.
pub(super) fn decode_written(
    input: &mut Decoder,
    holdings: &mut Holdings,
    format: ObjectFormat,
) -> Result<RealityHistory, FormatError> {
    let mut history = RealityHistory::default();
    for _ in 0..input.count(2, WHAT)? {
        let file = (input.number(WHAT)?, input.number(WHAT)?);
        history.files.push(file);
    }
    for _ in 0..input.count(17, WHAT)? {
        let key = input.key()?;
        let mut content = input.nested(WHAT)?;
        let (reality, last) = decode_saved(&mut content, format)?;
        content.end(WHAT)?;
        if last != Frame::default() {
            history.last.insert(key, last);
        }
        holdings.written.insert(key, reality);
    }
    input.end(WHAT)?;
    Ok(history)
}

fn decode_saved(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<(SavedReality, Frame), FormatError> {
    let mut reality = SavedReality {
        epoch: input.number(WHAT)?,
        seq: input.number(WHAT)?,
        step: u32::try_from(input.number(WHAT)?).map_err(|_| FormatError::Invalid(WHAT))?,
        time: input.time(WHAT)?,
        ..SavedReality::default()
    };
    let last = Frame {
        file: input.number(WHAT)?,
        offset: input.number(WHAT)?,
    };
    for _ in 0..input.count(2, WHAT)? {
        let name = RefName::new(input.string(WHAT)?);
        let target = decode_target(input, format)?;
        reality.overlay.insert(name, target);
    }
    let holdings = &mut reality.holdings;
    holdings.lfs = decode_lfs(&mut input.nested(WHAT)?)?;
    holdings.workspaces = decode_workspaces(&mut input.nested(WHAT)?, format)?;
    holdings.transactions = decode_transactions(&mut input.nested(WHAT)?, format)?;
    holdings.realities = decode_realities(&mut input.nested(WHAT)?, format)?;
    Ok((reality, last))
}
