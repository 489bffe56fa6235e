//! Handing repositories to the engine: when the store opens, and when they come back to memory.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError};

use govc_engine::journal::{PackBytes, PackId, Packs, Shelf};
use govc_engine::{Recovered, RecoveredReality, Refs, RepoKey, Usage};

use super::{Newest, next_number, snapshot_of};
use crate::disk::Open;
use crate::holdings::{Holdings, SavedReality};
use crate::objects::pack_path;
use crate::repo::{Recent, Repo};
use crate::store::Store;
use crate::{checkpoint, directory, history, store};

impl Store {
    /// What the engine needs of each repository that is wanted, those before their forks.
    pub(super) fn hand_over(
        &self,
        mut newest: Newest,
        recovered: &mut store::Recovered,
        is_wanted: impl Fn(RepoKey) -> bool,
    ) {
        for repo in self.parents_first(self.all()) {
            if !is_wanted(repo.key) {
                continue;
            }
            let (found, failed) = self.recovered(&repo, newest.take(repo.key));
            if let (Some(why), None) = (failed, &found.damage) {
                // Packs are all that can be missing: better nothing than what is left.
                let why = repo.state().damage.get_or_insert(why.to_string()).clone();
                recovered.repositories.push(Recovered {
                    damage: Some(why),
                    ..found
                });
            } else {
                recovered.repositories.push(found);
            }
        }
    }

    /// A repository with these refs and holdings, as it is now; and what one of its packs cannot
    /// be read for.
    fn recovered(
        &self,
        repo: &Arc<Repo>,
        (refs, mut holdings): (Refs, Holdings),
    ) -> (Recovered, Option<io::Error>) {
        holdings.realities = holdings.realities.without_in_memory();
        let written = std::mem::take(&mut holdings.written).into_iter();
        // What was discarded is kept for a while, and nobody works in it.
        let written = written.filter(|(_, reality)| reality.gone_since.is_none());
        let realities = written.map(|(key, reality)| found_reality(key, reality, self.epoch));
        let realities = realities.collect();
        let (snapshot, packs, unpacked, damage, next) = {
            let state = repo.state();
            let inline = |r: &Recent| {
                // Those of its realities are its own to pack, too.
                let position = r.at.0;
                let objects = r.entry.objects.inline.clone();
                objects.into_iter().map(move |object| (position, object))
            };
            let unpacked: Vec<_> = state.recent.iter().flat_map(inline).collect();
            let next = next_number(&state, self.epoch);
            let packs = state.packs.clone();
            let snapshot = snapshot_of(&state, refs, holdings);
            (snapshot, packs, unpacked, state.damage.clone(), next)
        };
        let mut opened = Vec::new();
        let mut failed = None;
        for pack in packs {
            match self.open_checked(repo, pack) {
                Ok(bytes) => opened.push((pack, bytes)),
                Err(error) => {
                    let why = format!("pack {} cannot be read: {error}", pack.0);
                    failed.get_or_insert(io::Error::new(error.kind(), why));
                }
            }
        }
        let graph = self.in_directory(repo, |dir| {
            let path = dir.join(directory::COMMIT_GRAPH);
            self.disk.open(&path, Open::Read)?.map()
        });
        let found = Recovered {
            key: repo.key,
            snapshot,
            next,
            packs: opened,
            commit_graph: graph.ok(),
            lists: Some(self.lists_to_read(repo)),
            unpacked,
            realities,
            damage,
        };
        (found, failed)
    }

    /// A pack whose index is what was written, and whose frame fits it. What is in the pack is
    /// checked when it is read; a damaged index would not be noticed then: what it does not list
    /// would seem never to have been.
    fn open_checked(&self, repo: &Repo, pack: PackId) -> io::Result<PackBytes> {
        let bytes = Packs::open(self, repo.key, pack)?;
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        let index = govc_git::pack::PackIndex::parse(bytes.index.clone(), pack.0.kind())
            .map_err(|error| invalid(error.to_string()))?;
        index.verify().map_err(|error| invalid(error.to_string()))?;
        govc_git::pack::Pack::new(pack.0, bytes.pack.clone(), index)
            .map_err(|error| invalid(error.to_string()))?;
        Ok(bytes)
    }

    /// Parents before their forks.
    fn parents_first(&self, mut repos: Vec<Arc<Repo>>) -> Vec<Arc<Repo>> {
        let depths: HashMap<RepoKey, usize> = repos
            .iter()
            .map(|repo| (repo.key, self.depth(repo)))
            .collect();
        repos.sort_by_key(|repo| (depths.get(&repo.key).copied(), repo.key));
        repos
    }

    /// How many forks lie between a repository and the first of its family.
    pub(crate) fn depth(&self, repo: &Arc<Repo>) -> usize {
        let mut depth = 0;
        let mut at = Arc::clone(repo);
        while depth < 10_000 {
            let from = at.state().record.forked_from.as_ref().map(|from| from.key);
            match from.and_then(|key| self.repo(key).ok()) {
                Some(parent) => at = parent,
                None => break,
            }
            depth += 1;
        }
        depth
    }

    /// Refs and holdings of a repository, which does not change meanwhile.
    pub(crate) fn newest(&self, repo: &Repo) -> io::Result<(Refs, Holdings)> {
        let (is_saved, recent) = {
            let state = repo.state();
            let recent: Vec<Recent> = state.recent.iter().cloned().collect();
            (state.saved.is_some(), recent)
        };
        let (mut refs, mut holdings) = (Refs::default(), Holdings::default());
        if is_saved {
            let there = self.in_directory(repo, |dir| checkpoint::read(&*self.disk, dir))?;
            (refs, holdings) = (there.refs, there.holdings);
        }
        // Those that the checkpoint has are no longer among the recent ones.
        for recent in &recent {
            history::apply(&mut refs, &recent.entry);
            holdings.apply(&recent.entry, recent.epoch);
        }
        Ok((refs, holdings))
    }
}

impl Shelf for Store {
    fn save(&self, repo: RepoKey) -> io::Result<()> {
        let is_due = self.repo(repo)?.state().is_due();
        match is_due {
            true => self.checkpoint(repo).map(drop),
            false => Ok(()),
        }
    }

    fn is_saved(&self, repo: RepoKey) -> bool {
        self.repo(repo).is_ok_and(|repo| {
            let state = repo.state();
            state.saved.is_some() && state.recent.is_empty() && state.damage.is_none()
        })
    }

    fn open(&self, repos: &[RepoKey], take: &mut dyn FnMut(Vec<Recovered>)) -> io::Result<()> {
        let repos: Vec<Arc<Repo>> = repos
            .iter()
            .map(|key| self.repo(*key))
            .collect::<io::Result<_>>()?;
        let repos = self.parents_first(repos);
        // As checkpoints take them: a fork before its parent.
        let _nothing_changes: Vec<_> = repos
            .iter()
            .rev()
            .map(|repo| {
                repo.checkpointing
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
            })
            .collect();
        let mut all = Vec::with_capacity(repos.len());
        for repo in &repos {
            match self.recovered(repo, self.newest(repo)?) {
                (found, None) => all.push(found),
                (mut found, Some(error)) => {
                    let is_damaged = matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::InvalidData
                    );
                    if !is_damaged {
                        // The next one who asks may be luckier.
                        return Err(error);
                    }
                    let why = error.to_string();
                    repo.state().damage.get_or_insert(why.clone());
                    found.damage.get_or_insert(why);
                    all.push(found);
                }
            }
        }
        take(all);
        Ok(())
    }

    fn usage(&self, repo: RepoKey) -> io::Result<Usage> {
        let repo = self.repo(repo)?;
        let (packs, mut usage) = {
            let state = repo.state();
            let mut usage = Usage::default();
            for recent in &state.recent {
                let brought = Usage::of(&recent.entry.objects.inline);
                usage.objects += brought.objects;
                usage.bytes += brought.bytes;
            }
            (state.packs.clone(), usage)
        };
        self.in_directory(&repo, |dir| {
            for id in &packs {
                let index = self.disk.open(&pack_path(dir, *id, "idx"), Open::Read)?;
                let pack = self.disk.open(&pack_path(dir, *id, "pack"), Open::Read)?;
                let bytes = index.len()? + pack.len()?;
                // gitformat-pack(5): a head of 8 bytes, then a table whose last number counts all.
                let mut count = [0; 4];
                index.read_at(8 + 255 * 4, &mut count)?;
                usage.objects += u64::from(u32::from_be_bytes(count));
                usage.packed_bytes += bytes;
                usage.bytes += bytes;
            }
            Ok(())
        })
        .or_else(|error| match error.kind() {
            // Nothing was ever saved of it.
            io::ErrorKind::NotFound if packs.is_empty() => Ok(()),
            _ => Err(error),
        })?;
        Ok(usage)
    }
}

/// A reality that was written to, for the engine.
fn found_reality(key: RepoKey, reality: SavedReality, epoch: u64) -> RecoveredReality {
    let next = super::next_after(reality.seq, reality.epoch, epoch);
    let holdings = *reality.holdings;
    RecoveredReality {
        key,
        seq: reality.seq,
        step: reality.step,
        time: reality.time,
        next,
        overlay: reality.overlay.into_iter().collect(),
        lfs: holdings.lfs,
        workspaces: holdings.workspaces,
        transactions: holdings.transactions,
        realities: holdings.realities,
    }
}
