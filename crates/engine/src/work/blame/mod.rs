//! Which commit each line of a file came with: `git blame`.
//!
//! As in git, every line begins with the newest commit as its suspect. A suspect hands the lines that
//! a parent has too on to that parent, which is a suspect then; what no parent has is its own. Files
//! are followed through renames of the whole file.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use govc_git::xdiff::{self, DiffOptions, Hunk};
use govc_git::{ObjectId, ObjectKind};
use hashbrown::HashMap;

use super::diff::renames::{self, Destination, RenameOptions, Source};
use super::diff::{TreeFilter, changed_files};
use super::trail::Trail;
use crate::pool::{CommitNumber, Pool, PoolError};

/// Texts that are compared for one blame, in bytes together: minutes.
const COMPARED_BYTES_MAX: u64 = 64 << 30;
/// So many pairs of texts may take too long to compare before it is given up.
const EXPENSIVE_MAX: u32 = 2;
/// The content of a suspect is kept until it is looked at, unless it is larger than this.
const CONTENT_KEPT_BYTES: usize = 1 << 20;

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct BlameQuery {
    /// The file.
    pub path: Vec<u8>,
    /// Only these lines, from 0; all where there is none.
    pub lines: Option<Range<usize>>,
    /// Lines that differ in white space alone are the same (`-w`).
    pub ignore_whitespace: bool,
}

/// Why a file has no blame.
#[derive(Debug, thiserror::Error)]
pub enum BlameError {
    /// No file is at the path.
    #[error("there is no file at {:?}", String::from_utf8_lossy(.path))]
    NotFound {
        /// The path.
        path: Vec<u8>,
    },
    /// The file does not have all of the lines that are asked for.
    #[error("the file has {count} lines")]
    NoSuchLines {
        /// How many it has.
        count: usize,
    },
    /// Its versions take too long to compare.
    #[error("the versions of {:?} take too long to compare", String::from_utf8_lossy(.path))]
    TooExpensive {
        /// The path.
        path: Vec<u8>,
    },
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Lines that one commit brought, in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    /// The lines in the file, from 0.
    pub lines: Range<usize>,
    /// The commit that brought them.
    pub commit: ObjectId,
    /// What the file was called there.
    pub path: Arc<[u8]>,
    /// Where the first of them was there, from 0.
    pub origin_line: usize,
}

/// A file and who brought its lines.
#[derive(Debug, Clone)]
pub struct Blame {
    /// The content of the file.
    pub content: Bytes,
    /// The id of its blob.
    pub id: ObjectId,
    /// All lines that were asked for, in their order.
    pub blamed: Vec<Blamed>,
}

/// Which commits the lines of a file of the commit `tip` came with, as `git blame` says.
///
/// # Errors
/// [`BlameError`].
pub fn blame(pool: &Pool, tip: CommitNumber, query: &BlameQuery) -> Result<Blame, BlameError> {
    let not_found = || BlameError::NotFound {
        path: query.path.clone(),
    };
    let trail = Trail::of(pool, pool.graph().tree(tip), &query.path)?.ok_or_else(not_found)?;
    if !trail.is_blob() {
        return Err(not_found());
    }
    let id = trail.id();
    let content = pool.get_kind(&id, ObjectKind::Blob)?;
    let pieces = asked_for(query, &content)?;
    let mut board = Scoreboard::new(pool, query);
    let first = board.suspect(tip, Arc::from(&query.path[..]), trail);
    board.suspects[first].content = Some(content.clone());
    board.hand_over(first, pieces);
    board.finish(id, content)
}

/// Where a file comes from: a commit, and what it is called there.
pub type Origin = (CommitNumber, Arc<[u8]>);

/// As [`blame`], of a file with the content `content` that is in no commit. `before` are the
/// commits that it comes from, and what it is called there: the head, and what is being merged.
/// Lines that none of them has are of the commit with the null id.
///
/// # Errors
/// [`BlameError`].
pub fn blame_working(
    pool: &Pool,
    before: &[Origin],
    (id, content): (ObjectId, Bytes),
    query: &BlameQuery,
) -> Result<Blame, BlameError> {
    let mut kept = asked_for(query, &content)?;
    let mut board = Scoreboard::new(pool, query);
    let mut origins = Vec::new();
    for (commit, path) in before {
        let trail = Trail::of(pool, pool.graph().tree(*commit), path)?;
        if let Some(trail) = trail.filter(Trail::is_blob) {
            origins.push((trail.id(), board.suspect(*commit, Arc::clone(path), trail)));
        }
    }
    // A parent that has the very same file has brought all of it.
    origins.sort_by_key(|(found, _)| *found != id);
    for (_, origin) in origins {
        let old = board.content(origin)?;
        let hunks = board.differ(&old, &content)?;
        let (passed, rest) = split(&kept, &hunks);
        board.hand_over(origin, passed);
        kept = rest;
    }
    let path: Arc<[u8]> = Arc::from(&query.path[..]);
    let nobodys = kept.into_iter().map(|piece| Blamed {
        lines: piece.line..piece.line + piece.count,
        commit: ObjectId::null(pool.format()),
        path: Arc::clone(&path),
        origin_line: piece.line,
    });
    board.blamed.extend(nobodys);
    board.finish(id, content)
}

/// The lines that are asked for.
fn asked_for(query: &BlameQuery, content: &[u8]) -> Result<Vec<Piece>, BlameError> {
    let count = line_count(content);
    let lines = query.lines.clone().unwrap_or(0..count);
    if lines.start > lines.end || lines.end > count {
        return Err(BlameError::NoSuchLines { count });
    }
    let piece = (!lines.is_empty()).then(|| Piece {
        line: lines.start,
        origin_line: lines.start,
        count: lines.len(),
    });
    Ok(piece.into_iter().collect())
}

fn line_count(text: &[u8]) -> usize {
    let unfinished = usize::from(!text.is_empty() && !text.ends_with(b"\n"));
    memchr::memchr_iter(b'\n', text).count() + unfinished
}

/// Lines of the file that are also in a row in one of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    line: usize,
    origin_line: usize,
    count: usize,
}

impl Piece {
    /// The lines of this piece that are at `range` of the version.
    fn part(&self, range: Range<usize>) -> Option<Piece> {
        let start = range.start.max(self.origin_line);
        let end = range.end.min(self.origin_line + self.count);
        (start < end).then(|| Piece {
            line: self.line + (start - self.origin_line),
            origin_line: start,
            count: end - start,
        })
    }
}

/// A version of the file: at a path in a commit.
struct Suspect {
    commit: CommitNumber,
    path: Arc<[u8]>,
    trail: Trail,
    content: Option<Bytes>,
    /// What it may have brought, by lines of the version.
    pieces: Vec<Piece>,
}

struct Scoreboard<'a> {
    pool: &'a Pool,
    query: &'a BlameQuery,
    suspects: Vec<Suspect>,
    /// The suspects of each commit.
    by_place: HashMap<CommitNumber, Vec<usize>>,
    /// Commits with suspects that have pieces, newest first; of equals who came first.
    queue: BinaryHeap<(i64, Reverse<u64>, CommitNumber)>,
    queued: u64,
    blamed: Vec<Blamed>,
    compared_bytes: u64,
    expensive: u32,
}

impl<'a> Scoreboard<'a> {
    fn new(pool: &'a Pool, query: &'a BlameQuery) -> Scoreboard<'a> {
        Scoreboard {
            pool,
            query,
            suspects: Vec::new(),
            by_place: HashMap::new(),
            queue: BinaryHeap::new(),
            queued: 0,
            blamed: Vec::new(),
            compared_bytes: 0,
            expensive: 0,
        }
    }

    /// Finds who brought what was handed over.
    fn finish(mut self, id: ObjectId, content: Bytes) -> Result<Blame, BlameError> {
        self.run()?;
        let mut blamed = self.blamed;
        blamed.sort_unstable_by_key(|blamed| blamed.lines.start);
        Ok(Blame {
            content,
            id,
            blamed,
        })
    }

    fn suspect(&mut self, commit: CommitNumber, path: Arc<[u8]>, trail: Trail) -> usize {
        if let Some(known) = self.find(commit, &path) {
            return known;
        }
        let number = self.suspects.len();
        self.by_place.entry(commit).or_default().push(number);
        self.suspects.push(Suspect {
            commit,
            path,
            trail,
            content: None,
            pieces: Vec::new(),
        });
        number
    }

    fn find(&self, commit: CommitNumber, path: &[u8]) -> Option<usize> {
        let all = self.by_place.get(&commit)?;
        let mut all = all.iter().copied();
        all.find(|number| *self.suspects[*number].path == *path)
    }

    fn hand_over(&mut self, to: usize, mut pieces: Vec<Piece>) {
        if pieces.is_empty() {
            return;
        }
        let suspect = &mut self.suspects[to];
        if suspect.pieces.is_empty() {
            suspect.pieces = pieces;
            let commit = suspect.commit;
            let time = self.pool.graph().time(commit);
            self.queue.push((time, Reverse(self.queued), commit));
            self.queued += 1;
        } else {
            suspect.pieces.append(&mut pieces);
            suspect.pieces.sort_by_key(|piece| piece.origin_line);
        }
    }

    fn run(&mut self) -> Result<(), BlameError> {
        while let Some((_, _, commit)) = self.queue.pop() {
            for number in self.by_place.get(&commit).cloned().unwrap_or_default() {
                let pieces = std::mem::take(&mut self.suspects[number].pieces);
                if pieces.is_empty() {
                    continue;
                }
                let kept = self.pass_on(number, pieces)?;
                let suspect = &mut self.suspects[number];
                suspect.content = None;
                let id = self.pool.graph().id(commit);
                let path = &suspect.path;
                self.blamed.extend(kept.into_iter().map(|piece| Blamed {
                    lines: piece.line..piece.line + piece.count,
                    commit: id,
                    path: Arc::clone(path),
                    origin_line: piece.origin_line,
                }));
            }
        }
        Ok(())
    }

    /// Hands what parents have on to them; answers what none has.
    fn pass_on(&mut self, number: usize, pieces: Vec<Piece>) -> Result<Vec<Piece>, BlameError> {
        let graph = self.pool.graph();
        let parents = graph.parents(self.suspects[number].commit);
        let mut origins: Vec<Option<usize>> = vec![None; parents.len()];
        // The same path first; renames only where no parent has the very same file.
        for looks_for_renames in [false, true] {
            for (at, &parent) in parents.iter().enumerate() {
                if origins[at].is_some() {
                    continue;
                }
                let origin = match looks_for_renames {
                    false => self.same_path(number, parent)?,
                    true => self.renamed(number, parent)?,
                };
                let Some(origin) = origin else { continue };
                let id = self.suspects[origin].trail.id();
                if id == self.suspects[number].trail.id() {
                    let content = self.suspects[number].content.take();
                    self.suspects[origin].content = content;
                    self.hand_over(origin, pieces);
                    return Ok(Vec::new());
                }
                let is_known = |other: &usize| self.suspects[*other].trail.id() == id;
                if !origins.iter().flatten().any(is_known) {
                    origins[at] = Some(origin);
                }
            }
        }
        let mut kept = pieces;
        for origin in origins.into_iter().flatten() {
            let hunks = self.compare(origin, number)?;
            let (passed, rest) = split(&kept, &hunks);
            self.hand_over(origin, passed);
            kept = rest;
            if kept.is_empty() {
                break;
            }
        }
        Ok(kept)
    }

    /// The file at the same path in `parent`.
    fn same_path(
        &mut self,
        number: usize,
        parent: CommitNumber,
    ) -> Result<Option<usize>, PoolError> {
        let suspect = &self.suspects[number];
        if let Some(known) = self.find(parent, &suspect.path) {
            return Ok(Some(known));
        }
        let root = self.pool.graph().tree(parent);
        let trail = suspect.trail.in_tree(self.pool, root, &suspect.path)?;
        // Another kind of thing is another thing.
        let Some(trail) = trail.filter(|trail| trail.is_like(&suspect.trail)) else {
            return Ok(None);
        };
        let path = Arc::clone(&suspect.path);
        Ok(Some(self.suspect(parent, path, trail)))
    }

    /// The file of `parent` that was moved here.
    fn renamed(&mut self, number: usize, parent: CommitNumber) -> Result<Option<usize>, PoolError> {
        let suspect = &self.suspects[number];
        let graph = self.pool.graph();
        let (old, new) = (graph.tree(parent), graph.tree(suspect.commit));
        let filter = TreeFilter::default();
        let changes = changed_files(self.pool, Some(&old), Some(&new), &filter)?;
        let mut sources = Vec::new();
        let mut destination = None;
        for change in &changes {
            match (&change.old, &change.new) {
                (Some(old), None) => sources.push(Source {
                    path: &change.path,
                    mode: old.mode,
                    id: old.id,
                    is_kept: false,
                }),
                (None, Some(new)) if *change.path == *suspect.path => {
                    destination = Some(Destination {
                        path: &change.path,
                        mode: new.mode,
                        id: new.id,
                    });
                }
                _ => {}
            }
        }
        let options = RenameOptions::default();
        let destination = Vec::from_iter(destination);
        let found = renames::detect(self.pool, &sources, &destination, &options, None)?;
        let Some(pair) = found.pairs.first() else {
            return Ok(None);
        };
        let path = sources[pair.source].path;
        match Trail::of(self.pool, old, path)? {
            Some(trail) => Ok(Some(self.suspect(parent, Arc::from(path), trail))),
            None => Ok(None),
        }
    }

    /// Where two versions differ.
    fn compare(&mut self, old: usize, new: usize) -> Result<Vec<Hunk>, BlameError> {
        let (before, after) = (self.content(old)?, self.content(new)?);
        self.differ(&before, &after)
    }

    /// Where two texts differ.
    fn differ(&mut self, before: &[u8], after: &[u8]) -> Result<Vec<Hunk>, BlameError> {
        self.compared_bytes += (before.len() + after.len()) as u64;
        let too_expensive = || BlameError::TooExpensive {
            path: self.query.path.clone(),
        };
        if self.compared_bytes > COMPARED_BYTES_MAX {
            return Err(too_expensive());
        }
        let options = DiffOptions {
            ignore_whitespace: self.query.ignore_whitespace,
            ..DiffOptions::default()
        };
        if let Ok(hunks) = xdiff::diff_hunks(before, after, &options) {
            return Ok(hunks);
        }
        self.expensive += 1;
        if self.expensive > EXPENSIVE_MAX {
            return Err(too_expensive());
        }
        // What cannot be compared is taken for new.
        Ok(vec![Hunk {
            before: 0..line_count(before),
            after: 0..line_count(after),
        }])
    }

    fn content(&mut self, number: usize) -> Result<Bytes, PoolError> {
        let suspect = &mut self.suspects[number];
        if let Some(content) = &suspect.content {
            return Ok(content.clone());
        }
        let content = self.pool.get_kind(&suspect.trail.id(), ObjectKind::Blob)?;
        if content.len() <= CONTENT_KEPT_BYTES {
            suspect.content = Some(content.clone());
        }
        Ok(content)
    }
}

/// Splits pieces of the newer version by where it differs from the older one: what is the same,
/// in lines of the older one, and what is not. All are in the order of their lines.
fn split(pieces: &[Piece], hunks: &[Hunk]) -> (Vec<Piece>, Vec<Piece>) {
    let (mut same, mut other) = (Vec::new(), Vec::new());
    let mut first = 0;
    for piece in pieces {
        let end = piece.origin_line + piece.count;
        while hunks
            .get(first)
            .is_some_and(|hunk| hunk.after.end <= piece.origin_line)
        {
            first += 1;
        }
        let mut at = piece.origin_line;
        // Lines in front of the first hunk that matters are as far from theirs as the hunk before
        // it says.
        let pass = |range: Range<usize>, before: Option<&Hunk>, same: &mut Vec<Piece>| {
            let (old, new) = before.map_or((0, 0), |hunk| (hunk.before.end, hunk.after.end));
            if let Some(mut part) = piece.part(range) {
                part.origin_line = (part.origin_line + old).saturating_sub(new);
                same.push(part);
            }
        };
        let mut next = first;
        loop {
            let before = next.checked_sub(1).and_then(|at| hunks.get(at));
            let Some(hunk) = hunks.get(next).filter(|hunk| hunk.after.start < end) else {
                pass(at..end, before, &mut same);
                break;
            };
            pass(at..hunk.after.start, before, &mut same);
            other.extend(piece.part(hunk.after.clone()));
            at = at.max(hunk.after.end);
            next += 1;
        }
    }
    same.sort_by_key(|piece| piece.origin_line);
    (same, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_split_where_versions_differ() {
        let piece = |line, origin_line, count| Piece {
            line,
            origin_line,
            count,
        };
        let hunk = |before: Range<usize>, after: Range<usize>| Hunk { before, after };
        let hunks = [hunk(2..2, 2..4), hunk(5..7, 7..7), hunk(8..9, 8..9)];
        let (same, other) = split(&[piece(10, 0, 12)], &hunks);
        assert_eq!(
            same,
            [
                piece(10, 0, 2),
                piece(14, 2, 3),
                piece(17, 7, 1),
                piece(19, 9, 3),
            ]
        );
        assert_eq!(other, [piece(12, 2, 2), piece(18, 8, 1)]);
        let (same, other) = split(&[piece(0, 3, 2), piece(9, 3, 1), piece(7, 8, 1)], &hunks);
        assert_eq!(same, [piece(1, 2, 1)]);
        assert_eq!(other, [piece(0, 3, 1), piece(9, 3, 1), piece(7, 8, 1)]);
    }
}
