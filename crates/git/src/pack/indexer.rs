//! Taking a pack apart: every object made whole once, checked and named.

use crate::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

use super::{PackEntries, PackError};

/// Blobs larger than this are hashed as they are inflated and not handed to the visitor.
pub const LARGE_BLOB_BYTES: u64 = 16 << 20;

/// What a pack may ask of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexLimits {
    /// How many objects.
    pub max_objects: u32,
    /// How many bytes one object may have, inflated. (One delta too.)
    pub max_object_bytes: u64,
    /// How many bytes all objects together may have, inflated: it bounds the time that a small
    /// pack of large deltas can take.
    pub max_total_bytes: u64,
    /// How many deltas may follow each other.
    pub max_chain: u32,
    /// How many bytes of inflated bases to keep while their deltas are resolved. Two objects more
    /// may be held: the one being made, and the one it is made of.
    pub memory_bytes: usize,
}

impl Default for IndexLimits {
    fn default() -> IndexLimits {
        IndexLimits {
            max_objects: u32::MAX,
            max_object_bytes: 2 << 30,
            max_total_bytes: 1 << 40,
            max_chain: 4095,
            memory_bytes: 32 << 20,
        }
    }
}

/// An object of the pack, whole.
#[derive(Debug, Clone, Copy)]
pub struct VisitedObject<'a> {
    /// Its id.
    pub id: &'a oid,
    /// Its kind.
    pub kind: ObjectKind,
    /// Its content.
    pub data: &'a [u8],
    /// Which entry of the pack it is, counted from 0.
    pub number: u32,
    /// What it is a delta of. What holds for the base holds for all that is copied from it, so a
    /// visitor may look at what is new alone.
    pub base: Option<DeltaBase<'a>>,
}

/// The base of an object that came as a delta.
#[derive(Debug, Clone, Copy)]
pub struct DeltaBase<'a> {
    /// The base's id.
    pub id: &'a oid,
    /// Which entry of the pack it is; it was visited before. `None` when it is from outside.
    pub number: Option<u32>,
    /// Its content.
    pub data: &'a [u8],
    /// The delta: see [`super::delta::ops`].
    pub delta: &'a [u8],
}

/// What [`index_pack`] is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the pack from front to back.
    Receiving,
    /// Making deltas whole.
    Resolving,
}

/// Gets every object of a pack once.
pub trait PackVisitor {
    /// An object, whole; a delta's base comes before it. An error refuses the pack.
    ///
    /// # Errors
    /// Why the object is refused.
    fn object(&mut self, object: &VisitedObject<'_>) -> Result<(), String>;

    /// A blob of more than [`LARGE_BLOB_BYTES`], instead of [`PackVisitor::object`].
    ///
    /// # Errors
    /// Why the object is refused.
    fn large_blob(&mut self, id: &oid, number: u32, size: u64) -> Result<(), String> {
        let _ = (id, number, size);
        Ok(())
    }

    /// How far it is: called now and then.
    fn progress(&mut self, stage: Stage, done: u32, total: u32) {
        let _ = (stage, done, total);
    }
}

/// A visitor that wants nothing.
impl PackVisitor for () {
    fn object(&mut self, _object: &VisitedObject<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// What a pack was found to have.
#[derive(Debug, Clone)]
pub struct IndexedPack {
    /// Its entries, in its order; [`PackEntries::write_index`] makes the index.
    pub entries: PackEntries,
    /// Its trailer.
    pub checksum: ObjectId,
    /// Objects outside it that its deltas need: with these [`super::complete`] completes it.
    pub missing_bases: Vec<ObjectId>,
    /// How many bytes its objects have together.
    pub total_inflated: u64,
}

/// Takes `pack` apart: checks all of it, makes every object whole and shows it to `visitor`.
///
/// `external` knows the objects that a thin pack's deltas may be based on.
///
/// # Errors
/// [`PackError`] at the first thing that is wrong.
pub fn index_pack(
    pack: &[u8],
    format: ObjectFormat,
    limits: &IndexLimits,
    external: &dyn Fn(&oid) -> Option<Object>,
    visitor: &mut dyn PackVisitor,
) -> Result<IndexedPack, PackError> {
    unimplemented!()
}
