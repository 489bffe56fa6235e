//! Who brought which line of a file.

use std::ops::Range;
use std::sync::Arc;

use govc_api::blame::{BlameAnswer, LineOrigin};
use govc_api::text::text;
use govc_engine::OperationKind;
use govc_engine::pool::{CommitNumber, PoolError};
use govc_engine::work::blame::{Blame, BlameError, BlameQuery, Origin, blame, blame_working};
use govc_engine::work::tree;
use govc_engine::work::workspace::state::tree_or_empty;
use govc_git::ObjectId;
use hashbrown::HashMap;

use super::error::AppError;
use super::files::check_path;
use super::state::State;

/// So many lines one answer has at most.
const LINES_MAX: usize = 200_000;

/// A file and who brought its lines, before anybody is named.
pub struct FileBlame {
    /// The commit that the file was read from.
    pub commit: ObjectId,
    path: Vec<u8>,
    blame: Blame,
    state: State,
}

/// Which lines, both from 1 and included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines {
    /// The first; `None`: that of the file.
    pub start: Option<usize>,
    /// The last; `None`: that of the file, which is also what is taken for one behind it.
    pub end: Option<usize>,
}

impl Lines {
    fn range(self, count: usize) -> Result<Range<usize>, AppError> {
        let start = self.start.unwrap_or(1);
        // As git has it: a range may end behind the file, but not begin there.
        let end = self.end.unwrap_or(count).min(count);
        let none = self.end == Some(0);
        if none || start == 0 || start > end.saturating_add(1) || start > count.max(1) {
            let parameter = if none { "end" } else { "start" };
            let detail = format!("`start` and `end` are lines of the file, 1 to {count}");
            return Err(AppError::query(parameter, detail));
        }
        if end.saturating_sub(start) >= LINES_MAX {
            return Err(AppError::TooLarge {
                what: format!("a file of {count} lines"),
                limit: LINES_MAX as u64,
                setting: "ask for a range: start, end",
            });
        }
        Ok(start - 1..end)
    }
}

impl State {
    /// Who brought the lines of the file at `path`, as of the commit that `reference` names; inside
    /// of a workspace or a transaction, as of its files where none is named.
    ///
    /// # Errors
    /// [`AppError::PathInvalid`], [`AppError::PathNotFound`], and those of [`State::commit`]; of
    /// `lines` [`AppError::Query`].
    pub fn blame(
        self,
        reference: Option<&str>,
        path: Vec<u8>,
        lines: Lines,
        ignore_whitespace: bool,
    ) -> Result<FileBlame, AppError> {
        check_path(&path)?;
        let not_found = || AppError::PathNotFound {
            path: text(&path).0,
        };
        let commit = self.commit(reference)?.ok_or_else(not_found)?;
        let working = match reference {
            None => self.working_before(commit, &path)?,
            Some(_) => None,
        };
        let file = match working {
            Some(_) => self.file(None, &path)?,
            None => self.file(Some(&commit.to_string()), &path)?,
        };
        let content = self.content(&file)?.ok_or_else(not_found)?;
        let unfinished = usize::from(!content.is_empty() && !content.ends_with(b"\n"));
        let count = memchr::memchr_iter(b'\n', &content).count() + unfinished;
        let query = BlameQuery {
            path: path.clone(),
            lines: Some(lines.range(count)?),
            ignore_whitespace,
        };
        let pool = &self.view.pool;
        let found = match working {
            Some(before) => blame_working(pool, &before, (file.id, content), &query),
            None => blame(pool, self.number(commit)?, &query),
        };
        let blame = found.map_err(|error| match error {
            BlameError::NotFound { .. } => not_found(),
            BlameError::Pool(error) => error.into(),
            error @ BlameError::NoSuchLines { .. } => AppError::query("end", error.to_string()),
            error @ BlameError::TooExpensive { .. } => AppError::Impossible {
                code: "TOO_EXPENSIVE",
                detail: error.to_string(),
            },
        })?;
        Ok(FileBlame {
            commit,
            path,
            blame,
            state: self,
        })
    }

    fn number(&self, commit: ObjectId) -> Result<CommitNumber, AppError> {
        let number = self.view.pool.graph().number(&commit);
        Ok(number.ok_or(PoolError::Missing { id: commit })?)
    }

    /// The commits that a file of the working copy comes from, and what it is called there; `None`
    /// outside of one, and where it is what `commit` has.
    fn working_before(
        &self,
        commit: ObjectId,
        path: &[u8],
    ) -> Result<Option<Vec<Origin>>, AppError> {
        let Some(inside) = &self.inside else {
            return Ok(None);
        };
        let pool = &self.view.pool;
        let root = tree_or_empty(pool, Some(commit))?;
        let committed = tree::lookup(pool, &root, path)?;
        if committed.is_some() && committed == tree::lookup(pool, &inside.files, path)? {
            return Ok(None);
        }
        let mut name: Arc<[u8]> = Arc::from(path);
        let mut before = Vec::new();
        if let Some(open) = &inside.workspace {
            let is_unmerged = open.now.unmerged.iter().any(|other| *other.path == *path);
            let is_tracked = is_unmerged || open.in_index(pool, path)?.is_some();
            if committed.is_none() && !is_tracked {
                return Err(AppError::PathNotFound { path: text(path).0 });
            }
            if committed.is_none() {
                let status = open.status(pool)?;
                let staged = status.staged.into_iter().find(|file| file.path == path);
                if let Some(old) = staged.and_then(|file| file.old_path) {
                    name = old.into();
                }
            }
            let merge = open.now.operation.as_ref();
            let merge = merge.filter(|operation| operation.kind == OperationKind::Merge);
            if let Some(merge) = merge {
                before.push((self.number(merge.commit)?, Arc::from(path)));
            }
        }
        before.insert(0, (self.number(commit)?, name));
        Ok(Some(before))
    }
}

impl FileBlame {
    /// With everybody's name.
    ///
    /// # Errors
    /// When a commit cannot be read.
    pub fn body(&self) -> Result<BlameAnswer, AppError> {
        let pool = &self.state.view.pool;
        let mut known: HashMap<(ObjectId, &[u8]), Arc<LineOrigin>> = HashMap::new();
        let mut origins = Vec::with_capacity(self.blame.blamed.len());
        for piece in &self.blame.blamed {
            let key = (piece.commit, &*piece.path);
            let origin = match known.get(&key) {
                Some(origin) => Arc::clone(origin),
                None if piece.commit.is_null() => Arc::new(LineOrigin::uncommitted(piece)),
                None => {
                    let data = pool.get(&piece.commit)?.data;
                    let origin = LineOrigin::read(piece, &data, pool.format());
                    let origin = Arc::new(origin.map_err(AppError::internal)?);
                    known.insert(key, Arc::clone(&origin));
                    origin
                }
            };
            origins.push(origin);
        }
        Ok(BlameAnswer::new(
            &self.path,
            self.commit,
            &self.blame,
            origins,
        ))
    }

    /// The id of the file's blob.
    pub fn id(&self) -> ObjectId {
        self.blame.id
    }
}
