//! What differs between two commits.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use govc_api::diff::{Diff, DiffFile, DiffStats};
use govc_engine::pool::PoolError;
use govc_engine::work::diff::renames::RenameOptions;
use govc_engine::work::diff::{
    DiffOptions, FileDiff, PatchMaker, PatchOptions, TreeFilter, diff_trees,
};
use govc_engine::work::workspace::state::tree_or_empty;
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
}

impl State {
    /// The files that differ between two commits.
    ///
    /// # Errors
    /// [`AppError::PathInvalid`], `NO_MERGE_BASE`, and those of [`State::commit`].
    pub fn diff(self, ends: &Ends, query: &DiffQuery) -> Result<Compared, AppError> {
        if let (Some(inside), None, None) = (&self.inside, &ends.from, &ends.to) {
            // All that is changed in the scope, staged or not.
            let base = tree_or_empty(&self.view.pool, inside.base)?;
            let (base_commit, files) = (inside.base, inside.files);
            return self.compare_roots((base_commit, None), (Some(base), Some(files)), query);
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
        let path = query.path.strip_suffix(b"/").unwrap_or(&query.path);
        if !path.is_empty() {
            check_path(path)?;
        }
        let pool = &self.view.pool;
        let options = DiffOptions {
            filter: TreeFilter {
                path: path.to_vec(),
            },
            renames: (query.renames || query.copies).then(|| RenameOptions {
                copies: query.copies,
                ..RenameOptions::default()
            }),
        };
        let (files, rename_limit_needed) =
            diff_trees(pool, old.as_deref(), new.as_deref(), &options)?;
        Ok(Compared {
            from,
            to,
            files,
            rename_limit_needed,
            lines: query.lines,
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
    /// All of it. Once patches have more than `bytes_max` together, the files behind have none.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn body(&self, bytes_max: usize) -> Result<Diff, AppError> {
        let pool = &*self.state.view.pool;
        let mut maker = PatchMaker::new(self.lines);
        let mut files = Vec::with_capacity(self.files.len());
        let mut stats = DiffStats {
            files: self.files.len() as u64,
            ..DiffStats::default()
        };
        let (mut bytes, mut truncated) = (0, false);
        for file in &self.files {
            let mut patch = None;
            if !truncated {
                let made = maker.patch(pool, file)?;
                bytes += made.text.len();
                truncated = bytes > bytes_max;
                patch = (!truncated).then_some(made);
            }
            if let Some(patch) = &patch {
                stats.additions += patch.additions;
                stats.deletions += patch.deletions;
            }
            files.push(DiffFile::new(file, patch));
        }
        Ok(Diff {
            from: self.from.map(|id| id.to_string()),
            to: self.to.map(|id| id.to_string()),
            files,
            stats,
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
