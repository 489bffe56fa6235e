//! Files and folders of a state.

use bytes::Bytes;
use govc_api::commits::Commit;
use govc_api::files::{File, TreeEntry, mode_text};
use govc_api::text::{content, text};
use govc_engine::pool::Pool;
use govc_engine::work::tree::{self, Depth, ListError, ListQuery};
use govc_git::object::tree::{MODE_SUBMODULE, MODE_TREE, canonical_mode};
use govc_git::{ObjectId, ObjectKind, path as paths};

use super::error::AppError;
use super::state::State;
use crate::http::page::{Cursor, Page, PageQuery};

/// A file as it was found.
#[derive(Debug, Clone)]
pub struct FileFound {
    /// The commit that it was found in, or that the working copy was made from.
    pub commit: Option<ObjectId>,
    /// Its path.
    pub path: Vec<u8>,
    /// Its mode.
    pub mode: u32,
    /// The id of its blob; of a submodule, of its commit.
    pub id: ObjectId,
}

/// The commit that a folder was read from, and the folder's tree.
pub type Folder = (Option<ObjectId>, ObjectId);

/// Which part of a folder to list, and what to tell of each entry.
#[derive(Debug)]
pub struct TreeQuery {
    /// The folder.
    pub path: Vec<u8>,
    /// All below it, too.
    pub recursive: bool,
    /// With the commit that touched each entry last.
    pub last_commit: bool,
    /// Which part.
    pub page: PageQuery,
}

impl State {
    /// The file at `path` in the commit that `reference` names.
    ///
    /// # Errors
    /// [`AppError::PathInvalid`], [`AppError::PathNotFound`], and those of [`State::commit`].
    pub fn file(&self, reference: Option<&str>, path: &[u8]) -> Result<FileFound, AppError> {
        check_path(path)?;
        let not_found = || AppError::PathNotFound { path: text(path).0 };
        let (commit, root) = self.root(reference)?.ok_or_else(not_found)?;
        let found = tree::lookup(&self.view.pool, &root, path)?.ok_or_else(not_found)?;
        if canonical_mode(found.mode) == MODE_TREE {
            return Err(AppError::PathOfOtherKind {
                path: text(path).0,
                found: "a folder: `/tree` lists it",
            });
        }
        Ok(FileFound {
            commit,
            path: path.to_vec(),
            mode: found.mode,
            id: found.id,
        })
    }

    /// What is in a file. `None` for a submodule: what it names is in another repository.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn content(&self, file: &FileFound) -> Result<Option<Bytes>, AppError> {
        if canonical_mode(file.mode) == MODE_SUBMODULE {
            return Ok(None);
        }
        Ok(Some(self.view.pool.get(&file.id)?.data))
    }

    /// How many bytes a file has, without reading all of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn size(&self, file: &FileFound) -> Result<Option<u64>, AppError> {
        if canonical_mode(file.mode) == MODE_SUBMODULE {
            return Ok(None);
        }
        let header = self.view.pool.header(&file.id)?;
        let missing = || AppError::from(govc_engine::pool::PoolError::Missing { id: file.id });
        header.map(|(_, size)| Some(size)).ok_or_else(missing)
    }

    /// A file as JSON.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file_body(&self, file: &FileFound) -> Result<File, AppError> {
        let data = self.content(file)?;
        let (path, path_base64) = text(&file.path);
        let shown = data.as_deref().map(content);
        Ok(File {
            path,
            path_base64,
            commit: file.commit.map(|id| id.to_string()),
            oid: file.id.to_string(),
            mode: mode_text(file.mode),
            size: data.map(|data| data.len() as u64),
            encoding: shown.as_ref().map(|(encoding, _)| *encoding),
            content: shown.map(|(_, content)| content),
        })
    }

    /// Entries of a folder, the commit they are from, and the folder's tree.
    ///
    /// # Errors
    /// [`AppError::PathInvalid`], [`AppError::PathNotFound`], and those of [`State::commit`].
    pub fn tree(
        &self,
        reference: Option<&str>,
        query: TreeQuery,
    ) -> Result<(Page<TreeEntry>, Option<Folder>), AppError> {
        let path = match query.path.strip_suffix(b"/") {
            // One slash may end a folder's path, and none makes the root's.
            Some(folder) if !folder.is_empty() => folder,
            _ => &query.path,
        };
        if !path.is_empty() {
            check_path(path)?;
        }
        let pool = &self.view.pool;
        let not_found = || AppError::PathNotFound { path: text(path).0 };
        let Some((commit, root)) = self.root(reference)? else {
            // The root of a repository without commits is there, and empty.
            let empty = Page {
                items: Vec::new(),
                next: None,
            };
            return if path.is_empty() {
                Ok((empty, None))
            } else {
                Err(not_found())
            };
        };
        let folder = tree::lookup(pool, &root, path)?.ok_or_else(not_found)?;
        let listed = tree::list(
            pool,
            &root,
            &ListQuery {
                path: path.to_vec(),
                depth: if query.recursive {
                    Depth::FilesAndFolders
                } else {
                    Depth::One
                },
                after: query.page.cursor.map(|cursor| cursor.after),
                limit: query.page.limit,
            },
        );
        let (entries, more) = listed.map_err(|error| match error {
            ListError::NotFound { .. } => not_found(),
            ListError::NotAFolder { .. } => AppError::PathOfOtherKind {
                path: text(path).0,
                found: "no folder: `/read` gives it",
            },
            ListError::Pool(error) => error.into(),
        })?;
        let next = entries.last().filter(|_| more).map(|last| Cursor {
            seq: self.view.seq,
            after: last.path.clone(),
        });
        let last_commits = if let (true, Some(commit)) = (query.last_commit, commit) {
            let names: Vec<&[u8]> = entries.iter().map(|entry| entry.path.as_slice()).collect();
            last_commits(pool, commit, &names)?
        } else {
            vec![None; entries.len()]
        };
        let items = entries
            .into_iter()
            .zip(last_commits)
            .map(|(entry, last_commit)| TreeEntry {
                last_commit,
                ..TreeEntry::from(entry)
            });
        let page = Page {
            items: items.collect(),
            next,
        };
        Ok((page, Some((commit, folder.id))))
    }
}

/// For each path the newest commit that touched it.
fn last_commits(
    pool: &Pool,
    commit: ObjectId,
    paths: &[&[u8]],
) -> Result<Vec<Option<Commit>>, AppError> {
    let number = pool.graph().number(&commit);
    let Some(number) = number else {
        return Err(govc_engine::pool::PoolError::Missing { id: commit }.into());
    };
    let mut found = vec![None; paths.len()];
    // Entries of one folder are looked for together.
    let mut at = 0;
    while let Some(first) = paths.get(at) {
        let folder = parent(first);
        let together = paths[at..]
            .iter()
            .take_while(|path| parent(path) == folder)
            .count();
        let names: Vec<&[u8]> = paths[at..at + together]
            .iter()
            .map(|path| path.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
            .collect();
        let ids = tree::last_commits(pool, number, folder, &names)?;
        for (place, id) in found[at..at + together].iter_mut().zip(ids) {
            *place = id.map(|id| super::commits::read(pool, id)).transpose()?;
        }
        at += together;
    }
    Ok(found)
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(&[], |at| &path[..at])
}

/// The tree of a commit.
///
/// # Errors
/// When the commit cannot be read.
pub fn tree_of(pool: &Pool, commit: ObjectId) -> Result<ObjectId, AppError> {
    let graph = pool.graph();
    if let Some(number) = graph.number(&commit) {
        return Ok(graph.tree(number));
    }
    let object = pool.get(&commit)?;
    if object.kind != ObjectKind::Commit {
        return Err(AppError::RefNotFound {
            name: commit.to_string(),
        });
    }
    govc_git::object::commit::facts(&object.data, pool.format())
        .map(|facts| facts.tree)
        .map_err(AppError::internal)
}

/// Refuses a path that no tree may hold.
///
/// # Errors
/// [`AppError::PathInvalid`].
pub fn check_path(path: &[u8]) -> Result<(), AppError> {
    paths::check(path).map_err(|error| AppError::PathInvalid {
        path: text(path).0,
        why: error.to_string(),
    })
}
