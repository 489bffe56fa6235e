//! The few things that the store asks of a disk, so that a simulated one can stand in for it.

mod real;
mod sim;

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

pub use real::RealDisk;
pub use sim::{Faults, SimDisk};

/// A folder on a disk. Paths are relative to it, and never lead outside.
///
/// Nothing is durable before it was asked to be: bytes by [`DiskFile::sync`], names (creation,
/// renaming, linking, removal) by [`Disk::sync_dir`] of the folder that holds them.
pub trait Disk: Send + Sync {
    /// Opens a file to be read and written.
    ///
    /// # Errors
    /// As the system's; [`io::ErrorKind::AlreadyExists`] for [`Open::New`].
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>>;

    /// Gives `from` the name `to`, in place of what has it.
    ///
    /// # Errors
    /// As the system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file `from` a second name.
    ///
    /// # Errors
    /// As the system's; [`io::ErrorKind::AlreadyExists`] when `to` is taken.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and all that is in it.
    ///
    /// # Errors
    /// As the system's.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder; that it is there already is no error. Its parent must be there.
    ///
    /// # Errors
    /// As the system's.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// What is in a folder, sorted by name.
    ///
    /// # Errors
    /// As the system's.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// What has this name; `None` where there is nothing. Symbolic links are not followed.
    ///
    /// # Errors
    /// As the system's.
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the system's.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes everything durable that anybody has written, names too: also those who are gone.
    ///
    /// # Errors
    /// As the system's.
    fn sync_all(&self) -> io::Result<()>;

    /// Lets go of the memory of everything that is mapped. What is read again is faulted in again,
    /// mostly from the system's cache.
    fn release_pages(&self) {}

    /// Where `path` is for other programs; `None` on a disk that only we know.
    fn native(&self, path: &Path) -> Option<PathBuf> {
        let _ = path;
        None
    }

    /// Takes a lock that no other process holds, for as long as the answer lives.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another holds it; as the system's.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is no room. A part may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads at most as much as `buffer` holds, and less only at the end of the file.
    ///
    /// # Errors
    /// As the system's.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// How many bytes it has.
    ///
    /// # Errors
    /// As the system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// As the system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends it with zeros.
    ///
    /// # Errors
    /// As the system's.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Makes room for `len` bytes, which read as zeros.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is no room.
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// Makes its bytes and length durable (`fdatasync`).
    ///
    /// # Errors
    /// As the system's. What was not durable before may then never be, though later calls succeed:
    /// the system forgets pages that it could not write.
    fn sync(&self) -> io::Result<()>;

    /// Its bytes, mapped. For files that never change and are never cut while this lives.
    ///
    /// # Errors
    /// As the system's.
    fn map(&self) -> io::Result<Bytes>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// To be read; it must exist.
    Read,
    /// To be read and written; it must exist.
    Write,
    /// To be written anew: it must not exist.
    New,
    /// To be written anew: what it had is gone.
    Replace,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    File,
    /// A folder.
    Dir,
    /// Anything else: a symbolic link, a socket.
    Other,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without its folder.
    pub name: OsString,
    /// What it stands for.
    pub kind: FileKind,
}

/// Refuses paths that are absolute or climb.
pub(crate) fn check_path(path: &Path) -> io::Result<()> {
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside {
        return Ok(());
    }
    let why = format!("{} leads outside of the data directory", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// All bytes of a file, if it is not longer than `limit`.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`]; whatever reading it met.
pub fn read(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Read)?;
    let len = file.len()?;
    if len > limit {
        let why = format!("{} has {len} bytes, more than {limit}", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    let mut bytes = vec![0; len as usize];
    let got = file.read_at(0, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// As [`read`], and `None` where there is no such file.
///
/// # Errors
/// As [`read`].
pub fn read_if_any(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    match read(disk, path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a folder and those above it, and makes their names durable: those too that were there,
/// for who made them may have failed to.
///
/// # Errors
/// As the disk's.
pub fn create_dirs(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let Some(above) = path.parent() else {
        return Ok(());
    };
    create_dirs(disk, above)?;
    disk.create_dir(path)?;
    disk.sync_dir(above)
}

/// Writes `path` whole or not at all: aside, synced, renamed, the folder synced.
///
/// # Errors
/// As the disk's. The file is then what it was, or what it was to become.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = Path::new(&aside);
    let file = disk.open(aside, Open::Replace)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(aside, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new("")))
}
