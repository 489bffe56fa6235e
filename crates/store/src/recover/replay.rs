//! What the log has beyond the directories.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;

use bytes::Bytes;
use govc_engine::{Entry, RepoKey};

use super::loading::Loading;
use super::packs_in;
use super::scan::{CHECKPOINT_GONE, Scan, has_history, id_of};
use crate::disk::Disk;
use crate::format;
use crate::log::{self, Event};
use crate::repo::{makes, record_after};
use crate::store::StoppedRepository;

/// Brings what the directories have up to what the log has.
pub(super) struct Replay<'a> {
    scan: &'a mut Scan,
    purged: &'a BTreeMap<RepoKey, u64>,
    /// Named by the log, and nowhere made.
    unknown: BTreeSet<RepoKey>,
    /// Their directories cannot be read: what the log has of them is kept for who mends that.
    skipped: HashSet<RepoKey>,
    /// The oldest segment with changes of those.
    pinned: Option<u64>,
    /// Something is damaged, and nobody knows whose changes it held.
    anybody_was_hit: bool,
}

impl<'a> Replay<'a> {
    /// Begins with what the directories have, without what was `purged`.
    pub(super) fn new(scan: &'a mut Scan, purged: &'a BTreeMap<RepoKey, u64>) -> Replay<'a> {
        let stopped = scan.stopped.iter();
        Replay {
            skipped: stopped.filter_map(|stopped| stopped.key).collect(),
            scan,
            purged,
            unknown: BTreeSet::new(),
            pinned: None,
            anybody_was_hit: false,
        }
    }

    /// Takes in what the log has next.
    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Batch {
                segment,
                epoch,
                payload,
            } => match log::split_batch(payload) {
                Ok(entries) => {
                    for bytes in entries {
                        self.entry(bytes, segment, epoch);
                    }
                }
                Err(error) => {
                    self.damaged(segment, &format!("a record makes no sense: {error}"), None)
                }
            },
            Event::Damaged {
                segment,
                at,
                bytes,
                repositories,
            } => {
                let what =
                    format!("{bytes} bytes of log segment {segment} at byte {at} are damaged");
                self.damaged(segment, &what, repositories);
            }
        }
    }

    fn damaged(&mut self, segment: u64, what: &str, repositories: Option<Vec<RepoKey>>) {
        let why = format!("{what}: changes of it may be missing");
        match repositories {
            Some(keys) => {
                self.scan.notes.push(format!(
                    "{what}; repositories that may have changes there: {}",
                    keys.iter()
                        .map(RepoKey::to_string)
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
                for key in keys {
                    match self.scan.loading.get_mut(&key) {
                        Some(loading) => loading.suspicion = Some((why.clone(), segment)),
                        None if self.skipped.contains(&key) => {
                            self.pinned.get_or_insert(segment);
                        }
                        None => {
                            self.unknown.insert(key);
                            self.pinned.get_or_insert(segment);
                        }
                    }
                }
            }
            None => {
                self.anybody_was_hit = true;
                self.scan.notes.push(format!(
                    "{what}, and it cannot be told whose changes they were: every repository that \
                     is not known to be complete is stopped"
                ));
                for loading in self.scan.loading.values_mut() {
                    loading.suspicion = Some((why.clone(), segment));
                }
            }
        }
    }

    fn entry(&mut self, bytes: Bytes, segment: u64, epoch: u64) {
        let Some(key) = format::keeper(&bytes) else {
            return;
        };
        if self.purged.contains_key(&key) {
            return;
        }
        if self.skipped.contains(&key) {
            self.pinned.get_or_insert(segment);
            return;
        }
        let decoded = format::decode_entry(bytes);
        if !self.scan.loading.contains_key(&key) {
            let is_own = |entry: &&Entry| entry.host.is_none() && makes(entry);
            let record = decoded.as_ref().ok().filter(is_own);
            match record.and_then(|entry| record_after(entry)) {
                Some(record) => {
                    let dir = self.scan.fresh.get(&key).cloned();
                    let loading = Loading::new(record.clone(), dir);
                    self.scan.loading.insert(key, loading);
                    self.unknown.remove(&key);
                }
                None => {
                    self.pinned.get_or_insert(segment);
                    if self.unknown.insert(key)
                        && let Err(error) = decoded
                    {
                        self.scan.notes.push(format!("repository {key}: {error}"));
                    }
                    return;
                }
            }
        }
        let Some(loading) = self.scan.loading.get_mut(&key) else {
            return;
        };
        if loading.state.damage.is_some() {
            return;
        }
        match decoded {
            Err(error) => loading.damage(format!("in its log {error}"), segment),
            Ok(entry) => loading.entry(entry, segment, epoch),
        }
    }

    /// Returns the oldest segment that must stay.
    pub(super) fn finish(mut self, disk: &dyn Disk) -> io::Result<Option<u64>> {
        for (key, loading) in &mut self.scan.loading {
            if let Some((why, segment)) = loading.suspicion.take() {
                loading.damage(why, segment);
            }
            if let Some(why) = &loading.state.damage {
                let id = &loading.state.record.id;
                self.scan
                    .notes
                    .push(format!("repository {id} ({key}) is stopped: {why}"));
            }
        }
        self.keep_remains(disk)?;
        for key in self.unknown {
            let why =
                "the log has changes of it, and neither its making nor its directory is there";
            self.scan.stopped.push(StoppedRepository {
                key: Some(key),
                id: None,
                why: why.to_owned(),
            });
        }
        Ok(self.pinned)
    }

    /// A directory of ours that neither a checkpoint nor the log speaks for goes; but not where
    /// its repository was answered for, or may have been: then it is all that is left of it.
    fn keep_remains(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let mut remains = Vec::new();
        for (key, dir) in &self.scan.fresh {
            if self.scan.loading.contains_key(key) {
                continue;
            }
            if has_history(disk, dir)? {
                remains.push((*key, CHECKPOINT_GONE));
            } else if self.unknown.contains(key)
                || self.anybody_was_hit && !packs_in(disk, dir)?.is_empty()
            {
                remains.push((*key, "the part of the log that tells of its making is gone"));
            }
        }
        for (key, why) in remains {
            let Some(dir) = self.scan.fresh.remove(&key) else {
                continue;
            };
            self.unknown.remove(&key);
            self.scan.stopped.push(StoppedRepository {
                key: Some(key),
                id: id_of(&dir),
                why: format!("{}: {why}", dir.display()),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use govc_engine::{
        Cause, CauseKind, EntryEdit, NewObjects, RefName, RepoId, RepositoryRecord, Settings,
        Storage, Target, Time, Via,
    };
    use govc_git::ObjectFormat;

    use super::*;
    use crate::StoreOptions;
    use crate::disk::SimDisk;
    use crate::store::Store;

    fn made(n: u8) -> Entry {
        let key = RepoKey([n; 16]);
        let record = RepositoryRecord {
            id: RepoId::parse(&format!("r{n}")).unwrap(),
            description: String::new(),
            storage: Storage::Hybrid,
            object_format: ObjectFormat::Sha1,
            family: key,
            forked_from: None,
            created_at: Time(1),
            deleted_at: None,
            expires_at: None,
            settings: Settings::default(),
        };
        Entry {
            repo: key,
            host: None,
            seq: 0,
            step: 0,
            time: Time(1),
            cause: Cause {
                kind: CauseKind::RepoCreated,
                actor: "".into(),
                via: Via::Rest,
                request_id: "".into(),
                reason: None,
                idempotency: None,
            },
            edits: vec![EntryEdit::Repository {
                before: None,
                after: Box::new(record),
            }],
            objects: NewObjects::default(),
        }
    }

    #[test]
    fn a_kind_of_edit_from_the_future_stops_its_repository_and_no_other() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let options = StoreOptions {
            segment_bytes: 64 << 10,
            ..StoreOptions::default()
        };
        let (store, _) = Store::open(Arc::clone(&disk), options.clone()).unwrap();
        let entries = [Arc::new(made(1)), Arc::new(made(2))];
        store.append_now(&entries).unwrap();
        let next = Entry {
            seq: 1,
            edits: vec![EntryEdit::Ref {
                name: RefName::new("refs/heads/unmistakable"),
                before: Target::Gone,
                after: Target::Symbolic(RefName::head()),
            }],
            ..made(1)
        };
        let other = Entry {
            repo: RepoKey([2; 16]),
            ..next.clone()
        };
        let mut payload = log::encode_batch(&[Arc::new(next), Arc::new(other)]).unwrap();
        let name = payload
            .windows(11)
            .position(|window| window == b"refs/heads/");
        // Before the name: the edit's number, its version, its length, the name's length.
        payload[name.unwrap() - 4] = 77;
        let keys = vec![RepoKey([1; 16]), RepoKey([2; 16])];
        store.log().append(keys, &payload).unwrap();
        drop(store);
        for _ in 0..2 {
            let (store, recovered) = Store::open(Arc::clone(&disk), options.clone()).unwrap();
            let [one, two] = &recovered.repositories[..] else {
                panic!("{recovered:?}");
            };
            let damage = one.damage.as_deref();
            let why = "in its log kind of edit 77 (version 1) is unknown to this program";
            assert_eq!(damage, Some(why));
            assert_eq!((one.snapshot.seq, two.snapshot.seq), (0, 1));
            assert_eq!(two.damage, None);
            store.checkpoint_all().unwrap();
        }
    }
}
