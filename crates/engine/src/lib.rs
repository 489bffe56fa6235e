//! The in-memory Git engine: objects, repositories, and the one door through which they change.
//!
//! `pool` keeps objects, `repository` keeps refs and history and publishes changes, `work` reads
//! and makes changes and cannot publish them.

pub mod clock;
pub mod engine;
pub mod journal;
pub mod pool;
pub mod repository;
pub mod work;

pub use clock::{Clock, Time};
pub use engine::{
    CatalogueError, Engine, EngineParts, Found, Listener, NewRepository, Reality, Recovered,
    RecoveredReality, Resting, Summary,
};
pub use repository::edit::{
    Cause, CauseKind, Change, Edit, Entry, EntryEdit, Expected, Idempotency, NewObject, NewObjects,
    ObjectBody, RefEdit, Via,
};
pub use repository::fetch_rules::FetchRules;
pub use repository::hooks::{Hook, HookKind, Hooks};
pub use repository::key::{Place, RepoKey, Seq};
pub use repository::lfs::{Lfs, LfsLock, LfsObject, LfsOid};
pub use repository::publish::{
    AnswerTogether, Pending, Proposal, PublishError, Published, Refusal, TogetherError,
    publish_together,
};
pub use repository::quarantine::{INLINE_BYTES_MAX, QuarantineError, Quarantined};
pub use repository::realities::{
    Fate, MadeBatch, Metric, Promotion, Realities, RealityBatch, RealityEdit, RealityId,
    RealityNames, RealityRange, RealityResults,
};
pub use repository::record::{
    ForkedFrom, FsckSeverities, FsckSeverity, RepoId, RepositoryRecord, Settings, Storage,
};
pub use repository::refs::{RefName, Refs, Target};
pub use repository::snapshot::Snapshot;
pub use repository::transactions::{Transaction, TransactionState, Transactions};
pub use repository::workspaces::{
    DEFAULT_WORKSPACE, Operation, OperationKind, Unmerged, Workspace, Workspaces,
};
pub use repository::{RealityOf, Repository, ToKeep, Unpacked, Usage};
