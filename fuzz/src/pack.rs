//! Packs, what is in them, and what lies beside them.

use std::collections::BTreeMap;

use bytes::Bytes;
use govc_git::object_id::hash_object;
use govc_git::pack::commit_graph::CommitGraph;
use govc_git::pack::delta;
use govc_git::pack::entry::{self, EntryHeader};
use govc_git::pack::zlib::{Deflater, Inflater, StreamInflater};
use govc_git::pack::{
    EntryKind, IndexLimits, NoCache, Pack, PackError, PackIndex, PackVisitor, VisitedObject,
    index_pack, parse_small,
};
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

use crate::heal;
use crate::plant::plant;

const LIMITS: IndexLimits = IndexLimits {
    max_objects: 10_000,
    max_object_bytes: 1 << 20,
    max_total_bytes: 8 << 20,
    max_inflation: 8192,
    max_chain: 50,
    memory_bytes: 256 << 10,
};

/// Keeps what the indexer shows, by id.
#[derive(Default)]
struct Shown {
    objects: BTreeMap<ObjectId, (ObjectKind, u64)>,
    numbers: Vec<u32>,
    deltas_inside: usize,
    deltas_outside: usize,
}

impl PackVisitor for Shown {
    fn object(&mut self, object: &VisitedObject<'_>) -> Result<(), String> {
        let id = hash_object(object.id.kind(), object.kind, object.data);
        assert_eq!(id.ok().as_deref(), Some(object.id));
        if let Some(base) = object.base {
            let made = delta::apply(base.data, base.delta, LIMITS.max_object_bytes);
            assert_eq!(made.as_deref(), Ok(object.data));
            match base.number {
                Some(number) => {
                    assert!(self.numbers.contains(&number), "a base is shown first");
                    self.deltas_inside += 1;
                }
                None => self.deltas_outside += 1,
            }
        }
        self.numbers.push(object.number);
        let size = object.data.len() as u64;
        let id = object.id.to_owned();
        self.objects.insert(id, (object.kind, size));
        Ok(())
    }
}

/// Objects that a thin pack may be based on: the empty blob, and one of 64 bytes.
fn outside(id: &oid) -> Option<Object> {
    [Bytes::new(), Bytes::from_static(&[b'a'; 64])]
        .into_iter()
        .find_map(|data| {
            let found = hash_object(id.kind(), ObjectKind::Blob, &data).ok()? == id;
            let kind = ObjectKind::Blob;
            found.then_some(Object { kind, data })
        })
}

/// A pack of entries that are said one by one, as a fuzzer cannot deflate: kind, length and a
/// number for its base, and then its content. Its trailer is yet to be made right.
fn assembled(mut data: &[u8], format: ObjectFormat) -> Vec<u8> {
    let mut out = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
    let mut offsets = Vec::new();
    while let Some(([kind, length, base], rest)) = data.split_first_chunk::<3>() {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        data = rest;
        let offset = out.len();
        let back = offsets.iter().rev().nth(usize::from(*base));
        let kind = match (kind % 6, back) {
            (0, _) => EntryKind::Whole(ObjectKind::Commit),
            (1, _) => EntryKind::Whole(ObjectKind::Tree),
            (2, _) => EntryKind::Whole(ObjectKind::Tag),
            (4, Some(back)) => EntryKind::OfsDelta {
                base_distance: (offset - back) as u64,
            },
            (5, _) => {
                let outside = if *base == 0 {
                    vec![b'a'; 64]
                } else {
                    content.to_vec()
                };
                match hash_object(format, ObjectKind::Blob, &outside) {
                    Ok(base) => EntryKind::RefDelta { base },
                    Err(_) => EntryKind::Whole(ObjectKind::Blob),
                }
            }
            _ => EntryKind::Whole(ObjectKind::Blob),
        };
        entry::write_header(&kind, content.len() as u64, &mut out);
        Deflater::new(1).deflate(content, &mut out);
        offsets.push(offset);
    }
    out[8..12].copy_from_slice(&(offsets.len() as u32).to_be_bytes());
    out.resize(out.len() + format.len_in_bytes(), 0);
    out
}

/// Packs: what the indexer shows is what the reader finds by the index that was made of it.
pub(crate) fn pack(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else {
        return;
    };
    let format = if flags & 1 == 0 {
        ObjectFormat::Sha1
    } else {
        ObjectFormat::Sha256
    };
    let healed = if flags & 2 != 0 {
        heal::trailer(&assembled(data, format), format)
    } else if heal::is_left(data) {
        data.to_vec()
    } else {
        heal::trailer(data, format)
    };
    let mut shown = Shown::default();
    let indexed = index_pack(&healed, format, &LIMITS, &outside, &mut shown);
    let small = parse_small(&healed, format, &LIMITS, &outside);
    let indexed = match indexed {
        Ok(indexed) => indexed,
        Err(error) => {
            assert!(small.is_err());
            plant("pack", || {
                matches!(error, PackError::DuplicateObject { .. }) && shown.deltas_inside > 0
            });
            return;
        }
    };
    assert_eq!(indexed.entries.len(), shown.numbers.len());
    if let Ok(small) = small {
        let small: Vec<_> = small.iter().map(|o| (o.id, o.data.len() as u64)).collect();
        assert_eq!(small.len(), shown.objects.len());
        for (id, size) in small {
            assert_eq!(shown.objects.get(&id).map(|o| o.1), Some(size));
        }
    }
    let index = Bytes::from(indexed.entries.write_index(&indexed.checksum));
    let index = PackIndex::parse(index, format).expect("an index that was just made");
    assert_eq!(index.verify(), Ok(()));
    if !indexed.missing_bases.is_empty() {
        return;
    }
    let pack =
        Pack::new(indexed.checksum, Bytes::from(healed), index).expect("they belong together");
    for (id, (kind, size)) in &shown.objects {
        let object = pack.find(id, &outside, &NoCache).expect("a good entry");
        let object = object.expect("it was shown");
        assert_eq!((object.kind, object.data.len() as u64), (*kind, *size));
        let position = pack.index().lookup(id).expect("it was shown");
        let header = pack.header_at(position, &|id| outside(id).map(|object| object.kind));
        assert_eq!(header.ok(), Some((*kind, *size)));
        assert!(pack.raw_entry(position).is_ok());
        let base = pack.base_of(position).expect("a good entry");
        assert_eq!(
            base.is_some(),
            !matches!(kind_of(&pack, position), Some(EntryKind::Whole(_)))
        );
        if let Some(stream) = pack.stream_at(position).expect("a good entry") {
            let pieces = stream.map(|piece| piece.expect("a good entry").len() as u64);
            assert_eq!(pieces.sum::<u64>(), *size);
        }
    }
}

fn kind_of(pack: &Pack, position: u32) -> Option<EntryKind> {
    let offset = usize::try_from(pack.index().offset(position)).ok()?;
    let bytes = pack.bytes().get(offset..)?;
    entry::parse_header(bytes, pack.index().format())
        .ok()
        .map(|header| header.kind)
}

/// Headers of entries: written again they are read the same.
pub(crate) fn entry_header(data: &[u8]) {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let Ok(header) = entry::parse_header(data, format) else {
            continue;
        };
        assert!(header.header_len <= data.len());
        let mut again = Vec::new();
        entry::write_header(&header.kind, header.size, &mut again);
        assert!(again.len() <= header.header_len);
        let header_len = again.len();
        let expected = EntryHeader {
            header_len,
            ..header.clone()
        };
        assert_eq!(entry::parse_header(&again, format), Ok(expected));
        plant("entry_header", || {
            let far = |distance: &u64| *distance > 1 << 40;
            matches!(&header.kind, EntryKind::OfsDelta { base_distance } if far(base_distance))
                && header.size > 1 << 20
        });
    }
}

/// A delta, instruction by instruction.
fn apply_slowly(base: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let (base_size, size) = delta::sizes(bytes).ok()?;
    let mut out = Vec::new();
    for op in delta::ops(bytes).ok()? {
        match op.ok()? {
            delta::Op::Insert(bytes) => out.extend_from_slice(bytes),
            delta::Op::Copy { offset, length } => {
                out.extend_from_slice(base.get(offset..offset + length)?);
            }
        }
        if out.len() > 1 << 20 {
            return None;
        }
    }
    (base_size == base.len() as u64 && size == out.len() as u64).then_some(out)
}

/// Deltas: the first byte says how long the base is.
pub(crate) fn delta(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else {
        return;
    };
    let Some((base, bytes)) = rest.split_at_checked(usize::from(length)) else {
        return;
    };
    let made = delta::apply(base, bytes, 1 << 20);
    assert_eq!(made.clone().ok(), apply_slowly(base, bytes));
    if let Ok(made) = &made {
        let again = delta::between(base, made);
        assert_eq!(delta::apply(base, &again, 1 << 20).as_ref(), Ok(made));
    }
    let between = delta::between(base, bytes);
    let again = delta::apply(base, &between, 1 << 20);
    assert_eq!(again.as_deref(), Ok(bytes));
    plant("delta", || {
        let ops: Vec<_> = delta::ops(bytes).into_iter().flatten().flatten().collect();
        let back = ops.windows(2).any(|pair| match pair {
            [
                delta::Op::Copy { offset: a, .. },
                delta::Op::Copy { offset: b, .. },
            ] => a > b && *b > 0,
            _ => false,
        });
        made.is_ok() && back
    });
}

/// Indexes: what is looked up is what a look at every entry finds.
pub(crate) fn index(data: &[u8]) {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let healed = match heal::is_left(data) {
            true => data.to_vec(),
            false => heal::trailer(data, format),
        };
        let Ok(index) = PackIndex::parse(Bytes::from(healed), format) else {
            continue;
        };
        let _ = index.pack_checksum();
        let sound = index.verify();
        let count = index.len().min(2000);
        for position in 0..count {
            let id = index.id(position);
            let offset = index.offset(position);
            let _ = (index.crc32(position), index.next_offset(offset));
            let found = index.lookup(id);
            if sound.is_ok() {
                assert_eq!(found, Some(position));
                assert_eq!(index.position_by_offset(offset), Some(position));
            }
            let hex = 2 + position as usize % 5;
            let range = index.prefix_range(id.as_bytes(), hex);
            if sound.is_ok() {
                let text = id.to_string();
                let alike = |other: u32| index.id(other).to_string()[..hex] == text[..hex];
                let first = (0..count).find(|other| alike(*other));
                assert_eq!(Some(range.start), first);
                assert!(range.contains(&position));
            }
        }
        if count == index.len() {
            assert_eq!(index.positions_in_pack_order().len(), count as usize);
        }
        let _ = index.lookup(format.null_ref());
        plant("pack_index", || {
            sound.is_ok() && (0..count).any(|position| index.crc32(position) & 0xffff == 0)
        });
    }
}

/// Commit-graph files: as indexes.
pub(crate) fn commit_graph(data: &[u8]) {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let healed = match heal::is_left(data) {
            true => data.to_vec(),
            false => heal::trailer(data, format),
        };
        let Ok(graph) = CommitGraph::parse(Bytes::from(healed), format) else {
            continue;
        };
        let sound = graph.verify();
        let mut merges = 0;
        for position in 0..graph.len().min(2000) {
            let found = graph.lookup(graph.id(position));
            if sound.is_ok() {
                assert_eq!(found, Some(position));
            }
            if let Ok(parents) = graph.parents(position) {
                assert!(parents.iter().all(|parent| *parent < graph.len()));
                merges += usize::from(parents.len() > 2);
            }
            let _ = (graph.tree(position), graph.time(position));
            let _ = (graph.generation(position), graph.corrected_time(position));
        }
        plant("commit_graph", || {
            let old = |position| graph.time(position) > 1 << 33;
            merges > 0 && sound.is_ok() && (0..graph.len()).any(old)
        });
    }
}

/// zlib streams: both ways to inflate agree, and what was deflated comes back.
pub(crate) fn inflate(data: &[u8]) {
    let Some((size, stream)) = data.split_first_chunk::<2>() else {
        return;
    };
    let size = u64::from(u16::from_le_bytes(*size));
    let mut whole = Vec::new();
    let at_once = Inflater::new().inflate(stream, size, &mut whole);
    let mut inflater = StreamInflater::new(size);
    let mut pieces = Vec::new();
    let mut piece = vec![0; 100];
    let streamed = loop {
        match inflater.next(stream, &mut piece) {
            Ok(0) => break Ok(inflater.consumed()),
            Ok(length) => pieces.extend_from_slice(&piece[..length]),
            Err(error) => break Err(error),
        }
        assert!(pieces.len() as u64 <= size);
    };
    assert_eq!(at_once.ok(), streamed.ok());
    if at_once.is_ok() {
        assert_eq!(pieces, whole);
        assert_eq!(whole.len() as u64, size);
    }
    let mut again = Vec::new();
    Deflater::new(data[0] % 13).deflate(stream, &mut again);
    let mut back = Vec::new();
    let consumed = Inflater::new().inflate(&again, stream.len() as u64, &mut back);
    assert_eq!(consumed, Ok(again.len()));
    assert_eq!(back, stream);
    plant("inflate", || {
        at_once.is_ok_and(|consumed| consumed < stream.len()) && whole.len() > 20
    });
}
