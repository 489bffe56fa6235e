//! Transactions on one branch of one repository.
//!
//! What is done in one is staging: durable, and seen by nobody else. Its commit is the change.

use std::sync::{Arc, Mutex, PoisonError};

use govc_api::commits::Commit;
use govc_api::transactions::{CommitTransaction, NewTransaction, TransactionShown, Validation};
use govc_api::workspaces::{FileNow, FilesChanged, MoveFile, content_bytes};
use govc_api::{no_nul, ref_name};
use govc_engine::pool::Pool;
use govc_engine::work::View;
use govc_engine::work::transaction::{self, TransactionCommit, TransactionError};
use govc_engine::work::workspace::state::tree_or_empty;
use govc_engine::work::workspace::{Changed, FileToWrite, OpenWorkspace};
use govc_engine::{
    Cause, CauseKind, Change, Edit, Expected, NewObject, NewObjects, Pending, Proposal, RefEdit,
    RefName, Refusal, RepoId, Repository, Seq, Snapshot, Target, Time, Transaction,
    TransactionState, Via,
};
use govc_git::{ObjectId, refname};
use serde::Serialize;

use super::ahead::{Ahead, Said};
use super::answers::Logged;
use super::aside::Aside;
use super::commits;
use super::diff::DiffQuery;
use super::error::{AppError, SaidIn};
use super::merges::conflicts;
use super::publish::{Answering, cause, check_beliefs};
use super::repos::location;
use super::scope::{Place, any_transaction, open_transaction};
use super::state::State;
use super::{Action, App};
use crate::http::ask::{Reading, Terms};
use crate::http::caller::Caller;
use crate::http::etag::IfMatch;

/// What was done in a transaction.
struct Done<T> {
    after: Transaction,
    objects: Vec<NewObject>,
    refs: Vec<RefEdit>,
    answer: T,
}

/// What work in a transaction is a function of.
struct At<'a> {
    transaction: &'a Transaction,
    /// Its files, as a workspace has them.
    open: &'a OpenWorkspace,
    snapshot: &'a Snapshot,
    pool: &'a Pool,
}

/// Something that is done in a transaction when its turn comes; found out before, and again only
/// where it or its branch moved meanwhile.
struct InTransaction<F, T> {
    id: Arc<str>,
    if_match: Option<IfMatch>,
    work: F,
    ahead: Option<(Arc<Transaction>, Option<ObjectId>, Done<T>)>,
    aside: Aside,
    cause: Cause,
    answer: Said<T>,
}

impl<F, T> InTransaction<F, T>
where
    F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send,
    T: Send,
{
    fn run(&mut self, snapshot: &Snapshot, pool: &Pool, now: Time) -> Result<(), AppError> {
        let transaction = open_transaction(snapshot, &self.id, now)?;
        let branch = &transaction.branch;
        check_beliefs(branch, Expected::Anything, self.if_match.as_ref(), snapshot)?;
        let head = snapshot.refs.resolve(branch.as_bytes());
        let known = self
            .ahead
            .as_ref()
            .is_some_and(|(then, at, _)| *then == transaction && *at == head);
        if !known {
            let open = transaction::as_workspace(pool, &self.id, &transaction)?;
            let done = (self.work)(&At {
                transaction: &transaction,
                open: &open,
                snapshot,
                pool,
            })?;
            self.ahead = Some((transaction, head, done));
        }
        Ok(())
    }
}

impl<F, T> Ahead for InTransaction<F, T>
where
    F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send + 'static,
    T: Send + Clone + 'static,
{
    type Answer = T;

    fn work_out(&mut self, snapshot: &Snapshot, pool: &Pool, now: Time) -> Result<(), AppError> {
        self.run(snapshot, pool, now)
    }

    fn put_aside(&mut self, repository: &Arc<Repository>) -> Result<(), AppError> {
        match &mut self.ahead {
            Some((_, _, done)) => self.aside.put(repository, &mut done.objects),
            None => Ok(()),
        }
    }

    fn about(&self) -> Vec<RefName> {
        Vec::new()
    }

    fn said(&self) -> &Said<T> {
        &self.answer
    }
}

impl<F, T> Proposal for InTransaction<F, T>
where
    F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send,
    T: Send + Clone,
{
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        self.run(now.snapshot, now.pool, now.time)?;
        let Some((before, _, done)) = &self.ahead else {
            return Ok(None);
        };
        let answer = Some(done.answer.clone());
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        if done.after == **before && done.refs.is_empty() {
            return Ok(None);
        }
        let mut edits: Vec<Edit> = done.refs.iter().cloned().map(Edit::Ref).collect();
        edits.push(Edit::Transaction {
            id: Arc::clone(&self.id),
            after: Some(Arc::new(done.after.clone())),
        });
        Ok(Some(Change {
            objects: self.aside.with(&done.objects),
            edits,
            cause: self.cause.clone(),
        }))
    }
}

impl App {
    async fn in_transaction<T, F>(
        &self,
        caller: &Caller,
        repository: &Arc<Repository>,
        id: &Arc<str>,
        terms: &Terms,
        status: u16,
        work: F,
    ) -> Result<(T, Seq), AppError>
    where
        F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send + 'static,
        T: Clone + Serialize + Send + 'static,
    {
        let logged = move |answer: &T| Logged::body(status, Some(answer));
        self.in_transaction_answering(caller, repository, id, terms, logged, work)
            .await
    }

    /// Does `work` in a transaction; `logged` is what gives its answer again.
    async fn in_transaction_answering<T, F>(
        &self,
        caller: &Caller,
        repository: &Arc<Repository>,
        id: &Arc<str>,
        terms: &Terms,
        logged: impl Fn(&T) -> Logged + Send + 'static,
        work: F,
    ) -> Result<(T, Seq), AppError>
    where
        F: FnMut(&At<'_>) -> Result<Done<T>, AppError> + Send + 'static,
        T: Clone + Send + 'static,
    {
        let proposal = InTransaction {
            id: Arc::clone(id),
            if_match: terms.if_match.clone(),
            work,
            ahead: None,
            aside: Aside::default(),
            cause: cause(caller, CauseKind::Transaction, Via::Rest),
            answer: Said::default(),
        };
        self.publish_ahead(repository, terms, proposal, logged)
            .await
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`AppError::RefNotFound`] for a branch that is not there.
    pub async fn begin_transaction(
        &self,
        caller: &Caller,
        repo: &RepoId,
        new: NewTransaction,
        terms: &Terms,
    ) -> Result<(TransactionShown, Seq), AppError> {
        let ttl = i64::try_from(new.ttl_seconds()?).map_err(AppError::internal)?;
        if let Some(branch) = &new.branch {
            ref_name(branch, refname::check_branch)?;
        }
        let repository = self
            .repository_in(caller, repo, &terms.scope, Action::Write)
            .await?;
        let mut random = [0u8; 16];
        getrandom::fill(&mut random).map_err(|error| AppError::Internal(error.into()))?;
        let id: Arc<str> = format!("{:032x}", u128::from_be_bytes(random)).into();
        let cause = cause(caller, CauseKind::Transaction, Via::Rest);
        let limit = self.config().limits.transactions;
        let answer = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&answer);
        let place = place(repo, &id);
        let begin = move |now: &Pending<'_>| -> Result<Option<Change>, Refusal> {
            let refs = &now.snapshot.refs;
            let branch = match &new.branch {
                Some(short) => RefName::branch(short),
                None => refs
                    .head_branch()
                    .cloned()
                    .ok_or_else(|| AppError::RefNotFound {
                        name: "HEAD".to_owned(),
                    })?,
            };
            let base = refs.resolve(branch.as_bytes());
            if base.is_none() && refs.head_branch() != Some(&branch) {
                let name = branch.to_text();
                return Err(AppError::RefNotFound { name }.into());
            }
            if limit > 0 && now.snapshot.transactions.len() as u64 >= limit {
                return Err(AppError::Quota {
                    what: "transactions",
                    limit,
                    setting: "limits.transactions",
                }
                .into());
            }
            let transaction = Transaction {
                branch,
                base,
                tree: tree_or_empty(now.pool, base)?,
                seq: now.snapshot.seq,
                created_at: now.time,
                expires_at: Time(now.time.0.saturating_add(ttl.saturating_mul(1_000_000))),
                state: TransactionState::Open,
            };
            let shown = TransactionShown::of(&id, &transaction, None);
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
            Ok(Some(Change {
                objects: NewObjects::default(),
                edits: vec![Edit::Transaction {
                    id: Arc::clone(&id),
                    after: Some(Arc::new(transaction)),
                }],
                cause: cause.clone(),
            }))
        };
        let logged = Arc::clone(&answer);
        let answering = Answering::about(Vec::new(), move |_: &Change, _: &Pending<'_>| {
            let made = logged.lock().unwrap_or_else(PoisonError::into_inner);
            Logged::body(201, made.as_ref()).at(place.clone())
        });
        let published = self
            .publish_answering(&repository, terms, answering, begin)
            .await?;
        let made = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let made = made.ok_or_else(|| AppError::Internal("nothing was begun".into()))?;
        Ok((made, published.seq))
    }

    /// A transaction, and what was done in it.
    ///
    /// # Errors
    /// [`AppError::ScopeNotFound`], [`AppError::TransactionExpired`].
    pub async fn show_transaction(
        &self,
        caller: &Caller,
        at: &Place,
        reading: &Reading,
    ) -> Result<(TransactionShown, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        let (id, now) = (Arc::clone(&at.name), self.engine()?.clock().now());
        let bytes_max = self.config().limits.diff.as_usize();
        self.offload(move || {
            let snapshot = repository.snapshot();
            let transaction = any_transaction(&snapshot, &id, now)?;
            let base = tree_or_empty(repository.pool(), transaction.base)?;
            let view = View::of_snapshot(&repository, &snapshot);
            let state = State::of(Arc::clone(&repository), view, None);
            let query = DiffQuery {
                renames: true,
                ..DiffQuery::default()
            };
            let trees = (Some(base), Some(transaction.tree));
            let compared = state.compare_roots((transaction.base, None), trees, &query)?;
            let diff = compared.body(bytes_max)?;
            let shown = TransactionShown::of(&id, &transaction, Some(diff));
            Ok((shown, snapshot.seq))
        })
        .await?
    }

    /// Writes files in a transaction.
    ///
    /// # Errors
    /// [`AppError`]; nothing was changed then.
    pub async fn transaction_add(
        &self,
        caller: &Caller,
        at: &Place,
        mut files: Vec<FileToWrite>,
        terms: &Terms,
    ) -> Result<(FilesChanged, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let limit = self.config().limits.file;
        for file in &mut files {
            if content_bytes(file) > limit.0 {
                return Err(AppError::TooLarge {
                    what: format!("the content of {:?}", String::from_utf8_lossy(&file.path)),
                    limit: limit.0,
                    setting: "limits.file",
                });
            }
            // Ignoring is for what lies about in a working copy: here everything was meant.
            file.force = true;
        }
        let repo = Arc::clone(&repository);
        let add = move |at: &At<'_>| {
            let head = at.open.head_target();
            let view = View::of_snapshot(&repo, at.snapshot).within(head, at.transaction.roots());
            let changed = at.open.write(at.pool, &view, &files, true)?;
            Ok(staged(at, changed))
        };
        self.in_transaction(caller, &repository, &at.name, terms, 200, add)
            .await
    }

    /// Removes files and folders in a transaction.
    ///
    /// # Errors
    /// [`AppError::PathNotFound`].
    pub async fn transaction_remove(
        &self,
        caller: &Caller,
        at: &Place,
        paths: Vec<Vec<u8>>,
        terms: &Terms,
    ) -> Result<(FilesChanged, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let remove = move |at: &At<'_>| {
            let changed = at.open.remove_all(at.pool, &paths)?;
            Ok(staged(at, changed))
        };
        self.in_transaction(caller, &repository, &at.name, terms, 200, remove)
            .await
    }

    /// Moves a file or a folder in a transaction.
    ///
    /// # Errors
    /// [`AppError::PathNotFound`], [`AppError::PathConflict`].
    pub async fn transaction_move(
        &self,
        caller: &Caller,
        at: &Place,
        order: MoveFile,
        terms: &Terms,
    ) -> Result<(FilesChanged, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let rename = move |at: &At<'_>| {
            let (from, to) = (order.from.as_bytes(), order.to.as_bytes());
            let changed = at.open.rename(at.pool, from, to, order.force)?;
            Ok(staged(at, changed))
        };
        self.in_transaction(caller, &repository, &at.name, terms, 200, rename)
            .await
    }

    /// Whether a transaction could be committed now: whether it can be merged onto its branch, and
    /// whether paths, settings, quotas and policy hooks would let it pass.
    ///
    /// # Errors
    /// [`AppError::ScopeNotFound`], [`AppError::TransactionExpired`].
    pub async fn validate_transaction(
        &self,
        caller: &Caller,
        at: &Place,
        terms: &Terms,
    ) -> Result<(Validation, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let (id, now) = (Arc::clone(&at.name), self.engine()?.clock().now());
        let there = Arc::clone(&repository);
        let validating = move || -> Result<(Validation, Seq), AppError> {
            let (repository, snapshot) = (&there, there.snapshot());
            let pool = repository.pool();
            let transaction = open_transaction(&snapshot, &id, now)?;
            let head = snapshot.refs.resolve(transaction.branch.as_bytes());
            let merged = transaction::merged_onto(pool, &transaction, head)?;
            let is_clean = merged.as_ref().is_none_or(|merged| merged.is_clean);
            let mut problems = Vec::new();
            if transaction.tree == tree_or_empty(pool, transaction.base)? {
                problems.push("nothing was done in it".to_owned());
            }
            let validation = Validation {
                valid: is_clean && problems.is_empty(),
                moved: head != transaction.base,
                head: head.map(|id| id.to_string()),
                conflicts: merged
                    .filter(|merged| !merged.is_clean)
                    .map(|merged| conflicts(&merged, pool))
                    .unwrap_or_default(),
                problems,
            };
            Ok((validation, snapshot.seq))
        };
        let (mut validation, seq) = self.offload(validating).await??;
        if validation.valid
            && let Err(error) = self
                .rehearse_commit(caller, &repository, &at.name, terms)
                .await
        {
            validation.problems.push(objection(error)?);
            validation.valid = false;
        }
        Ok((validation, seq))
    }

    /// Does all of a commit of a transaction but the commit.
    async fn rehearse_commit(
        &self,
        caller: &Caller,
        repository: &Arc<Repository>,
        id: &Arc<str>,
        terms: &Terms,
    ) -> Result<(), AppError> {
        let author = self.signature(caller, "author", None)?;
        let new = TransactionCommit {
            merge: true,
            message: b"validate\n".to_vec(),
            committer: author.clone(),
            author,
        };
        let terms = Terms {
            scope: terms.scope.clone(),
            dry_run: true,
            if_match: None,
            idempotency: None,
        };
        let commit = move |at: &At<'_>| commit_now(at, &new);
        let rehearsed = self.in_transaction(caller, repository, id, &terms, 201, commit);
        rehearsed.await.map(drop)
    }

    /// Commits a transaction to its branch.
    ///
    /// # Errors
    /// [`AppError::RefMoved`], [`AppError::MergeConflict`], [`AppError::NothingToCommit`].
    pub async fn commit_transaction(
        &self,
        caller: &Caller,
        at: &Place,
        order: CommitTransaction,
        terms: &Terms,
    ) -> Result<(Commit, Seq), AppError> {
        no_nul("message", &order.message)?;
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let author = self.signature(caller, "author", order.author.as_ref())?;
        let committer = match &order.committer {
            Some(_) => self.signature(caller, "committer", order.committer.as_ref())?,
            None => author.clone(),
        };
        let new = TransactionCommit {
            merge: order.merges(),
            message: order.message.into_bytes(),
            author,
            committer,
        };
        let commit = move |at: &At<'_>| commit_now(at, &new);
        let repo = at.repo.clone();
        let logged = move |commit: &Commit| {
            Logged::body(201, Some(commit)).at(commits::place(&repo, commit))
        };
        self.in_transaction_answering(caller, &repository, &at.name, terms, logged, commit)
            .await
    }

    /// Gives a transaction up.
    ///
    /// # Errors
    /// [`AppError::ScopeNotFound`], [`AppError::TransactionOver`].
    pub async fn roll_back_transaction(
        &self,
        caller: &Caller,
        at: &Place,
        terms: &Terms,
    ) -> Result<(TransactionShown, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let id = Arc::clone(&at.name);
        let roll_back = move |at: &At<'_>| {
            let after = Transaction {
                state: TransactionState::RolledBack,
                ..at.transaction.clone()
            };
            Ok(Done {
                answer: TransactionShown::of(&id, &after, None),
                after,
                objects: Vec::new(),
                refs: Vec::new(),
            })
        };
        self.in_transaction(caller, &repository, &at.name, terms, 200, roll_back)
            .await
    }

    /// Removes transactions whose time is over, and workspaces that nobody has used for long.
    ///
    /// # Errors
    /// As [`App::engine`].
    pub async fn expire_scopes(&self) -> Result<(), AppError> {
        const SECOND: i64 = 1_000_000;
        let engine = Arc::clone(self.engine()?);
        let now = engine.clock().now();
        let transactions = Time(now.0 - KEPT_SECONDS * SECOND);
        let idle = self
            .config()
            .limits
            .workspace_idle_days
            .saturating_mul(86_400);
        let idle = i64::try_from(idle)
            .unwrap_or(i64::MAX)
            .saturating_mul(SECOND);
        let workspaces = (idle > 0).then(|| Time(now.0.saturating_sub(idle)));
        for found in engine.all() {
            // What rests is looked at when somebody works with it again.
            let Some(repository) = found.here() else {
                continue;
            };
            let job = Cause {
                kind: CauseKind::Transaction,
                actor: "govc".into(),
                via: Via::Job,
                request_id: "".into(),
                reason: Some("its time is over".into()),
                idempotency: None,
            };
            let due = expired(&repository.snapshot(), transactions, workspaces);
            if due.is_empty() {
                continue;
            }
            let remove = move |now: &Pending<'_>| {
                Ok(Some(Change {
                    objects: NewObjects::default(),
                    edits: expired(now.snapshot, transactions, workspaces),
                    cause: job.clone(),
                }))
            };
            if let Err(error) = repository.publish(remove).await {
                tracing::warn!(repository = %repository.key(), %error, "expired scopes stay");
            }
        }
        Ok(())
    }
}

/// A transaction as the commit that it becomes now.
fn commit_now(at: &At<'_>, new: &TransactionCommit) -> Result<Done<Commit>, AppError> {
    let transaction = at.transaction;
    let head = at.snapshot.refs.resolve(transaction.branch.as_bytes());
    let made = transaction::commit(at.pool, transaction, head, new);
    let made = made.map_err(|error| not_committed(error, at, head))?;
    let body = Commit::read(made.id, &made.data, at.pool.format());
    let answer = Commit {
        files_changed: Some(made.files_changed),
        ..body.map_err(AppError::internal)?
    };
    Ok(Done {
        after: Transaction {
            state: TransactionState::Committed(made.id),
            ..transaction.clone()
        },
        objects: made.objects,
        refs: vec![RefEdit {
            name: transaction.branch.clone(),
            expected: head.map_or(Expected::Absent, Expected::At),
            target: Target::At(made.id),
        }],
        answer,
    })
}

/// What stands against a commit, as a sentence; what says nothing of the commit stays an error.
fn objection(error: AppError) -> Result<String, AppError> {
    match error {
        AppError::HookRefused { .. }
        | AppError::HookUnreachable { .. }
        | AppError::ProgramRefused { .. }
        | AppError::Quota { .. }
        | AppError::PathInvalid { .. }
        | AppError::PathConflict { .. }
        | AppError::RefMoved { .. }
        | AppError::MergeConflict { .. }
        | AppError::Impossible { .. } => Ok(error.to_string()),
        error => Err(error),
    }
}

/// How long a transaction that is over is still known, in seconds.
const KEPT_SECONDS: i64 = 24 * 60 * 60;

/// What removes transactions that expired before `transactions`, and workspaces that were last
/// used before `workspaces`.
fn expired(snapshot: &Snapshot, transactions: Time, workspaces: Option<Time>) -> Vec<Edit> {
    let over = snapshot.transactions.iter();
    let over = over.filter(|(_, transaction)| transaction.expires_at <= transactions);
    let mut edits: Vec<Edit> = over
        .map(|(id, _)| Edit::Transaction {
            id: Arc::clone(id),
            after: None,
        })
        .collect();
    if let Some(before) = workspaces {
        let idle = snapshot.workspaces.iter();
        for (name, workspace) in idle.filter(|(_, workspace)| workspace.used_at <= before) {
            edits.push(Edit::Workspace {
                name: Arc::clone(name),
                after: None,
                is_staging: false,
            });
            edits.extend(workspace.stashes.iter().map(|id| {
                Edit::Ref(RefEdit {
                    name: super::stashes::stash_ref(id),
                    expected: Expected::Anything,
                    target: Target::Gone,
                })
            }));
            if **name == *govc_engine::DEFAULT_WORKSPACE && !workspace.stashes.is_empty() {
                edits.push(Edit::Ref(RefEdit {
                    name: RefName::new("refs/stash"),
                    expected: Expected::Anything,
                    target: Target::Gone,
                }));
            }
        }
    }
    edits
}

/// Where a transaction is in the API.
pub fn place(repo: &RepoId, id: &str) -> String {
    format!("{}/transaction/{id}", location(repo))
}

fn staged(at: &At<'_>, changed: Changed) -> Done<FilesChanged> {
    let now = |(path, found): &(Vec<u8>, Option<govc_engine::work::tree::Found>)| FileNow {
        path: String::from_utf8_lossy(path).into_owned(),
        oid: found.map(|found| found.id.to_string()),
        mode: found.map(|found| govc_api::files::mode_text(found.mode)),
    };
    Done {
        answer: FilesChanged {
            files: changed.edits.iter().map(now).collect(),
        },
        after: Transaction {
            tree: changed.after.index,
            ..at.transaction.clone()
        },
        objects: changed.objects,
        refs: Vec::new(),
    }
}

fn not_committed(error: TransactionError, at: &At<'_>, head: Option<ObjectId>) -> AppError {
    match error {
        TransactionError::Moved => AppError::RefMoved {
            name: at.transaction.branch.to_text(),
            expected: at.transaction.base,
            current: head,
            said_in: SaidIn::Request,
        },
        TransactionError::Conflict(merged) => AppError::MergeConflict {
            commit: head.unwrap_or(at.pool.format().null()),
            conflicts: conflicts(&merged, at.pool),
        },
        TransactionError::Work(error) => error.into(),
    }
}
