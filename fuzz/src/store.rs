//! What is read back from the disk.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectKind};
use govc_store::format::{
    Encoder, decode_entry, decode_lists, encode_entry, encode_lists, named_repository,
};
use govc_store::fuzzing::{self, Records};

use crate::heal;

/// Entries of the log.
pub(crate) fn entry(data: &[u8]) {
    let _ = named_repository(data);
    let Ok(entry) = decode_entry(Bytes::copy_from_slice(data)) else {
        return;
    };
    assert_eq!(named_repository(data), Some(entry.repo));
    let mut out = Encoder::default();
    encode_entry(&mut out, &entry).expect("an entry that was just read");
    assert!(out.bytes.len() <= data.len());
    let again = decode_entry(Bytes::from(out.bytes)).expect("an entry that was just written");
    assert_eq!(again, entry);
}

/// Checkpoints, with their checksum made right.
pub(crate) fn checkpoint(data: &[u8]) {
    let data = match heal::is_left(data) {
        true => data.to_vec(),
        false => heal::crc(data, 20, 24),
    };
    let Ok(written) = fuzzing::checkpoint(Bytes::copy_from_slice(&data)) else {
        return;
    };
    let again = fuzzing::checkpoint(Bytes::copy_from_slice(&written));
    assert_eq!(again.as_ref(), Ok(&written));
}

/// Files of introduced lists, with their checksum made right.
pub(crate) fn lists(data: &[u8]) {
    let data = match heal::is_left(data) {
        true => data.to_vec(),
        false => heal::crc(data, 12, 16),
    };
    let Ok(lists) = decode_lists(Bytes::from(data)) else {
        return;
    };
    assert!(lists.ends.is_sorted());
    let ids = lists.packs.iter().map(|(pack, _)| &pack.0);
    let format = ids.chain(&lists.commits).next().map(|id| id.kind());
    let format = format.unwrap_or(ObjectFormat::Sha1);
    let written = encode_lists(&lists, format).expect("lists that were just read");
    let again = decode_lists(Bytes::from(written)).expect("lists that were just written");
    assert_eq!(again.packs, lists.packs);
    assert_eq!(again.commits, lists.commits);
    assert_eq!(
        (again.ends, again.objects),
        (lists.ends.clone(), lists.objects.clone())
    );
}

const SEGMENT_HEADER_BYTES: usize = 64;
const HEADER_COPY_AT: usize = 2048;
const RECORDS_AT: usize = 4096;
const RECORD_HEAD_BYTES: usize = 48;

fn u32_at(data: &[u8], at: usize) -> usize {
    let bytes = data.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

fn put_crc(data: &mut [u8], at: usize, content: std::ops::Range<usize>) {
    if let Some(crc) = data.get(content).map(crc32fast::hash)
        && let Some(place) = data.get_mut(at..at + 4)
    {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}

/// A segment: a header of 60 bytes, and records behind it, with the area between them and all
/// checksums made right; whether a record's are is the fifth byte of its head.
fn segment(data: &[u8]) -> Vec<u8> {
    let (header, records) = data.split_at(data.len().min(SEGMENT_HEADER_BYTES - 4));
    let mut out = vec![0; RECORDS_AT];
    for at in [0, HEADER_COPY_AT] {
        out[at..at + header.len()].copy_from_slice(header);
        let end = at + SEGMENT_HEADER_BYTES - 4;
        put_crc(&mut out, end, at..end);
    }
    out.extend_from_slice(records);
    let mut at = RECORDS_AT;
    while out.get(at..at + 4) == Some(b"gvr\x01") && out.len() > at + RECORD_HEAD_BYTES {
        let names_at = at + RECORD_HEAD_BYTES;
        let payload_at = names_at.saturating_add(u32_at(&out, at + 24));
        let end = payload_at.saturating_add(u32_at(&out, at + 28));
        let left = out[at + 5];
        put_crc(&mut out, at + 36, names_at..payload_at);
        if left & 1 == 0 {
            put_crc(&mut out, at + 40, payload_at..end);
        }
        if left & 2 == 0 {
            put_crc(&mut out, at + 44, at..at + 44);
        }
        at = end.saturating_add(1);
    }
    out
}

/// Logs of one segment.
pub(crate) fn log(data: &[u8]) {
    let number = data.get(16..).and_then(|rest| rest.first_chunk());
    let number = number.map_or(1, |bytes| u64::from_le_bytes(*bytes));
    let segment = segment(data);
    let Some((batches, damages, same)) = fuzzing::log(&segment, number) else {
        return;
    };
    assert!(same, "a new log of the same batches is another");
    assert!(damages <= segment.len());
    let bytes: usize = batches.iter().flatten().map(Bytes::len).sum();
    assert!(bytes <= segment.len());
}

/// The frames of a history's file, and where the last of them begins. Their checksums are made
/// right.
fn frames(data: &[u8]) -> (Vec<u8>, usize) {
    const FRAME_HEAD_BYTES: usize = 9;
    let mut data = data.to_vec();
    let (mut at, mut last) = (16, 16);
    while at + FRAME_HEAD_BYTES <= data.len() && !heal::is_left(&data) {
        let end = (at + FRAME_HEAD_BYTES).saturating_add(u32_at(&data, at + 1));
        put_crc(&mut data, at + 5, at + FRAME_HEAD_BYTES..end);
        (at, last) = (end, at);
    }
    (data, last)
}

/// The past of a reality, from its newest entry back.
pub(crate) fn reality_history(data: &[u8]) {
    let (data, last) = frames(data);
    if let Some(counts) = fuzzing::reality_history(&data, last as u64) {
        assert!(
            counts.is_sorted_by(|a, b| a >= b),
            "fewer follow a later number"
        );
    }
}

/// A history's file: frames whose checksums are made right.
pub(crate) fn history(data: &[u8]) {
    let (data, _) = frames(data);
    let format = match data.len() % 2 {
        0 => ObjectFormat::Sha1,
        _ => ObjectFormat::Sha256,
    };
    let (counts, _) = fuzzing::history(&data, format);
    let whole: Vec<usize> = counts.iter().flatten().copied().collect();
    assert!(whole.len() == counts.len() || whole.is_empty());
    assert!(
        whole.is_sorted_by(|a, b| a >= b),
        "fewer follow a later number"
    );
}

/// `packed-refs` and HEAD, which is the first line: what we read we write, and read again.
pub(crate) fn packed_refs(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (head, packed) = data.split_at(at);
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let read = |packed: &[u8], head: &[u8]| fuzzing::packed_refs(packed, head, format);
        let Some(refs) = read(packed, head) else {
            continue;
        };
        let again = read(&refs.packed, refs.head.as_deref().unwrap_or_default()).expect("a disk");
        assert_eq!(again.packed, refs.packed);
        assert_eq!(again.head, refs.head);
        assert_eq!(again.broken, usize::from(refs.head.is_none()));
        if refs.damage.is_none() {
            assert_eq!(
                again.damage,
                None,
                "{:?}",
                refs.packed.escape_ascii().to_string()
            );
        }
    }
}

/// Records of one kind; the first byte says of which hash: what was read and written is the same
/// when it is read again.
fn records(kind: Records, data: &[u8]) {
    let Some((how, data)) = data.split_first() else {
        return;
    };
    let format = match how & 1 {
        0 => ObjectFormat::Sha1,
        _ => ObjectFormat::Sha256,
    };
    let Ok(written) = fuzzing::records(kind, Bytes::copy_from_slice(data), format) else {
        return;
    };
    let again = fuzzing::records(kind, Bytes::copy_from_slice(&written), format);
    assert_eq!(again.as_ref(), Ok(&written));
}

/// Webhooks.
pub(crate) fn hooks(data: &[u8]) {
    records(Records::Hooks, data);
}

/// Workspaces.
pub(crate) fn workspaces(data: &[u8]) {
    records(Records::Workspaces, data);
}

/// Transactions.
pub(crate) fn transactions(data: &[u8]) {
    records(Records::Transactions, data);
}

/// Realities: what there is of them, an edit, or a whole checkpoint, whose own records they have.
pub(crate) fn realities(data: &[u8]) {
    match data.first().map(|how| how >> 1 & 3) {
        Some(0) => records(Records::Realities, data),
        Some(1) => records(Records::RealityEdit, data),
        Some(_) => checkpoint(&data[1..]),
        None => {}
    }
}

/// Loose objects: the first byte says whether they are to be deflated and named as they should be.
pub(crate) fn loose_object(data: &[u8]) {
    let Some((how, data)) = data.split_first() else {
        return;
    };
    let format = match how & 1 {
        0 => ObjectFormat::Sha1,
        _ => ObjectFormat::Sha256,
    };
    if how & 2 != 0 {
        fuzzing::loose_object(data, format.empty_blob());
        return;
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("memory");
    let file = encoder.finish().expect("memory");
    let end = data.iter().position(|byte| *byte == 0);
    let (header, content) = data.split_at(end.unwrap_or(data.len()));
    let content = content.get(1..).unwrap_or_default();
    let name = header.split(|byte| *byte == b' ').next();
    let kind = name.and_then(ObjectKind::from_name);
    let id = hash_object(format, kind.unwrap_or(ObjectKind::Blob), content);
    let is_one = fuzzing::loose_object(&file, id.expect("no collision"));
    let said = kind.map(|kind| format!("{} {}", kind.name(), content.len()));
    // Zeros and a sign before the size are passed over; the id is of the size itself.
    let is_said = said.is_some_and(|said| header == said.as_bytes());
    assert!(is_one || !is_said || end.is_none(), "an object");
    if is_one {
        let size = header.rsplit(|byte| *byte == b' ').next();
        let size = size.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        assert_eq!(size, Some(content.len()));
    }
}
