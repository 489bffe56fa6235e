//! Where a repository is, and what makes its folder an ordinary bare repository.

use std::io;
use std::path::{Path, PathBuf};

use govc_engine::{RepoKey, RepositoryRecord};
use govc_git::ObjectFormat;

use crate::disk::{self, Disk, Open};

pub(crate) const LOG: &str = ".govc/log";
pub(crate) const DELETED: &str = ".govc/deleted";
/// Directories that are being made, or are between two names.
pub(crate) const NEW: &str = ".govc/new";
pub(crate) const LOCK: &str = ".govc/lock";
/// Keys of repositories that were removed for good, while the log still tells of them.
pub(crate) const PURGED: &str = ".govc/purged";

/// In a repository: what Git has no place for.
pub(crate) const OURS: &str = "govc";
/// In a repository: its key, in hexadecimal.
pub(crate) const KEY: &str = "govc/key";
pub(crate) const CHECKPOINT: &str = "govc/checkpoint";
/// Introduced lists: made anew where they are not there.
pub(crate) const LISTS: &str = "govc/lists";
pub(crate) const COMMIT_GRAPH: &str = "objects/info/commit-graph";
pub(crate) const PACKS: &str = "objects/pack";

const DESCRIPTION: &str = "A repository of govc: see the server for its description.\n";

/// Where a repository belongs.
pub(crate) fn place(key: RepoKey, record: &RepositoryRecord) -> PathBuf {
    match record.deleted_at {
        Some(_) => Path::new(DELETED).join(format!("{key}.git")),
        None => PathBuf::from(format!("{}.git", record.id)),
    }
}

/// Where it is put while another has its place.
pub(crate) fn aside(key: RepoKey) -> PathBuf {
    Path::new(NEW).join(format!("{key}.moved.git"))
}

/// Removes a directory for good. It loses its place first: what a crash leaves of it there is
/// nobody's, and goes when the store opens.
///
/// # Errors
/// Whatever the disk met.
pub(crate) fn remove(disk: &dyn Disk, key: RepoKey, dir: &Path) -> io::Result<()> {
    let gone = Path::new(NEW).join(format!("{key}.gone.git"));
    if disk.kind(&gone)?.is_some() {
        disk.remove_dir_all(&gone)?;
    }
    rename_dir(disk, dir, &gone)?;
    disk.remove_dir_all(&gone)
}

/// The file that holds a key.
pub(crate) fn key_text(key: RepoKey) -> String {
    format!("{key}\n")
}

/// Reads what [`key_text`] wrote.
pub(crate) fn parse_key(text: &[u8]) -> Option<RepoKey> {
    let hex = std::str::from_utf8(text).ok()?.trim_end();
    let mut key = [0; 16];
    if hex.len() != 32 || !hex.is_ascii() {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(RepoKey(key))
}

fn config(format: ObjectFormat) -> String {
    let hash = match format {
        ObjectFormat::Sha256 => "\tobjectFormat = sha256\n",
        _ => "",
    };
    format!(
        "[core]\n\trepositoryformatversion = 1\n\tfilemode = true\n\tbare = true\n\
         [extensions]\n\tpreciousObjects = true\n{hash}[gc]\n\tauto = 0\n"
    )
}

/// Makes the directory of a repository, empty and whole, before it gets the name that it is to
/// have. Returns where it is.
///
/// # Errors
/// Whatever the disk met.
pub(crate) fn make(disk: &dyn Disk, key: RepoKey, format: ObjectFormat) -> io::Result<PathBuf> {
    let new = Path::new(NEW).join(format!("{key}.git"));
    if disk.kind(&new)?.is_some() {
        disk.remove_dir_all(&new)?;
    }
    disk.create_dir(&new)?;
    let folders = [
        "govc",
        "objects",
        "objects/info",
        PACKS,
        "refs",
        "refs/heads",
        "refs/tags",
    ];
    for folder in folders {
        disk.create_dir(&new.join(folder))?;
    }
    let files = [
        (KEY, key_text(key)),
        ("config", config(format)),
        ("description", DESCRIPTION.to_owned()),
        ("HEAD", "ref: refs/heads/main\n".to_owned()),
    ];
    for (name, content) in files {
        let file = disk.open(&new.join(name), Open::Replace)?;
        file.write_at(0, content.as_bytes())?;
        file.sync()?;
    }
    for folder in ["govc", "refs", "objects", ""] {
        disk.sync_dir(&new.join(folder))?;
    }
    Ok(new)
}

/// Makes the names of the folders that lead to `path` durable, and its own.
///
/// # Errors
/// Whatever the disk met.
pub(crate) fn sync_place(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    path.ancestors()
        .skip(1)
        .try_for_each(|folder| disk.sync_dir(folder))
}

/// Gives a directory another name, and makes that durable.
///
/// # Errors
/// Whatever the disk met.
pub(crate) fn rename_dir(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let above = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    disk::create_dirs(disk, &above(to))?;
    disk.rename(from, to)?;
    disk.sync_dir(&above(to))?;
    disk.sync_dir(&above(from))
}

/// Adds to an existing config what protects a repository from git's own housekeeping: of a value
/// that is set twice git takes the last.
pub(crate) fn protect(config: &str) -> String {
    let mut config = config.to_owned();
    if !config.ends_with('\n') && !config.is_empty() {
        config.push('\n');
    }
    config.push_str(
        "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpreciousObjects = true\n\
         [gc]\n\tauto = 0\n",
    );
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        let key = RepoKey(*b"0123456789abcdef");
        assert_eq!(parse_key(key_text(key).as_bytes()), Some(key));
        for bad in ["", "00", "zz", "é23456789012345678901234567890é"] {
            assert_eq!(parse_key(bad.as_bytes()), None, "{bad}");
        }
    }
}
