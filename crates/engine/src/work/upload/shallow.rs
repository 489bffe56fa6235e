//! Where a client's history is cut, and where it will be: what upload-pack(1) says in `shallow`
//! and `unshallow` lines.

use govc_git::wire::depth::{DEPTH_INFINITE, Depth, write_shallow};
use govc_git::wire::fetch::FetchRequest;
use govc_git::{ObjectId, ObjectKind};

use super::UploadError;
use crate::pool::{CommitNumber, CutHistory, Cuts};
use crate::work::View;
use crate::work::hidden::HiddenRefs;

/// What becomes of a client's shallow history.
#[derive(Debug, Clone, Default)]
pub struct Shallow {
    /// Commits that lose their parents.
    pub shallow: Vec<ObjectId>,
    /// Commits that get them back.
    pub unshallow: Vec<ObjectId>,
    /// Where walks for the pack end, and where they go on.
    pub cuts: Cuts,
}

impl Shallow {
    /// Writes the lines that tell the client.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_shallow(out, &self.shallow, &self.unshallow);
    }
}

/// Where the client's history will be cut; `None` where it was whole and stays so.
///
/// Commits that the client says its history is cut at, and that `view` does not show, are passed
/// over: another server told it of them.
///
/// # Errors
/// [`UploadError`], where what is asked for cannot be.
pub fn shallow(
    view: &View,
    hidden: HiddenRefs<'_>,
    request: &FetchRequest,
) -> Result<Option<Shallow>, UploadError> {
    let depth = &request.depth;
    if depth.is_empty() {
        return Ok(None);
    }
    if depth.deepen.is_some() && depth.is_by_revisions() {
        return Err(UploadError::DepthTwice);
    }
    let before = shallow_commits(view, depth)?;
    let history = match depth.deepen {
        Some(DEPTH_INFINITE) => {
            let inside = before.iter().copied().collect();
            Some(CutHistory {
                inside,
                boundary: Vec::new(),
            })
        }
        Some(number) if depth.relative => {
            let graph = view.pool.graph();
            Some(graph.cut_by_depth(&before, number.saturating_add(1)))
        }
        Some(number) => {
            let tips = commits(view, &request.wants)?;
            Some(view.pool.graph().cut_by_depth(&tips, number))
        }
        None if depth.is_by_revisions() => Some(by_revisions(view, hidden, request)?),
        None => None,
    };
    let graph = view.pool.graph();
    let mut told = Shallow::default();
    told.cuts.at.extend(&before);
    if let Some(history) = history {
        for n in &history.boundary {
            if !history.inside.contains(n) && told.cuts.at.insert(*n) {
                told.shallow.push(graph.id(*n));
            }
        }
        for n in &before {
            if history.inside.contains(n) {
                told.unshallow.push(graph.id(*n));
                told.cuts.opened.push(*n);
            }
        }
    }
    Ok(Some(told))
}

/// The commits at which the client's history is cut now, each once.
fn shallow_commits(view: &View, depth: &Depth) -> Result<Vec<CommitNumber>, UploadError> {
    let mut found = Vec::with_capacity(depth.shallow.len());
    for id in &depth.shallow {
        if !view.visibility().sees(id)? {
            continue;
        }
        match view.pool.graph().number(id) {
            Some(number) => found.push(number),
            None => return Err(UploadError::ShallowNoCommit(*id)),
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The commits among `ids`, themselves or under tags.
fn commits(view: &View, ids: &[ObjectId]) -> Result<Vec<CommitNumber>, UploadError> {
    let pool = &view.pool;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let target = match pool.graph().number(id) {
            Some(number) => Some(number),
            None => pool
                .peel(id)?
                .filter(|peeled| peeled.kind == ObjectKind::Commit)
                .and_then(|peeled| pool.graph().number(&peeled.target)),
        };
        found.extend(target);
    }
    Ok(found)
}

fn by_revisions(
    view: &View,
    hidden: HiddenRefs<'_>,
    request: &FetchRequest,
) -> Result<CutHistory, UploadError> {
    let depth = &request.depth;
    let mut excluded = Vec::with_capacity(depth.not.len());
    for name in &depth.not {
        let ambiguous = || UploadError::AmbiguousRef(name.clone());
        excluded.push(expand(view, hidden, name).ok_or_else(ambiguous)?);
    }
    let excluded = commits(view, &excluded)?;
    let tips = commits(view, &request.wants)?;
    // No time is that of nobody's asking; one that no commit can have leaves none.
    let since = depth.since.filter(|&since| since > 0);
    let since = since.map(|since| i64::try_from(since).unwrap_or(i64::MAX));
    let graph = view.pool.graph();
    let history = graph.cut_by_revisions(&tips, since, &excluded);
    if history.inside.is_empty() && history.boundary.is_empty() {
        return Err(UploadError::NothingSelected);
    }
    Ok(history)
}

/// What the one ref is at that `name` may mean (gitrevisions(7)); `None` where there is none, or
/// more than one.
fn expand(view: &View, hidden: HiddenRefs<'_>, name: &[u8]) -> Option<ObjectId> {
    const RULES: [(&[u8], &[u8]); 6] = [
        (b"", b""),
        (b"refs/", b""),
        (b"refs/tags/", b""),
        (b"refs/heads/", b""),
        (b"refs/remotes/", b""),
        (b"refs/remotes/", b"/HEAD"),
    ];
    let mut found = None;
    for (before, behind) in RULES {
        let full = [before, name, behind].concat();
        if hidden.hides(&full) {
            continue;
        }
        if let Some(id) = view.refs.resolve(&full)
            && found.replace(id).is_some()
        {
            return None;
        }
    }
    found
}
