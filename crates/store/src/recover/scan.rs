//! Finding repositories in the data directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use govc_engine::{RepoId, RepoKey};

use super::loading::Loading;
use crate::disk::{self, Disk, FileKind};
use crate::packs::TEMPORARY;
use crate::store::StoppedRepository;
use crate::{checkpoint, directory, history, projection};

/// Ids have at most three segments.
const DEPTH_MAX: usize = 3;

/// What the directories have.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) loading: BTreeMap<RepoKey, Loading>,
    /// Ours, without a checkpoint: its repository is in the log, or never was.
    pub(super) fresh: BTreeMap<RepoKey, PathBuf>,
    /// Bare repositories that nobody has told us of.
    pub(super) foreign: Vec<PathBuf>,
    pub(super) stopped: Vec<StoppedRepository>,
    pub(super) notes: Vec<String>,
}

impl Scan {
    /// Finds every repository below the data directory.
    pub(super) fn of(disk: &dyn Disk) -> io::Result<Scan> {
        let mut scan = Scan::default();
        scan.folder(disk, Path::new(""), 0)?;
        for own in [directory::DELETED, directory::NEW] {
            for entry in disk.list(Path::new(own))? {
                let path = Path::new(own).join(&entry.name);
                if entry.kind != FileKind::Dir {
                    continue;
                }
                if own == directory::NEW && !entry.name.to_string_lossy().ends_with(".moved.git") {
                    // What the last run began and did not end is nobody's. A git that it started may
                    // still be writing there: then it goes another time.
                    if let Err(error) = disk.remove_dir_all(&path) {
                        let path = path.display();
                        scan.notes.push(format!("{path} stays for now: {error}"));
                    }
                    continue;
                }
                scan.repository(disk, &path);
            }
        }
        Ok(scan)
    }

    fn folder(&mut self, disk: &dyn Disk, folder: &Path, depth: usize) -> io::Result<()> {
        for entry in disk.list(folder)? {
            let name = entry.name.to_string_lossy().into_owned();
            if entry.kind != FileKind::Dir || name.starts_with('.') {
                continue;
            }
            let path = folder.join(&entry.name);
            if name.ends_with(".git") {
                self.repository(disk, &path);
            } else if depth + 1 < DEPTH_MAX {
                self.folder(disk, &path, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A directory that cannot be read stops its repository, not the server.
    fn repository(&mut self, disk: &dyn Disk, dir: &Path) {
        if let Err(error) = self.try_repository(disk, dir) {
            self.stopped.push(StoppedRepository {
                key: None,
                id: id_of(dir),
                why: format!("{}: {error}", dir.display()),
            });
        }
    }

    fn try_repository(&mut self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let key = disk::read_if_any(disk, &dir.join(directory::KEY), 1024)?;
        let key = key.as_deref().and_then(directory::parse_key);
        match checkpoint::read(disk, dir) {
            Ok(found) => {
                if let Some(other) = self.loading.get(&found.key) {
                    let other = other.dir.clone().unwrap_or_default();
                    self.stopped.push(StoppedRepository {
                        key: Some(found.key),
                        id: id_of(dir),
                        why: format!(
                            "{} is the same repository as {}: a copy must not keep the folder govc",
                            dir.display(),
                            other.display()
                        ),
                    });
                    return Ok(());
                }
                tidy(disk, dir)?;
                history::tidy(disk, dir, &found.history, &found.reality_history, u64::MAX)?;
                self.loading.insert(found.key, Loading::from(found, dir));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match key {
                Some(key) => {
                    tidy(disk, dir)?;
                    self.fresh.insert(key, dir.to_owned());
                }
                None if has_history(disk, dir)? => self.stopped.push(StoppedRepository {
                    key: None,
                    id: id_of(dir),
                    why: format!("{}: {CHECKPOINT_GONE}", dir.display()),
                }),
                None => self.foreign.push(dir.to_owned()),
            },
            Err(error) => self.stopped.push(StoppedRepository {
                key,
                id: id_of(dir),
                why: error.to_string(),
            }),
        }
        Ok(())
    }
}

pub(super) const CHECKPOINT_GONE: &str = "it has a history, and its checkpoint is gone";

/// Whether a directory was a repository of ours that was answered for: its first checkpoint had
/// begun.
pub(super) fn has_history(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    let ours = dir.join(directory::OURS);
    if disk.kind(&ours)?.is_none() {
        return Ok(false);
    }
    let mut names = disk.list(&ours)?.into_iter().map(|entry| entry.name);
    Ok(names.any(|name| name.to_string_lossy().starts_with(history::PREFIX)))
}

/// The id that a directory's name gives.
pub(super) fn id_of(dir: &Path) -> Option<RepoId> {
    let text = dir.to_str()?.strip_suffix(".git")?;
    RepoId::parse(text).ok()
}

/// Removes what a crash left in a directory of ours.
fn tidy(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    projection::remove_locks(disk, dir)?;
    let packs = dir.join(directory::PACKS);
    for entry in disk.list(&packs)? {
        if entry.name.to_string_lossy().starts_with(TEMPORARY) {
            disk.remove(&packs.join(&entry.name))?;
        }
    }
    let aside = dir.join(format!("{}.new", directory::CHECKPOINT));
    if disk.kind(&aside)?.is_some() {
        disk.remove(&aside)?;
    }
    Ok(())
}
