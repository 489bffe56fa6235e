//! What a write proposes, and what was decided about it.

use std::sync::Arc;

use bytes::Bytes;
use govc_git::{ObjectId, ObjectKind};

use crate::journal::PackId;
use crate::{
    Hook, LfsLock, LfsObject, RealityEdit, RefName, RepoKey, RepositoryRecord, Seq, Target, Time,
    Transaction, Workspace,
};

/// Everything one write proposes, as a value.
#[derive(Debug, Clone)]
#[must_use = "a change is a proposal: it takes effect when it is published"]
pub struct Change {
    /// What it brings. Nothing here is visible before the change is.
    pub objects: NewObjects,
    /// What it moves, each with what its writer believes is there.
    pub edits: Vec<Edit>,
    /// Who, how and why.
    pub cause: Cause,
}

/// One thing that a change moves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Edit {
    /// A ref, HEAD included.
    Ref(RefEdit),
    /// The repository's own record: made, renamed, described, deleted, restored.
    Repository(Box<RepositoryRecord>),
    /// Large files that it references from now on. Their contents are durable. Those that it
    /// references already are left out; alone they are a step of staging, no change with a number:
    /// the push that needs them is the change.
    LfsObjects(Vec<LfsObject>),
    /// The lock on a path; `None` takes it away. Whoever proposes this has looked, in its turn,
    /// what is there.
    LfsLock {
        /// The path.
        path: Arc<str>,
        /// What it is to be.
        after: Option<Arc<LfsLock>>,
    },
    /// A workspace; `None` takes it away, or makes the default one untouched. Whoever proposes
    /// this has looked, in its turn, what is there.
    Workspace {
        /// Its name.
        name: Arc<str>,
        /// What it is to be.
        after: Option<Arc<Workspace>>,
        /// Whether this is staging: durable, and by itself no change with a number. Making,
        /// deleting, checking out and resetting are changes.
        is_staging: bool,
    },
    /// A transaction; `None` takes it away. By itself it is staging: its commit is the change.
    Transaction {
        /// Its id.
        id: Arc<str>,
        /// What it is to be.
        after: Option<Arc<Transaction>>,
    },
    /// A webhook; `None` takes it away. Where only its position moves this is staging.
    Hook {
        /// Its id.
        id: Arc<str>,
        /// What it is to be.
        after: Option<Arc<Hook>>,
    },
    /// Realities made, promoted, discarded. Whoever proposes this has looked, in its turn, what is
    /// there.
    Reality(RealityEdit),
}

/// One reference, moved from what the writer saw to what the writer wants.
///
/// A REST commit, a `git push` command line, a merge and a branch deletion are all lists of
/// these. Two writers who saw the same branch cannot both win: the second one's `expected` no
/// longer holds, and it is told what the branch became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefEdit {
    /// The full name: `refs/heads/main`, or `HEAD`.
    pub name: RefName,
    /// What the writer believes it is now.
    pub expected: Expected,
    /// What the writer wants it to be.
    pub target: Target,
}

/// What a writer believes a ref to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// No belief: whatever it is.
    Anything,
    /// It does not exist.
    Absent,
    /// It points at this object, itself or through symbolic refs.
    At(ObjectId),
}

impl RefEdit {
    /// Moves `name` from `from` to `to`.
    pub fn advance(name: RefName, from: ObjectId, to: ObjectId) -> RefEdit {
        RefEdit {
            name,
            expected: Expected::At(from),
            target: Target::At(to),
        }
    }

    /// Makes `name`, which must not exist.
    pub fn create(name: RefName, to: ObjectId) -> RefEdit {
        RefEdit {
            name,
            expected: Expected::Absent,
            target: Target::At(to),
        }
    }
}

/// A decided change. For each edit it has the value before and the value after: applying it
/// computes nothing, so every reader of the log agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose change it is.
    pub repo: RepoKey,
    /// For a reality the repository that it was made in, which keeps what it has.
    pub host: Option<RepoKey>,
    /// Its number.
    pub seq: Seq,
    /// 0, or for staging the count of steps since the change `seq`.
    pub step: u32,
    /// When it was decided, by the server's clock; never before its predecessor.
    pub time: Time,
    /// Who, how and why.
    pub cause: Cause,
    /// What it moved.
    pub edits: Vec<EntryEdit>,
    /// What it brought.
    pub objects: NewObjects,
}

/// One thing that a change moved: before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryEdit {
    /// A ref; `Target::Gone` where it did not exist or does not any more.
    Ref {
        /// The full name.
        name: RefName,
        /// What it was.
        before: Target,
        /// What it is.
        after: Target,
    },
    /// The repository's record; `before` is `None` when the repository was made.
    Repository {
        /// What it was.
        before: Option<Box<RepositoryRecord>>,
        /// What it is.
        after: Box<RepositoryRecord>,
    },
    /// Large files that are referenced from now on, and were not before.
    LfsObjects(Arc<[LfsObject]>),
    /// The lock on a path; `None` where there is none.
    LfsLock {
        /// The path.
        path: Arc<str>,
        /// What it was.
        before: Option<Arc<LfsLock>>,
        /// What it is.
        after: Option<Arc<LfsLock>>,
    },
    /// A workspace; `None` where there is none, or the default one is untouched.
    Workspace {
        /// Its name.
        name: Arc<str>,
        /// What it was.
        before: Option<Arc<Workspace>>,
        /// What it is.
        after: Option<Arc<Workspace>>,
        /// Whether this was staging.
        is_staging: bool,
    },
    /// A transaction; `None` where there is none.
    Transaction {
        /// Its id.
        id: Arc<str>,
        /// What it was.
        before: Option<Arc<Transaction>>,
        /// What it is.
        after: Option<Arc<Transaction>>,
    },
    /// A webhook; `None` where there is none.
    Hook {
        /// Its id.
        id: Arc<str>,
        /// What it was.
        before: Option<Arc<Hook>>,
        /// What it is.
        after: Option<Arc<Hook>>,
    },
    /// Realities made, promoted, discarded.
    Reality(RealityEdit),
}

impl Entry {
    /// The objects that it made refs point at, and those that it says realities began with.
    pub fn targets(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.edits.iter().flat_map(|edit| match edit {
            EntryEdit::Ref {
                after: Target::At(id),
                ..
            } => [Some(*id), None].into_iter().flatten(),
            EntryEdit::Reality(RealityEdit::Made(batch)) => {
                [batch.tip, batch.oid].into_iter().flatten()
            }
            _ => [None, None].into_iter().flatten(),
        })
    }
}

impl EntryEdit {
    /// Whether it is staging: durable, and by itself no change with a number.
    pub fn is_staging(&self) -> bool {
        match self {
            EntryEdit::LfsObjects(_)
            | EntryEdit::Transaction { .. }
            | EntryEdit::Reality(RealityEdit::Results(_)) => true,
            EntryEdit::Workspace { is_staging, .. } => *is_staging,
            EntryEdit::Hook {
                before: Some(before),
                after: Some(after),
                ..
            } => before.is_but_for_position(after),
            _ => false,
        }
    }
}

/// What a change brings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewObjects {
    /// Objects that are in the entry itself, below 1 MiB in total. A delta's base comes before it
    /// or was there already.
    pub inline: Vec<NewObject>,
    /// Packs that were made safe before the entry.
    pub packs: Vec<PackId>,
}

impl NewObjects {
    /// The ids of the inline objects whose bytes are here.
    pub fn brought(&self) -> impl Iterator<Item = ObjectId> + '_ {
        let here = |object: &&NewObject| object.body != ObjectBody::Elsewhere;
        self.inline.iter().filter(here).map(|object| object.id)
    }

    /// Bytes of the inline objects, as they are kept.
    pub fn inline_bytes(&self) -> usize {
        self.inline.iter().map(|object| object.body.len()).sum()
    }
}

/// An object that a change brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// Its id, computed by us.
    pub id: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
    /// Its content.
    pub body: ObjectBody,
}

/// How an object's content is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectBody {
    /// As it is.
    Whole(Bytes),
    /// As a Git delta on another object (gitformat-pack(5), "Deltified representation").
    Delta {
        /// The object that the delta starts from, of the same kind.
        base: ObjectId,
        /// The delta, not deflated.
        delta: Bytes,
    },
    /// The pool has it: it is in a pack of this change, or was there before and no parent of the
    /// change's commit has it. It is listed because the commit introduces it.
    Elsewhere,
}

impl ObjectBody {
    /// Bytes of the body, as it is kept.
    pub fn len(&self) -> usize {
        match self {
            ObjectBody::Whole(data) => data.len(),
            ObjectBody::Delta { delta, .. } => delta.len(),
            ObjectBody::Elsewhere => 0,
        }
    }

    /// Whether the body has no bytes: the empty blob, whole.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Who made a change, how, and why. It is part of the entry: audit, exactly-once and history are
/// one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The type of event that this change is.
    pub kind: CauseKind,
    /// Who asked.
    pub actor: Arc<str>,
    /// Which way it came.
    pub via: Via,
    /// The request that it came in.
    pub request_id: Arc<str>,
    /// Why, if somebody said so.
    pub reason: Option<Arc<str>>,
    /// What makes a repeated request get the same answer.
    pub idempotency: Option<Box<Idempotency>>,
}

/// The type of event that a change is. API.md, "Hooks and events", has the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CauseKind {
    /// A repository or fork was made.
    RepoCreated,
    /// Its record was changed.
    RepoUpdated,
    /// It was deleted.
    RepoDeleted,
    /// It was brought back.
    RepoRestored,
    /// A `git push`.
    Push,
    /// A commit by the API.
    Commit,
    /// A merge by the API.
    Merge,
    /// A branch was made by the API.
    BranchCreated,
    /// A branch was deleted by the API.
    BranchDeleted,
    /// A tag was made by the API.
    TagCreated,
    /// A tag was deleted by the API.
    TagDeleted,
    /// Any other movement of refs.
    Ref,
    /// A change was undone, or all refs were put as they had been.
    Undo,
    /// Somebody else changed the repository on disk.
    External,
    /// A large file was uploaded.
    LfsUploaded,
    /// A path was locked.
    LfsLocked,
    /// A path was unlocked.
    LfsUnlocked,
    /// A webhook was made, changed or removed.
    Hook,
    /// A webhook was told of changes.
    HookDelivered,
    /// A workspace was made, deleted, checked out, reset, or something was staged in it.
    Workspace,
    /// A stash was made, applied or dropped.
    Stash,
    /// A transaction was committed, or something was staged in it.
    Transaction,
    /// Realities were made.
    RealityCreated,
    /// A reality was promoted.
    RealityPromoted,
    /// Realities were discarded.
    RealityDiscarded,
    /// Something was measured in a reality.
    RealityResults,
    /// Realities conflict with each other, or do no more. Told, never recorded.
    RealityConflicts,
}

/// Which way a change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// Git over HTTP.
    Git,
    /// The API.
    Rest,
    /// Git over SSH.
    Ssh,
    /// A job of the server's own.
    Job,
    /// Another process, on the disk.
    External,
}

/// What makes a repeated request get the same answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// A digest of caller, method, path, query and the client's key.
    pub key: [u8; 32],
    /// A digest of the request's body.
    pub request: [u8; 32],
    /// What gives the same answer again; the edge that wrote it reads it.
    pub answer: Bytes,
}

impl CauseKind {
    /// The word that events, hooks and history use.
    pub fn name(self) -> &'static str {
        match self {
            CauseKind::RepoCreated => "repo.created",
            CauseKind::RepoUpdated => "repo.updated",
            CauseKind::RepoDeleted => "repo.deleted",
            CauseKind::RepoRestored => "repo.restored",
            CauseKind::Push => "push",
            CauseKind::Commit => "commit",
            CauseKind::Merge => "merge",
            CauseKind::BranchCreated => "branch.created",
            CauseKind::BranchDeleted => "branch.deleted",
            CauseKind::TagCreated => "tag.created",
            CauseKind::TagDeleted => "tag.deleted",
            CauseKind::Ref => "ref",
            CauseKind::Undo => "undo",
            CauseKind::External => "external",
            CauseKind::LfsUploaded => "lfs.uploaded",
            CauseKind::LfsLocked => "lfs.locked",
            CauseKind::LfsUnlocked => "lfs.unlocked",
            CauseKind::Hook => "hook",
            CauseKind::HookDelivered => "hook.delivered",
            CauseKind::Workspace => "workspace",
            CauseKind::Stash => "stash",
            CauseKind::Transaction => "transaction",
            CauseKind::RealityCreated => "reality.created",
            CauseKind::RealityPromoted => "reality.promoted",
            CauseKind::RealityDiscarded => "reality.discarded",
            CauseKind::RealityResults => "reality.results",
            CauseKind::RealityConflicts => "reality.conflicts",
        }
    }
}

impl Via {
    /// The word that events and history use.
    pub fn name(self) -> &'static str {
        match self {
            Via::Git => "git",
            Via::Rest => "rest",
            Via::Ssh => "ssh",
            Via::Job => "job",
            Via::External => "external",
        }
    }
}
