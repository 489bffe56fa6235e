//! Large files, beside the repositories: `.govc/lfs/ab/abcdef…`, named by their SHA-256, each once
//! for the whole node.
//!
//! One that arrives is written to `.govc/lfs/arriving/`, where nothing names it. It is synced,
//! renamed and its folder synced before the entry that references it is appended.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use govc_engine::LfsOid;
use govc_engine::journal::contents::{Content, ContentSpool, Contents};

use crate::disk::{self, Disk, DiskFile, FileKind, Open};
use crate::store::Store;

const FOLDER: &str = ".govc/lfs";
const ARRIVING: &str = ".govc/lfs/arriving";

/// Whether the folders are there, durably. Held to make them.
#[derive(Default)]
pub(crate) struct Folders(Mutex<bool>);

static SPOOLS: AtomicU64 = AtomicU64::new(0);

fn folder_of(oid: &LfsOid) -> PathBuf {
    Path::new(FOLDER).join(format!("{:02x}", oid.0[0]))
}

fn path_of(oid: &LfsOid) -> PathBuf {
    folder_of(oid).join(oid.to_string())
}

/// Removes what was arriving when the server ended.
///
/// # Errors
/// Whatever the disk met.
pub(crate) fn tidy(disk: &dyn Disk) -> io::Result<()> {
    if disk.kind(Path::new(ARRIVING))?.is_none() {
        return Ok(());
    }
    for entry in disk.list(Path::new(ARRIVING))? {
        disk.remove(&Path::new(ARRIVING).join(&entry.name))?;
    }
    Ok(())
}

impl Folders {
    /// Makes all folders there will ever be, with the first content.
    fn make(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !*made {
            disk::create_dirs(disk, Path::new(ARRIVING))?;
            for first in 0..=u8::MAX {
                disk.create_dir(&Path::new(FOLDER).join(format!("{first:02x}")))?;
            }
            disk.sync_dir(Path::new(FOLDER))?;
            *made = true;
        }
        Ok(())
    }
}

impl Contents for Store {
    fn receive(&self) -> io::Result<Box<dyn ContentSpool>> {
        self.folders.make(&*self.disk)?;
        let number = SPOOLS.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(ARRIVING).join(number.to_string());
        let file = self.disk.open(&path, Open::Replace)?;
        Ok(Box::new(Spool {
            disk: Arc::clone(&self.disk),
            path,
            file,
            size: 0,
            kept: false,
        }))
    }

    fn open(&self, oid: &LfsOid) -> io::Result<Arc<dyn Content>> {
        let file = self.disk.open(&path_of(oid), Open::Read)?;
        let size = file.len()?;
        Ok(Arc::new(Stored { file, size }))
    }

    fn list(&self) -> io::Result<Vec<LfsOid>> {
        let mut found = Vec::new();
        if self.disk.kind(Path::new(FOLDER))?.is_none() {
            return Ok(found);
        }
        for folder in self.disk.list(Path::new(FOLDER))? {
            let path = Path::new(FOLDER).join(&folder.name);
            if folder.kind != FileKind::Dir || path == Path::new(ARRIVING) {
                continue;
            }
            // What else somebody put there is not ours.
            let names = self.disk.list(&path)?.into_iter().map(|entry| entry.name);
            found.extend(names.filter_map(|name| LfsOid::parse(name.to_str()?)));
        }
        Ok(found)
    }

    fn remove(&self, oid: &LfsOid) -> io::Result<()> {
        match self.disk.remove(&path_of(oid)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// A content that is arriving.
struct Spool {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    size: u64,
    kept: bool,
}

impl ContentSpool for Spool {
    fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.file.write_at(self.size, &bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn keep(mut self: Box<Self>, oid: &LfsOid) -> io::Result<()> {
        self.file.sync()?;
        self.disk.rename(&self.path, &path_of(oid))?;
        self.kept = true;
        self.disk.sync_dir(&folder_of(oid))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is removed when the store opens next.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// A content in its file, which never changes.
struct Stored {
    file: Box<dyn DiskFile>,
    size: u64,
}

impl Content for Stored {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        let left = self.size.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        let mut buffer = vec![0; len];
        let got = self.file.read_at(offset, &mut buffer)?;
        buffer.truncate(got);
        Ok(Bytes::from(buffer))
    }
}
