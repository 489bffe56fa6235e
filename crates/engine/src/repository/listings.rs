//! What was said of a repository's refs, to be said again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use govc_git::wire::ls_refs::LsRefsRequest;
use govc_git::wire::offers::Offers;
use govc_git::wire::{ProtocolVersion, Service};

use super::Repository;
use crate::Snapshot;

/// Fewer refs are listed anew faster than anybody could look.
const REFS_MIN: usize = 64;
/// So many answers are kept: clients of one kind ask for the same.
const LISTINGS_MAX: usize = 8;
/// And so many bytes of them.
const LISTING_BYTES_MAX: usize = 16 << 20;
/// Who names more prefixes asks for what nobody else wants.
const PREFIXES_MAX: usize = 16;

/// A question about refs, whose answer depends on nothing but the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// `ls-refs` of version 2.
    LsRefs(LsRefsRequest),
    /// The first words of a service, all refs among them.
    Advertisement {
        /// Of whom.
        service: Service,
        /// In which version.
        version: ProtocolVersion,
        /// What is offered besides.
        offers: Offers,
        /// What stands before.
        banner: Vec<u8>,
    },
}

/// Answers about one snapshot, the one that was given last first.
#[derive(Default)]
pub(super) struct Listings(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    of: Option<Arc<Snapshot>>,
    answers: Vec<(Listing, Bytes)>,
}

impl Listings {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_of(&self, snapshot: &Arc<Snapshot>) -> bool {
        (self.of.as_ref()).is_some_and(|of| Arc::ptr_eq(of, snapshot))
    }
}

impl Repository {
    /// The answer to `asked` about `snapshot`, if it was given lately.
    pub fn listing(&self, snapshot: &Arc<Snapshot>, asked: &Listing) -> Option<Bytes> {
        let mut kept = self.listings.lock();
        if !kept.is_of(snapshot) {
            return None;
        }
        let at = kept.answers.iter().position(|(of, _)| of == asked)?;
        kept.answers[..=at].rotate_right(1);
        kept.answers.first().map(|(_, answer)| answer.clone())
    }

    /// Keeps the answer to `asked` about `snapshot` until there is another snapshot.
    pub fn keep_listing(&self, snapshot: &Arc<Snapshot>, asked: Listing, answer: &Bytes) {
        let is_common = match &asked {
            Listing::LsRefs(asked) => asked.prefixes.len() <= PREFIXES_MAX,
            // With a name for the conversation, or a nonce in it, it is said once.
            Listing::Advertisement { offers, .. } => {
                offers.session_id.is_none() && offers.push_nonce.is_none()
            }
        };
        let is_worth =
            snapshot.refs.len() >= REFS_MIN && is_common && answer.len() <= LISTING_BYTES_MAX;
        let mut kept = self.listings.lock();
        if !kept.is_of(snapshot) {
            // A reader that was slow does not put its past in the place of now.
            if !is_worth || !Arc::ptr_eq(snapshot, &self.snapshot()) {
                return;
            }
            kept.of = Some(Arc::clone(snapshot));
            kept.answers.clear();
        }
        if is_worth && kept.answers.iter().all(|(of, _)| *of != asked) {
            kept.answers.insert(0, (asked, answer.clone()));
            kept.answers.truncate(LISTINGS_MAX);
            let mut bytes = 0;
            kept.answers.retain(|(_, answer)| {
                bytes += answer.len();
                bytes <= LISTING_BYTES_MAX
            });
        }
    }

    /// Forgets what can be made again: answers about its refs, and what its fork family has ready
    /// for clones.
    pub fn forget_ready(&self) {
        *self.listings.lock() = Kept::default();
        self.pool.forget_ready();
    }
}
