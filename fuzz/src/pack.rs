//! Packs, what is in them, and what lies beside them.

use std::collections::BTreeMap;

use bytes::Bytes;
use govc_git::object_id::hash_object;
use govc_git::pack::commit_graph::{CommitGraph, Commits, write_commit_graph};
use govc_git::pack::delta;
use govc_git::pack::entry::{self, EntryHeader};
use govc_git::pack::zlib::{Deflater, Inflater, StreamInflater};
use govc_git::pack::{
    EntryKind, IndexEntry, IndexLimits, NoCache, Pack, PackEntries, PackIndex, PackVisitor,
    VisitedObject, index_pack, parse_small, write_index,
};
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

use crate::heal;

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

/// A pack of entries that are said one by one, as a fuzzer cannot deflate, hash or count: kind,
/// length and a number for its base, and then its content. A delta's content is its instructions;
/// the sizes before them are made right, unless the highest bit of its kind is set. The pack's
/// trailer is yet to be made right.
fn assembled(mut data: &[u8], format: ObjectFormat) -> Vec<u8> {
    let mut out = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
    let mut made: Vec<Made> = Vec::new();
    while let Some(([flags, length, base], rest)) = data.split_first_chunk::<3>() {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        data = rest;
        let offset = out.len();
        let from = made.iter().rev().nth(usize::from(*base));
        let (kind, whole) = match ((flags & 0x7f) % 7, from) {
            (0, _) => (EntryKind::Whole(ObjectKind::Commit), None),
            (1, _) => (EntryKind::Whole(ObjectKind::Tree), None),
            (2, _) => (EntryKind::Whole(ObjectKind::Tag), None),
            (4, Some(from)) => {
                let base_distance = (offset - from.offset) as u64;
                (EntryKind::OfsDelta { base_distance }, Some(from.clone()))
            }
            (5, Some(from)) => (EntryKind::RefDelta { base: from.id }, Some(from.clone())),
            (6, _) => {
                let outside = Made::new(format, 0, ObjectKind::Blob, vec![b'a'; 64]);
                (EntryKind::RefDelta { base: outside.id }, Some(outside))
            }
            _ => (EntryKind::Whole(ObjectKind::Blob), None),
        };
        let (content, object) = match (&kind, whole) {
            (EntryKind::Whole(kind), _) => (content.to_vec(), Some((*kind, content.to_vec()))),
            (_, Some(base)) if flags & 0x80 == 0 => {
                let delta = with_sizes(&base.data, content);
                let object = delta::apply(&base.data, &delta, 1 << 16).ok();
                (delta, object.map(|data| (base.kind, data)))
            }
            _ => (content.to_vec(), None),
        };
        entry::write_header(&kind, content.len() as u64, &mut out);
        Deflater::new(1).deflate(&content, &mut out);
        let (kind, data) = object.unwrap_or((ObjectKind::Blob, Vec::new()));
        made.push(Made::new(format, offset, kind, data));
    }
    out[8..12].copy_from_slice(&(made.len() as u32).to_be_bytes());
    out.resize(out.len() + format.len_in_bytes(), 0);
    out
}

/// An object of a pack that is assembled.
#[derive(Clone)]
struct Made {
    offset: usize,
    id: ObjectId,
    kind: ObjectKind,
    data: Vec<u8>,
}

impl Made {
    fn new(format: ObjectFormat, offset: usize, kind: ObjectKind, data: Vec<u8>) -> Made {
        let id = hash_object(format, kind, &data).unwrap_or(format.null());
        Made {
            offset,
            id,
            kind,
            data,
        }
    }
}

/// A delta on `base` of these instructions.
fn with_sizes(base: &[u8], instructions: &[u8]) -> Vec<u8> {
    let sizeless = [&[0, 0], instructions].concat();
    let ops = delta::ops(&sizeless).into_iter().flatten().flatten();
    let size: usize = ops.map(|op| op.len()).sum();
    let mut out = Vec::new();
    for mut number in [base.len(), size] {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }
    out.extend_from_slice(instructions);
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
            assert!(error.to_string().len() < 1024);
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
    read_damaged(&healed, &index, indexed.checksum, data);
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

/// Reads a pack of which some bytes are others: each object is read or refused. Which bytes, the
/// end of `data` says.
fn read_damaged(pack: &[u8], index: &PackIndex, checksum: ObjectId, data: &[u8]) {
    let mut bytes = pack.to_vec();
    for change in data.rchunks_exact(3).take(2) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
        let entries = 12..pack.len() - checksum.as_slice().len();
        let at = entries.start + at % entries.len().max(1);
        bytes[at] ^= change[2];
    }
    let Ok(pack) = Pack::new(checksum, Bytes::from(bytes), index.clone()) else {
        return;
    };
    for position in 0..index.len() {
        let object = pack.object_at(position, &outside, &NoCache);
        let header = pack.header_at(position, &|id| outside(id).map(|object| object.kind));
        if let (Ok(object), Ok((kind, size))) = (object, header) {
            assert_eq!((object.kind, object.data.len() as u64), (kind, size));
        }
        let _ = (pack.raw_entry(position), pack.base_of(position));
        if let Ok(Some(stream)) = pack.stream_at(position) {
            let _ = stream.take(8).filter(Result::is_ok).count();
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
}

/// An index of entries that are said in three bytes each: two of the id, and how far it lies. Two
/// bytes more say which entry has a large offset that is not there.
fn index_of(data: &[u8], format: ObjectFormat) -> Vec<u8> {
    let entry = |(number, said): (usize, &[u8; 3])| {
        let mut id = vec![0; format.len_in_bytes()];
        id[..2].copy_from_slice(&said[..2]);
        id[4..8].copy_from_slice(&(number as u32).to_be_bytes());
        IndexEntry {
            id: ObjectId::try_from(&id[..]).expect("its length is right"),
            crc32: number as u32,
            offset: (u64::from(said[2]) << (u32::from(said[2]) % 40)) + number as u64,
        }
    };
    let (said, rest) = data.as_chunks::<3>();
    let mut entries: Vec<_> = said.iter().enumerate().map(entry).collect();
    let mut packed = PackEntries::new(format);
    for entry in &entries {
        packed.push(&entry.id, entry.crc32, entry.offset);
    }
    let unsorted = packed.write_index(format.null_ref());
    packed.sort();
    assert_eq!(
        (packed.len(), packed.is_empty()),
        (entries.len(), entries.is_empty())
    );
    assert!(packed.iter().eq(entries.iter().copied()));
    for (number, entry) in entries.iter().enumerate() {
        assert_eq!(packed.find(&entry.id), Some(number as u32));
    }
    let mut written = write_index(&mut entries, format.null_ref(), format);
    assert_eq!(unsorted, written);
    assert_eq!(packed.write_index(format.null_ref()), written);
    if let ([number, far], false) = (rest, entries.is_empty()) {
        const IDS_AT: usize = 8 + 256 * 4;
        let offsets_at = IDS_AT + entries.len() * (format.len_in_bytes() + 4);
        let at = offsets_at + usize::from(*number) % entries.len() * 4;
        written[at] = *far;
        written = heal::trailer(&written, format);
    }
    written
}

/// What begins with some digits is what a look at every id finds.
fn prefixes(index: &PackIndex, count: u32) {
    let texts: Vec<String> = (0..count).map(|at| index.id(at).to_string()).collect();
    for (position, text) in texts.iter().enumerate().step_by(texts.len() / 50 + 1) {
        let hex = 2 + position % 5;
        let range = index.prefix_range(index.id(position as u32).as_bytes(), hex);
        let first = texts
            .iter()
            .position(|other| other.starts_with(&text[..hex]));
        assert_eq!(Some(range.start as usize), first);
        assert!(range.contains(&(position as u32)));
    }
}

/// Indexes: what is looked up is what a look at every entry finds.
pub(crate) fn index(data: &[u8]) {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let healed = match (data.first(), heal::is_left(data)) {
            (Some(0xff), true) => data.to_vec(),
            (Some(0xff), false) => heal::trailer(data, format),
            _ => index_of(data, format),
        };
        let Ok(index) = PackIndex::parse(Bytes::from(healed), format) else {
            continue;
        };
        let _ = index.pack_checksum();
        let sound = index.verify();
        let count = index.len().min(2000);
        for position in (0..count).step_by(count as usize / 300 + 1) {
            let id = index.id(position);
            let offset = index.offset(position);
            let _ = (index.crc32(position), index.next_offset(offset));
            let found = index.lookup(id);
            if sound.is_ok() {
                assert_eq!(found, Some(position));
                let there = index.position_by_offset(offset);
                assert_eq!(there.map(|there| index.offset(there)), Some(offset));
            }
        }
        if sound.is_ok() {
            prefixes(&index, count);
        }
        if count == index.len() {
            assert_eq!(index.positions_in_pack_order().len(), count as usize);
        }
        let _ = (index.lookup(format.null_ref()), index.heap_bytes());
        for hex in [0, 1, 3] {
            let range = index.prefix_range(data, hex);
            assert!(range.start <= range.end && range.end <= index.len());
        }
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
        assert!(graph.packs().count() <= data.len());
        for position in 0..graph.len().min(2000) {
            let found = graph.lookup(graph.id(position));
            if sound.is_ok() {
                assert_eq!(found, Some(position));
            }
            if let Ok(parents) = graph.parents(position) {
                assert!(parents.iter().all(|parent| *parent < graph.len()));
            }
            let _ = (graph.tree(position), graph.time(position));
            let _ = (graph.generation(position), graph.corrected_time(position));
        }
    }
}

/// A commit-graph's commits, to be written again.
struct Written<'g>(&'g CommitGraph);

impl Commits for Written<'_> {
    fn len(&self) -> u32 {
        self.0.len()
    }

    fn id(&self, number: u32) -> ObjectId {
        self.0.id(number).to_owned()
    }

    fn tree(&self, number: u32) -> ObjectId {
        self.0.tree(number).to_owned()
    }

    fn parents(&self, number: u32) -> smallvec::SmallVec<[u32; 2]> {
        self.0.parents(number).unwrap_or_default()
    }

    fn time(&self, number: u32) -> i64 {
        self.0.time(number)
    }
}

/// How many bytes the packs of a commit-graph are, as its table of contents says it.
fn packs_bytes(graph: &[u8]) -> u64 {
    let entries = graph.get(8..).unwrap_or_default().as_chunks::<12>().0;
    let offset = |entry: &[u8; 12]| entry[4..].iter().fold(0, |all, b| all << 8 | u64::from(*b));
    let count = graph.get(6).map_or(0, |count| usize::from(*count));
    let pairs = entries.windows(2).take(count);
    let found = pairs.into_iter().find(|pair| pair[0].starts_with(b"GVPK"));
    found.map_or(0, |pair| offset(&pair[1]).wrapping_sub(offset(&pair[0])))
}

/// The packs that a commit-graph names: all that its chunk has, and the same when it is written
/// again.
pub(crate) fn graph_packs(data: &[u8]) {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let healed = match heal::is_left(data) {
            true => data.to_vec(),
            false => heal::trailer(data, format),
        };
        let bytes = packs_bytes(&healed);
        let Ok(graph) = CommitGraph::parse(Bytes::from(healed), format) else {
            continue;
        };
        let packs: Vec<ObjectId> = graph.packs().map(|pack| pack.to_owned()).collect();
        assert_eq!((packs.len() * format.len_in_bytes()) as u64, bytes);
        // Circles, and what claims more commits than are worth it, cannot or need not be written.
        if graph.len() > 1000 || graph.verify().is_err() {
            continue;
        }
        let Ok(written) = write_commit_graph(&Written(&graph), &packs, format) else {
            continue;
        };
        let again = CommitGraph::parse(Bytes::from(written), format).expect("just written");
        assert_eq!(again.verify(), Ok(()));
        assert_eq!(again.len(), graph.len());
        assert!(again.packs().eq(graph.packs()));
        assert_eq!(again.format(), format);
        for position in 0..graph.len() {
            let id = graph.id(position);
            assert_eq!(again.lookup(id).map(|at| again.id(at)), Some(id));
            let _ = (graph.generation(position), graph.corrected_time(position));
        }
    }
}

/// Reads `stream` as what a pack's entries have: a blob, and a delta on another one.
fn read_in_pack(stream: &[u8], size: u64) {
    let format = ObjectFormat::Sha1;
    let checksum = format.null();
    let mut pack = b"PACK\0\0\0\x02\0\0\0\x02".to_vec();
    let first = pack.len();
    entry::write_header(&EntryKind::Whole(ObjectKind::Blob), size, &mut pack);
    pack.extend_from_slice(stream);
    let second = pack.len();
    let base_distance = (second - first) as u64;
    entry::write_header(&EntryKind::OfsDelta { base_distance }, size, &mut pack);
    pack.extend_from_slice(stream);
    pack.extend_from_slice(checksum.as_slice());
    let mut entries = PackEntries::new(format);
    let ids = [format.empty_blob(), format.empty_tree()];
    entries.push(&ids[0], 0, first as u64);
    entries.push(&ids[1], 0, second as u64);
    let index = PackIndex::parse(Bytes::from(entries.write_index(&checksum)), format);
    let index = index.expect("an index that was just made");
    // It may be too short for two entries.
    let Ok(pack) = Pack::new(checksum, Bytes::from(pack), index) else {
        return;
    };
    for id in &ids {
        let header = pack.header(id, &|_| None);
        let object = pack.find(id, &|_| None, &NoCache);
        if let (Ok(Some(object)), Ok(Some((kind, size)))) = (object, header) {
            assert_eq!((object.kind, object.data.len() as u64), (kind, size));
        }
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
    read_in_pack(stream, size);
    let mut again = Vec::new();
    Deflater::new(data[0] % 13).deflate(stream, &mut again);
    let mut back = Vec::new();
    let consumed = Inflater::new().inflate(&again, stream.len() as u64, &mut back);
    assert_eq!(consumed, Ok(again.len()));
    assert_eq!(back, stream);
}
