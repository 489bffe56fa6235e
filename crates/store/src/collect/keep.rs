//! What a repository keeps: the objects that everything begins with which may still be asked for.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, PoisonError};

use govc_engine::journal::{Journal, Moment};
use govc_engine::pool::Kept;
use govc_engine::{Engine, Fate, Seq, TransactionState};

use super::Member;
use crate::history;
use crate::holdings::Holdings;
use crate::repo::{Recent, Repo};
use crate::store::Store;

/// So many entries are read at once.
const CHUNK: usize = 4096;

impl Store {
    /// What a member of a family keeps, once its floor is what it is to be.
    pub(super) fn kept_by(&self, engine: &Engine, member: &Member) -> io::Result<Kept> {
        let _stands = member
            .repo
            .checkpointing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.kept_while_saved(engine, member)
    }

    /// The same, while no checkpoint of it is made.
    pub(super) fn kept_while_saved(&self, engine: &Engine, member: &Member) -> io::Result<Kept> {
        let repo = &member.repo;
        let mut kept = Kept::default();
        let (refs, holdings) = self.newest(repo)?;
        kept.objects.extend(refs.objects());
        // Every state that may be asked for.
        if let Some(floor) = member.floor {
            let past = self.refs_at(repo.key, Moment::Seq(floor.seq))?;
            let past = past.ok_or_else(|| unreadable(repo, floor.seq))?;
            kept.objects.extend(past.refs.objects());
        }
        let mut after = member.floor.map(|floor| floor.seq);
        loop {
            let entries = self.kept_entries(repo, after, CHUNK)?;
            let Some(last) = entries.last() else { break };
            after = Some(last.seq);
            for entry in &entries {
                kept.objects.extend(entry.targets());
            }
        }
        keep_scopes(&mut kept, &holdings);
        self.keep_realities(&mut kept, repo, &holdings)?;
        kept.extend(engine.kept_by_realities(repo.key)?);
        Ok(kept)
    }

    /// What realities keep: what they began with, and all that they ever were. Those that were
    /// discarded do for as long as they are remembered.
    fn keep_realities(
        &self,
        kept: &mut Kept,
        repo: &Arc<Repo>,
        holdings: &Holdings,
    ) -> io::Result<()> {
        let mut bases = BTreeSet::new();
        for made in holdings.realities.batches(0) {
            kept.objects.extend(made.batch.tip);
            kept.objects.extend(made.batch.oid);
            if made.batch.parent.is_none() {
                bases.insert(made.batch.base);
            }
        }
        for base in bases {
            let past = self.refs_at(repo.key, Moment::Seq(base))?;
            let past = past.ok_or_else(|| unreadable(repo, base))?;
            kept.objects.extend(past.refs.objects());
        }
        let recent: Vec<Recent> = repo.state().recent.iter().cloned().collect();
        for recent in recent.iter().filter(|recent| recent.entry.host.is_some()) {
            kept.objects.extend(recent.entry.targets());
        }
        let saved = repo
            .state()
            .saved
            .as_ref()
            .map(|saved| Arc::clone(&saved.reality_history));
        for (key, reality) in &holdings.written {
            let targets = reality.overlay.values();
            kept.objects
                .extend(targets.filter_map(|target| match target {
                    govc_engine::Target::At(id) => Some(*id),
                    _ => None,
                }));
            keep_scopes(kept, &reality.holdings);
            let Some(history) = saved
                .as_ref()
                .filter(|history| history.last.contains_key(key))
            else {
                continue;
            };
            let entries = self.in_directory(repo, |dir| {
                history::realities::entries(&*self.disk, dir, history, *key, None, usize::MAX)
            })?;
            for entry in &entries {
                kept.objects.extend(entry.targets());
            }
        }
        Ok(())
    }

    /// The oldest number that an open transaction began with, if there is one.
    pub(super) fn open_transactions_since(&self, repo: &Arc<Repo>) -> io::Result<Option<Seq>> {
        let holdings = self.holdings(repo)?;
        let now = self.options.clock.now();
        let open = holdings.transactions.iter().filter(|(_, transaction)| {
            transaction.state == TransactionState::Open && !transaction.is_expired(now)
        });
        Ok(open.map(|(_, transaction)| transaction.seq).min())
    }

    /// The oldest number that a reality that is there was made from.
    pub(super) fn oldest_base(&self, repo: &Arc<Repo>) -> io::Result<Option<Seq>> {
        let holdings = self.holdings(repo)?;
        let made = holdings.realities.batches(0);
        let own = made.filter(|made| made.batch.parent.is_none());
        let there = own.filter(|made| {
            let mut all = 0..made.batch.names.len();
            all.any(|index| {
                let id = govc_engine::RealityId {
                    made: made.seq,
                    index,
                };
                holdings.realities.fate(id) != Fate::Discarded
            })
        });
        Ok(there.map(|made| made.batch.base).min())
    }

    fn holdings(&self, repo: &Arc<Repo>) -> io::Result<Holdings> {
        let _stands = repo
            .checkpointing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(self.newest(repo)?.1)
    }
}

fn keep_scopes(kept: &mut Kept, holdings: &Holdings) {
    for (_, workspace) in holdings.workspaces.iter() {
        kept.extend(workspace.kept());
    }
    for (_, transaction) in holdings.transactions.iter() {
        kept.extend(transaction.kept());
    }
}

fn unreadable(repo: &Repo, seq: Seq) -> io::Error {
    let why = format!(
        "the state of repository {} after change {seq} is gone",
        repo.key
    );
    io::Error::new(io::ErrorKind::InvalidData, why)
}
