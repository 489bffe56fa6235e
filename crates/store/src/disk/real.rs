//! The disk of this machine.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use memmap2::{Mmap, UncheckedAdvice};
use rustix::fs::FlockOperation;

use super::{DirEntry, Disk, DiskFile, FileKind, Open, check_path};

/// A folder of this machine's file system.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    mapped: Arc<Mapped>,
}

/// Every mapping that somebody may still read.
#[derive(Debug, Default)]
struct Mapped(Mutex<Vec<Weak<Mmap>>>);

impl Mapped {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Mmap>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, map: &Arc<Mmap>) {
        let mut maps = self.lock();
        // Those that are gone are looked for whenever there would have to be more room.
        if maps.len() == maps.capacity() {
            maps.retain(|map| map.strong_count() > 0);
        }
        maps.push(Arc::downgrade(map));
    }
}

/// A file up to this size is read instead of mapped: a mapping costs whole pages, and Linux gives
/// a process 65,530 of them (`vm.max_map_count`), which many forks with many small packs reach.
const READ_BYTES_MAX: u64 = 64 << 10;

/// What [`Bytes`] own when they are a mapped file.
struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl RealDisk {
    /// The folder `root`, which is made if it is not there.
    ///
    /// # Errors
    /// Whatever making it met.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<RealDisk> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(RealDisk {
            root,
            mapped: Arc::default(),
        })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, path: &Path) -> io::Result<PathBuf> {
        check_path(path)?;
        Ok(self.root.join(path))
    }
}

fn kind_of(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Dir
    } else {
        FileKind::Other
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true);
        match how {
            Open::Read => {}
            Open::Write => {
                options.write(true);
            }
            Open::New => {
                options.write(true).create_new(true);
            }
            Open::Replace => {
                options.write(true).create(true).truncate(true);
            }
        }
        Ok(Box::new(RealFile(
            options.open(self.at(path)?)?,
            Arc::clone(&self.mapped),
        )))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.at(from)?, self.at(to)?)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(self.at(from)?, self.at(to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.at(path)?)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(self.at(path)?)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(self.at(path)?) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.at(path)?)? {
            let entry = entry?;
            entries.push(DirEntry {
                name: entry.file_name(),
                kind: kind_of(entry.file_type()?),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        match fs::symlink_metadata(self.at(path)?) {
            Ok(metadata) => Ok(Some(kind_of(metadata.file_type()))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(self.at(path)?)?.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(&self.root)?)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_all(&self) -> io::Result<()> {
        rustix::fs::sync();
        Ok(())
    }

    #[allow(unsafe_code)]
    fn release_pages(&self) {
        let maps: Vec<Arc<Mmap>> = self
            .mapped
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for map in maps {
            // SAFETY: the mapping is shared and never written to, so that all of its pages are the
            // file's own (madvise(2), MADV_DONTNEED): whoever reads on, or is reading now, gets
            // the same bytes from the file again.
            let released = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
            if let Err(error) = released {
                tracing::debug!(%error, "mapped pages stay");
            }
        }
    }

    fn native(&self, path: &Path) -> Option<PathBuf> {
        self.at(path).ok()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.at(path)?)?;
        // The lock is the open file's: the kernel lets go of it when the process ends, however.
        // A child of the one before us may hold it for a moment longer, between fork and exec.
        for _ in 0..LOCK_TRIES {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(Box::new(file)),
            }
        }
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }
}

/// How often, and how far apart, the lock of a data directory is tried before it is said to be
/// another server's: for a second in all.
const LOCK_TRIES: usize = 20;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

struct RealFile(File, Arc<Mapped>);

impl RealFile {
    /// All of it, in memory of our own.
    fn whole(&self) -> io::Result<Bytes> {
        let len = usize::try_from(self.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        let got = self.read_at(0, &mut bytes)?;
        bytes.truncate(got);
        Ok(bytes.into())
    }
}

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(got) => done += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&self.0, flags, 0, len) {
            Ok(()) => Ok(()),
            // Some file systems have no such call. Extending it is then all that can be done: a
            // full disk is met when the bytes are written.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(len),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    #[allow(unsafe_code)]
    fn map(&self) -> io::Result<Bytes> {
        if self.0.metadata()?.len() <= READ_BYTES_MAX {
            return self.whole();
        }
        // SAFETY: a mapping is undefined behaviour only when somebody changes or cuts the file
        // while it lives. What is mapped are packs, their indexes and commit-graphs, and, while
        // the store opens, segments of the log, to which nobody writes again. Packs are written
        // under a temporary name, renamed once they are whole, and never opened for writing again,
        // by us or by git, which treats them the same way. Removing one leaves the mapping whole.
        // The exception is a large pack that is arriving: it is mapped to be indexed, by the one who
        // receives it, and completed afterwards by the same: the bytes that change then (the
        // count in its header, its trailer) are not read through the mapping any more.
        let map = match unsafe { Mmap::map(&self.0) } {
            // The system lets a process have so many mappings and no more.
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => return self.whole(),
            map => Arc::new(map?),
        };
        self.1.add(&map);
        Ok(Bytes::from_owner(Owner(map)))
    }
}
