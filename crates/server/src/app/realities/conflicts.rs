//! Which realities conflict with each other, and with the branch that they came from.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use govc_api::realities::{Benchmark, Changes, ConflictingPair};
use govc_api::rfc3339::server_time;
use govc_engine::pool::Pool;
use govc_engine::work::conflicts::ConflictCache;
use govc_engine::work::diff::{DiffOptions, PatchMaker, PatchOptions, diff_trees};
use govc_engine::work::merge::MergeError;
use govc_engine::{Fate, Reality, RepoId, Repository, Seq};
use govc_git::ObjectId;

use super::{Action, App, Doing};
use crate::app::error::AppError;
use crate::app::files::tree_of;
use crate::http::ask::Reading;
use crate::http::caller::Caller;

/// More realities than these are not held against each other at once.
pub const MATRIX_MAX: usize = 1_000;

/// A reality, as far as it is compared.
#[derive(Clone)]
pub struct Compared {
    /// What it is called.
    pub name: Arc<str>,
    /// The commit that its HEAD leads to.
    pub commit: ObjectId,
    /// That commit's tree.
    pub tree: ObjectId,
}

impl App {
    /// All pairs of realities that conflict: of those that were named, or of all that are open and
    /// were written to; how many that were, and the number of the repository's newest change.
    ///
    /// # Errors
    /// [`AppError::RealityNotFound`]; [`AppError::Impossible`] where there are too many.
    pub async fn reality_conflicts(
        &self,
        caller: &Caller,
        id: &RepoId,
        names: Option<Vec<String>>,
        reading: &Reading,
    ) -> Result<(Vec<ConflictingPair>, usize, Seq), AppError> {
        let host = self.repository(caller, id, Action::Read).await?;
        self.reached(&host, reading).await?;
        let seq = host.snapshot().seq;
        let realities = match names {
            Some(names) => self.named_realities(&host, &names)?,
            None => {
                let (engine, host) = (Arc::clone(self.engine()?), Arc::clone(&host));
                self.offload(move || {
                    let is_worked_in = |reality: &Reality| {
                        let (head, _) = engine.reality_head(reality);
                        reality.fate == Fate::Open && head != reality.made.batch.oid
                    };
                    engine.realities(&host, None, MATRIX_MAX + 1, is_worked_in)
                })
                .await?
            }
        };
        let app = self.clone();
        let pool = Arc::clone(host.pool());
        let compared = self.compared(&pool, &realities)?;
        let count = compared.len();
        let pairs = self
            .offload(move || matrix(&app.0.conflicts, &pool, &compared))
            .await??;
        Ok((pairs, count, seq))
    }

    /// The realities with these names, none twice.
    pub(super) fn named_realities(
        &self,
        host: &Arc<Repository>,
        names: &[String],
    ) -> Result<Vec<Reality>, AppError> {
        let mut found: Vec<Reality> = Vec::with_capacity(names.len());
        for name in names {
            let reality = self.reality(host, name)?;
            if reality.fate == Fate::Discarded {
                return Err(AppError::RealityNotFound { name: name.clone() });
            }
            if found.iter().all(|other| other.id != reality.id) {
                found.push(reality);
            }
        }
        Ok(found)
    }

    pub(super) fn compared(
        &self,
        pool: &Pool,
        realities: &[Reality],
    ) -> Result<Vec<Compared>, AppError> {
        if realities.len() > MATRIX_MAX {
            return Err(AppError::Impossible {
                code: "TOO_MANY_REALITIES",
                detail: format!(
                    "at most {MATRIX_MAX} realities are held against each other: name some"
                ),
            });
        }
        let engine = self.engine()?;
        let mut compared = Vec::with_capacity(realities.len());
        for reality in realities {
            // One without a commit has nothing that could conflict.
            let (Some(commit), _) = engine.reality_head(reality) else {
                continue;
            };
            compared.push(Compared {
                name: Arc::clone(&reality.name),
                commit,
                tree: tree_of(pool, commit)?,
            });
        }
        Ok(compared)
    }

    /// What was measured in a reality, and what the server knows of it.
    ///
    /// # Errors
    /// [`AppError::RealityNotFound`].
    pub async fn benchmark(
        &self,
        caller: &Caller,
        id: &RepoId,
        name: &str,
        reading: &Reading,
    ) -> Result<(Benchmark, Seq), AppError> {
        let reality = self.show_reality(caller, id, name, reading).await?;
        let seq = reality.host.snapshot().seq;
        let repository = self.open_reality(&reality, Doing::Reading).await?;
        let into = self.parent_branch(&reality).await?;
        let app = self.clone();
        self.offload(move || {
            let snapshot = repository.snapshot();
            let pool = repository.pool();
            let base = reality.made.batch.oid;
            let head = snapshot.head();
            let conflicts = match (head, into) {
                (Some(head), Some(into)) => {
                    let trees = (tree_of(pool, into)?, tree_of(pool, head)?);
                    let paths = app.0.conflicts.conflicts(pool, (into, head), trees);
                    text(&paths.map_err(merge_failed)?)
                }
                _ => Vec::new(),
            };
            let results = snapshot.realities.results();
            let benchmark = Benchmark {
                name: reality.name.to_string(),
                head: head.map(|head| head.to_string()),
                metrics: results.map_or_else(Default::default, |results| {
                    let metrics = results.metrics.iter();
                    metrics
                        .map(|(name, metric)| (Arc::clone(name), metric.get()))
                        .collect()
                }),
                passed: results.and_then(|results| results.passed),
                measured: results.and_then(|results| Some(results.commit?.to_string())),
                measured_at: results.map(|results| server_time(results.at)),
                changes: changes(pool, base, head)?,
                conflicts,
            };
            Ok((benchmark, seq))
        })
        .await?
    }

    /// The commit of the branch that a reality was made from, as that is now in its parent.
    async fn parent_branch(&self, reality: &Reality) -> Result<Option<ObjectId>, AppError> {
        let parent = self.parent_of(reality, Doing::Reading).await?;
        let head = reality.made.batch.head.as_bytes();
        Ok(parent.snapshot().refs.resolve(head))
    }
}

/// The paths, for people.
pub fn text(paths: &[Vec<u8>]) -> Vec<String> {
    let text = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
    paths.iter().map(text).collect()
}

/// What a merge met.
pub fn merge_failed(error: MergeError) -> AppError {
    match error {
        MergeError::Pool(error) => error.into(),
        MergeError::TooDeep { .. } | MergeError::Text { .. } => AppError::Impossible {
            code: "MERGE_IMPOSSIBLE",
            detail: error.to_string(),
        },
        other => AppError::internal(other),
    }
}

/// All pairs that conflict, in the order of the realities.
pub fn matrix(
    cache: &ConflictCache,
    pool: &Pool,
    realities: &[Compared],
) -> Result<Vec<ConflictingPair>, AppError> {
    let next = AtomicUsize::new(0);
    let rows = || -> Result<Vec<(usize, usize, Vec<String>)>, MergeError> {
        let mut found = Vec::new();
        loop {
            let first = next.fetch_add(1, Ordering::Relaxed);
            let Some(a) = realities.get(first) else {
                return Ok(found);
            };
            for (second, b) in realities.iter().enumerate().skip(first + 1) {
                let paths = cache.conflicts(pool, (a.commit, b.commit), (a.tree, b.tree))?;
                if !paths.is_empty() {
                    found.push((first, second, text(&paths)));
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = threads.min(realities.len().div_ceil(16)).max(1);
    let found = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(rows)).collect();
        let mut all = vec![rows()];
        for other in others {
            // One that panicked says so to whoever waits for the answer.
            all.push(
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        all
    });
    let mut pairs = Vec::new();
    for rows in found {
        pairs.extend(rows.map_err(merge_failed)?);
    }
    pairs.sort_unstable();
    let name = |at: usize| realities[at].name.to_string();
    Ok(pairs
        .into_iter()
        .map(|(a, b, paths)| ConflictingPair {
            a: name(a),
            b: name(b),
            paths,
        })
        .collect())
}

fn changes(
    pool: &Pool,
    base: Option<ObjectId>,
    head: Option<ObjectId>,
) -> Result<Changes, AppError> {
    let tree = |commit: Option<ObjectId>| commit.map(|commit| tree_of(pool, commit)).transpose();
    let (old, new) = (tree(base)?, tree(head)?);
    let options = DiffOptions::default();
    let (files, _) = diff_trees(pool, old.as_deref(), new.as_deref(), &options)?;
    let mut changes = Changes {
        files: files.len() as u64,
        ..Changes::default()
    };
    let mut maker = PatchMaker::new(PatchOptions::default());
    for file in &files {
        let patch = maker.patch(pool, file)?;
        changes.additions += patch.additions;
        changes.deletions += patch.deletions;
        if let Some(new) = &file.new {
            changes.bytes += pool.header(&new.id)?.map_or(0, |(_, size)| size);
        }
    }
    let graph = pool.graph();
    if let Some(head) = head.and_then(|head| graph.number(&head)) {
        let base = base.and_then(|base| graph.number(&base));
        let base: Vec<_> = base.into_iter().collect();
        changes.commits = graph.count_new(&[head], &base) as u64;
    }
    Ok(changes)
}
