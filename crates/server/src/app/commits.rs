//! Commits: made by actions, read, listed.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use govc_api::commits::{Commit, CommitOrder};
use govc_api::people::NewPerson;
use govc_engine::pool::{Pool, PoolError};
use govc_engine::work::View;
use govc_engine::work::action::{Action as FileAction, Content};
use govc_engine::work::commit::{
    CommitError, CommitMade, CommitRequest, NewCommitOnBranch, Receipt, Start,
};
use govc_engine::work::log::{Log, LogQuery};
use govc_engine::work::merge::{Integrated, People, Plan};
use govc_engine::work::tree;
use govc_engine::{
    CauseKind, Change, Expected, Pending, Proposal, Refusal, RepoId, Repository, Seq, Target, Via,
};
use govc_git::object::{GitTime, Signature};
use govc_git::{ObjectId, oid};

use super::answers::Logged;
use super::error::AppError;
use super::files::check_path;
use super::merges::{Bringing, merged_commit};
use super::publish::{Answering, cause};
use super::repos::location;
use super::state::{State, commit};
use super::{Action, App};
use crate::http::ask::Terms;
use crate::http::caller::Caller;
use crate::http::page::{Cursor, Page, PageQuery};

/// Content of this many bytes is hashed elsewhere than on a thread that serves requests.
const HASHED_HERE_BYTES_MAX: usize = 64 << 10;

/// Which commits to list.
#[derive(Debug, Default)]
pub struct CommitsQuery {
    /// From here.
    pub reference: Option<String>,
    /// From everywhere.
    pub all: bool,
    /// Only those that changed this.
    pub path: Option<Vec<u8>>,
    /// Not older, in seconds since 1970.
    pub since: Option<i64>,
    /// Not newer.
    pub until: Option<i64>,
    /// Only those whose author contains this.
    pub author: Option<String>,
    /// Only first parents.
    pub first_parent: bool,
}

impl App {
    /// Records one commit on a branch.
    ///
    /// # Errors
    /// [`AppError`]; nothing was changed then.
    pub async fn create_commit(
        &self,
        caller: &Caller,
        id: &RepoId,
        order: CommitOrder,
        terms: &Terms,
    ) -> Result<(Commit, Seq), AppError> {
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        self.check_sizes(&order.actions)?;
        let merges = order.merges;
        let request = self.commit_request(caller, &repository, order)?;
        if let (true, Expected::At(base)) = (merges, request.expected) {
            return self
                .create_commit_on(caller, id, &repository, request, base, terms)
                .await;
        }
        let branch = request.branch.clone();
        let mut proposal = self
            .prepare_commit(&repository, request, terms.dry_run)
            .await?;
        let receipt = proposal.receipt();
        let made = Arc::new(Mutex::new(None));
        let proposal = Committing {
            inner: proposal,
            receipt,
            made: Arc::clone(&made),
        };
        let format = repository.pool().format();
        let answer = {
            let made = Arc::clone(&made);
            let repo = id.clone();
            move |_: &Change, _: &Pending<'_>| match render(&made, format) {
                Ok(commit) => Logged::body(201, Some(&commit)).at(place(&repo, &commit)),
                Err(_) => Logged::empty(201),
            }
        };
        let answering = Answering::about(vec![branch], answer);
        let published = self
            .publish_answering(&repository, terms, answering, proposal)
            .await?;
        Ok((render(&made, format)?, published.seq))
    }

    /// Records what the actions make of `base` on a branch that may have moved on from there.
    async fn create_commit_on(
        &self,
        caller: &Caller,
        id: &RepoId,
        repository: &Arc<Repository>,
        mut request: CommitRequest,
        base: ObjectId,
        terms: &Terms,
    ) -> Result<(Commit, Seq), AppError> {
        let view = View::of(repository);
        if view.refs.resolve(request.branch.as_bytes()).is_none() {
            return Err(AppError::RefNotFound {
                name: request.branch.to_text(),
            });
        }
        // It is to be a commit that may be seen.
        let base = commit(&view, &base.to_string())?;
        request.expected = Expected::Anything;
        request.start = Start::Existing;
        let branch = request.branch.clone();
        let people = People {
            author: request.author.clone(),
            committer: request.committer.clone(),
        };
        let mut proposal = self
            .prepare_commit(repository, request, terms.dry_run)
            .await?;
        let receipt = proposal.receipt();
        let mut refs = view.refs.clone();
        refs.set(branch.clone(), Target::At(base));
        let change = proposal.propose(&refs, &view.pool)?;
        let made = receipt.take();
        let made = made.ok_or_else(|| AppError::Internal("no commit was made".into()))?;
        let bringing = Bringing {
            branch,
            plan: Plan::Pick {
                commits: vec![made.id],
                mainline: None,
            },
            people,
            expected: Expected::Anything,
            pushed: change.objects,
            keeps_all: false,
            cause: cause(caller, CauseKind::Commit, Via::Rest),
        };
        let repo = id.clone();
        let answer =
            move |integrated: &Integrated, pool: &Pool| match merged_commit(integrated, pool) {
                Ok((commit, _)) => Logged::body(201, Some(&commit)).at(place(&repo, &commit)),
                Err(_) => Logged::empty(201),
            };
        let outcome = self.bring(repository, bringing, terms, answer).await?;
        // The pack of large files was held until here.
        drop(proposal);
        let (commit, _) = merged_commit(&outcome.integrated, repository.pool())?;
        Ok((commit, outcome.seq))
    }

    /// A commit that is to be made together with others, and where it will say what it made.
    ///
    /// # Errors
    /// As [`App::create_commit`].
    pub(super) async fn commit_proposal(
        &self,
        caller: &Caller,
        repository: &Arc<Repository>,
        order: CommitOrder,
        dry_run: bool,
    ) -> Result<(Box<dyn Proposal>, PendingCommit), AppError> {
        if order.merges {
            let why = "`on_conflict`: several repositories change only as they were believed to be";
            return Err(AppError::body("on_conflict", why));
        }
        self.check_sizes(&order.actions)?;
        let request = self.commit_request(caller, repository, order)?;
        let mut inner = self.prepare_commit(repository, request, dry_run).await?;
        let receipt = inner.receipt();
        let made = Arc::new(Mutex::new(None));
        let pending = PendingCommit {
            made: Arc::clone(&made),
            format: repository.pool().format(),
        };
        let proposal = Committing {
            inner,
            receipt,
            made,
        };
        Ok((Box::new(proposal), pending))
    }

    fn check_sizes(&self, actions: &[FileAction]) -> Result<(), AppError> {
        let limit = self.config().limits.file;
        for action in actions {
            if let FileAction::Put {
                path,
                content: Content::Bytes(data),
                ..
            } = action
                && data.len() as u64 > limit.0
            {
                return Err(AppError::TooLarge {
                    what: format!("the content of {:?}", String::from_utf8_lossy(path)),
                    limit: limit.0,
                    setting: "limits.file",
                });
            }
        }
        Ok(())
    }

    fn commit_request(
        &self,
        caller: &Caller,
        repository: &Arc<Repository>,
        order: CommitOrder,
    ) -> Result<CommitRequest, AppError> {
        let author = self.signature(caller, "author", order.author.as_ref())?;
        let committer = match &order.committer {
            Some(_) => self.signature(caller, "committer", order.committer.as_ref())?,
            None => author.clone(),
        };
        let start = match order.create_from {
            None => Start::Existing,
            Some(None) => Start::Unrelated,
            Some(Some(revision)) => Start::At(commit(&View::of(repository), &revision)?),
        };
        Ok(CommitRequest {
            branch: order.branch,
            start,
            expected: order.expected,
            actions: order.actions,
            message: order.message.into_bytes(),
            author,
            committer,
            allow_empty: order.allow_empty,
            file_bytes_max: self.config().limits.file.0,
            cause: cause(caller, CauseKind::Commit, Via::Rest),
        })
    }

    /// Does what can be done before the turn: hashes, edits, puts aside what is large.
    async fn prepare_commit(
        &self,
        repository: &Arc<Repository>,
        request: CommitRequest,
        dry_run: bool,
    ) -> Result<NewCommitOnBranch, AppError> {
        let bytes = request.actions.iter().map(weight).sum::<usize>();
        let repository = Arc::clone(repository);
        let prepare = move || -> Result<NewCommitOnBranch, AppError> {
            let mut proposal = NewCommitOnBranch::new(&View::of(&repository), request)?;
            if !dry_run {
                proposal
                    .put_aside(&repository)
                    .map_err(AppError::internal)?;
            }
            Ok(proposal)
        };
        if bytes <= HASHED_HERE_BYTES_MAX {
            prepare()
        } else {
            self.offload(prepare).await?
        }
    }

    /// The person in field `field`, or who is asking.
    ///
    /// # Errors
    /// [`AppError::Body`] when the name or the time is none.
    pub fn signature(
        &self,
        caller: &Caller,
        field: &str,
        given: Option<&NewPerson>,
    ) -> Result<Signature, AppError> {
        let now = self.engine()?.clock().now();
        match given {
            Some(person) => Ok(person.signature(field, now)?),
            None => {
                let time = GitTime::utc(now.seconds());
                Signature::new(caller.name.as_bytes(), caller.email.as_bytes(), time)
                    .map_err(AppError::internal)
            }
        }
    }
}

/// Where a commit is in the API.
pub fn place(repo: &RepoId, commit: &Commit) -> String {
    format!("{}/commits/{}", location(repo), commit.oid)
}

/// How long an action takes to prepare, as bytes to hash. What an edit reads is not known yet.
fn weight(action: &FileAction) -> usize {
    match action {
        FileAction::Put {
            content: Content::Bytes(data),
            ..
        } => data.len(),
        FileAction::Edit { .. } => HASHED_HERE_BYTES_MAX,
        _ => 0,
    }
}

/// A commit that is decided together with others.
pub(super) struct PendingCommit {
    made: Arc<Mutex<Option<CommitMade>>>,
    format: govc_git::ObjectFormat,
}

impl PendingCommit {
    /// The commit, once it was decided.
    ///
    /// # Errors
    /// When it was not.
    pub(super) fn body(&self) -> Result<Commit, AppError> {
        render(&self.made, self.format)
    }
}

/// A commit that, when it was decided, is kept for the answer.
struct Committing {
    inner: NewCommitOnBranch,
    receipt: Receipt,
    made: Arc<Mutex<Option<CommitMade>>>,
}

impl Proposal for Committing {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let change = self
            .inner
            .propose(&now.snapshot.refs, now.pool)
            .map_err(|error| AppError::from_commit(error, now))?;
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = self.receipt.take();
        Ok(Some(change))
    }
}

fn render(
    made: &Mutex<Option<CommitMade>>,
    format: govc_git::ObjectFormat,
) -> Result<Commit, AppError> {
    let made = made.lock().unwrap_or_else(PoisonError::into_inner);
    let made = made
        .as_ref()
        .ok_or_else(|| AppError::Internal("no commit was made".into()))?;
    let commit = Commit::read(made.id, &made.data, format).map_err(AppError::internal)?;
    Ok(Commit {
        files_changed: made.files_changed,
        ..commit
    })
}

impl From<CommitError> for AppError {
    fn from(error: CommitError) -> AppError {
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let detail = error.to_string();
        match error {
            CommitError::PathInvalid { path, source } => AppError::PathInvalid {
                path: text(&path),
                why: source.to_string(),
            },
            CommitError::PathNotFound { path } => AppError::PathNotFound { path: text(&path) },
            CommitError::PathConflict { path, with } => AppError::PathConflict {
                path: text(&path),
                with: text(&with),
            },
            CommitError::EditNotFound {
                path,
                edit,
                found,
                count,
            } => AppError::EditNotFound {
                path: text(&path),
                edit,
                expected: count,
                found,
            },
            CommitError::FileTooLarge { max, .. } => AppError::TooLarge {
                what: "an edited file".to_owned(),
                limit: max,
                setting: "limits.file",
            },
            CommitError::NothingToCommit => AppError::NothingToCommit,
            CommitError::BranchNotFound { branch } => AppError::RefNotFound {
                name: branch.to_text(),
            },
            CommitError::BranchExists { branch } => AppError::RefExists {
                name: branch.to_text(),
                current: None,
            },
            CommitError::MessageEmpty => AppError::Body {
                field: "message".to_owned(),
                detail,
            },
            CommitError::EditEmpty { .. } => AppError::Body {
                field: "actions".to_owned(),
                detail,
            },
            CommitError::ModeInvalid { .. } => AppError::Impossible {
                code: "MODE_INVALID",
                detail,
            },
            CommitError::FileRefused { .. } => AppError::Impossible {
                code: "FILE_REFUSED",
                detail,
            },
            CommitError::BlobNotFound { .. } => AppError::Impossible {
                code: "OBJECT_NOT_FOUND",
                detail,
            },
            CommitError::Collision(_) => AppError::Impossible {
                code: "COLLISION",
                detail,
            },
            CommitError::Tree(error) => AppError::internal(error),
            CommitError::Pool(error) => error.into(),
        }
    }
}

impl AppError {
    /// The error of a commit that was refused in its turn, with what the branch is.
    fn from_commit(error: CommitError, now: &Pending<'_>) -> AppError {
        match error {
            CommitError::BranchExists { branch } => AppError::RefExists {
                current: now.snapshot.refs.resolve(branch.as_bytes()),
                name: branch.to_text(),
            },
            other => other.into(),
        }
    }
}

impl State {
    /// The commit that `revision` names.
    ///
    /// # Errors
    /// As [`State::commit`].
    pub fn commit_body(&self, revision: &str) -> Result<(ObjectId, Commit), AppError> {
        let id = commit(&self.view, revision)?;
        let commit = Commit {
            files_changed: self.files_changed(id),
            ..read(&self.view.pool, id)?
        };
        Ok((id, commit))
    }

    /// How many files a commit changes, if that is told without reading many trees.
    fn files_changed(&self, id: ObjectId) -> Option<u64> {
        const TREES_MAX: u32 = 1000;
        let (pool, graph) = (&self.view.pool, self.view.pool.graph());
        let number = graph.number(&id)?;
        let parent = graph.parents(number).first().copied();
        let trees = Cell::new(0);
        let read = |id: &oid| {
            trees.set(trees.get() + 1);
            if trees.get() > TREES_MAX {
                return Err(PoolError::Missing { id: id.to_owned() });
            }
            Ok(pool.get(id)?.data)
        };
        let old = parent.map(|parent| graph.tree(parent));
        tree::count_changed_files(pool.format(), &read, old, Some(graph.tree(number))).ok()
    }

    /// Commits in the order of `git log`, and the commit that the list begins at, if it begins at
    /// one.
    ///
    /// # Errors
    /// As [`State::commit`].
    pub fn log(
        &self,
        query: CommitsQuery,
        page: &PageQuery,
    ) -> Result<(Page<Commit>, Option<ObjectId>), AppError> {
        let from = self.commit(query.reference.as_deref())?;
        if let Some(path) = &query.path {
            check_path(path)?;
        }
        let tips = match (query.all, from) {
            (true, Some(from)) if query.reference.is_some() => {
                let mut tips = LogQuery::all_tips(&self.view)?;
                tips.push(from);
                tips
            }
            (true, _) => LogQuery::all_tips(&self.view)?,
            (false, from) => from.into_iter().collect(),
        };
        let mut log = Log::new(
            &self.view,
            LogQuery {
                tips,
                path: query.path,
                since: query.since,
                until: query.until,
                author: query.author,
                first_parent: query.first_parent,
            },
        );
        let skipped = page
            .cursor
            .as_ref()
            .map_or(Some(0), |cursor| offset(&cursor.after));
        let skipped = skipped.ok_or_else(PageQuery::not_a_cursor)?;
        log.skip_commits(skipped)?;
        let graph = self.view.pool.graph();
        let mut items = Vec::with_capacity(page.limit);
        let mut next = None;
        for number in log {
            if items.len() == page.limit {
                next = Some(Cursor {
                    seq: self.view.seq,
                    after: (skipped + page.limit as u64).to_be_bytes().to_vec(),
                });
                break;
            }
            let id = graph.id(number?);
            items.push(read(&self.view.pool, id)?);
        }
        Ok((Page { items, next }, from))
    }
}

fn offset(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// The commit `id` as answers have it.
///
/// # Errors
/// When it cannot be read.
pub fn read(pool: &Pool, id: ObjectId) -> Result<Commit, AppError> {
    let object = pool.get(&id)?;
    Commit::read(id, &object.data, pool.format()).map_err(AppError::internal)
}
