//! Files of a workspace: written, staged, removed, moved.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use govc_git::object::tree::{MODE_SUBMODULE, MODE_SYMLINK, canonical_mode};
use govc_git::object_id::hash_object;
use govc_git::{ObjectId, ObjectKind, path};

use super::draft::{Changed, TreeEdit};
use super::rules::Rules;
use super::{OpenWorkspace, WorkspaceError};
use crate::pool::Pool;
use crate::work::action::{Content, FileMode};
use crate::work::diff::{TreeFilter, changed_files};
use crate::work::tree::Found;
use crate::work::view::View;
use crate::{NewObject, ObjectBody};

/// A file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileToWrite {
    /// Where.
    pub path: Vec<u8>,
    /// What is in it; `None` where what the working copy has is to be staged.
    pub content: Option<Content>,
    /// Its mode; `None` keeps the one there is, and is an ordinary file where there is none.
    pub mode: Option<FileMode>,
    /// Staged even where a pattern ignores it.
    pub force: bool,
}

/// Refuses to write a file where the same request has written below it, or the reverse.
fn check_way_among(written: &BTreeSet<&[u8]>, file: &FileToWrite) -> Result<(), WorkspaceError> {
    let path = &file.path[..];
    let folders = memchr::memchr_iter(b'/', path).map(|end| &path[..end]);
    let mut above = folders.filter(|folder| written.contains(folder));
    let below = || {
        let inside = [path, b"/"].concat();
        let from = (Bound::Included(&inside[..]), Bound::Unbounded);
        let next = written.range::<[u8], _>(from).next();
        next.copied().filter(|next| next.starts_with(&inside))
    };
    match above.next().or_else(below) {
        None => Ok(()),
        Some(with) => Err(WorkspaceError::PathConflict {
            path: path.to_vec(),
            with: with.to_vec(),
        }),
    }
}

impl OpenWorkspace {
    /// Writes files, and stages them where `stage` says so: `git add` of what was written.
    ///
    /// Contents go through what `.gitattributes` say of line endings, as on their way into the
    /// index. `sees` says whether an object that is named by its id may be seen.
    ///
    /// # Errors
    /// [`WorkspaceError`].
    pub fn write(
        &self,
        pool: &Pool,
        view: &View,
        files: &[FileToWrite],
        stage: bool,
    ) -> Result<Changed, WorkspaceError> {
        let mut rules = Rules::of(pool, self.now.files);
        let (mut in_index, mut in_files) = (Vec::new(), Vec::new());
        let mut objects = Vec::new();
        let mut written: BTreeSet<&[u8]> = BTreeSet::new();
        for file in files {
            path::check(&file.path).map_err(|source| WorkspaceError::PathInvalid {
                path: file.path.clone(),
                source,
            })?;
            let Some(content) = &file.content else {
                self.stage_path(pool, &mut rules, file, &mut in_index)?;
                continue;
            };
            let there = self.in_files(pool, &file.path)?;
            self.check_way(pool, file, there)?;
            check_way_among(&written, file)?;
            written.insert(&file.path);
            let tracked = self.in_index(pool, &file.path)?;
            let is_tracked = tracked.is_some_and(|found| !found.is_folder());
            if stage && !file.force && !is_tracked && rules.is_ignored(&file.path)? {
                return Err(WorkspaceError::Ignored {
                    path: file.path.clone(),
                });
            }
            let mode = mode_of(file, content, there.or(tracked))?;
            let id = match content {
                Content::Bytes(data) => {
                    let data = match mode {
                        MODE_SYMLINK => data.clone(),
                        _ => clean(pool, &mut rules, &file.path, tracked, data)?,
                    };
                    let id = hash_object(pool.format(), ObjectKind::Blob, &data)?;
                    objects.push(NewObject {
                        id,
                        kind: ObjectKind::Blob,
                        body: ObjectBody::Whole(data),
                    });
                    id
                }
                Content::Object(id) => {
                    self.check_object(pool, view, *id, mode)?;
                    *id
                }
            };
            let edit = TreeEdit::Put {
                path: file.path.clone(),
                mode,
                id,
            };
            if stage {
                in_index.push(edit.clone());
            }
            in_files.push(edit);
        }
        self.edited(pool, &in_index, &in_files, objects)
    }

    /// Refuses to write a file where a folder is, or below a file: on a disk that fails too.
    fn check_way(
        &self,
        pool: &Pool,
        file: &FileToWrite,
        there: Option<Found>,
    ) -> Result<(), WorkspaceError> {
        let conflict = |with: &[u8]| WorkspaceError::PathConflict {
            path: file.path.clone(),
            with: with.to_vec(),
        };
        if there.is_some_and(|found| found.is_folder()) {
            return Err(conflict(&file.path));
        }
        if there.is_none() {
            for end in memchr::memchr_iter(b'/', &file.path) {
                let folder = &file.path[..end];
                match self.in_files(pool, folder)? {
                    None => break,
                    Some(found) if !found.is_folder() => return Err(conflict(folder)),
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    fn check_object(
        &self,
        pool: &Pool,
        view: &View,
        id: ObjectId,
        mode: u32,
    ) -> Result<(), WorkspaceError> {
        if id.kind() != pool.format() {
            return Err(WorkspaceError::BlobNotFound { id });
        }
        if mode == MODE_SUBMODULE {
            return Ok(());
        }
        let is_blob = matches!(pool.header(&id)?, Some((ObjectKind::Blob, _)));
        match is_blob && view.visibility().sees(&id)? {
            true => Ok(()),
            false => Err(WorkspaceError::BlobNotFound { id }),
        }
    }

    /// Stages what the working copy has at a path: a file, a whole folder, or that it is gone.
    fn stage_path(
        &self,
        pool: &Pool,
        rules: &mut Rules<'_>,
        file: &FileToWrite,
        in_index: &mut Vec<TreeEdit>,
    ) -> Result<(), WorkspaceError> {
        let is_there = self.in_files(pool, &file.path)?.is_some()
            || self.in_index(pool, &file.path)?.is_some()
            || self
                .now
                .unmerged
                .iter()
                .any(|path| *path.path == *file.path);
        if !is_there {
            return Err(WorkspaceError::PathNotFound {
                path: file.path.clone(),
            });
        }
        let before = in_index.len();
        let filter = TreeFilter {
            path: file.path.clone(),
        };
        let (index, files) = (&self.now.index, &self.now.files);
        let mut ignored = None;
        for change in changed_files(pool, Some(index), Some(files), &filter)? {
            if change.old.is_none() && !file.force && rules.is_ignored(&change.path)? {
                ignored.get_or_insert(change.path);
                continue;
            }
            in_index.push(TreeEdit::to(&change.path, change.new));
        }
        match ignored {
            // What was named itself is refused; what is found in a folder is passed over.
            Some(path) if path == file.path => Err(WorkspaceError::Ignored { path }),
            _ => {
                if in_index.len() == before {
                    // An unmerged path that is what it was: it is solved by this all the same.
                    let found = self.in_files(pool, &file.path)?;
                    let is_file = found.is_none_or(|found| !found.is_folder());
                    if is_file && !self.now.unmerged.is_empty() {
                        in_index.push(TreeEdit::to(&file.path, found));
                    }
                }
                Ok(())
            }
        }
    }

    /// Removes a file or a whole folder from index and working copy: `git rm -r`, which refuses to
    /// lose what is in no commit.
    ///
    /// # Errors
    /// [`WorkspaceError::PathNotFound`], [`WorkspaceError::Dirty`].
    pub fn remove(&self, pool: &Pool, path: &[u8], force: bool) -> Result<Changed, WorkspaceError> {
        path::check(path).map_err(|source| WorkspaceError::PathInvalid {
            path: path.to_vec(),
            source,
        })?;
        let tracked = self.files_below(pool, &self.now.index, path)?;
        let is_unmerged = |at: &[u8]| self.now.unmerged.iter().any(|u| *u.path == *at);
        if tracked.is_empty() && !is_unmerged(path) {
            // A file that nobody tracks is only in the working copy.
            let untracked = self.files_below(pool, &self.now.files, path)?;
            if untracked.is_empty() {
                return Err(WorkspaceError::PathNotFound {
                    path: path.to_vec(),
                });
            }
            if !force {
                let paths = untracked.into_iter().map(|(path, _)| path).collect();
                return Err(WorkspaceError::Dirty { paths });
            }
            let edit = TreeEdit::Remove {
                path: path.to_vec(),
            };
            return self.edited(pool, &[], &[edit], Vec::new());
        }
        let mut lost = Vec::new();
        let mut in_files = Vec::new();
        for (at, in_index) in &tracked {
            let in_file = self.in_files(pool, at)?.filter(|found| !found.is_folder());
            let in_base = crate::work::tree::lookup(pool, &self.base_tree, at)?;
            let differs = in_file.is_some_and(|file| file != *in_index);
            if !force && (differs || (in_base != Some(*in_index) && in_file.is_some())) {
                lost.push(at.clone());
            }
            if in_file.is_some() {
                in_files.push(TreeEdit::Remove { path: at.clone() });
            }
        }
        if !lost.is_empty() {
            return Err(WorkspaceError::Dirty { paths: lost });
        }
        if is_unmerged(path) {
            in_files.push(TreeEdit::Remove {
                path: path.to_vec(),
            });
        }
        let edit = TreeEdit::Remove {
            path: path.to_vec(),
        };
        self.edited(pool, &[edit], &in_files, Vec::new())
    }

    /// Removes files and whole folders, whatever they hold: what a transaction removes is in its
    /// base, or was made in it.
    ///
    /// # Errors
    /// [`WorkspaceError::PathNotFound`] where one is not there.
    pub fn remove_all(&self, pool: &Pool, paths: &[Vec<u8>]) -> Result<Changed, WorkspaceError> {
        let mut edits = Vec::with_capacity(paths.len());
        for path in paths {
            path::check(path).map_err(|source| WorkspaceError::PathInvalid {
                path: path.clone(),
                source,
            })?;
            if self.in_index(pool, path)?.is_none() {
                return Err(WorkspaceError::PathNotFound { path: path.clone() });
            }
            edits.push(TreeEdit::Remove { path: path.clone() });
        }
        self.edited(pool, &edits, &edits, Vec::new())
    }

    /// Moves a tracked file, or all tracked files of a folder with what else is in it: `git mv`.
    ///
    /// # Errors
    /// [`WorkspaceError::PathNotFound`], [`WorkspaceError::PathConflict`] where something is at
    /// `to` and `force` does not say that it goes.
    pub fn rename(
        &self,
        pool: &Pool,
        from: &[u8],
        to: &[u8],
        force: bool,
    ) -> Result<Changed, WorkspaceError> {
        for at in [from, to] {
            path::check(at).map_err(|source| WorkspaceError::PathInvalid {
                path: at.to_vec(),
                source,
            })?;
        }
        let conflict = || WorkspaceError::PathConflict {
            path: to.to_vec(),
            with: to.to_vec(),
        };
        let not_found = || WorkspaceError::PathNotFound {
            path: from.to_vec(),
        };
        let is_inside = to
            .strip_prefix(from)
            .is_some_and(|rest| rest.starts_with(b"/"));
        if is_inside || from == to {
            return Err(conflict());
        }
        let tracked = self.files_below(pool, &self.now.index, from)?;
        let files = self.files_below(pool, &self.now.files, from)?;
        if tracked.is_empty() || files.is_empty() {
            return Err(not_found());
        }
        let is_folder = self
            .in_files(pool, from)?
            .is_some_and(|found| found.is_folder());
        let in_the_way = self.in_files(pool, to)?;
        if let Some(there) = in_the_way
            && (!force || is_folder || there.is_folder())
        {
            return Err(conflict());
        }
        let probe = FileToWrite {
            path: to.to_vec(),
            content: None,
            mode: None,
            force,
        };
        if in_the_way.is_none() {
            self.check_way(pool, &probe, None)?;
        }
        let moved = |entries: Vec<(Vec<u8>, Found)>| -> Result<Vec<TreeEdit>, WorkspaceError> {
            let mut edits = vec![TreeEdit::Remove {
                path: from.to_vec(),
            }];
            for (at, found) in entries {
                let rest = at.strip_prefix(from).unwrap_or_default();
                let path = [to, rest].concat();
                path::check(&path).map_err(|source| WorkspaceError::PathInvalid {
                    path: path.clone(),
                    source,
                })?;
                edits.push(TreeEdit::to(&path, Some(found)));
            }
            Ok(edits)
        };
        self.edited(pool, &moved(tracked)?, &moved(files)?, Vec::new())
    }

    /// All files of the tree `root` at `path` or below it.
    fn files_below(
        &self,
        pool: &Pool,
        root: &ObjectId,
        path: &[u8],
    ) -> Result<Vec<(Vec<u8>, Found)>, WorkspaceError> {
        let filter = TreeFilter {
            path: path.to_vec(),
        };
        let all = changed_files(pool, None, Some(root), &filter)?;
        Ok(all
            .into_iter()
            .filter_map(|change| Some((change.path, change.new?)))
            .collect())
    }
}

/// The mode that a file gets.
fn mode_of(
    file: &FileToWrite,
    content: &Content,
    there: Option<Found>,
) -> Result<u32, WorkspaceError> {
    let invalid = |mode: u32, why| WorkspaceError::ModeInvalid {
        path: file.path.clone(),
        mode,
        why,
    };
    match (file.mode, content) {
        (Some(FileMode::Submodule), Content::Bytes(_)) => Err(invalid(
            MODE_SUBMODULE,
            "a submodule is a commit's id, not content",
        )),
        (Some(mode), _) => Ok(mode.bits()),
        (None, _) => Ok(there
            .map(|found| canonical_mode(found.mode))
            .filter(|mode| *mode != MODE_SUBMODULE && *mode != 0o040_000)
            .unwrap_or(FileMode::File.bits())),
    }
}

/// The content as `git add` takes it in.
fn clean(
    pool: &Pool,
    rules: &mut Rules<'_>,
    path: &[u8],
    tracked: Option<Found>,
    data: &Bytes,
) -> Result<Bytes, WorkspaceError> {
    // Most files have none: then nothing is to be asked.
    if memchr::memchr(b'\r', data).is_none() {
        return Ok(data.clone());
    }
    let action = rules.eol(path)?;
    let in_index = || -> Result<Option<Bytes>, WorkspaceError> {
        match tracked.filter(|found| canonical_mode(found.mode) & 0o170_000 == 0o100_000) {
            Some(found) => Ok(Some(pool.get_kind(&found.id, ObjectKind::Blob)?)),
            None => Ok(None),
        }
    };
    Ok(match action.clean(data, in_index)? {
        std::borrow::Cow::Borrowed(_) => data.clone(),
        std::borrow::Cow::Owned(cleaned) => cleaned.into(),
    })
}
