//! What the store writes: entries, records and ref tables as bytes, each with a version.
//!
//! Integers are LEB128 varints, signed ones zigzagged first; texts and byte strings have their
//! length before them; ids are raw, their hash is said once for a whole entry or table. Decoding
//! trusts nothing: every length is checked against what is there before anything is made of it.

pub(crate) mod alone;
mod checkpoint;
mod codec;
mod entry;
mod hooks;
mod lfs;
mod lists;
mod realities;
mod record;
mod refs;
mod transactions;
mod workspaces;

pub(crate) use checkpoint::{Checkpoint, decode_checkpoint, encode_checkpoint};
pub use codec::{Decoder, Encoder, FormatError};
pub(crate) use entry::keeper;
pub(crate) use entry::without_objects;
pub use entry::{decode_entry, encode_entry, named_repository};
pub use lists::{decode_lists, encode_lists};

pub(crate) use refs::{decode_refs, encode_refs};
