//! Reading objects out of a pack that has an index.

use bytes::Bytes;

use crate::{Object, ObjectId, ObjectKind, oid};

use super::{BaseCache, EntryKind, PackError, PackIndex};

/// A pack and its index: bytes that never change. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pack {
    id: ObjectId,
    data: Bytes,
    index: PackIndex,
}

/// What a delta in a pack is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The object at this position of the same pack's index.
    Position(u32),
    /// An object outside the pack.
    External(ObjectId),
}

/// An entry as it is in its pack, for sending it on.
#[derive(Debug, Clone)]
pub struct RawEntry {
    /// What it holds.
    pub kind: EntryKind,
    /// How many bytes its deflated part inflates to.
    pub size: u64,
    /// How long its header is.
    pub header_len: usize,
    /// All of it.
    pub bytes: Bytes,
    /// Its deflated part.
    pub deflated: Bytes,
}

impl Pack {
    /// The pack in `bytes`, whose name is `id`: any name will do, its trailer is a good one.
    ///
    /// # Errors
    /// [`PackError`] when header or trailer do not fit each other or `index`. The checksum itself is
    /// not computed.
    pub fn new(id: ObjectId, bytes: Bytes, index: PackIndex) -> Result<Pack, PackError> {
        unimplemented!()
    }

    /// Its name.
    pub fn id(&self) -> &ObjectId {
        &self.id
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// Its index.
    pub fn index(&self) -> &PackIndex {
        &self.index
    }

    /// The object `id`, if the pack has it. `external` knows bases outside the pack: only a thin
    /// pack needs it.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn find(
        &self,
        id: &oid,
        external: &dyn Fn(&oid) -> Option<Object>,
        cache: &dyn BaseCache,
    ) -> Result<Option<Object>, PackError> {
        unimplemented!()
    }

    /// The object at `position` of the index.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn object_at(
        &self,
        position: u32,
        external: &dyn Fn(&oid) -> Option<Object>,
        cache: &dyn BaseCache,
    ) -> Result<Object, PackError> {
        unimplemented!()
    }

    /// The kind and size of `id`, if the pack has it, without making it.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn header(
        &self,
        id: &oid,
        external: &dyn Fn(&oid) -> Option<ObjectKind>,
    ) -> Result<Option<(ObjectKind, u64)>, PackError> {
        unimplemented!()
    }

    /// The kind and size of the object at `position`, without making it.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn header_at(
        &self,
        position: u32,
        external: &dyn Fn(&oid) -> Option<ObjectKind>,
    ) -> Result<(ObjectKind, u64), PackError> {
        unimplemented!()
    }

    /// The content of the object at `position` in pieces, if its entry is whole; `None` for a delta.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn stream_at(&self, position: u32) -> Result<Option<ObjectStream>, PackError> {
        unimplemented!()
    }

    /// The entry at `position` as it is.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn raw_entry(&self, position: u32) -> Result<RawEntry, PackError> {
        unimplemented!()
    }

    /// What the entry at `position` is a delta of; `None` when it is whole.
    ///
    /// # Errors
    /// [`PackError`] when the pack is damaged there.
    pub fn base_of(&self, position: u32) -> Result<Option<Base>, PackError> {
        unimplemented!()
    }
}

/// A whole object, inflated piece by piece.
pub struct ObjectStream {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its size: all pieces together.
    pub size: u64,
}

impl Iterator for ObjectStream {
    type Item = Result<Bytes, PackError>;
    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!()
    }
}
