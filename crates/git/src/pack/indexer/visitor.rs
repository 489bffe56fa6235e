//! Who is shown what a pack has.

use crate::{ObjectKind, oid};

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
