//! Branches, tags and batches of refs: made, moved and deleted as the API has it.

use govc_git::object::Signature;
use govc_git::object::tag::NewTag;
use govc_git::object_id::{Collision, hash_object};
use govc_git::{ObjectId, ObjectKind, message};

use crate::pool::PoolError;
use crate::repository::publish::{Pending, Proposal, Refusal};
use crate::{
    Cause, Change, Edit, Expected, NewObject, NewObjects, ObjectBody, RefEdit, RefName, Target,
};

/// Why a ref was not made or deleted. That one moved is the door's to say.
#[derive(Debug, thiserror::Error)]
pub enum RefError {
    /// It exists.
    #[error("{name} exists")]
    Exists {
        /// The ref.
        name: RefName,
    },
    /// It does not.
    #[error("there is no {name}")]
    NotFound {
        /// The ref.
        name: RefName,
    },
    /// The default branch is not deleted.
    #[error("{name} is the default branch, which cannot be deleted")]
    DefaultBranch {
        /// The branch.
        name: RefName,
    },
    /// A branch points at commits only.
    #[error("{name} is a branch, and {id} a {}, not a commit", found.name())]
    NotACommit {
        /// The branch.
        name: RefName,
        /// What it was to point at.
        id: ObjectId,
        /// What that is.
        found: ObjectKind,
    },
    /// What it was to point at does not exist here, as far as the repository's refs reach.
    #[error("there is no object {id}")]
    ObjectNotFound {
        /// The id.
        id: ObjectId,
    },
    /// Nothing is left of an annotated tag's message.
    #[error("the message is empty")]
    MessageEmpty,
    /// The tag was made to collide with another object.
    #[error(transparent)]
    Collision(#[from] Collision),
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Makes a branch or a lightweight tag, or anything else that is not there yet.
pub struct NewRef {
    /// Its full name.
    pub name: RefName,
    /// What it points at; the caller may see it.
    pub target: ObjectId,
    /// Objects that it brings: an annotated tag.
    objects: Vec<NewObject>,
    cause: Cause,
}

/// Deletes a branch or a tag.
pub struct DeleteRef {
    /// Its full name.
    pub name: RefName,
    /// What it must be.
    pub expected: Expected,
    /// Who asks, how and why.
    pub cause: Cause,
}

/// What an annotated tag is to say.
#[derive(Debug, Clone)]
pub struct Annotation {
    /// The message as it was given. It is cleaned as `git tag -m` does.
    pub message: Vec<u8>,
    /// Who tags, and when.
    pub tagger: Signature,
}

impl NewRef {
    /// A ref `name` at `target`.
    pub fn new(name: RefName, target: ObjectId, cause: Cause) -> NewRef {
        NewRef {
            name,
            target,
            objects: Vec::new(),
            cause,
        }
    }

    /// An annotated tag of `target`, which is a `kind`.
    ///
    /// # Errors
    /// [`RefError::MessageEmpty`], [`RefError::Collision`].
    pub fn annotated(
        short: &[u8],
        (target, kind): (ObjectId, ObjectKind),
        annotation: &Annotation,
        cause: Cause,
    ) -> Result<NewRef, RefError> {
        let message = message::clean(&annotation.message);
        if message.is_empty() {
            return Err(RefError::MessageEmpty);
        }
        let data = NewTag {
            target,
            target_kind: kind,
            name: short,
            tagger: &annotation.tagger,
            message: &message,
        }
        .encode();
        let id = hash_object(target.kind(), ObjectKind::Tag, &data)?;
        let mut new = NewRef::new(RefName::tag(short), id, cause);
        new.objects.push(NewObject {
            id,
            kind: ObjectKind::Tag,
            body: ObjectBody::Whole(data.into()),
        });
        Ok(new)
    }
}

impl Proposal for NewRef {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        if now.snapshot.refs.get(self.name.as_bytes()).is_some() {
            return Err(RefError::Exists {
                name: self.name.clone(),
            }
            .into());
        }
        Ok(Some(Change {
            objects: NewObjects {
                inline: self.objects.clone(),
                packs: Vec::new(),
            },
            edits: vec![Edit::Ref(RefEdit::create(self.name.clone(), self.target))],
            cause: self.cause.clone(),
        }))
    }
}

impl Proposal for DeleteRef {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let refs = &now.snapshot.refs;
        let name = || self.name.clone();
        if refs.head_branch() == Some(&self.name) {
            return Err(RefError::DefaultBranch { name: name() }.into());
        }
        if refs.get(self.name.as_bytes()).is_none() && self.expected == Expected::Anything {
            return Err(RefError::NotFound { name: name() }.into());
        }
        Ok(Some(Change {
            objects: NewObjects::default(),
            edits: vec![Edit::Ref(RefEdit {
                name: name(),
                expected: self.expected,
                target: Target::Gone,
            })],
            cause: self.cause.clone(),
        }))
    }
}
