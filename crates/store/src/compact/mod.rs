//! Compaction: the many small packs of a repository become few.
//!
//! Every checkpoint and every large push leaves a pack. Once there are more of them than the
//! options allow, the smallest are merged, as many as it takes for each pack that is left to be at
//! least [`FACTOR`] times as large as the one before it (what `git repack --geometric` does): an
//! object is written again about as often as the number of packs' sizes doubles.
//!
//! The new pack is made aside, while pushes, checkpoints and readers go on; only then, as part of
//! a checkpoint, it takes the others' place in the list. That checkpoint is the commit point: a
//! crash before it leaves the old packs, and perhaps a new one beside them, which opening takes in;
//! after it the old ones are known as replaced, and go after a grace (`replaced.rs`). Nothing is
//! dropped: what the merged packs have, reachable or not, the new one has.

mod copy;
mod replaced;
mod with_git;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use govc_engine::RepoKey;
use govc_engine::journal::{PackBytes, PackId};
use govc_git::ObjectFormat;
use govc_git::pack::{Pack, PackIndex};

use crate::directory;
use crate::disk::{FileKind, Open};
use crate::objects::{open_pack, pack_path};
use crate::repo::Repo;
use crate::store::Store;

/// A pack that stays is so many times as large as the one before it.
const FACTOR: u64 = 2;
/// After a failure a repository is left alone for so long.
const CALM: Duration = Duration::from_secs(600);

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// How many packs the repository had.
    pub packs_before: usize,
    /// How many it has now.
    pub packs_after: usize,
    /// How many of them were merged.
    pub merged: usize,
    /// Bytes of the packs that were merged, without indexes.
    pub bytes_before: u64,
    /// Bytes of the one that they became.
    pub bytes_after: u64,
    /// How many objects that one has.
    pub objects: u32,
    /// Whether git searched for deltas; otherwise entries are as they were.
    pub by_git: bool,
}

/// The packs that are to be merged, oldest first.
struct Chosen {
    ids: Vec<PackId>,
    packs: Vec<Pack>,
}

/// A pack that was made aside, and is durable there under no name that counts.
struct Merged {
    id: PackId,
    pack: PathBuf,
    index: PathBuf,
    bytes: PackBytes,
    objects: u32,
    by_git: bool,
}

impl Store {
    /// Merges packs of the repository `key`, as many as there have to be for the rest to be a
    /// geometric progression. `None`: they are one already, or it cannot be written to.
    ///
    /// # Errors
    /// Whatever the disk met, and [`io::ErrorKind::InvalidData`] where a pack is damaged; the
    /// repository is as it was. [`io::ErrorKind::Interrupted`] when the store is closing.
    pub fn compact(&self, key: RepoKey) -> io::Result<Option<Compaction>> {
        let repo = self.repo(key)?;
        let _one_at_a_time = repo
            .compacting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (listed, format) = {
            let state = repo.state();
            // Before its first checkpoint a fork has no packs of its own.
            if state.damage.is_some() || state.saved.is_none() || state.purged {
                return Ok(None);
            }
            (state.packs.clone(), state.record.object_format)
        };
        let Some(chosen) = self.choose(&repo, &listed)? else {
            return Ok(None);
        };
        let aside = Path::new(directory::NEW).join(format!("{key}.compact"));
        self.clear_aside(&aside)?;
        let done = self
            .merge(&repo, &chosen, &aside, format)
            .and_then(|merged| self.put_in_place(&repo, &chosen, merged));
        if let Err(error) = self.clear_aside(&aside) {
            // It goes when the store opens next.
            tracing::warn!(%error, folder = %aside.display(), "a folder stays for now");
        }
        done.map(Some)
    }

    /// Compacts the repositories that have more packs than the options allow.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] when the store is closing. A repository whose compaction
    /// fails is told of, and left alone for a while.
    pub fn compact_due(&self) -> io::Result<()> {
        let most = self.options.compaction.packs;
        if most == 0 {
            return Ok(());
        }
        for repo in self.all() {
            if self.is_closing() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let is_due = repo.state().packs.len() > most;
            let mut calm = repo.calm();
            if !is_due || calm.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            *calm = None;
            drop(calm);
            let begun = Instant::now();
            let id = repo.state().record.id.to_string();
            match self.compact(repo.key) {
                Ok(Some(done)) => tracing::info!(
                    repository = id,
                    packs_before = done.packs_before,
                    packs_after = done.packs_after,
                    merged = done.merged,
                    bytes_before = done.bytes_before,
                    bytes_after = done.bytes_after,
                    objects = done.objects,
                    by_git = done.by_git,
                    took = ?begun.elapsed(),
                    "packs were merged"
                ),
                // More packs than that, and each much larger than the one before.
                Ok(None) => *repo.calm() = Some(begun + CALM),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    tracing::warn!(repository = id, %error, "packs could not be merged");
                    *repo.calm() = Some(Instant::now() + CALM);
                }
            }
        }
        Ok(())
    }

    fn choose(&self, repo: &Repo, listed: &[PackId]) -> io::Result<Option<Chosen>> {
        let mut packs = self.in_directory(repo, |dir| {
            let open = |id: &PackId| open_pack(&*self.disk, dir, *id).map(|pack| (*id, pack));
            listed.iter().map(open).collect::<io::Result<Vec<_>>>()
        })?;
        let mut sizes: Vec<u64> = packs
            .iter()
            .map(|(_, pack)| pack.bytes().len() as u64)
            .collect();
        sizes.sort_unstable();
        let count = small_ones(&sizes);
        let Some(largest) = count.checked_sub(1).and_then(|last| sizes.get(last)) else {
            return Ok(None);
        };
        packs.retain(|(_, pack)| pack.bytes().len() as u64 <= *largest);
        let (ids, packs) = packs.into_iter().unzip();
        Ok(Some(Chosen { ids, packs }))
    }

    /// Makes the pack that has all objects of the chosen ones.
    fn merge(
        &self,
        repo: &Repo,
        chosen: &Chosen,
        aside: &Path,
        format: ObjectFormat,
    ) -> io::Result<Merged> {
        let disk = &*self.disk;
        disk.create_dir(aside)?;
        let by_git = self.merge_with_git(repo, chosen, aside)?;
        let (pack, index) = match &by_git {
            Some(name) => (
                aside.join(format!("out-{name}.pack")),
                aside.join(format!("out-{name}.idx")),
            ),
            None => self.merge_as_they_are(chosen, aside, format)?,
        };
        let (pack_file, index_file) = (
            disk.open(&pack, Open::Write)?,
            disk.open(&index, Open::Write)?,
        );
        pack_file.sync()?;
        index_file.sync()?;
        let bytes = PackBytes {
            pack: pack_file.map()?,
            index: index_file.map()?,
        };
        // The old packs go when this one is listed: it is looked at first.
        let found = PackIndex::parse(bytes.index.clone(), format).map_err(invalid)?;
        found.verify().map_err(invalid)?;
        let id = found.pack_checksum();
        Pack::new(id, bytes.pack.clone(), found.clone()).map_err(invalid)?;
        for pack in &chosen.packs {
            let index = pack.index();
            for position in 0..index.len() {
                let id = index.id(position);
                if found.lookup(id).is_none() {
                    return Err(invalid(format!(
                        "object {id} of pack {} was left out",
                        pack.id()
                    )));
                }
            }
        }
        Ok(Merged {
            id: PackId(id),
            pack,
            index,
            objects: found.len(),
            bytes,
            by_git: by_git.is_some(),
        })
    }

    /// Lists the new pack instead of the chosen ones, by a checkpoint.
    fn put_in_place(&self, repo: &Repo, chosen: &Chosen, merged: Merged) -> io::Result<Compaction> {
        let disk = &*self.disk;
        let new = merged.id;
        let old: Vec<PackId> = chosen.ids.iter().copied().filter(|id| *id != new).collect();
        let _one_at_a_time = repo
            .checkpointing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The checkpoint has entries that the log must have for other repositories.
        self.sync()?;
        let place = repo.place.read().unwrap_or_else(PoisonError::into_inner);
        let dir = place.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let folder = dir.join(directory::PACKS);
        // Without its index git does not see a pack: it comes last.
        disk.rename(&merged.pack, &pack_path(dir, new, "pack"))?;
        disk.rename(&merged.index, &pack_path(dir, new, "idx"))?;
        disk.sync_dir(&folder)?;
        let packs_before = {
            let mut state = repo.state();
            if let Some(why) = &state.damage {
                return Err(io::Error::new(io::ErrorKind::InvalidData, why.clone()));
            }
            let packs_before = state.packs.len();
            let first = state
                .packs
                .iter()
                .position(|id| old.contains(id) || *id == new);
            state.packs.retain(|id| !old.contains(id) && *id != new);
            let at = first.unwrap_or(0).min(state.packs.len());
            state.packs.insert(at, new);
            state.replace(&old, self.options.clock.now());
            state.packs_due = true;
            if let Some(saved) = &mut state.saved
                && u64::from(merged.objects) > saved.graph_commits
            {
                // Looking through it for commits at each start would cost more than a new file.
                saved.graph_commits = 0;
            }
            packs_before
        };
        let saved = match self.save(repo, dir) {
            Ok(saved) => saved,
            Err(error) => {
                // Nobody knows which list is durable: the next one has both.
                let mut state = repo.state();
                state.packs.splice(0..0, old);
                return Err(error);
            }
        };
        self.project(repo, dir);
        self.tell_packed(repo.key, saved);
        for listener in self.listeners() {
            listener.compacted(repo.key, &chosen.ids, (new, merged.bytes.clone()));
        }
        self.remove_replaced_of(repo, dir);
        let packs_after = repo.state().packs.len();
        drop(place);
        self.drop_segments()?;
        Ok(Compaction {
            packs_before,
            packs_after,
            merged: chosen.ids.len(),
            bytes_before: chosen
                .packs
                .iter()
                .map(|pack| pack.bytes().len() as u64)
                .sum(),
            bytes_after: merged.bytes.pack.len() as u64,
            objects: merged.objects,
            by_git: merged.by_git,
        })
    }

    fn clear_aside(&self, aside: &Path) -> io::Result<()> {
        match self.disk.kind(aside)? {
            Some(FileKind::Dir) => self.disk.remove_dir_all(aside),
            _ => Ok(()),
        }
    }
}

/// How many of the packs with these sizes, which are sorted, are to be merged, so that each that
/// stays is at least [`FACTOR`] times as large as what comes before it; 0: that is so already.
fn small_ones(sizes: &[u64]) -> usize {
    let size = |at: usize| sizes.get(at).copied().unwrap_or(u64::MAX);
    let mut count = sizes.len();
    while count > 1 && size(count - 1) >= size(count - 2).saturating_mul(FACTOR) {
        count -= 1;
    }
    if count <= 1 {
        return 0;
    }
    let mut sum: u64 = sizes.iter().take(count).sum();
    while count < sizes.len() && size(count) < sum.saturating_mul(FACTOR) {
        sum = sum.saturating_add(size(count));
        count += 1;
    }
    count
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_progression_already_is_left_alone() {
        let check = |sizes: &[u64], expected| assert_eq!(small_ones(sizes), expected, "{sizes:?}");
        check(&[], 0);
        check(&[7], 0);
        check(&[1, 2, 4, 9, 100], 0);
        check(&[1, 1], 2);
        check(&[1, 1, 1, 100], 3);
        // Merging two alone would make one as large as the next.
        check(&[1, 1, 3, 100], 3);
        check(&[1, 1, 4, 100], 2);
        check(&[5, 6, 7, 8], 4);
    }

    proptest! {
        #[test]
        fn what_is_left_is_a_progression(mut sizes in prop::collection::vec(1u64..1_000_000, 0..60)) {
            sizes.sort_unstable();
            let count = small_ones(&sizes);
            prop_assert!(count != 1);
            let sum: u64 = sizes[..count].iter().sum();
            let mut after = sizes[count..].to_vec();
            if count > 0 {
                after.insert(0, sum);
            }
            for pair in after.windows(2) {
                prop_assert!(pair[1] >= FACTOR * pair[0], "{:?}", after);
            }
        }
    }
}
