//! Which files differ between two trees: `git diff-tree -r`, with renames as `-M` and `-C` find
//! them.

use bytes::Bytes;
use govc_git::object::tree::canonical_mode;
use govc_git::object::tree::{TreeEntry, compare_names, entries};
use govc_git::{ObjectFormat, ObjectId, oid};

use super::renames::{self, Blobs, Destination, RenameOptions, SCORE_MAX, Source};
use crate::pool::{Pool, PoolError};
use crate::work::tree::{Found, damaged, read};

/// Trees in each other, at most: as many folders as the longest path has room for.
pub const DEPTH_MAX: usize = govc_git::path::PATH_BYTES_MAX / 2 + 1;

/// So many files are listed or compared at once: trees that name each other can have more than
/// there is memory.
pub const FILES_MAX: usize = 1_000_000;

/// One file that is not the same in two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path from the root.
    pub path: Vec<u8>,
    /// What it was; `None` for one that is new.
    pub old: Option<Found>,
    /// What it is; `None` for one that is gone.
    pub new: Option<Found>,
}

/// Which paths are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeFilter {
    /// Only this file, or all in this folder; all when empty.
    pub path: Vec<u8>,
}

impl TreeFilter {
    /// Whether `path` is compared, or in a folder that is.
    fn takes(&self, path: &[u8]) -> bool {
        self.path.is_empty()
            || path
                .strip_prefix(&self.path[..])
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Whether something below the folder `path` may be compared.
    fn enters(&self, path: &[u8]) -> bool {
        self.takes(path)
            || self
                .path
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with(b"/"))
    }
}

/// The files that are not the same in the trees `old` and `new`, in Git's order; `None` is a tree
/// without entries. Folders that are the same are not looked into.
///
/// # Errors
/// When a tree cannot be read, is malformed, or is nested deeper than any path.
pub fn changed_files(
    pool: &Pool,
    old: Option<&oid>,
    new: Option<&oid>,
    filter: &TreeFilter,
) -> Result<Vec<FileChange>, PoolError> {
    changed_files_with(pool.format(), &|id| read(pool, id), old, new, filter)
}

/// As [`changed_files`]; `read` gives the bytes of trees.
///
/// # Errors
/// As [`changed_files`], and whatever `read` says.
pub fn changed_files_with(
    format: ObjectFormat,
    read: &dyn Fn(&oid) -> Result<Bytes, PoolError>,
    old: Option<&oid>,
    new: Option<&oid>,
    filter: &TreeFilter,
) -> Result<Vec<FileChange>, PoolError> {
    let mut changes = Vec::new();
    if old == new {
        return Ok(changes);
    }
    let mut open = vec![Level::new(format, read, Vec::new(), old, new)?];
    while let Some(level) = open.last_mut() {
        let Some((name, was, is)) = level.next(format)? else {
            open.pop();
            continue;
        };
        if was == is {
            continue;
        }
        let path = [&level.prefix[..], &name].concat();
        let file = |found: Option<Found>| found.filter(|found| !found.is_folder());
        if (file(was).is_some() || file(is).is_some()) && filter.takes(&path) {
            if changes.len() >= FILES_MAX {
                let id = new.or(old).map_or(format.null(), |id| id.to_owned());
                return Err(PoolError::TooManyFiles { id, max: FILES_MAX });
            }
            changes.push(FileChange {
                path: path.clone(),
                old: file(was),
                new: file(is),
            });
        }
        let folder = |found: Option<Found>| found.filter(Found::is_folder).map(|found| found.id);
        let (was, is) = (folder(was), folder(is));
        if (was.is_some() || is.is_some()) && filter.enters(&path) {
            if open.len() >= DEPTH_MAX {
                let id = is.or(was).unwrap_or(format.null());
                return Err(PoolError::TooDeep { id, max: DEPTH_MAX });
            }
            let prefix = [&path[..], b"/"].concat();
            open.push(Level::new(
                format,
                read,
                prefix,
                was.as_deref(),
                is.as_deref(),
            )?);
        }
    }
    Ok(changes)
}

/// Two folders that are compared, and how far.
struct Level {
    prefix: Vec<u8>,
    old: Side,
    new: Side,
}

/// One of the two folders.
struct Side {
    id: ObjectId,
    data: Bytes,
    at: usize,
}

impl Side {
    fn new(
        format: ObjectFormat,
        read: &dyn Fn(&oid) -> Result<Bytes, PoolError>,
        id: Option<&oid>,
    ) -> Result<Side, PoolError> {
        Ok(match id {
            Some(id) => Side {
                id: id.to_owned(),
                data: read(id)?,
                at: 0,
            },
            None => Side {
                id: format.null(),
                data: Bytes::new(),
                at: 0,
            },
        })
    }

    /// The entry at the front, and where the next one begins.
    fn peek(&self, format: ObjectFormat) -> Result<Option<(TreeEntry<'_>, usize)>, PoolError> {
        let mut rest = entries(self.data.get(self.at..).unwrap_or_default(), format);
        let entry = rest.next().transpose();
        let entry = entry.map_err(|error| damaged(self.id, &error))?;
        Ok(entry.map(|entry| (entry, self.at + rest.offset())))
    }
}

/// A name, and what it is on both sides.
type Compared = (Vec<u8>, Option<Found>, Option<Found>);

impl Level {
    fn new(
        format: ObjectFormat,
        read: &dyn Fn(&oid) -> Result<Bytes, PoolError>,
        prefix: Vec<u8>,
        old: Option<&oid>,
        new: Option<&oid>,
    ) -> Result<Level, PoolError> {
        Ok(Level {
            prefix,
            old: Side::new(format, read, old)?,
            new: Side::new(format, read, new)?,
        })
    }

    /// The next name that differs.
    fn next(&mut self, format: ObjectFormat) -> Result<Option<Compared>, PoolError> {
        loop {
            let (old, new) = (self.old.peek(format)?, self.new.peek(format)?);
            let order = match (&old, &new) {
                (None, None) => return Ok(None),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((a, _)), Some((b, _))) => {
                    compare_names(a.name, a.is_tree(), b.name, b.is_tree())
                }
            };
            let old = old.filter(|_| order.is_le());
            let new = new.filter(|_| order.is_ge());
            let (old_at, new_at) = (
                old.as_ref().map_or(self.old.at, |(_, at)| *at),
                new.as_ref().map_or(self.new.at, |(_, at)| *at),
            );
            let is_same = matches!((&old, &new), (Some((a, _)), Some((b, _)))
                if a.id == b.id && canonical_mode(a.mode) == canonical_mode(b.mode));
            let compared = (!is_same).then(|| {
                let name = new.as_ref().or(old.as_ref()).map(|(entry, _)| entry.name);
                let found = |side: &Option<(TreeEntry<'_>, usize)>| {
                    side.as_ref().map(|(entry, _)| Found::of(entry))
                };
                (name.unwrap_or_default().to_vec(), found(&old), found(&new))
            });
            (self.old.at, self.new.at) = (old_at, new_at);
            if compared.is_some() {
                return Ok(compared);
            }
        }
    }
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is new.
    Added,
    /// Its content or its mode changed.
    Modified,
    /// It is gone.
    Deleted,
    /// It was at another path.
    Renamed,
    /// It was made from another one, which is still there or went elsewhere too.
    Copied,
    /// A file became a link or a submodule, or the other way round.
    TypeChanged,
}

impl Status {
    /// The letter that `git diff --raw` has for it.
    pub fn letter(self) -> char {
        match self {
            Status::Added => 'A',
            Status::Modified => 'M',
            Status::Deleted => 'D',
            Status::Renamed => 'R',
            Status::Copied => 'C',
            Status::TypeChanged => 'T',
        }
    }
}

/// One file of a comparison of two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// What happened.
    pub status: Status,
    /// Where it is, or was.
    pub path: Vec<u8>,
    /// Where it came from, if that is another path.
    pub old_path: Option<Vec<u8>>,
    /// What it was.
    pub old: Option<Found>,
    /// What it is.
    pub new: Option<Found>,
    /// How much of it came from the old path, of [`SCORE_MAX`]; 0 for all but renames and copies.
    pub score: u32,
}

impl FileDiff {
    /// A change, whether or not the file was moved.
    pub fn of(change: &FileChange) -> FileDiff {
        plain(change.clone())
    }

    /// The score in per cent, as git shows it.
    pub fn similarity(&self) -> u32 {
        self.score * 100 / SCORE_MAX
    }
}

/// What a comparison of two trees looks for.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// Which paths.
    pub filter: TreeFilter,
    /// Renames, and copies if it says so; `None` for neither.
    pub renames: Option<RenameOptions>,
}

/// The files that differ between two trees, in the order of `git diff`; and the limit that would
/// have been needed where rename detection was given up.
///
/// # Errors
/// As [`changed_files`], and when a blob cannot be read.
pub fn diff_trees(
    pool: &Pool,
    old: Option<&oid>,
    new: Option<&oid>,
    options: &DiffOptions,
) -> Result<(Vec<FileDiff>, Option<usize>), PoolError> {
    let changes = changed_files(pool, old, new, &options.filter)?;
    with_renames(pool, changes, options.renames.as_ref())
}

/// Pairs the files that were moved. Renames are `None` for none.
///
/// # Errors
/// When a blob cannot be read.
pub fn with_renames(
    blobs: &dyn Blobs,
    changes: Vec<FileChange>,
    options: Option<&RenameOptions>,
) -> Result<(Vec<FileDiff>, Option<usize>), PoolError> {
    let Some(options) = options else {
        return Ok((changes.into_iter().map(plain).collect(), None));
    };
    let mut sources = Vec::new();
    // Of each change: its place among the sources, among the destinations.
    let mut source_of: Vec<Option<usize>> = vec![None; changes.len()];
    let mut destinations = Vec::new();
    let mut destination_of: Vec<Option<usize>> = vec![None; changes.len()];
    for (at, change) in changes.iter().enumerate() {
        match (&change.old, &change.new) {
            (Some(old), new) if new.is_none() || options.copies => {
                source_of[at] = Some(sources.len());
                sources.push(Source {
                    path: &change.path,
                    mode: old.mode,
                    id: old.id,
                    is_kept: new.is_some(),
                });
            }
            (None, Some(new)) => {
                destination_of[at] = Some(destinations.len());
                destinations.push(Destination {
                    path: &change.path,
                    mode: new.mode,
                    id: new.id,
                });
            }
            _ => {}
        }
    }
    let found = renames::detect(blobs, &sources, &destinations, options, None)?;
    let mut from: Vec<Option<(usize, u32)>> = vec![None; destinations.len()];
    let mut users: Vec<usize> = sources.iter().map(|s| usize::from(s.is_kept)).collect();
    for pair in &found.pairs {
        from[pair.destination] = Some((pair.source, pair.score));
        users[pair.source] += 1;
    }
    let mut is_moved: Vec<bool> = users.iter().map(|users| *users > 0).collect();
    let source_at: Vec<usize> = (0..changes.len())
        .filter(|at| source_of[*at].is_some())
        .collect();
    let mut files = Vec::with_capacity(changes.len());
    for (at, change) in changes.iter().enumerate() {
        if let Some((source, score)) = destination_of[at].and_then(|place| from[place]) {
            // Of several that came from one the last is the rename, if the source is gone.
            users[source] -= 1;
            let origin = &changes[source_at[source]];
            files.push(FileDiff {
                status: if users[source] > 0 {
                    Status::Copied
                } else {
                    Status::Renamed
                },
                path: change.path.clone(),
                old_path: Some(origin.path.clone()),
                old: origin.old,
                new: change.new,
                score,
            });
            continue;
        }
        let is_gone = change.new.is_none();
        if is_gone && source_of[at].is_some_and(|source| std::mem::take(&mut is_moved[source])) {
            continue;
        }
        files.push(plain(change.clone()));
    }
    Ok((files, found.limit_needed))
}

fn plain(change: FileChange) -> FileDiff {
    let status = match (&change.old, &change.new) {
        (None, _) => Status::Added,
        (_, None) => Status::Deleted,
        (Some(old), Some(new)) if (old.mode ^ new.mode) & 0o170_000 != 0 => Status::TypeChanged,
        _ => Status::Modified,
    };
    FileDiff {
        status,
        path: change.path,
        old_path: None,
        old: change.old,
        new: change.new,
        score: 0,
    }
}
