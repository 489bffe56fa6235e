//! Bringing commits onto a branch: merges, picks, reverts, rebases.
//!
//! What is long is done before the turn, against the head as it is then. A head that moved since is
//! a lost race: it is done again, and after the second time in the turn, if that was quick.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use govc_api::commits::Commit;
use govc_api::conflicts::ConflictedPath;
use govc_api::merges::{MergeBase, MergeOrder, MergeStrategy, PickOrder, RebaseOrder, Replayed};
use govc_engine::pool::{DateWalk, Pool};
use govc_engine::work::View;
use govc_engine::work::merge::{
    self, IntegrateError, Integrated, People, Plan, TreeMerge, integrate, messages,
};
use govc_engine::{
    Cause, CauseKind, Change, Edit, Expected, NewObjects, ObjectBody, Pending, Proposal,
    Quarantined, RefEdit, RefName, Refusal, RepoId, Repository, Seq, Snapshot, Target, Via,
};
use govc_git::{ObjectId, ObjectKind, message};

use super::answers::Logged;
use super::commits::place;
use super::error::{AppError, SaidIn};
use super::publish::{Answering, cause, check_beliefs};
use super::state::{State, commit};
use super::{Action, App};
use crate::http::ask::Terms;
use crate::http::caller::Caller;
use crate::http::etag::IfMatch;

/// How often a lost race is run again before it is run in the turn.
const AGAIN_BEFORE_TURN: u32 = 2;
/// How often at most, where it takes too long for the turn.
const AGAIN_MAX: u32 = 10;
/// What took no longer than this is done in the turn once so many races are lost.
const QUICK: Duration = Duration::from_millis(20);
/// Content of conflicts is not shown beyond these bytes, in all.
const SHOWN_BYTES_MAX: usize = 1 << 20;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the branch is now.
    pub integrated: Arc<Integrated>,
    /// The repository's number.
    pub seq: Seq,
}

/// Something that is to be brought onto a branch.
pub struct Bringing {
    /// The branch's full name.
    pub branch: RefName,
    /// What.
    pub plan: Plan,
    /// Who is named in it.
    pub people: People,
    /// What the branch is believed to be.
    pub expected: Expected,
    /// What came with it: the objects of a push.
    pub pushed: NewObjects,
    /// All of that is kept, and not only what the new commits have of it.
    pub keeps_all: bool,
    /// Who asks, how and why.
    pub cause: Cause,
}

impl Bringing {
    fn check_beliefs(
        &self,
        if_match: Option<&IfMatch>,
        snapshot: &Snapshot,
    ) -> Result<(), AppError> {
        check_beliefs(&self.branch, self.expected, if_match, snapshot)
    }
}

/// Objects that are in the pool while something is made of them. Nothing refers to them.
pub struct Held {
    repository: Arc<Repository>,
    ids: Vec<ObjectId>,
}

impl Held {
    /// Holds what is inline of `objects`.
    ///
    /// # Errors
    /// When the pool does not take them.
    pub fn new(repository: &Arc<Repository>, objects: &NewObjects) -> Result<Held, AppError> {
        repository.pool().insert(&objects.inline)?;
        Ok(Held {
            repository: Arc::clone(repository),
            ids: objects.brought().collect(),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.repository.pool().forget(&self.ids);
    }
}

impl App {
    /// Merges a revision into a branch.
    ///
    /// # Errors
    /// [`AppError::MergeConflict`] and others; nothing was changed then.
    pub async fn merge(
        &self,
        caller: &Caller,
        id: &RepoId,
        order: MergeOrder,
        terms: &Terms,
    ) -> Result<(Commit, bool, Seq), AppError> {
        check_no_workspace("keep_conflicts", order.keep_conflicts)?;
        let to = order.to.ok_or_else(|| {
            AppError::body(
                "to",
                "`to` is missing: the branch, or a `workspace` that is on it",
            )
        })?;
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        let view = View::of(&repository);
        let from = commit(&view, &order.from)?;
        let branch = RefName::branch(&to);
        check_branch(&view, &branch)?;
        let people = self.people(caller, order.author.as_ref(), order.committer.as_ref())?;
        let message = match (order.message, order.strategy) {
            (Some(text), _) => Some(message::clean(text.as_bytes())),
            (None, MergeStrategy::Squash) => None,
            (None, _) => Some(messages::merge(
                &view.pool,
                &view.refs,
                order.from.as_bytes(),
                to.as_bytes(),
            )),
        };
        let bringing = Bringing {
            branch,
            plan: Plan::Merge {
                from,
                label: order.from.into_bytes(),
                strategy: order.strategy.into(),
                message,
            },
            people,
            expected: order.expected,
            pushed: NewObjects::default(),
            keeps_all: false,
            cause: cause(caller, CauseKind::Merge, Via::Rest),
        };
        let repo = id.clone();
        let answer =
            move |integrated: &Integrated, pool: &Pool| match merged_commit(integrated, pool) {
                Ok((commit, true)) => Logged::body(201, Some(&commit)).at(place(&repo, &commit)),
                Ok((commit, false)) => Logged::body(200, Some(&commit)),
                Err(_) => Logged::empty(200),
            };
        let outcome = self.bring(&repository, bringing, terms, answer).await?;
        let (commit, is_new) = merged_commit(&outcome.integrated, repository.pool())?;
        Ok((commit, is_new, outcome.seq))
    }

    /// Picks commits onto a branch, or takes back what they changed.
    ///
    /// # Errors
    /// As [`App::merge`].
    pub async fn pick(
        &self,
        caller: &Caller,
        id: &RepoId,
        order: PickOrder,
        is_revert: bool,
        terms: &Terms,
    ) -> Result<(Replayed, Seq), AppError> {
        check_no_workspace("no_commit", order.no_commit)?;
        check_no_workspace("keep_conflicts", order.keep_conflicts)?;
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        let view = View::of(&repository);
        let branch = or_default(&view, order.branch)?;
        check_branch(&view, &branch)?;
        let commits = expand(&view, &order.commits, is_revert)?;
        let mainline = order.mainline;
        let plan = match is_revert {
            true => Plan::Revert { commits, mainline },
            false => Plan::Pick { commits, mainline },
        };
        let people = self.people(caller, order.author.as_ref(), order.committer.as_ref())?;
        let bringing = Bringing {
            branch,
            plan,
            people,
            expected: order.expected,
            pushed: NewObjects::default(),
            keeps_all: false,
            cause: cause(caller, CauseKind::Commit, Via::Rest),
        };
        self.replay(&repository, bringing, terms).await
    }

    /// Makes a branch's commits again elsewhere.
    ///
    /// # Errors
    /// As [`App::merge`].
    pub async fn rebase(
        &self,
        caller: &Caller,
        id: &RepoId,
        order: RebaseOrder,
        terms: &Terms,
    ) -> Result<(Replayed, Seq), AppError> {
        check_no_workspace("keep_conflicts", order.keep_conflicts)?;
        let repository = self
            .repository_in(caller, id, &terms.scope, Action::Write)
            .await?;
        let view = View::of(&repository);
        let branch = or_default(&view, order.branch)?;
        check_branch(&view, &branch)?;
        let onto = commit(&view, &order.onto)?;
        let upstream = match &order.upstream {
            Some(upstream) => commit(&view, upstream)?,
            None => onto,
        };
        let people = self.people(caller, order.author.as_ref(), order.committer.as_ref())?;
        let bringing = Bringing {
            branch,
            plan: Plan::Rebase {
                onto,
                upstream,
                autosquash: order.autosquash,
            },
            people,
            expected: order.expected,
            pushed: NewObjects::default(),
            keeps_all: false,
            cause: cause(caller, CauseKind::Commit, Via::Rest),
        };
        self.replay(&repository, bringing, terms).await
    }

    async fn replay(
        &self,
        repository: &Arc<Repository>,
        bringing: Bringing,
        terms: &Terms,
    ) -> Result<(Replayed, Seq), AppError> {
        let answer = |integrated: &Integrated, pool: &Pool| match replayed(integrated, pool) {
            Ok(replayed) => Logged::body(status_of(integrated), Some(&replayed)),
            Err(_) => Logged::empty(200),
        };
        let outcome = self.bring(repository, bringing, terms, answer).await?;
        Ok((
            replayed(&outcome.integrated, repository.pool())?,
            outcome.seq,
        ))
    }

    /// The people that commits name.
    ///
    /// # Errors
    /// As [`App::signature`].
    pub fn people(
        &self,
        caller: &Caller,
        author: Option<&govc_api::people::NewPerson>,
        committer: Option<&govc_api::people::NewPerson>,
    ) -> Result<People, AppError> {
        let author = self.signature(caller, "author", author)?;
        let committer = match committer {
            Some(_) => self.signature(caller, "committer", committer)?,
            None => author.clone(),
        };
        Ok(People { author, committer })
    }

    /// Brings something onto a branch, however often the branch moves meanwhile.
    ///
    /// # Errors
    /// [`AppError::MergeConflict`]; [`AppError::RefMoved`] when the branch is not what it was
    /// believed to be, or moves too often; nothing was changed then.
    pub async fn bring(
        &self,
        repository: &Arc<Repository>,
        bringing: Bringing,
        terms: &Terms,
        answer: impl Fn(&Integrated, &Pool) -> Logged + Clone + Send + 'static,
    ) -> Result<Outcome, AppError> {
        let bringing = Arc::new(bringing);
        let _held = Held::new(repository, &bringing.pushed)?;
        let mut again = 0;
        loop {
            let snapshot = repository.snapshot();
            bringing.check_beliefs(terms.if_match.as_ref(), &snapshot)?;
            let head = snapshot.refs.resolve(bringing.branch.as_bytes());
            let prepared = {
                let (repository, bringing) = (Arc::clone(repository), Arc::clone(&bringing));
                let dry_run = terms.dry_run;
                self.offload(move || prepare(&repository, head, &bringing, dry_run))
                    .await??
            };
            let result = Arc::new(Mutex::new(Arc::clone(&prepared.integrated)));
            let proposal = Brought {
                bringing: Arc::clone(&bringing),
                may_do_again: again >= AGAIN_BEFORE_TURN && prepared.took <= QUICK,
                prepared,
                result: Arc::clone(&result),
            };
            let answer = {
                let (result, answer) = (Arc::clone(&result), answer.clone());
                move |_: &Change, now: &Pending<'_>| {
                    let integrated = Arc::clone(&lock(&result));
                    answer(&integrated, now.pool)
                }
            };
            let answering = Answering::about(vec![bringing.branch.clone()], answer);
            let published = self
                .publish_answering(repository, terms, answering, proposal)
                .await;
            match published {
                Err(AppError::RaceLost { .. }) if again < AGAIN_MAX => again += 1,
                Err(AppError::RaceLost { name, current }) => {
                    return Err(AppError::RefMoved {
                        name,
                        expected: head,
                        current,
                        said_in: SaidIn::Request,
                    });
                }
                Err(error) => return Err(error),
                Ok(published) => {
                    let integrated = Arc::clone(&lock(&result));
                    return Ok(Outcome {
                        integrated,
                        seq: published.seq,
                    });
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was done before the turn.
struct Prepared {
    head: Option<ObjectId>,
    integrated: Arc<Integrated>,
    objects: NewObjects,
    /// The pack that objects were put into because they are too large for an entry.
    _aside: Option<Quarantined>,
    took: Duration,
}

fn prepare(
    repository: &Arc<Repository>,
    head: Option<ObjectId>,
    bringing: &Bringing,
    dry_run: bool,
) -> Result<Prepared, AppError> {
    let started = Instant::now();
    let integrated = integrate(repository.pool(), head, &bringing.plan, &bringing.people)
        .map_err(|error| AppError::from_integrating(error, repository.pool()))?;
    let took = started.elapsed();
    let mut objects = with_pushed(bringing, &integrated);
    let aside = match dry_run {
        true => None,
        false => repository
            .put_aside(&mut objects)
            .map_err(AppError::internal)?,
    };
    Ok(Prepared {
        head,
        integrated: Arc::new(integrated),
        objects,
        _aside: aside,
        took,
    })
}

/// What came with a push, and what was made of it.
fn with_pushed(bringing: &Bringing, integrated: &Integrated) -> NewObjects {
    let NewObjects { inline, packs } = &bringing.pushed;
    let wanted: HashSet<ObjectId> = integrated.objects.iter().map(|object| object.id).collect();
    let brought = inline
        .iter()
        .filter(|object| bringing.keeps_all || wanted.contains(&object.id));
    let mut seen = HashSet::new();
    let all = brought.chain(&integrated.objects);
    let new = all.filter(|object| seen.insert(object.id)).cloned();
    NewObjects {
        inline: new.collect(),
        packs: packs.clone(),
    }
}

/// What a branch becomes, if it is still what it was.
struct Brought {
    bringing: Arc<Bringing>,
    prepared: Prepared,
    /// Do it again in the turn when it is not.
    may_do_again: bool,
    /// What was decided in the end.
    result: Arc<Mutex<Arc<Integrated>>>,
}

impl Proposal for Brought {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let branch = &self.bringing.branch;
        let head = now.snapshot.refs.resolve(branch.as_bytes());
        let believed = head.map_or(Expected::Absent, Expected::At);
        // `If-Match` was asked at the door.
        self.bringing.check_beliefs(None, now.snapshot)?;
        let (integrated, objects) = if head == self.prepared.head {
            (
                Arc::clone(&self.prepared.integrated),
                self.prepared.objects.clone(),
            )
        } else if self.may_do_again {
            let done = integrate(now.pool, head, &self.bringing.plan, &self.bringing.people)
                .map_err(|error| AppError::from_integrating(error, now.pool))?;
            let objects = with_pushed(&self.bringing, &done);
            (Arc::new(done), objects)
        } else {
            return Err(AppError::RaceLost {
                name: branch.to_text(),
                current: head,
            }
            .into());
        };
        *lock(&self.result) = Arc::clone(&integrated);
        if head == Some(integrated.head) {
            return Ok(None);
        }
        Ok(Some(Change {
            objects,
            edits: vec![Edit::Ref(RefEdit {
                name: branch.clone(),
                expected: believed,
                target: Target::At(integrated.head),
            })],
            cause: self.bringing.cause.clone(),
        }))
    }
}

/// The commit that a merge ended with, and whether it was made by it.
///
/// # Errors
/// When it cannot be read.
pub fn merged_commit(integrated: &Integrated, pool: &Pool) -> Result<(Commit, bool), AppError> {
    let format = pool.format();
    match integrated.made.last() {
        Some(made) => {
            let commit = Commit::read(made.id, &made.data, format).map_err(AppError::internal)?;
            Ok((commit, true))
        }
        None => Ok((super::commits::read(pool, integrated.head)?, false)),
    }
}

fn status_of(integrated: &Integrated) -> u16 {
    match integrated.made.is_empty() {
        true => 200,
        false => 201,
    }
}

fn replayed(integrated: &Integrated, pool: &Pool) -> Result<Replayed, AppError> {
    let commits = integrated
        .made
        .iter()
        .map(|made| Commit::read(made.id, &made.data, pool.format()).map_err(AppError::internal));
    Ok(Replayed {
        head: integrated.head.to_string(),
        commits: commits.collect::<Result<_, _>>()?,
    })
}

fn or_default(view: &View, branch: Option<RefName>) -> Result<RefName, AppError> {
    let default = || view.refs.head_branch().cloned();
    branch.or_else(default).ok_or(AppError::RefNotFound {
        name: "HEAD".to_owned(),
    })
}

/// A branch that exists, or the unborn default one.
fn check_branch(view: &View, branch: &RefName) -> Result<(), AppError> {
    let exists = view.refs.resolve(branch.as_bytes()).is_some();
    if exists || view.refs.head_branch() == Some(branch) {
        return Ok(());
    }
    Err(AppError::RefNotFound {
        name: branch.to_text(),
    })
}

fn check_no_workspace(field: &str, is_set: bool) -> Result<(), AppError> {
    match is_set {
        true => Err(AppError::Impossible {
            code: "WORKSPACE_REQUIRED",
            detail: format!("`{field}` leaves something in a workspace: name one"),
        }),
        false => Ok(()),
    }
}

/// The commits that revisions and ranges name, each once: one after the other, those of a range in
/// the order in which git takes them.
pub(super) fn expand(
    view: &View,
    texts: &[String],
    is_revert: bool,
) -> Result<Vec<ObjectId>, AppError> {
    let mut commits = Vec::new();
    for text in texts {
        expand_one(view, text, is_revert, &mut commits)?;
    }
    let mut seen = HashSet::new();
    commits.retain(|commit| seen.insert(*commit));
    Ok(commits)
}

fn expand_one(
    view: &View,
    text: &str,
    is_revert: bool,
    commits: &mut Vec<ObjectId>,
) -> Result<(), AppError> {
    let Some((from, to)) = text.split_once("..").filter(|(_, to)| !to.starts_with('.')) else {
        commits.push(commit(view, text)?);
        return Ok(());
    };
    let or_head = |text: &str| commit(view, if text.is_empty() { "HEAD" } else { text });
    let (from, to) = (or_head(from)?, or_head(to)?);
    let graph = view.pool.graph();
    if let (Some(from), Some(to)) = (graph.number(&from), graph.number(&to)) {
        let walk = DateWalk::new(graph, &[to], &[from]).take(merge::COMMITS_MAX + 1);
        let mut range: Vec<ObjectId> = walk.map(|commit| graph.id(commit)).collect();
        // Picks begin with the oldest, reverts with the newest.
        if !is_revert {
            range.reverse();
        }
        commits.extend(range);
    }
    Ok(())
}

impl State {
    /// What two revisions have in common.
    ///
    /// # Errors
    /// As [`State::commit`].
    pub fn merge_bases(&self, a: &str, b: &str) -> Result<MergeBase, AppError> {
        let (a, b) = (commit(&self.view, a)?, commit(&self.view, b)?);
        let bases = merge::merge_bases(&self.view.pool, &a, &b)?;
        let all: Vec<String> = bases.iter().map(ToString::to_string).collect();
        Ok(MergeBase {
            oid: all.first().cloned(),
            all,
        })
    }
}

impl AppError {
    /// Why something could not be brought onto a branch.
    pub fn from_integrating(error: IntegrateError, pool: &Pool) -> AppError {
        let detail = error.to_string();
        let impossible = |code| AppError::Impossible {
            code,
            detail: detail.clone(),
        };
        match error {
            IntegrateError::Conflict { commit, merge } => AppError::MergeConflict {
                commit,
                conflicts: conflicts(&merge, pool),
            },
            IntegrateError::NotFastForward { .. } => impossible("NOT_FAST_FORWARD"),
            IntegrateError::Unrelated { .. } => impossible("UNRELATED_HISTORIES"),
            IntegrateError::Nothing { .. } => impossible("NOTHING_TO_COMMIT"),
            IntegrateError::MainlineMissing { .. } | IntegrateError::MainlineInvalid { .. } => {
                impossible("MAINLINE_INVALID")
            }
            IntegrateError::Unborn => impossible("BRANCH_UNBORN"),
            IntegrateError::TooMany { .. } => impossible("TOO_MANY_COMMITS"),
            IntegrateError::Merge(merge::MergeError::Pool(error)) => error.into(),
            IntegrateError::Merge(
                merge::MergeError::Text { .. } | merge::MergeError::TooDeep { .. },
            ) => impossible("MERGE_TOO_EXPENSIVE"),
            IntegrateError::Merge(error) => AppError::internal(error),
        }
    }
}

/// A merge's conflicts as answers have them.
pub fn conflicts(merge: &TreeMerge, pool: &Pool) -> Vec<ConflictedPath> {
    let mut shown = 0;
    let content = |id: ObjectId| {
        let new = merge.objects.iter().find(|object| object.id == id);
        match new.map(|object| &object.body) {
            Some(ObjectBody::Whole(data)) => Some(data.clone()),
            _ => pool.get_kind(&id, ObjectKind::Blob).ok(),
        }
    };
    merge
        .conflicts
        .iter()
        .map(|conflict| {
            let merged = conflict.merged.filter(|stage| stage.mode != 0o160_000);
            let text = merged.and_then(|stage| content(stage.id));
            let text = text.filter(|text| shown + text.len() <= SHOWN_BYTES_MAX);
            shown += text.as_ref().map_or(0, |text| text.len());
            ConflictedPath::new(conflict, text.as_deref())
        })
        .collect()
}
