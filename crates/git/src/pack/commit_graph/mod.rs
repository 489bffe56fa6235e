//! Git's commit-graph file: what a walk over history needs to know of each commit.
//!
//! The format is gitformat-commit-graph(5), version 1, one file without base graphs: ids in
//! order, and for each commit its tree, parents, time and generation. Changed-path filters are
//! passed over when reading and not written.
//!
//! A chunk of our own, which git passes over, names packs all of whose commits the file has.

mod read;
mod write;

pub use read::CommitGraph;
pub use write::{CommitList, Commits, write_commit_graph};

use crate::ObjectId;

/// What is wrong with a commit-graph, or with commits that are to be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitGraphError {
    /// The first bytes are not those of a commit-graph.
    #[error("this is not a commit-graph of version 1")]
    NotACommitGraph,
    /// Its ids are of the other hash.
    #[error("the commit-graph is of another hash")]
    Format,
    /// It continues other files, which is not supported.
    #[error("the commit-graph is a part of a chain")]
    Chain,
    /// A chunk is missing, twice there, outside the file or of a wrong length.
    #[error("the commit-graph's chunk {chunk:?} is missing or malformed")]
    Chunk {
        /// Its name.
        chunk: &'static str,
    },
    /// The ids are not sorted, or one is there twice, or the fan-out table lies about it.
    #[error("the commit-graph's ids are not in order at position {position}")]
    Order {
        /// Where.
        position: u32,
    },
    /// A commit's parents are not in the file.
    #[error("the commit-graph has no such parents as the commit at position {position} names")]
    Parents {
        /// Where.
        position: u32,
    },
    /// The trailer is not the hash of what comes before it.
    #[error("the commit-graph's checksum is wrong")]
    Checksum,
    /// Commits are to be written whose parents are not among them.
    #[error("the commit {commit} has a parent that is not in the graph: {parent}")]
    MissingParent {
        /// The commit.
        commit: ObjectId,
        /// Its parent.
        parent: ObjectId,
    },
    /// Commits are to be written that are each other's ancestors.
    #[error("the commit {commit} is its own ancestor")]
    Cycle {
        /// One of them.
        commit: ObjectId,
    },
    /// The same commit is to be written twice.
    #[error("the commit {commit} is there twice")]
    Duplicate {
        /// The commit.
        commit: ObjectId,
    },
    /// More commits, or more parents of merges, than 30 bits can count.
    #[error("there are too many commits for a commit-graph")]
    TooMany,
}

const MAGIC: [u8; 4] = *b"CGPH";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 8;
/// An id and an offset for each chunk.
const CHUNK_ENTRY_BYTES: usize = 12;

const FAN_OUT: [u8; 4] = *b"OIDF";
const IDS: [u8; 4] = *b"OIDL";
const COMMITS: [u8; 4] = *b"CDAT";
const GENERATIONS: [u8; 4] = *b"GDA2";
const LARGE_GENERATIONS: [u8; 4] = *b"GDO2";
const EXTRA_PARENTS: [u8; 4] = *b"EDGE";
/// Ours: the checksums of packs, one after the other.
const PACKS: [u8; 4] = *b"GVPK";

const FAN_OUT_BYTES: usize = 256 * 4;
/// What a commit has in `CDAT` besides its tree: two parents, generation and time.
const COMMIT_BYTES: usize = 16;

/// In place of a parent: there is none.
const NO_PARENT: u32 = 0x7000_0000;
/// In place of the second parent: the others begin at this place of `EDGE`. There: the last one.
/// In `GDA2`: the number is at this place of `GDO2`.
const HIGH_BIT: u32 = 0x8000_0000;
/// Topological levels above this one are this one.
const LEVEL_MAX: u32 = 0x3fff_ffff;

fn hash_version(format: crate::ObjectFormat) -> u8 {
    match format.len_in_bytes() {
        20 => 1,
        _ => 2,
    }
}
