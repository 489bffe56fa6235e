//! What can be wrong with a request, as sentences with their facts.

use govc_api::conflicts::ConflictedPath;
use govc_engine::{RepoId, Seq};
use govc_git::ObjectId;

use super::lfs::LfsError;

/// Where a writer said what it believes a ref to be: that decides between 409 and 412.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidIn {
    /// `expected_head` or `expected`: a conflict.
    Request,
    /// `If-Match`: a failed precondition.
    IfMatch,
}

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The body, or a field of it, is not what the route takes.
    #[error("{detail}")]
    Body {
        /// The field, `actions[0].path`; empty for the body itself.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A query parameter or header is not what the route takes.
    #[error("{detail}")]
    Query {
        /// Its name.
        parameter: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A path that no tree may hold.
    #[error("{path:?} cannot be a path in a repository: {why}")]
    PathInvalid {
        /// The path.
        path: String,
        /// The rule that it breaks.
        why: String,
    },
    /// A ref name or revision that Git would not take.
    #[error("{name:?} is not a ref or revision: {why}")]
    RefInvalid {
        /// The text.
        name: String,
        /// The rule that it breaks.
        why: String,
    },
    /// A word in a repository id is the server's own.
    #[error("the repository id {id:?} is reserved: {why}")]
    RepoIdReserved {
        /// The id.
        id: String,
        /// Which part.
        why: String,
    },
    /// Nobody is asking, or somebody with a wrong token.
    #[error("this server wants a token: send it as `Authorization: Bearer`, or as Git's password")]
    Unauthenticated,
    /// There is no such repository, or none that one may know of.
    #[error("there is no repository {repo:?}")]
    RepoNotFound {
        /// As it was asked for.
        repo: String,
    },
    /// There is no such reality.
    #[error("there is no reality {name:?}")]
    RealityNotFound {
        /// As it was asked for.
        name: String,
    },
    /// A reality of that name is there.
    #[error("the reality {name:?} exists already")]
    RealityExists {
        /// The name.
        name: String,
    },
    /// The reality was promoted: it can only be read.
    #[error("the reality was promoted, and is closed")]
    RealityClosed,
    /// The reality was discarded.
    #[error("the reality was discarded")]
    RealityDiscarded,
    /// The revision names nothing that is there.
    #[error("{name:?} names nothing in this repository")]
    RefNotFound {
        /// The revision, or ref name.
        name: String,
    },
    /// The revision names something, and not what the request needs.
    #[error("{name:?} is a {found}, not a {wanted}")]
    RefWrongKind {
        /// The revision.
        name: String,
        /// What it is.
        found: &'static str,
        /// What it has to be.
        wanted: &'static str,
    },
    /// The abbreviation fits several objects.
    #[error("{name:?} is short for several objects")]
    RefAmbiguous {
        /// The revision.
        name: String,
        /// What it may mean.
        candidates: Vec<ObjectId>,
    },
    /// The tree has nothing at the path.
    #[error("there is nothing at {path:?}")]
    PathNotFound {
        /// The path.
        path: String,
    },
    /// The tree has something else at the path.
    #[error("{path:?} is {found}")]
    PathOfOtherKind {
        /// The path.
        path: String,
        /// What it has.
        found: &'static str,
    },
    /// The repository was not yet there at that moment.
    #[error("the repository has no state at {at}")]
    SeqNotFound {
        /// The moment, as it was asked for.
        at: String,
    },
    /// That moment is older than what is kept.
    #[error("{at} is no longer kept: the oldest state that is left is that after change {oldest}")]
    HistoryExpired {
        /// The moment, as it was asked for.
        at: String,
        /// The number of the oldest state that is left.
        oldest: Seq,
    },
    /// No route has this path.
    #[error("there is nothing here: {path}")]
    RouteNotFound {
        /// The path.
        path: String,
    },
    /// The id is taken.
    #[error("the repository \"{id}\" exists already")]
    RepoExists {
        /// The id.
        id: RepoId,
    },
    /// The ref is there already.
    #[error("{name} exists already")]
    RefExists {
        /// The full name.
        name: String,
        /// What it points at.
        current: Option<ObjectId>,
    },
    /// The ref is not what the writer believed.
    #[error("{name} is not where it was believed to be")]
    RefMoved {
        /// The full name.
        name: String,
        /// What the writer believed; `None`: that it does not exist.
        expected: Option<ObjectId>,
        /// What it is.
        current: Option<ObjectId>,
        /// Where the writer said so.
        said_in: SaidIn,
    },
    /// Both sides changed the same.
    #[error("{commit} conflicts with the branch in {} paths", .conflicts.len())]
    MergeConflict {
        /// The commit that does not fit.
        commit: ObjectId,
        /// What is to be solved.
        conflicts: Vec<ConflictedPath>,
    },
    /// The branch moved while something was made for it. It is made again: nobody is told.
    #[error("{name} moved meanwhile")]
    RaceLost {
        /// The full name.
        name: String,
        /// What it is.
        current: Option<ObjectId>,
    },
    /// A ref's name is a folder of another's.
    #[error("{name} cannot be beside {other}: one of them would be a folder")]
    RefConflict {
        /// The ref that was to be made.
        name: String,
        /// The one that is there.
        other: String,
    },
    /// The branch is the one that HEAD names.
    #[error("{name} is the default branch and cannot be deleted")]
    DefaultBranch {
        /// The full name.
        name: String,
    },
    /// The repository's settings do not allow it.
    #[error("{name}: {why}")]
    Denied {
        /// The ref.
        name: String,
        /// Which setting says so.
        why: String,
        /// The code of the rule.
        code: &'static str,
    },
    /// An edit's `old` does not occur as often as it says.
    #[error("{path:?}: the text to replace occurs {found} times, not {expected}")]
    EditNotFound {
        /// The file.
        path: String,
        /// Which of its edits, from 0.
        edit: usize,
        /// How often it should occur.
        expected: u64,
        /// How often it does.
        found: u64,
    },
    /// The tree would be what it is.
    #[error("the actions change nothing")]
    NothingToCommit,
    /// A file is where a folder is needed, or the reverse.
    #[error("{}", in_the_way(path, with))]
    PathConflict {
        /// What was to be put there.
        path: String,
        /// What is there.
        with: String,
    },
    /// The actions, or the settings, are understood and impossible.
    #[error("{detail}")]
    Impossible {
        /// The stable code.
        code: &'static str,
        /// What is impossible about it.
        detail: String,
    },
    /// More than a limit allows.
    #[error("{what} is over the limit of {limit} ({setting})")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The figure.
        limit: u64,
        /// The setting that has the figure.
        setting: &'static str,
    },
    /// The line and headers of the request are too large.
    #[error("the request's line and headers are over {limit} bytes (limits.request_head)")]
    HeadTooLarge {
        /// The figure.
        limit: u64,
    },
    /// A repository is at one of its quotas.
    #[error("the repository would go over its quota of {limit} {what} ({setting})")]
    Quota {
        /// What there is too much of.
        what: &'static str,
        /// The figure.
        limit: u64,
        /// The setting that has the figure.
        setting: &'static str,
    },
    /// The name of a workspace is taken.
    #[error("there is a workspace {name:?} already")]
    WorkspaceExists {
        /// The name.
        name: String,
    },
    /// Uncommitted changes would be lost.
    #[error("uncommitted changes would be lost in {} files", paths.len())]
    WorkspaceDirty {
        /// Where.
        paths: Vec<String>,
    },
    /// Conflicts are not solved, or changes conflict.
    #[error("there are conflicts in {} files", paths.len())]
    Unmerged {
        /// Where.
        paths: Vec<String>,
    },
    /// An operation has to be finished first.
    #[error("a {operation} is in progress: continue or abort it first")]
    InProgress {
        /// Which.
        operation: &'static str,
    },
    /// There is nothing to go on with, or to abort.
    #[error("no merge, cherry-pick, revert or rebase is in progress in this workspace")]
    NotInProgress,
    /// There is no such workspace, transaction or reality.
    #[error("there is no {what} {name:?} in this repository")]
    ScopeNotFound {
        /// `workspace`, `transaction` or `reality`.
        what: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// The transaction's time is over.
    #[error("the transaction {id:?} has expired")]
    TransactionExpired {
        /// Which.
        id: String,
    },
    /// The transaction was committed or rolled back.
    #[error("the transaction {id:?} is {state}")]
    TransactionOver {
        /// Which.
        id: String,
        /// What became of it.
        state: &'static str,
    },
    /// The body is of a type that the route does not take.
    #[error("send {wanted}, not {found}")]
    MediaType {
        /// What was sent.
        found: String,
        /// What the route takes.
        wanted: &'static str,
    },
    /// The content has no such bytes.
    #[error("the content has {size} bytes, and none of those that were asked for")]
    Range {
        /// How many there are.
        size: u64,
    },
    /// The path is there, the method is not.
    #[error("{method} is not for this path")]
    Method {
        /// The method.
        method: String,
    },
    /// The `Host` is not one of this server's names.
    #[error("this server does not answer to the name {host:?}; see server.allowed_hosts")]
    Misdirected {
        /// The name.
        host: String,
    },
    /// The client was silent in the middle of its request.
    #[error("the request did not arrive: nothing came for {seconds} seconds")]
    TimedOut {
        /// How long was waited.
        seconds: u64,
    },
    /// The body ended early, or its transfer failed.
    #[error("the request's body did not arrive whole")]
    BodyCutOff,
    /// There is no such webhook.
    #[error("there is no hook {id:?} in this repository")]
    HookNotFound {
        /// As it was asked for.
        id: String,
    },
    /// There is no such delivery, or not any more.
    #[error("there is no delivery {id:?} of this hook")]
    DeliveryNotFound {
        /// As it was asked for.
        id: String,
    },
    /// A hook does not want the change.
    #[error("{message}")]
    HookRefused {
        /// Which.
        id: String,
        /// What it says.
        message: String,
    },
    /// A hook that is a program does not want the change.
    #[error("{message}")]
    ProgramRefused {
        /// Which: `pre-receive`.
        name: String,
        /// What it says.
        message: String,
    },
    /// A hook that may refuse could not be asked.
    #[error("the policy hook {id} could not be asked: {why}")]
    HookUnreachable {
        /// Which.
        id: String,
        /// Why.
        why: String,
    },
    /// The key was used for something else.
    #[error("this Idempotency-Key was used with another body")]
    IdempotencyKeyReused,
    /// Git LFS says no.
    #[error(transparent)]
    Lfs(LfsError),
    /// The number is not there yet.
    #[error("change {wanted} is not there yet, the newest is {current}")]
    SeqNotReached {
        /// The number that was waited for.
        wanted: Seq,
        /// The newest.
        current: Seq,
    },
    /// No room, in memory or on the disk.
    #[error("there is no room for this")]
    OutOfSpace,
    /// No room: the server uses more memory than it may.
    #[error(
        "the server uses more than its {limit} bytes of memory (storage.memory_budget): it takes \
         no objects now"
    )]
    OverBudget {
        /// The figure.
        limit: u64,
    },
    /// Not now: starting, draining, or the log cannot be written.
    #[error("{why}")]
    Unavailable {
        /// What is the matter.
        why: String,
    },
    /// It may have happened or not.
    #[error(
        "the change may have been made or not: look, or send it again with the same Idempotency-Key"
    )]
    Unknown,
    /// Our own fault.
    #[error("{0}")]
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl AppError {
    /// A field of the body is wrong.
    pub fn body(field: impl Into<String>, detail: impl Into<String>) -> AppError {
        AppError::Body {
            field: field.into(),
            detail: detail.into(),
        }
    }

    /// A query parameter is wrong.
    pub fn query(parameter: impl Into<String>, detail: impl Into<String>) -> AppError {
        AppError::Query {
            parameter: parameter.into(),
            detail: detail.into(),
        }
    }

    /// Our own fault.
    pub fn internal(error: impl std::error::Error + Send + Sync + 'static) -> AppError {
        AppError::Internal(Box::new(error))
    }
}

fn in_the_way(path: &str, with: &str) -> String {
    match path == with {
        true => format!("{path:?} is a folder, or is taken: move or delete what is there first"),
        false => format!("{with:?} is in the way of {path:?}: move or delete it first"),
    }
}
