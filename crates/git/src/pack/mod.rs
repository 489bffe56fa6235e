//! Packs: many objects in one stream of bytes, many of them as deltas of others.
//!
//! The formats are those of gitformat-pack(5) and gitformat-commit-graph(5). A pack that arrives is
//! taken apart once, by [`index_pack`] (or [`parse_small`]), which trusts nothing in it; after
//! that it is a [`Pack`]: its bytes as they came, and a [`PackIndex`] that says where each object is.

pub mod cache;
pub mod commit_graph;
pub mod complete;
pub mod delta;
mod delta_search;
pub mod entry;
pub mod error;
mod git_delta;
pub mod index;
pub mod indexer;
pub mod reader;
pub mod small;
pub mod writer;
pub mod zlib;

pub use cache::{BaseCache, DeltaBaseCache, NoCache};
pub use complete::{PackSpool, complete};
pub use delta_search::delta_between;
pub use entry::EntryKind;
pub use error::PackError;
pub use git_delta::delta_as_git;
pub use index::{IndexEntry, IndexError, PackEntries, PackIndex, write_index};
pub use indexer::{
    DeltaBase, IndexLimits, IndexedPack, PackVisitor, Stage, VisitedObject, index_pack,
};
pub use reader::{Base, ObjectStream, Pack, RawEntry};
pub use small::{ParsedObject, parse_small};
pub use writer::{PackWriter, WrittenPack};
