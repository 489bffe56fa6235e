//! Reading a commit-graph file in place.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::checksum::Checksum;
use crate::{ObjectFormat, oid};

use super::{
    CHUNK_ENTRY_BYTES, COMMIT_BYTES, COMMITS, CommitGraphError, EXTRA_PARENTS, FAN_OUT,
    FAN_OUT_BYTES, GENERATIONS, HEADER_BYTES, HIGH_BIT, IDS, LARGE_GENERATIONS, MAGIC, NO_PARENT,
    PACKS, VERSION, hash_version,
};

/// A commit-graph over its bytes, which may be a mapped file: nothing is copied.
///
/// Positions count commits in the order of their ids. No call panics because of what the bytes are.
#[derive(Debug, Clone)]
pub struct CommitGraph {
    data: Bytes,
    format: ObjectFormat,
    count: u32,
    fan_out: Range<usize>,
    ids: Range<usize>,
    commits: Range<usize>,
    /// Empty when there are none, as are the next three.
    generations: Range<usize>,
    large_generations: Range<usize>,
    extra_parents: Range<usize>,
    packs: Range<usize>,
}

impl CommitGraph {
    /// Reads the commit-graph in `data`. Takes time for its table of contents alone: see
    /// [`CommitGraph::verify`] for the rest.
    ///
    /// # Errors
    /// [`CommitGraphError`] when this cannot be a commit-graph, or is one of a chain.
    pub fn parse(data: Bytes, format: ObjectFormat) -> Result<CommitGraph, CommitGraphError> {
        let Some((header, _)) = data.split_first_chunk::<HEADER_BYTES>() else {
            return Err(CommitGraphError::NotACommitGraph);
        };
        let [m0, m1, m2, m3, version, hash, chunks, bases] = *header;
        if [m0, m1, m2, m3] != MAGIC || version != VERSION {
            return Err(CommitGraphError::NotACommitGraph);
        }
        if hash != hash_version(format) {
            return Err(CommitGraphError::Format);
        }
        if bases != 0 {
            return Err(CommitGraphError::Chain);
        }
        let contents = Contents::parse(&data, usize::from(chunks), format)?;
        let fan_out = contents.required(FAN_OUT, "OIDF", |bytes| bytes == FAN_OUT_BYTES)?;
        let mut count = 0;
        for byte in 0..256 {
            let next = u32_at(&data[fan_out.clone()], byte * 4);
            if next < count {
                return Err(CommitGraphError::Chunk { chunk: "OIDF" });
            }
            count = next;
        }
        if count >= NO_PARENT {
            return Err(CommitGraphError::TooMany);
        }
        let (commits, hash) = (count as usize, format.len_in_bytes());
        let each = |bytes: usize| move |length| length == commits * bytes;
        let any = |bytes: usize| move |length: usize| length.is_multiple_of(bytes);
        Ok(CommitGraph {
            fan_out,
            ids: contents.required(IDS, "OIDL", each(hash))?,
            commits: contents.required(COMMITS, "CDAT", each(hash + COMMIT_BYTES))?,
            generations: contents.optional(GENERATIONS, "GDA2", each(4))?,
            large_generations: contents.optional(LARGE_GENERATIONS, "GDO2", any(8))?,
            extra_parents: contents.optional(EXTRA_PARENTS, "EDGE", any(4))?,
            packs: contents.optional(PACKS, "GVPK", any(hash))?,
            data,
            format,
            count,
        })
    }

    /// Checks everything that [`CommitGraph::parse`] does not: order, parents, checksum.
    ///
    /// # Errors
    /// [`CommitGraphError`], the first that is found.
    pub fn verify(&self) -> Result<(), CommitGraphError> {
        let checksum_at = self.data.len() - self.format.len_in_bytes();
        let checksum = Checksum::of(self.format, &self.data[..checksum_at]);
        if checksum.as_bytes() != &self.data[checksum_at..] {
            return Err(CommitGraphError::Checksum);
        }
        for position in 0..self.count {
            let id = self.id(position);
            let bucket = self.bucket(id.first_byte());
            if !bucket.contains(&position) || (position > 0 && self.id(position - 1) >= id) {
                return Err(CommitGraphError::Order { position });
            }
            self.parents(position)?;
        }
        Ok(())
    }

    /// The checksums of the packs that whoever wrote the file says it has all commits of.
    pub fn packs(&self) -> impl Iterator<Item = &oid> {
        let checksums = self.data[self.packs.clone()].chunks_exact(self.format.len_in_bytes());
        checksums.map(oid::from_bytes_unchecked)
    }

    /// The hash that its ids are made with.
    pub fn format(&self) -> ObjectFormat {
        self.format
    }

    /// How many commits there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The position of `id`.
    pub fn lookup(&self, id: &oid) -> Option<u32> {
        if id.kind() != self.format {
            return None;
        }
        let Range { mut start, mut end } = self.bucket(id.first_byte());
        while start < end {
            let middle = start + (end - start) / 2;
            match self.id(middle).cmp(id) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => start = middle + 1,
                std::cmp::Ordering::Greater => end = middle,
            }
        }
        None
    }

    /// The id at `position`.
    ///
    /// # Panics
    /// When `position` is not below [`CommitGraph::len`]; so do the others that take one.
    pub fn id(&self, position: u32) -> &oid {
        let hash = self.format.len_in_bytes();
        oid::from_bytes_unchecked(&self.data[self.ids.clone()][position as usize * hash..][..hash])
    }

    /// The root tree of the commit at `position`.
    pub fn tree(&self, position: u32) -> &oid {
        oid::from_bytes_unchecked(&self.commit(position)[..self.format.len_in_bytes()])
    }

    /// The positions of the parents of the commit at `position`, in their order.
    ///
    /// # Errors
    /// [`CommitGraphError::Parents`] when they are outside the file.
    pub fn parents(&self, position: u32) -> Result<SmallVec<[u32; 2]>, CommitGraphError> {
        let damaged = CommitGraphError::Parents { position };
        let commit = &self.commit(position)[self.format.len_in_bytes()..];
        let (first, second) = (u32_at(commit, 0), u32_at(commit, 4));
        let mut parents = SmallVec::new();
        let mut add = |parent: u32| {
            parents.push(parent);
            parent < self.count
        };
        if first == NO_PARENT && second == NO_PARENT {
            return Ok(parents);
        }
        let mut is_sound = add(first);
        if second & HIGH_BIT != 0 {
            let extra = &self.data[self.extra_parents.clone()];
            let from = (second & !HIGH_BIT) as usize * 4;
            let (more, _) = extra.get(from..).unwrap_or_default().as_chunks::<4>();
            let more = more.iter().map(|bytes| u32::from_be_bytes(*bytes));
            let mut has_ended = false;
            for parent in more {
                is_sound &= add(parent & !HIGH_BIT);
                has_ended = parent & HIGH_BIT != 0;
                if has_ended || !is_sound {
                    break;
                }
            }
            is_sound &= has_ended;
        } else if second != NO_PARENT {
            is_sound &= add(second);
        }
        if is_sound { Ok(parents) } else { Err(damaged) }
    }

    /// When the commit at `position` was committed: seconds since 1970, of which the file has 34 bits.
    pub fn time(&self, position: u32) -> i64 {
        let commit = &self.commit(position)[self.format.len_in_bytes()..];
        i64::from(u32_at(commit, 8) & 3) << 32 | i64::from(u32_at(commit, 12))
    }

    /// The length of the longest way from the commit at `position` to a root, itself included;
    /// 0 when it was not computed.
    pub fn generation(&self, position: u32) -> u32 {
        u32_at(&self.commit(position)[self.format.len_in_bytes()..], 8) >> 2
    }

    /// The commit's time, or one second after the latest of its parents if that is later: a
    /// number that only grows along history. `None` when the file does not have it.
    pub fn corrected_time(&self, position: u32) -> Option<i64> {
        let generations = &self.data[self.generations.clone()];
        if generations.is_empty() {
            return None;
        }
        let offset = u32_at(generations, position as usize * 4);
        let offset = if offset & HIGH_BIT == 0 {
            u64::from(offset)
        } else {
            let large = &self.data[self.large_generations.clone()];
            let at = (offset & !HIGH_BIT) as usize * 8;
            u64::from_be_bytes(*large.get(at..)?.first_chunk()?)
        };
        self.time(position).checked_add_unsigned(offset)
    }

    fn commit(&self, position: u32) -> &[u8] {
        let bytes = self.format.len_in_bytes() + COMMIT_BYTES;
        &self.data[self.commits.clone()][position as usize * bytes..][..bytes]
    }

    fn bucket(&self, first: u8) -> Range<u32> {
        let fan_out = &self.data[self.fan_out.clone()];
        let at = usize::from(first) * 4;
        let start = if first == 0 {
            0
        } else {
            u32_at(fan_out, at - 4)
        };
        start..u32_at(fan_out, at)
    }
}

/// The table of contents: where each chunk is.
struct Contents(Vec<([u8; 4], Range<usize>)>);

impl Contents {
    fn parse(
        data: &[u8],
        count: usize,
        format: ObjectFormat,
    ) -> Result<Contents, CommitGraphError> {
        let malformed = || CommitGraphError::Chunk {
            chunk: "the table of contents",
        };
        let table_end = HEADER_BYTES + (count + 1) * CHUNK_ENTRY_BYTES;
        let trailer_at = data
            .len()
            .checked_sub(format.len_in_bytes())
            .ok_or_else(malformed)?;
        let table = data[..trailer_at]
            .get(HEADER_BYTES..table_end)
            .ok_or_else(malformed)?;
        // Each chunk ends where the next one begins; the last entry says where the last chunk ends.
        let entry = |at: usize| {
            let (name, offset) = table
                .get(at * CHUNK_ENTRY_BYTES..)?
                .split_first_chunk::<4>()?;
            let offset = u64::from_be_bytes(*offset.first_chunk()?);
            Some((*name, usize::try_from(offset).ok()?))
        };
        let mut chunks = Vec::with_capacity(count);
        for at in 0..count {
            let (name, start) = entry(at).ok_or_else(malformed)?;
            let (_, end) = entry(at + 1).ok_or_else(malformed)?;
            if start < table_end || start > end || end > trailer_at {
                return Err(malformed());
            }
            chunks.push((name, start..end));
        }
        Ok(Contents(chunks))
    }

    fn required(
        &self,
        name: [u8; 4],
        chunk: &'static str,
        is_length: impl Fn(usize) -> bool,
    ) -> Result<Range<usize>, CommitGraphError> {
        let mut found = self.0.iter().filter(|(other, _)| *other == name);
        match (found.next(), found.next()) {
            (Some((_, range)), None) if is_length(range.len()) => Ok(range.clone()),
            _ => Err(CommitGraphError::Chunk { chunk }),
        }
    }

    fn optional(
        &self,
        name: [u8; 4],
        chunk: &'static str,
        is_length: impl Fn(usize) -> bool,
    ) -> Result<Range<usize>, CommitGraphError> {
        if self.0.iter().all(|(other, _)| *other != name) {
            return Ok(0..0);
        }
        self.required(name, chunk, is_length)
    }
}

/// The number at `at`, which the caller has checked to be inside.
fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]])
}
