//! What differs between two commits.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use govc_api::diff::{Diff, DiffFile, DiffStats};
use govc_engine::pool::PoolError;
use govc_engine::work::diff::renames::RenameOptions;
use govc_engine::work::diff::{
    DiffOptions, FileDiff, PatchMaker, PatchOptions, TreeFilter, changed_files, diff_trees,
    with_renames,
};
use govc_engine::work::tree::lookup;
use govc_git::ObjectId;

use super::App;
use super::error::AppError;
use super::files::{check_path, tree_of};
use super::state::State;

/// How two states are compared.
#[derive(Debug, Clone, Default)]
pub struct DiffQuery {
    /// Only this file, or what is in this folder; all when empty.
    pub path: Vec<u8>,
    /// Whether renames are looked for.
    pub renames: bool,
    /// Whether copies are.
    pub copies: bool,
    /// How lines are compared.
    pub lines: PatchOptions,
}

/// Two commits to compare.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// The revision to compare with; `None`: the first parent of the other.
    pub from: Option<String>,
    /// The revision to compare; `None`: HEAD.
    pub to: Option<String>,
    /// Compare with the best common ancestor of the two.
    pub merge_base: bool,
}

/// Which files differ between two commits, before their lines are looked at.
pub struct Compared {
    /// The state that they were found in.
    pub state: State,
    /// The commit that is compared with; `None` for nothing at all.
    pub from: Option<ObjectId>,
    /// The commit that is compared; `None` in a repository without commits.
    pub to: Option<ObjectId>,
    /// The files.
    pub files: Vec<FileDiff>,
    rename_limit_needed: Option<usize>,
    lines: PatchOptions,
    /// Of a workspace: what is staged, and what is not.
    halves: Option<(Vec<FileDiff>, Vec<FileDiff>)>,
}

impl DiffQuery {
    fn options(&self) -> Result<DiffOptions, AppError> {
        let path = self.path.strip_suffix(b"/").unwrap_or(&self.path);
        if !path.is_empty() {
            check_path(path)?;
        }
        Ok(DiffOptions {
            filter: TreeFilter {
                path: path.to_vec(),
            },
            renames: (self.renames || self.copies).then(|| RenameOptions {
                copies: self.copies,
                ..RenameOptions::default()
            }),
        })
    }
}

impl State {
    /// The files that differ between two commits.
    ///
    /// # Errors
    /// [`AppError::PathInvalid`], `NO_MERGE_BASE`, and those of [`State::commit`].
    pub fn diff(self, ends: &Ends, query: &DiffQuery) -> Result<Compared, AppError> {
        if self.inside.is_some() && ends.to.is_none() {
            return self.diff_inside(ends, query);
        }
        let to = self.commit(ends.to.as_deref())?;
        let from = match &ends.from {
            Some(text) => self.commit(Some(text))?,
            None => to.and_then(|to| self.first_parent(to)),
        };
        let from = match (ends.merge_base, from, to) {
            (true, Some(from), Some(to)) => Some(self.merge_base(from, to)?),
            _ => from,
        };
        self.compare_trees(from, to, query)
    }

    /// The files that differ between two commits that are named by their ids.
    ///
    /// # Errors
    /// [`AppError::PathInvalid`].
    pub fn compare_trees(
        self,
        from: Option<ObjectId>,
        to: Option<ObjectId>,
        query: &DiffQuery,
    ) -> Result<Compared, AppError> {
        let pool = &self.view.pool;
        let tree = |id: Option<ObjectId>| id.map(|id| tree_of(pool, id)).transpose();
        let trees = (tree(from)?, tree(to)?);
        self.compare_roots((from, to), trees, query)
    }

    /// The files that differ between two trees; `from` and `to` are the commits that have them, where
    /// commits do.
    ///
    /// # Errors
    /// [`AppError::PathInvalid`].
    pub fn compare_roots(
        self,
        (from, to): (Option<ObjectId>, Option<ObjectId>),
        (old, new): (Option<ObjectId>, Option<ObjectId>),
        query: &DiffQuery,
    ) -> Result<Compared, AppError> {
        let options = query.options()?;
        let pool = &self.view.pool;
        let (files, rename_limit_needed) =
            diff_trees(pool, old.as_deref(), new.as_deref(), &options)?;
        Ok(Compared {
            from,
            to,
            files,
            rename_limit_needed,
            lines: query.lines,
            halves: None,
            state: self,
        })
    }

    /// What is changed inside of a workspace or a transaction: as `git diff HEAD`, and of a
    /// workspace what of it is staged and what is not. What is untracked is in none.
    fn diff_inside(self, ends: &Ends, query: &DiffQuery) -> Result<Compared, AppError> {
        let options = query.options()?;
        let Some(inside) = self.inside.clone() else {
            return self.compare_trees(None, None, query);
        };
        let pool = Arc::clone(&self.view.pool);
        let from = match &ends.from {
            Some(text) => self.commit(Some(text))?,
            None => inside.base,
        };
        let base = from.map(|id| tree_of(&pool, id)).transpose()?;
        let index = inside.workspace.as_ref().map(|open| open.now.index);
        let is_tracked = |file: &FileDiff| -> Result<bool, PoolError> {
            let (Some(index), None) = (&index, &file.old) else {
                return Ok(true);
            };
            Ok(lookup(&pool, index, &file.path)?.is_some_and(|found| !found.is_folder()))
        };
        let compare = |old: Option<ObjectId>, new: ObjectId| -> Result<Vec<FileDiff>, AppError> {
            let changes = changed_files(&pool, old.as_deref(), Some(&new), &options.filter)?;
            let mut kept = Vec::with_capacity(changes.len());
            for change in changes {
                // Before renames are looked for: what is untracked was not moved there.
                if is_tracked(&FileDiff::of(&change))? {
                    kept.push(change);
                }
            }
            Ok(with_renames(&*pool, kept, options.renames.as_ref())?.0)
        };
        let files = compare(base, inside.files)?;
        let halves = match index {
            Some(index) => {
                let head = inside.base.map(|id| tree_of(&pool, id)).transpose()?;
                Some((compare(head, index)?, compare(Some(index), inside.files)?))
            }
            None => None,
        };
        Ok(Compared {
            from,
            to: None,
            files,
            rename_limit_needed: None,
            lines: query.lines,
            halves,
            state: self,
        })
    }

    fn first_parent(&self, commit: ObjectId) -> Option<ObjectId> {
        let graph = self.view.pool.graph();
        let parent = graph.first_parent(graph.number(&commit)?)?;
        Some(graph.id(parent))
    }

    /// The best common ancestor of two commits, the first where there are several.
    ///
    /// # Errors
    /// `NO_MERGE_BASE` where there is none.
    pub fn merge_base(&self, a: ObjectId, b: ObjectId) -> Result<ObjectId, AppError> {
        let graph = self.view.pool.graph();
        let numbers = graph.number(&a).zip(graph.number(&b));
        let bases = numbers.map(|(a, b)| graph.merge_bases(a, b));
        let base = bases
            .unwrap_or_default()
            .first()
            .map(|base| graph.id(*base));
        base.ok_or_else(|| AppError::Impossible {
            code: "NO_MERGE_BASE",
            detail: format!("{a} and {b} have no common ancestor"),
        })
    }
}

impl Compared {
    /// What changes when the answer does, beside the commit that is compared.
    pub fn digest(&self) -> String {
        let mut digest = self.from.map_or_else(String::new, |id| id.to_string());
        if let (Some(inside), None) = (&self.state.inside, self.to) {
            digest.push_str(&format!("-{}", inside.files));
            if let Some(open) = &inside.workspace {
                digest.push_str(&format!("-{}", open.now.index));
            }
        }
        digest
    }

    /// All of it. Once patches have more than `bytes_max` together, the files behind have none.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn body(&self, bytes_max: usize) -> Result<Diff, AppError> {
        let mut maker = PatchMaker::new(self.lines);
        let mut room = bytes_max;
        let mut truncated = false;
        let mut stats = DiffStats::default();
        let mut show = |files: &[FileDiff], stats: Option<&mut DiffStats>| {
            let mut shown = Vec::with_capacity(files.len());
            let mut sum = DiffStats {
                files: files.len() as u64,
                ..DiffStats::default()
            };
            for file in files {
                let mut patch = None;
                if !truncated {
                    let made = maker.patch(&*self.state.view.pool, file)?;
                    truncated = made.text.len() > room;
                    room = room.saturating_sub(made.text.len());
                    sum.additions += made.additions;
                    sum.deletions += made.deletions;
                    patch = (!truncated).then_some(made);
                }
                shown.push(DiffFile::new(file, patch));
            }
            if let Some(stats) = stats {
                *stats = sum;
            }
            Ok::<_, PoolError>(shown)
        };
        let files = show(&self.files, Some(&mut stats))?;
        let (staged, unstaged) = match &self.halves {
            Some((staged, unstaged)) => (Some(show(staged, None)?), Some(show(unstaged, None)?)),
            None => (None, None),
        };
        Ok(Diff {
            from: self.from.map(|id| id.to_string()),
            to: self.to.map(|id| id.to_string()),
            files,
            stats,
            staged,
            unstaged,
            truncated,
            rename_limit_needed: self.rename_limit_needed,
        })
    }

    /// All patches as one text, made as they are taken.
    pub fn into_stream(
        self,
        app: &App,
    ) -> impl Stream<Item = Result<Bytes, AppError>> + Send + 'static {
        let maker = PatchMaker::new(self.lines);
        let begun = Some((self, maker, 0));
        let app = app.clone();
        stream::unfold(begun, move |state| {
            let app = app.clone();
            async move {
                let (compared, mut maker, mut at) = state?;
                if at >= compared.files.len() {
                    return None;
                }
                let made = app.offload(move || {
                    let piece = compared.piece(&mut maker, &mut at);
                    (piece, compared, maker, at)
                });
                match made.await {
                    Ok((Ok(piece), compared, maker, at)) => {
                        Some((Ok(piece), Some((compared, maker, at))))
                    }
                    Ok((Err(error), ..)) => Some((Err(error.into()), None)),
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
    }

    /// The patches of the next files.
    fn piece(&self, maker: &mut PatchMaker, at: &mut usize) -> Result<Bytes, PoolError> {
        const PIECE_BYTES: usize = 256 << 10;
        let mut text = Vec::new();
        while let Some(file) = self.files.get(*at) {
            *at += 1;
            text.extend_from_slice(&maker.patch(&*self.state.view.pool, file)?.text);
            if text.len() >= PIECE_BYTES {
                break;
            }
        }
        Ok(text.into())
    }
}
