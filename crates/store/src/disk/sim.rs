//! A disk in memory that forgets, tears and reorders what was not synced, as a seed tells it.
//!
//! `kill -9` proves nothing about syncs: the page cache survives it. This does: after
//! [`SimDisk::crash`] a file has its synced bytes and any part of what was written since, in
//! sectors or torn within one, and a folder has its synced names and any of the changes since.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{DirEntry, Disk, DiskFile, FileKind, Open, check_path};

const SECTOR_BYTES: usize = 512;
const ROOT: usize = 0;

/// How often the disk fails, in thousandths of the calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A write or preallocation finds no room; a part may have been written.
    pub full: u32,
    /// A write fails; a part may have been written.
    pub write: u32,
    /// A sync of a file fails, and what was not durable may never be.
    pub sync: u32,
    /// A sync of a folder, a rename or a link fails.
    pub name: u32,
}

/// The simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Inner>>);

struct Inner {
    random: Random,
    faults: Faults,
    nodes: Vec<Node>,
    /// Changes of names that no folder's sync has made durable, oldest first.
    names: Vec<NameChange>,
    /// Counts crashes: files opened before one are dead.
    life: u64,
    locked: bool,
    /// Counts the calls that change something: a crash can be set at one of them.
    calls: u64,
    crash_at: Option<u64>,
    dead: bool,
}

enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Default)]
struct FileNode {
    current: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<FileChange>,
}

#[derive(Default)]
struct DirNode {
    current: BTreeMap<OsString, usize>,
    durable: BTreeMap<OsString, usize>,
}

enum FileChange {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

#[derive(Clone)]
struct NameChange {
    remove: Option<(usize, OsString)>,
    set: Option<(usize, OsString, usize)>,
}

/// SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn per_mille(&mut self, chance: u32) -> bool {
        chance > 0 && self.below(1000) < u64::from(chance)
    }
}

impl SimDisk {
    /// An empty disk; whatever it does wrong follows from `seed`.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(Inner {
            random: Random(seed),
            faults: Faults::default(),
            nodes: vec![Node::Dir(DirNode::default())],
            names: Vec::new(),
            life: 0,
            locked: false,
            calls: 0,
            crash_at: None,
            dead: false,
        })))
    }

    /// How often it fails from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.inner().faults = faults;
    }

    /// Lets the power fail at the `calls`th change from now: from then on every call is refused,
    /// until [`SimDisk::crash`] turns it on again.
    pub fn crash_after(&self, calls: u64) {
        let mut inner = self.inner();
        inner.crash_at = Some(inner.calls + calls);
    }

    /// Whether the power has failed and is not back.
    pub fn is_off(&self) -> bool {
        self.inner().dead
    }

    /// The power fails, and comes back.
    pub fn crash(&self) {
        self.inner().crash();
    }

    /// The process that uses it is killed, and another one comes: nothing is lost, and what was not
    /// synced still is not.
    pub fn kill(&self) {
        let mut inner = self.inner();
        inner.life += 1;
        inner.locked = false;
        inner.crash_at = None;
    }

    /// Overwrites bytes behind everybody's back, durably: a bad disk.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`].
    pub fn damage(&self, path: &Path, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        let node = inner.find(path)?;
        let file = inner.file(node)?;
        for contents in [&mut file.current, &mut file.durable] {
            for (at, byte) in (offset..).zip(bytes) {
                if let Some(place) = contents.get_mut(at) {
                    *place = *byte;
                }
            }
        }
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(kind: io::ErrorKind, path: &Path) -> io::Error {
    io::Error::new(kind, path.display().to_string())
}

fn write_into(contents: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset..end].copy_from_slice(bytes);
}

impl FileNode {
    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                FileChange::Write { offset, bytes } => {
                    write_into(&mut self.durable, offset, &bytes);
                }
                FileChange::Resize(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// Any part of what was not synced reaches the disk, in any order; the rest never does.
    fn lose(&mut self, random: &mut Random) {
        for change in self.unsynced.drain(..) {
            match change {
                FileChange::Resize(len) => {
                    if random.below(2) == 0 {
                        self.durable.resize(len, 0);
                    }
                }
                FileChange::Write { offset, bytes } => match random.below(4) {
                    0 => {}
                    1 => write_into(&mut self.durable, offset, &bytes),
                    2 => {
                        let torn = random.below(bytes.len() as u64 + 1) as usize;
                        write_into(&mut self.durable, offset, &bytes[..torn]);
                    }
                    _ => {
                        let first = SECTOR_BYTES - offset % SECTOR_BYTES;
                        let mut at = 0;
                        while at < bytes.len() {
                            let step = if at == 0 { first } else { SECTOR_BYTES };
                            let end = (at + step).min(bytes.len());
                            if random.below(2) == 0 {
                                write_into(&mut self.durable, offset + at, &bytes[at..end]);
                            }
                            at = end;
                        }
                    }
                },
            }
        }
    }
}

impl Inner {
    /// Every call that changes something passes here.
    fn change(&mut self) -> io::Result<()> {
        self.alive()?;
        self.calls += 1;
        if self.crash_at.is_some_and(|at| self.calls >= at) {
            self.dead = true;
        }
        self.alive()
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    fn crash(&mut self) {
        self.life += 1;
        self.locked = false;
        self.dead = false;
        self.crash_at = None;
        for node in &mut self.nodes {
            if let Node::File(file) = node {
                file.lose(&mut self.random);
                file.current.clone_from(&file.durable);
            }
        }
        // Journalling file systems keep a prefix; others keep what they like.
        let all = std::mem::take(&mut self.names);
        let prefix = self.random.below(2) == 0;
        let kept = self.random.below(all.len() as u64 + 1) as usize;
        for (at, change) in all.into_iter().enumerate() {
            let survives = if prefix {
                at < kept
            } else {
                self.random.below(2) == 0
            };
            if survives {
                self.make_durable(change);
            }
        }
        for node in &mut self.nodes {
            if let Node::Dir(dir) = node {
                dir.current.clone_from(&dir.durable);
            }
        }
    }

    fn make_durable(&mut self, change: NameChange) {
        let moved = change.set.as_ref().map(|(.., node)| *node);
        if let Some((dir, name)) = change.remove
            && let Some(Node::Dir(dir)) = self.nodes.get_mut(dir)
            && (moved.is_none() || dir.durable.get(&name) == moved.as_ref())
        {
            dir.durable.remove(&name);
        }
        if let Some((dir, name, node)) = change.set
            && let Some(Node::Dir(dir)) = self.nodes.get_mut(dir)
        {
            dir.durable.insert(name, node);
        }
    }

    fn change_name(&mut self, change: NameChange) {
        if let Some((dir, name)) = &change.remove
            && let Some(Node::Dir(dir)) = self.nodes.get_mut(*dir)
        {
            dir.current.remove(name);
        }
        if let Some((dir, name, node)) = &change.set
            && let Some(Node::Dir(dir)) = self.nodes.get_mut(*dir)
        {
            dir.current.insert(name.clone(), *node);
        }
        self.names.push(change);
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        check_path(path)?;
        let mut at = ROOT;
        for part in path.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            let Some(Node::Dir(dir)) = self.nodes.get(at) else {
                return Err(error(io::ErrorKind::NotFound, path));
            };
            at = *dir
                .current
                .get(name)
                .ok_or_else(|| error(io::ErrorKind::NotFound, path))?;
        }
        Ok(at)
    }

    /// The folder that holds `path`, and the last part of it.
    fn place(&self, path: &Path) -> io::Result<(usize, OsString)> {
        let name = path
            .file_name()
            .ok_or_else(|| error(io::ErrorKind::InvalidInput, path))?;
        let dir = self.find(path.parent().unwrap_or(Path::new("")))?;
        match self.nodes.get(dir) {
            Some(Node::Dir(_)) => Ok((dir, name.to_owned())),
            _ => Err(error(io::ErrorKind::NotADirectory, path)),
        }
    }

    fn file(&mut self, node: usize) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn dir(&self, node: usize, path: &Path) -> io::Result<&DirNode> {
        match self.nodes.get(node) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(error(io::ErrorKind::NotADirectory, path)),
        }
    }

    fn name_fault(&mut self) -> io::Result<()> {
        let chance = self.faults.name;
        if self.random.per_mille(chance) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.alive()?;
        let (dir, name) = inner.place(path)?;
        let there = inner.dir(dir, path)?.current.get(&name).copied();
        let node = match (there, how) {
            (Some(_), Open::New) => return Err(error(io::ErrorKind::AlreadyExists, path)),
            (Some(node), _) => {
                if how == Open::Replace {
                    inner.change()?;
                    let file = inner.file(node)?;
                    file.current.clear();
                    file.unsynced.push(FileChange::Resize(0));
                }
                inner.file(node)?;
                node
            }
            (None, Open::Read | Open::Write) => {
                return Err(error(io::ErrorKind::NotFound, path));
            }
            (None, Open::New | Open::Replace) => {
                inner.change()?;
                let node = inner.nodes.len();
                inner.nodes.push(Node::File(FileNode::default()));
                inner.change_name(NameChange {
                    remove: None,
                    set: Some((dir, name, node)),
                });
                node
            }
        };
        Ok(Box::new(SimFile {
            disk: self.clone(),
            life: inner.life,
            node,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let node = inner.find(from)?;
        let (from_dir, from_name) = inner.place(from)?;
        let (to_dir, to_name) = inner.place(to)?;
        if let Some(there) = inner.dir(to_dir, to)?.current.get(&to_name)
            && let Some(Node::Dir(dir)) = inner.nodes.get(*there)
            && !dir.current.is_empty()
        {
            return Err(error(io::ErrorKind::DirectoryNotEmpty, to));
        }
        inner.name_fault()?;
        inner.change_name(NameChange {
            remove: Some((from_dir, from_name)),
            set: Some((to_dir, to_name, node)),
        });
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let node = inner.find(from)?;
        inner.file(node)?;
        let (dir, name) = inner.place(to)?;
        if inner.dir(dir, to)?.current.contains_key(&name) {
            return Err(error(io::ErrorKind::AlreadyExists, to));
        }
        inner.name_fault()?;
        inner.change_name(NameChange {
            remove: None,
            set: Some((dir, name, node)),
        });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let node = inner.find(path)?;
        inner.file(node)?;
        let (dir, name) = inner.place(path)?;
        inner.change_name(NameChange {
            remove: Some((dir, name)),
            set: None,
        });
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        for entry in self.list(path)? {
            let inside = path.join(&entry.name);
            match entry.kind {
                FileKind::Dir => self.remove_dir_all(&inside)?,
                _ => self.remove(&inside)?,
            }
        }
        let mut inner = self.inner();
        inner.change()?;
        let (dir, name) = inner.place(path)?;
        inner.change_name(NameChange {
            remove: Some((dir, name)),
            set: None,
        });
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let (dir, name) = inner.place(path)?;
        if let Some(there) = inner.dir(dir, path)?.current.get(&name).copied() {
            inner.dir(there, path)?;
            return Ok(());
        }
        let node = inner.nodes.len();
        inner.nodes.push(Node::Dir(DirNode::default()));
        inner.change_name(NameChange {
            remove: None,
            set: Some((dir, name, node)),
        });
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let inner = self.inner();
        inner.alive()?;
        let node = inner.find(path)?;
        let dir = inner.dir(node, path)?;
        let entry = |(name, node): (&OsString, &usize)| DirEntry {
            name: name.clone(),
            kind: match inner.nodes.get(*node) {
                Some(Node::Dir(_)) => FileKind::Dir,
                _ => FileKind::File,
            },
        };
        Ok(dir.current.iter().map(entry).collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        let inner = self.inner();
        inner.alive()?;
        match inner.find(path) {
            Ok(node) => Ok(match inner.nodes.get(node) {
                Some(Node::Dir(_)) => Some(FileKind::Dir),
                _ => Some(FileKind::File),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let synced = inner.find(path)?;
        inner.dir(synced, path)?;
        inner.name_fault()?;
        // What changed one of these names before must be durable before it: no file system writes
        // the changes of one name in another order.
        let mut needed: Vec<(usize, OsString)> = Vec::new();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for change in std::mem::take(&mut inner.names).into_iter().rev() {
            let set = change
                .set
                .as_ref()
                .map(|(dir, name, _)| (*dir, name.clone()));
            let names: Vec<_> = set.into_iter().chain(change.remove.clone()).collect();
            let touches = names
                .iter()
                .any(|name| name.0 == synced || needed.contains(name));
            if touches {
                needed.extend(names);
                now.push(change);
            } else {
                later.push(change);
            }
        }
        now.reverse();
        later.reverse();
        inner.names = later;
        for change in now {
            inner.make_durable(change);
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.change()?;
        if inner.random.per_mille(inner.faults.sync) {
            return Err(io::Error::from_raw_os_error(5));
        }
        for node in &mut inner.nodes {
            if let Node::File(file) = node {
                file.sync();
            }
        }
        for change in std::mem::take(&mut inner.names) {
            inner.make_durable(change);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        drop(self.open(path, Open::Replace)?);
        let mut inner = self.inner();
        if inner.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        inner.locked = true;
        Ok(Box::new(SimLock {
            disk: self.clone(),
            life: inner.life,
        }))
    }
}

struct SimLock {
    disk: SimDisk,
    life: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut inner = self.disk.inner();
        if inner.life == self.life {
            inner.locked = false;
        }
    }
}

struct SimFile {
    disk: SimDisk,
    life: u64,
    node: usize,
}

impl SimFile {
    fn inner(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.disk.inner();
        inner.alive()?;
        if inner.life != self.life {
            return Err(io::Error::other("the power was off since it was opened"));
        }
        Ok(inner)
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut guard = self.inner()?;
        let inner = &mut *guard;
        let died = inner.change();
        let Faults { full, write, .. } = inner.faults;
        let fails = if died.is_err() {
            died
        } else if inner.random.per_mille(full) {
            Err(io::ErrorKind::StorageFull.into())
        } else if inner.random.per_mille(write) {
            Err(io::Error::from_raw_os_error(5))
        } else {
            Ok(())
        };
        let part = match &fails {
            Ok(()) => bytes.len(),
            Err(_) => inner.random.below(bytes.len() as u64) as usize,
        };
        let offset = offset as usize;
        let Some(Node::File(file)) = inner.nodes.get_mut(self.node) else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        write_into(&mut file.current, offset, &bytes[..part]);
        file.unsynced.push(FileChange::Write {
            offset,
            bytes: bytes[..part].to_vec(),
        });
        fails
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.inner()?;
        let file = inner.file(self.node)?;
        let rest = file.current.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.inner()?.file(self.node)?.current.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut inner = self.inner()?;
        inner.change()?;
        let file = inner.file(self.node)?;
        file.current.resize(len as usize, 0);
        file.unsynced.push(FileChange::Resize(len as usize));
        Ok(())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let mut inner = self.inner()?;
        inner.change()?;
        let chance = inner.faults.full;
        if inner.random.per_mille(chance) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = inner.file(self.node)?;
        let len = file.current.len().max(len as usize);
        file.current.resize(len, 0);
        file.unsynced.push(FileChange::Resize(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut guard = self.inner()?;
        let inner = &mut *guard;
        inner.change()?;
        let fails = inner.random.per_mille(inner.faults.sync);
        let Some(Node::File(file)) = inner.nodes.get_mut(self.node) else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        if fails {
            // As Linux does: the pages count as clean from now on, and only reads still see them.
            file.lose(&mut inner.random);
            return Err(io::Error::from_raw_os_error(5));
        }
        file.sync();
        Ok(())
    }

    fn map(&self) -> io::Result<Bytes> {
        let mut inner = self.inner()?;
        Ok(Bytes::copy_from_slice(&inner.file(self.node)?.current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "a";

    fn written(disk: &SimDisk, bytes: &[u8]) -> Box<dyn DiskFile> {
        let file = disk.open(Path::new(FILE), Open::Replace).unwrap();
        file.write_at(0, bytes).unwrap();
        file
    }

    #[test]
    fn what_was_synced_with_its_folder_survives_and_nothing_else_must() {
        let (mut names_lost, mut bytes_lost) = (0, 0);
        for seed in 0..200 {
            let disk = SimDisk::new(seed);
            written(&disk, b"synced").sync().unwrap();
            disk.crash();
            names_lost += usize::from(disk.kind(Path::new(FILE)).unwrap().is_none());

            let file = written(&disk, b"synced");
            file.sync().unwrap();
            disk.sync_dir(Path::new("")).unwrap();
            file.write_at(6, b" and not").unwrap();
            disk.crash();
            let found = super::super::read(&disk, Path::new(FILE), 100).unwrap();
            assert!(found.starts_with(b"synced"), "{seed}: {found:?}");
            bytes_lost += usize::from(found.len() == 6);
        }
        assert!((20..180).contains(&names_lost), "{names_lost}");
        assert!((20..180).contains(&bytes_lost), "{bytes_lost}");
    }

    #[test]
    fn a_failed_sync_forgets_though_the_next_succeeds() {
        let mut lost = 0;
        for seed in 0..100 {
            let disk = SimDisk::new(seed);
            let file = written(&disk, b"x");
            disk.sync_dir(Path::new("")).unwrap();
            disk.set_faults(Faults {
                sync: 1000,
                ..Faults::default()
            });
            file.sync().unwrap_err();
            disk.set_faults(Faults::default());
            file.sync().unwrap();
            disk.crash();
            let found = super::super::read(&disk, Path::new(FILE), 100).unwrap();
            lost += usize::from(found != b"x");
        }
        assert!(lost > 20, "{lost}");
    }

    #[test]
    fn a_rename_happens_or_does_not() {
        for seed in 0..100 {
            let disk = SimDisk::new(seed);
            written(&disk, b"old").sync().unwrap();
            disk.sync_dir(Path::new("")).unwrap();
            super::super::replace(&disk, Path::new(FILE), b"new").unwrap();
            let aside = disk.open(Path::new("b"), Open::New).unwrap();
            aside.write_at(0, b"newer").unwrap();
            aside.sync().unwrap();
            disk.rename(Path::new("b"), Path::new(FILE)).unwrap();
            disk.crash();
            let found = super::super::read(&disk, Path::new(FILE), 100).unwrap();
            assert!(found == b"new" || found == b"newer", "{seed}: {found:?}");
        }
    }
}
