//! Opening: what the directories have, and what the log has beyond them.

mod external;
mod hand_over;
mod loading;
mod replay;
mod scan;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use govc_engine::journal::PackId;
use govc_engine::{Refs, RepoKey, Seq, Snapshot, Summary};

use crate::disk::{self, Disk, FileKind};
use crate::holdings::Holdings;
use crate::log::{self, Log, ReadError};
use crate::objects::pack_path;
use crate::repo::{Repo, RepoState};
use crate::store::{OpenError, Recovered, Store};
use crate::{Durability, StoreOptions, contents, directory};

use replay::Replay;
use scan::Scan;

/// How far numbers jump when some that were given out may have been lost. More than anybody gives
/// out within the delay of `async`.
const JUMP: u64 = 1 << 20;

fn io_error(doing: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
    let doing = doing.into();
    move |source| OpenError::Io { doing, source }
}

impl Store {
    /// Opens the data directory: recovers what it has, adopts what it did not know, and is ready
    /// to append.
    ///
    /// # Errors
    /// [`OpenError`]. A damaged repository is no error: it is among [`Recovered::repositories`]
    /// with its damage, or where it cannot even be read among [`Recovered::stopped`].
    pub fn open(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
    ) -> Result<(Arc<Store>, Recovered), OpenError> {
        let (store, newest, mut recovered) = Store::recover(disk, options)?;
        store.hand_over(newest, &mut recovered, |_| true);
        Ok((store, recovered))
    }

    /// As [`Store::open`], and opens no packs: repositories are in [`Recovered::resting`], until
    /// [`govc_engine::Engine::bring_back`] asks for them. Damaged ones are handed over at once.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_resting(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
    ) -> Result<(Arc<Store>, Recovered), OpenError> {
        let (store, mut newest, mut recovered) = Store::recover(disk, options)?;
        for repo in store.all() {
            let state = repo.state();
            if state.damage.is_some() {
                continue;
            }
            let (refs, holdings) = newest.take(repo.key);
            let snapshot = snapshot_of(&state, refs, holdings);
            recovered.resting.push((repo.key, Summary::from(&snapshot)));
        }
        let damaged: HashSet<RepoKey> = newest.refs.keys().copied().collect();
        store.hand_over(newest, &mut recovered, |key| damaged.contains(&key));
        Ok((store, recovered))
    }

    fn recover(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
    ) -> Result<(Arc<Store>, Newest, Recovered), OpenError> {
        for dir in [directory::LOG, directory::DELETED, directory::NEW] {
            disk::create_dirs(&*disk, Path::new(dir)).map_err(io_error(format!("making {dir}")))?;
        }
        let lock = disk
            .lock(Path::new(directory::LOCK))
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => OpenError::Locked,
                _ => io_error("locking .govc/lock")(error),
            })?;

        contents::tidy(&*disk).map_err(io_error("tidying .govc/lfs"))?;
        let purged = read_purged(&*disk).map_err(io_error("reading .govc/purged"))?;
        let mut scan = Scan::of(&*disk).map_err(io_error("reading the data directory"))?;
        for key in purged.keys() {
            scan.loading.remove(key);
        }
        let log_dir = Path::new(directory::LOG);
        let mut replay = Replay::new(&mut scan, &purged);
        let summary =
            log::read(&*disk, log_dir, |event| replay.event(event)).map_err(
                |error| match error {
                    ReadError::Io(error) => io_error("reading the log")(error),
                    ReadError::Version { segment, version } => OpenError::Version {
                        what: format!("segment {segment} of the log"),
                        found: version,
                        known: log::VERSION,
                    },
                },
            )?;
        let pinned = replay
            .finish(&*disk)
            .map_err(io_error("reading the data directory"))?;
        if let Some((at, bytes)) = summary.torn {
            let segment = summary.segments.last().map_or(0, |(number, _)| *number);
            scan.notes.push(format!(
                "the last {bytes} bytes of log segment {segment}, from byte {at} on, were never \
                 written whole, and are cut"
            ));
        }

        if !summary.clean && !summary.segments.is_empty() {
            // Who was killed may have left what we read, and build upon, in the system's cache alone.
            disk.sync_all()
                .map_err(io_error("syncing what was there"))?;
        }
        let early = matches!(options.durability, Durability::Async { .. });
        let lost = summary.acknowledged_early && !summary.clean && !summary.segments.is_empty();
        let epoch = summary.epoch + u64::from(lost);
        let log = Log::open(
            Arc::clone(&disk),
            log_dir,
            options.segment_bytes,
            early,
            &summary,
            epoch,
        )
        .map_err(io_error("beginning a segment of the log"))?;
        let oldest = log.oldest_segment().unwrap_or(0);
        for (key, segment) in &purged {
            if *segment < oldest {
                let note = Path::new(directory::PURGED).join(key.to_string());
                disk.remove(&note)
                    .map_err(io_error("tidying .govc/purged"))?;
            }
        }

        let Scan {
            loading,
            fresh,
            foreign,
            stopped,
            notes,
        } = scan;
        let mut recovered = Recovered {
            repositories: Vec::new(),
            resting: Vec::new(),
            stopped,
            notes,
        };
        for (key, dir) in fresh {
            // It was made for a repository that was never answered for.
            if !loading.contains_key(&key) {
                directory::remove(&*disk, key, &dir)
                    .map_err(io_error(format!("removing {}", dir.display())))?;
            }
        }
        let repos = BTreeMap::new();
        let store = Arc::new(Store::new(disk, options, log, epoch, pinned, repos, lock));
        let (mut refs, mut holdings) = (HashMap::new(), HashMap::new());
        let mut outside = Vec::new();
        for (key, loading) in loading {
            let repo = Repo::new(key, loading.state, loading.dir);
            store.add(Arc::clone(&repo));
            refs.insert(key, loading.refs);
            holdings.insert(key, loading.holdings);
            if let Some(projected) = loading.projected {
                outside.push((repo, projected));
            }
        }
        store.take_in_changes(outside, &mut refs, &mut recovered);
        store.adopt(foreign, &mut refs, &mut recovered);
        for repo in store.all() {
            // A directory follows its repository's id.
            if repo.where_now().is_some()
                && let Err(error) = store.settle(&repo)
            {
                let note = format!("the directory of {} stays where it is: {error}", repo.key);
                recovered.notes.push(note);
            }
        }
        let newest = Newest { refs, holdings };
        Ok((store, newest, recovered))
    }
}

/// What the newest states of repositories have that the store does not keep in memory.
struct Newest {
    refs: HashMap<RepoKey, Refs>,
    holdings: HashMap<RepoKey, Holdings>,
}

impl Newest {
    fn take(&mut self, key: RepoKey) -> (Refs, Holdings) {
        let refs = self.refs.remove(&key).unwrap_or_default();
        (refs, self.holdings.remove(&key).unwrap_or_default())
    }
}

/// The newest state of a repository with these refs and holdings.
fn snapshot_of(state: &RepoState, refs: Refs, holdings: Holdings) -> Snapshot {
    Snapshot {
        record: Arc::clone(&state.record),
        seq: state.seq,
        step: state.step,
        time: state.time,
        refs,
        lfs: holdings.lfs,
        workspaces: holdings.workspaces,
        transactions: holdings.transactions,
        realities: holdings.realities,
        hooks: holdings.hooks,
    }
}

/// The number of the next change.
fn next_number(state: &RepoState, epoch: u64) -> Seq {
    next_after(state.seq, state.epoch, epoch)
}

/// The number that follows `seq`, which was given when numbers had jumped `then` times, now that
/// they have jumped `now` times.
fn next_after(seq: Seq, then: u64, now: u64) -> Seq {
    seq + 1 + JUMP * now.saturating_sub(then)
}

/// Reads the notes about what was removed for good.
fn read_purged(disk: &dyn Disk) -> io::Result<BTreeMap<RepoKey, u64>> {
    let dir = Path::new(directory::PURGED);
    let mut purged = BTreeMap::new();
    if disk.kind(dir)?.is_none() {
        return Ok(purged);
    }
    for entry in disk.list(dir)? {
        let name = entry.name.to_string_lossy().into_owned();
        if let Some(key) = directory::parse_key(name.as_bytes()) {
            let text = disk::read(disk, &dir.join(&entry.name), 1024)?;
            let segment = std::str::from_utf8(&text).ok();
            let segment = segment.and_then(|text| text.trim().parse().ok());
            purged.insert(key, segment.unwrap_or(u64::MAX));
        }
    }
    Ok(purged)
}

/// The packs in the directory that git would see, sorted by name.
fn packs_in(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<PackId>> {
    let folder = dir.join(directory::PACKS);
    let mut packs = Vec::new();
    for entry in disk.list(&folder)? {
        let id = entry
            .name
            .to_str()
            .and_then(|name| name.strip_prefix("pack-")?.strip_suffix(".idx"))
            .and_then(|hex| govc_git::ObjectId::from_hex(hex.as_bytes()).ok());
        if let Some(id) = id.map(PackId)
            && disk.kind(&pack_path(dir, id, "pack"))? == Some(FileKind::File)
        {
            packs.push(id);
        }
    }
    Ok(packs)
}
