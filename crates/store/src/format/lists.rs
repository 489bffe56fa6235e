//! The file `govc/lists`: introduced lists, so that they need not be made again.
//!
//! A head as a checkpoint's, and behind it the hash, the packs with their numbers of objects, the
//! commits, and then two arrays of 32-bit little-endian integers: where each commit's list ends,
//! and positions in the packs, counted through all of them.

use bytes::Bytes;
use govc_engine::journal::PackId;
use govc_engine::pool::SavedLists;
use govc_git::ObjectFormat;

use super::codec::{Decoder, Encoder, FormatError, format_byte, format_of};

const MAGIC: &[u8; 8] = b"govclist";
/// The version of the file.
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 16;
const WORD_BYTES: usize = 4;

/// The bytes of lists.
///
/// # Errors
/// [`FormatError::Unwritable`] when they speak of objects of another hash.
pub fn encode_lists(lists: &SavedLists, format: ObjectFormat) -> Result<Vec<u8>, FormatError> {
    let mut out = Encoder::default();
    let ids = lists.commits.len() * format.len_in_bytes();
    let words = lists.ends.len() + lists.objects.len();
    out.bytes.reserve(ids + WORD_BYTES * words + 1024);
    out.raw(&[0; HEAD_BYTES]);
    out.byte(format_byte(format)?);
    out.number(lists.packs.len() as u64);
    for (pack, objects) in &lists.packs {
        out.id(&pack.0, format)?;
        out.number(u64::from(*objects));
    }
    out.number(lists.commits.len() as u64);
    for commit in &lists.commits {
        out.id(commit, format)?;
    }
    for numbers in [&lists.ends, &lists.objects] {
        out.number(numbers.len() as u64);
        for number in numbers {
            out.raw(&number.to_le_bytes());
        }
    }
    let mut file = out.bytes;
    let (head, content) = file.split_at_mut(HEAD_BYTES);
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..].copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    Ok(file)
}

/// Reads what [`encode_lists`] wrote.
///
/// # Errors
/// [`FormatError`] when it is damaged, or of a later version.
pub fn decode_lists(file: Bytes) -> Result<SavedLists, FormatError> {
    const WHAT: &str = "introduced lists";
    let number = |at: usize| {
        let bytes = file.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    if !file.starts_with(MAGIC) {
        return Err(FormatError::Invalid(WHAT));
    }
    if number(8) != VERSION {
        return Err(FormatError::Unknown {
            what: WHAT,
            number: u64::from(number(8)),
            version: u64::from(number(8)),
        });
    }
    let content = file.get(HEAD_BYTES..).ok_or(FormatError::Truncated(WHAT))?;
    if crc32fast::hash(content) != number(12) {
        return Err(FormatError::Invalid("the checksum of introduced lists"));
    }
    let mut input = Decoder::new(file.slice(HEAD_BYTES..));
    let format = format_of(input.byte(WHAT)?)?;
    let id_bytes = format.len_in_bytes();
    let mut lists = SavedLists::default();
    for _ in 0..input.count(id_bytes + 1, WHAT)? {
        let pack = PackId(input.id(format)?);
        let objects = u32::try_from(input.number(WHAT)?);
        let objects = objects.map_err(|_| FormatError::Invalid(WHAT))?;
        lists.packs.push((pack, objects));
    }
    let count = input.count(id_bytes, WHAT)?;
    lists.commits.reserve(count);
    for _ in 0..count {
        lists.commits.push(input.id(format)?);
    }
    for numbers in [&mut lists.ends, &mut lists.objects] {
        let count = input.count(WORD_BYTES, WHAT)?;
        let bytes = input.raw(WORD_BYTES * count, WHAT)?;
        let (words, _) = bytes.as_chunks();
        numbers.extend(words.iter().map(|word| u32::from_le_bytes(*word)));
    }
    input.end(WHAT)?;
    if lists.ends.len() != lists.commits.len() || !lists.ends.is_sorted() {
        return Err(FormatError::Invalid(WHAT));
    }
    Ok(lists)
}
