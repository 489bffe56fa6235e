//! Packs that a compaction has replaced.
//!
//! Their files stay for a grace: a git that has listed the folder before opens them when it needs
//! them, and not all of git looks again when they are gone (`git fsck` does not). The checkpoint
//! says which they are, so that a start does not take them for packs that somebody has put there.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

use govc_engine::Time;
use govc_engine::journal::PackId;

use crate::directory;
use crate::objects::pack_path;
use crate::repo::Repo;
use crate::store::Store;

impl Store {
    /// Removes the packs that were replaced longer ago than the grace. What cannot be removed is
    /// told of, and tried again after another one.
    pub fn remove_replaced(&self) {
        for repo in self.all() {
            if self.is_closing() {
                return;
            }
            let is_due = repo
                .state()
                .replaced
                .iter()
                .any(|(_, since)| self.is_over(*since));
            if !is_due {
                continue;
            }
            // A checkpoint may be making a pack of the same name.
            let _one_at_a_time = repo
                .checkpointing
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let place = repo.place.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(dir) = place.as_ref() {
                self.remove_replaced_of(&repo, dir);
            }
        }
    }

    /// Whether the grace of what was replaced at `since` is over.
    fn is_over(&self, since: Time) -> bool {
        let passed = self.options.clock.now().0.checked_sub(since.0);
        let passed = passed.and_then(|micros| u64::try_from(micros).ok());
        // In the future: the clock was set back, and nobody knows how long it has been.
        passed.is_none_or(|micros| u128::from(micros) >= self.options.compaction.grace.as_micros())
    }

    /// The same for one repository. No checkpoint of it is being made meanwhile.
    pub(crate) fn remove_replaced_of(&self, repo: &Repo, dir: &Path) {
        // A pack that is pushed once more does not get its name meanwhile.
        let naming = repo.naming();
        let due: Vec<PackId> = {
            let mut state = repo.state();
            let listed: HashSet<PackId> = state.packs.iter().copied().collect();
            state.replaced.retain(|(pack, _)| !listed.contains(pack));
            let replaced = state.replaced.iter();
            let due =
                replaced.filter(|(pack, since)| !naming.contains(pack) && self.is_over(*since));
            due.map(|(pack, _)| *pack).collect()
        };
        if due.is_empty() {
            return;
        }
        let mut stay = Vec::new();
        for pack in &due {
            // Without its index git does not see a pack: it goes first.
            for extension in ["idx", "pack", "rev", "bitmap", "keep"] {
                let path = pack_path(dir, *pack, extension);
                match self.disk.remove(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!(%error, file = %path.display(), "a merged pack stays for now");
                        stay.push(*pack);
                    }
                    _ => {}
                }
            }
        }
        drop(naming);
        // Until a checkpoint has forgotten them they count as replaced, should they come back.
        if let Err(error) = self.disk.sync_dir(&dir.join(directory::PACKS)) {
            tracing::warn!(%error, "merged packs may come back after a power loss");
            stay.extend(&due);
        }
        let now = self.options.clock.now();
        let mut state = repo.state();
        state.replaced.retain(|(pack, _)| !due.contains(pack));
        state.replace(&stay, now);
    }
}
