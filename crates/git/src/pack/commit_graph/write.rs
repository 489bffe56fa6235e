//! Writing a commit-graph file.

use smallvec::SmallVec;

use crate::checksum::Checksum;
use crate::object::commit::CommitFacts;
use crate::{ObjectFormat, ObjectId};

use super::{
    CHUNK_ENTRY_BYTES, COMMIT_BYTES, COMMITS, CommitGraphError, EXTRA_PARENTS, FAN_OUT,
    FAN_OUT_BYTES, GENERATIONS, HEADER_BYTES, HIGH_BIT, IDS, LARGE_GENERATIONS, LEVEL_MAX, MAGIC,
    NO_PARENT, PACKS, VERSION, hash_version,
};

/// Commits, numbered from 0 in any order, of which each has its parents among them.
pub trait Commits {
    /// How many there are.
    fn len(&self) -> u32;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The id of a commit.
    fn id(&self, number: u32) -> ObjectId;
    /// Its root tree.
    fn tree(&self, number: u32) -> ObjectId;
    /// The numbers of its parents, in their order.
    fn parents(&self, number: u32) -> SmallVec<[u32; 2]>;
    /// When it was committed, in seconds since 1970.
    fn time(&self, number: u32) -> i64;
}

/// Commits as they were read, in any order.
#[derive(Debug, Clone)]
pub struct CommitList {
    commits: Vec<(ObjectId, CommitFacts)>,
}

impl CommitList {
    /// Sorts `commits` and looks for their parents among them.
    ///
    /// # Errors
    /// [`CommitGraphError::MissingParent`], [`CommitGraphError::Duplicate`].
    pub fn new(mut commits: Vec<(ObjectId, CommitFacts)>) -> Result<CommitList, CommitGraphError> {
        commits.sort_unstable_by_key(|(id, _)| *id);
        if let Some(pair) = commits.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(CommitGraphError::Duplicate { commit: pair[0].0 });
        }
        let list = CommitList { commits };
        for (commit, facts) in &list.commits {
            if let Some(&parent) = facts
                .parents
                .iter()
                .find(|&parent| list.number(parent).is_none())
            {
                return Err(CommitGraphError::MissingParent {
                    commit: *commit,
                    parent,
                });
            }
        }
        Ok(list)
    }

    fn number(&self, id: &ObjectId) -> Option<u32> {
        let found = self.commits.binary_search_by_key(id, |(id, _)| *id);
        found.ok().and_then(|number| u32::try_from(number).ok())
    }
}

impl Commits for CommitList {
    fn len(&self) -> u32 {
        u32::try_from(self.commits.len()).unwrap_or(u32::MAX)
    }

    fn id(&self, number: u32) -> ObjectId {
        self.commits[number as usize].0
    }

    fn tree(&self, number: u32) -> ObjectId {
        self.commits[number as usize].1.tree
    }

    fn parents(&self, number: u32) -> SmallVec<[u32; 2]> {
        let parents = &self.commits[number as usize].1.parents;
        parents
            .iter()
            .filter_map(|parent| self.number(parent))
            .collect()
    }

    fn time(&self, number: u32) -> i64 {
        self.commits[number as usize].1.committer_time
    }
}

/// The commit-graph of `commits`, as `git commit-graph write` makes it, without changed paths.
/// `packs` are the checksums of packs that have no other commits; without any the file is git's,
/// byte for byte.
///
/// # Errors
/// [`CommitGraphError`] when the commits are not a history: a parent's number that there is not,
/// a circle, the same commit twice; or when there are too many.
///
/// # Panics
/// When an id is not of `format`.
pub fn write_commit_graph(
    commits: &dyn Commits,
    packs: &[ObjectId],
    format: ObjectFormat,
) -> Result<Vec<u8>, CommitGraphError> {
    let count = commits.len();
    if count >= NO_PARENT {
        return Err(CommitGraphError::TooMany);
    }
    let hash = format.len_in_bytes();
    let order = sorted(commits)?;
    let mut positions = vec![0u32; order.len()];
    for (position, &number) in (0..).zip(&order) {
        positions[number as usize] = position;
    }
    let generations = Generations::of(commits)?;

    let mut fan_out = [0u32; 256];
    let mut ids = Vec::with_capacity(order.len() * hash);
    let mut data = Vec::with_capacity(order.len() * (hash + COMMIT_BYTES));
    let mut offsets = Vec::with_capacity(order.len() * 4);
    let (mut large_offsets, mut extra_parents) = (Vec::<u8>::new(), Vec::<u8>::new());
    for &number in &order {
        let (id, tree) = (commits.id(number), commits.tree(number));
        assert!(
            id.kind() == format && tree.kind() == format,
            "all ids are of one hash"
        );
        fan_out[usize::from(id.first_byte())] += 1;
        ids.extend_from_slice(id.as_bytes());

        data.extend_from_slice(tree.as_bytes());
        let parents = commits.parents(number);
        let position_of = |parent: &u32| positions[*parent as usize];
        let first = parents.first().map_or(NO_PARENT, position_of);
        let second = match &parents[..] {
            [] | [_] => NO_PARENT,
            [_, second] => position_of(second),
            [_, others @ .., last] => {
                let place = u32::try_from(extra_parents.len() / 4).unwrap_or(u32::MAX);
                if place >= HIGH_BIT {
                    return Err(CommitGraphError::TooMany);
                }
                for parent in others {
                    extra_parents.extend_from_slice(&position_of(parent).to_be_bytes());
                }
                extra_parents.extend_from_slice(&(position_of(last) | HIGH_BIT).to_be_bytes());
                place | HIGH_BIT
            }
        };
        data.extend_from_slice(&first.to_be_bytes());
        data.extend_from_slice(&second.to_be_bytes());
        let time = git_time(commits, number);
        let level = generations.levels[number as usize].min(LEVEL_MAX);
        let packed = (u64::from(level) << 34) | (time & 0x3_ffff_ffff);
        data.extend_from_slice(&packed.to_be_bytes());

        let offset = generations.corrected_times[number as usize] - time;
        match u32::try_from(offset) {
            Ok(offset) if offset & HIGH_BIT == 0 => {
                offsets.extend_from_slice(&offset.to_be_bytes())
            }
            _ => {
                let place = (large_offsets.len() / 8) as u32;
                offsets.extend_from_slice(&(place | HIGH_BIT).to_be_bytes());
                large_offsets.extend_from_slice(&offset.to_be_bytes());
            }
        }
    }
    let mut fan_out_bytes = Vec::with_capacity(FAN_OUT_BYTES);
    let mut sum = 0;
    for commits in fan_out {
        sum += commits;
        fan_out_bytes.extend_from_slice(&u32::to_be_bytes(sum));
    }

    let mut chunks = vec![
        (FAN_OUT, fan_out_bytes),
        (IDS, ids),
        (COMMITS, data),
        (GENERATIONS, offsets),
    ];
    let optional = [
        (LARGE_GENERATIONS, large_offsets),
        (EXTRA_PARENTS, extra_parents),
        (
            PACKS,
            packs.iter().flat_map(|id| id.as_bytes()).copied().collect(),
        ),
    ];
    chunks.extend(optional.into_iter().filter(|(_, bytes)| !bytes.is_empty()));
    Ok(encode(&chunks, format))
}

/// The commits' numbers in the order of their ids.
fn sorted(commits: &dyn Commits) -> Result<Vec<u32>, CommitGraphError> {
    let mut by_id: Vec<(ObjectId, u32)> = (0..commits.len())
        .map(|number| (commits.id(number), number))
        .collect();
    by_id.sort_unstable();
    match by_id.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(CommitGraphError::Duplicate { commit: pair[0].0 }),
        None => Ok(by_id.into_iter().map(|(_, number)| number).collect()),
    }
}

/// A commit's time as git has it, which knows none before 1970.
fn git_time(commits: &dyn Commits, number: u32) -> u64 {
    u64::try_from(commits.time(number)).unwrap_or(0)
}

/// Numbers that grow along history, by commit number.
struct Generations {
    /// One more than the highest of the parents.
    levels: Vec<u32>,
    /// The commit's own time, or one more than the latest of its parents.
    corrected_times: Vec<u64>,
}

impl Generations {
    /// Depth-first from an explicit stack: a commit is done after its parents.
    fn of(commits: &dyn Commits) -> Result<Generations, CommitGraphError> {
        /// The level of a commit whose parents are being done.
        const OPEN: u32 = u32::MAX;
        let count = commits.len();
        let mut levels = vec![0u32; count as usize];
        let mut corrected_times = vec![0u64; count as usize];
        let mut stack = Vec::new();
        for start in 0..count {
            if levels[start as usize] == 0 {
                stack.push(start);
            }
            while let Some(&number) = stack.last() {
                let state = levels[number as usize];
                if state != 0 && state != OPEN {
                    stack.pop();
                    continue;
                }
                let parents = commits.parents(number);
                let is_new = state == 0;
                let mut is_ready = true;
                for &parent in &parents {
                    match levels.get(parent as usize) {
                        Some(0) => {
                            is_ready = false;
                            stack.push(parent);
                        }
                        // It waits for this one: they are each other's ancestors.
                        Some(&OPEN) => {
                            return Err(CommitGraphError::Cycle {
                                commit: commits.id(number),
                            });
                        }
                        Some(_) => {}
                        None => {
                            let commit = commits.id(number);
                            let parent = commit.kind().null();
                            return Err(CommitGraphError::MissingParent { commit, parent });
                        }
                    }
                }
                if !is_ready {
                    levels[number as usize] = OPEN;
                    debug_assert!(is_new, "its parents were done");
                    continue;
                }
                let level = parents.iter().map(|&parent| levels[parent as usize]).max();
                let latest = parents
                    .iter()
                    .map(|&parent| corrected_times[parent as usize])
                    .max();
                levels[number as usize] = level.map_or(1, |level| (level + 1).min(LEVEL_MAX));
                let after = latest.map_or(0, |latest| latest.saturating_add(1));
                corrected_times[number as usize] = git_time(commits, number).max(after);
                stack.pop();
            }
        }
        Ok(Generations {
            levels,
            corrected_times,
        })
    }
}

/// Header, table of contents, chunks and trailer.
fn encode(chunks: &[([u8; 4], Vec<u8>)], format: ObjectFormat) -> Vec<u8> {
    let table_bytes = (chunks.len() + 1) * CHUNK_ENTRY_BYTES;
    let content: usize = chunks.iter().map(|(_, bytes)| bytes.len()).sum();
    let total = HEADER_BYTES + table_bytes + content + format.len_in_bytes();
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, hash_version(format), chunks.len() as u8, 0]);
    let mut offset = (HEADER_BYTES + table_bytes) as u64;
    for (name, bytes) in chunks {
        out.extend_from_slice(name);
        out.extend_from_slice(&offset.to_be_bytes());
        offset += bytes.len() as u64;
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&offset.to_be_bytes());
    for (_, bytes) in chunks {
        out.extend_from_slice(bytes);
    }
    let checksum = Checksum::of(format, &out);
    out.extend_from_slice(checksum.as_bytes());
    out
}
