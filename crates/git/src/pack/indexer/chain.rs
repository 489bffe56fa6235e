//! The chain of deltas that is being resolved, and how much of it is held.

use bytes::Bytes;

use crate::ObjectId;

/// One object of the chain of deltas that is being resolved.
pub(super) struct Link {
    /// Which entry; [`NONE`] for a base from outside.
    pub(super) number: u32,
    pub(super) id: ObjectId,
    /// The next of its deltas to resolve.
    pub(super) next_child: u32,
    pub(super) content: Content,
}

/// An object's bytes, or that they were dropped.
pub(super) enum Content {
    Dropped,
    Made(Vec<u8>),
    Outside(Bytes),
}

impl Content {
    /// The bytes; nothing when they were dropped.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Content::Dropped => &[],
            Content::Made(data) => data,
            Content::Outside(data) => data,
        }
    }

    pub(super) fn is_dropped(&self) -> bool {
        matches!(self, Content::Dropped)
    }
}

/// From a whole object to the delta that is being resolved: each link is a delta of the one before.
pub(super) struct Chain {
    pub(super) links: Vec<Link>,
    /// What the links that were made hold together.
    pub(super) held_bytes: usize,
    /// No link before this one holds anything that can be dropped.
    pub(super) lowest_held: usize,
}

impl Chain {
    pub(super) fn new(root: Link) -> Chain {
        Chain {
            links: vec![root],
            held_bytes: 0,
            lowest_held: 0,
        }
    }

    pub(super) fn last(&self) -> &Link {
        &self.links[self.links.len() - 1]
    }

    pub(super) fn push(&mut self, link: Link) {
        if let Content::Made(data) = &link.content {
            self.held_bytes += data.capacity();
        }
        self.links.push(link);
    }

    /// Takes the last link away. Returns its buffer.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let data = self.drop_at(self.links.len() - 1);
        self.links.pop();
        self.lowest_held = self.lowest_held.min(self.links.len());
        data
    }

    /// Drops what the link at `at` holds. Returns its buffer.
    pub(super) fn drop_at(&mut self, at: usize) -> Option<Vec<u8>> {
        let content = &mut self.links[at].content;
        if !matches!(content, Content::Made(_)) {
            return None;
        }
        match std::mem::replace(content, Content::Dropped) {
            Content::Made(data) => {
                self.held_bytes -= data.capacity();
                Some(data)
            }
            Content::Dropped | Content::Outside(_) => None,
        }
    }

    /// Gives the link at `at`, which was dropped, its bytes again.
    pub(super) fn hold(&mut self, at: usize, data: Vec<u8>) {
        self.held_bytes += data.capacity();
        self.lowest_held = self.lowest_held.min(at);
        self.links[at].content = Content::Made(data);
    }

    /// Drops from the front, never the link at `keep` or behind, until no more than `budget` is held.
    pub(super) fn trim_before(&mut self, keep: usize, budget: usize) {
        while self.held_bytes > budget && self.lowest_held < keep {
            self.drop_at(self.lowest_held);
            self.lowest_held += 1;
        }
    }
}
