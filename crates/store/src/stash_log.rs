//! The reflog of `refs/stash`: what `git stash list` reads.
//!
//! A reflog has one line for each stash, oldest first (git-reflog(1)); refs themselves have none
//! here, their past is the repository's history.

use std::io;
use std::path::{Path, PathBuf};

use govc_git::object::CommitRef;
use govc_git::{ObjectFormat, ObjectId};

use crate::disk::{self, Disk, Open};
use crate::objects::Objects;

/// Makes the reflog say what `stashes` are, oldest first.
///
/// # Errors
/// Whatever reading the stashes or writing the file met.
pub(crate) fn write(
    disk: &dyn Disk,
    dir: &Path,
    objects: &Objects<'_>,
    stashes: &[ObjectId],
    format: ObjectFormat,
) -> io::Result<()> {
    let path = path(dir);
    if stashes.is_empty() {
        return match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let mut lines = Vec::new();
    let mut before = format.null();
    for id in stashes {
        let Some(object) = objects.find(id)? else {
            continue;
        };
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let commit = CommitRef::parse(&object.data, format).map_err(invalid)?;
        lines.extend_from_slice(format!("{before} {id} ").as_bytes());
        commit.committer.to_owned().write_to(&mut lines);
        lines.push(b'\t');
        // A line of a reflog is one line.
        let words = commit.message.split(|byte| byte.is_ascii_whitespace());
        let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
        lines.extend_from_slice(&words.join(&b' '));
        lines.push(b'\n');
        before = *id;
    }
    if let Some(folder) = path.parent() {
        disk::create_dirs(disk, folder)?;
    }
    disk::replace(disk, &path, &lines)
}

/// Whether the file is there.
pub(crate) fn is_there(disk: &dyn Disk, dir: &Path) -> bool {
    disk.open(&path(dir), Open::Read).is_ok()
}

fn path(dir: &Path) -> PathBuf {
    dir.join("logs/refs/stash")
}
