//! Realities beside each other.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use govc_api::realities::{ComparedFile, Comparison, ConflictingPair, FileVersion, Ranked};
use govc_engine::pool::{Pool, PoolError};
use govc_engine::work::diff::{TreeFilter, changed_files};
use govc_engine::{RealityResults, RepoId};
use govc_git::ObjectId;

use super::conflicts::{Compared, matrix};
use super::{Action, App, Doing};
use crate::app::error::AppError;
use crate::http::ask::Reading;
use crate::http::caller::Caller;

impl App {
    /// What realities have in common, what not, and which is the best.
    ///
    /// # Errors
    /// [`AppError::RealityNotFound`], [`AppError::Impossible`] where there are too many.
    pub async fn compare_realities(
        &self,
        caller: &Caller,
        id: &RepoId,
        reading: &Reading,
        names: Vec<String>,
        metric: Option<String>,
    ) -> Result<Comparison, AppError> {
        let host = self.repository(caller, id, Action::Read).await?;
        self.reached(&host, reading).await?;
        if names.is_empty() {
            return Err(AppError::body(
                "realities",
                "`realities` is empty: name at least one",
            ));
        }
        let realities = self.named_realities(&host, &names)?;
        let pool = Arc::clone(host.pool());
        let compared = self.compared(&pool, &realities)?;
        let mut results: HashMap<Arc<str>, Option<Arc<RealityResults>>> = HashMap::new();
        for reality in &realities {
            // Only one that was written to has some.
            let repository = self.open_reality(reality, Doing::Reading).await?;
            let found = repository.snapshot().realities.results().cloned();
            results.insert(Arc::clone(&reality.name), found);
        }
        let app = self.clone();
        self.offload(move || {
            let conflicts = matrix(&app.0.conflicts, &pool, &compared)?;
            let names = realities.iter().map(|reality| &reality.name);
            let ranking = names.map(|name| {
                let results = results.get(name).and_then(Option::as_ref);
                ranked(name, metric.as_deref(), results, &conflicts)
            });
            let mut ranking: Vec<Ranked> = ranking.collect();
            let ascending = metric
                .as_deref()
                .is_some_and(|metric| metric.starts_with('-'));
            ranking.sort_by(|a, b| better(a, b, ascending));
            Ok(Comparison {
                groups: groups(&compared),
                files: files(&pool, &compared)?,
                conflicts,
                ranking,
            })
        })
        .await?
    }
}

/// Those with equal trees together, in the order of their first.
fn groups(compared: &[Compared]) -> Vec<Vec<String>> {
    let mut groups: Vec<(ObjectId, Vec<String>)> = Vec::new();
    for reality in compared {
        let name = reality.name.to_string();
        match groups.iter_mut().find(|(tree, _)| *tree == reality.tree) {
            Some((_, names)) => names.push(name),
            None => groups.push((reality.tree, vec![name])),
        }
    }
    groups.into_iter().map(|(_, names)| names).collect()
}

/// The files that are not the same in all, with who has which version.
fn files(pool: &Pool, compared: &[Compared]) -> Result<Vec<ComparedFile>, PoolError> {
    let Some((first, others)) = compared.split_first() else {
        return Ok(Vec::new());
    };
    // What each has where it differs from the first, and what the first has there.
    let mut theirs: Vec<BTreeMap<Vec<u8>, Option<ObjectId>>> = Vec::with_capacity(others.len());
    let mut firsts: BTreeMap<Vec<u8>, Option<ObjectId>> = BTreeMap::new();
    for other in others {
        let (old, new) = (&first.tree, &other.tree);
        let changed = changed_files(pool, Some(old), Some(new), &TreeFilter::default())?;
        let mut own = BTreeMap::new();
        for file in changed {
            firsts.insert(file.path.clone(), file.old.map(|old| old.id));
            own.insert(file.path, file.new.map(|new| new.id));
        }
        theirs.push(own);
    }
    let paths: BTreeSet<&Vec<u8>> = firsts.keys().collect();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let of_first = firsts.get(path).copied().flatten();
        let mut versions: Vec<(Option<ObjectId>, Vec<String>)> =
            vec![(of_first, vec![first.name.to_string()])];
        for (other, own) in others.iter().zip(&theirs) {
            let has = own.get(path).copied().unwrap_or(of_first);
            let name = other.name.to_string();
            match versions.iter_mut().find(|(id, _)| *id == has) {
                Some((_, names)) => names.push(name),
                None => versions.push((has, vec![name])),
            }
        }
        files.push(ComparedFile {
            path: String::from_utf8_lossy(path).into_owned(),
            versions: versions
                .into_iter()
                .map(|(oid, realities)| FileVersion {
                    oid: oid.map(|oid| oid.to_string()),
                    realities,
                })
                .collect(),
        });
    }
    Ok(files)
}

fn ranked(
    name: &str,
    metric: Option<&str>,
    results: Option<&Arc<RealityResults>>,
    conflicts: &[ConflictingPair],
) -> Ranked {
    let metric = metric.map(|metric| metric.strip_prefix('-').unwrap_or(metric));
    let value = metric.zip(results).and_then(|(metric, results)| {
        let value = results.metrics.get(metric)?;
        Some(value.get())
    });
    let is_of = |pair: &&ConflictingPair| pair.a == name || pair.b == name;
    Ranked {
        name: name.to_owned(),
        value,
        passed: results.and_then(|results| results.passed),
        conflicts: conflicts.iter().filter(is_of).count() as u64,
    }
}

/// Who passed comes first, then who has the greater figure (the smaller one where the metric was
/// named with `-` before it), then who conflicts with fewer others.
fn better(a: &Ranked, b: &Ranked, ascending: bool) -> Ordering {
    let passed = |ranked: &Ranked| match ranked.passed {
        Some(true) => 0,
        None => 1,
        Some(false) => 2,
    };
    let value = |a: &Ranked, b: &Ranked| match (a.value, b.value) {
        (Some(a), Some(b)) if ascending => a.total_cmp(&b),
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    passed(a)
        .cmp(&passed(b))
        .then_with(|| value(a, b))
        .then_with(|| a.conflicts.cmp(&b.conflicts))
        .then_with(|| a.name.cmp(&b.name))
}
