//! Searching the files of a tree: `git grep` and file names, over any tree there is.
//!
//! What can be known of a blob before it is read, which trigrams it has, is known once for each
//! blob ([`SearchIndex`]), whatever trees and paths it is in. A search looks at the files of its
//! tree, in their order, and reads those that may have what it looks for. What it reads and nobody
//! has looked at before is indexed on the way.

mod index;
mod matcher;
mod pathspec;
mod trigrams;

use std::ops::Range;

use govc_git::ObjectId;
use govc_git::object::tree::{MODE_EXECUTABLE, MODE_FILE};

use super::diff::Blobs;
use crate::pool::{Pool, PoolError};

pub use index::{FileTable, IndexTurn, SearchIndex};
pub use matcher::{Matcher, PatternError, PatternOptions};
pub use pathspec::{PathspecError, Pathspecs};

/// What to look for in files.
#[derive(Debug, Clone)]
pub struct GrepQuery {
    /// What a line has to have.
    pub matcher: Matcher,
    /// In which files.
    pub paths: Pathspecs,
    /// The lines that do not have it.
    pub invert: bool,
    /// Lines shown before each.
    pub before: usize,
    /// Lines shown behind each.
    pub after: usize,
    /// At most so many lines of a file.
    pub max_count: Option<usize>,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its file.
    pub path: Vec<u8>,
    /// Which line, from 1.
    pub line: usize,
    /// What matches, in bytes of the line; nothing where lines that do not match are looked for.
    pub ranges: Vec<Range<usize>>,
    /// The line without its end.
    pub text: Vec<u8>,
    /// Lines before it.
    pub before: Vec<Vec<u8>>,
    /// Lines behind it.
    pub after: Vec<Vec<u8>>,
}

/// Where a search goes on: behind a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: Vec<u8>,
    /// The line, from 1.
    pub line: usize,
}

/// What one look at a tree found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The lines, in the order of files and lines.
    pub hits: Vec<Hit>,
    /// Whether there are more.
    pub more: bool,
    /// How many files were read, besides those that could be told not to match.
    pub files_read: usize,
}

/// Searches the files of the tree `root`, behind `from`, for at most `limit` lines. Binary files,
/// links and submodules are passed over. `None`: nothing is at `from`.
///
/// # Errors
/// When a tree or a blob cannot be read.
pub fn grep(
    pool: &Pool,
    root: ObjectId,
    query: &GrepQuery,
    from: Option<&Place>,
    limit: usize,
) -> Result<Option<Found>, PoolError> {
    let table = pool.search_index().table(pool, root)?;
    let first = match from {
        None => 0,
        Some(place) => match table.find(&place.path) {
            Some(at) => at,
            None => return Ok(None),
        },
    };
    let mut found = Found::default();
    for at in first..table.len() {
        let (path, mode, id) = table.file(at);
        if !matches!(mode, MODE_FILE | MODE_EXECUTABLE) || !query.paths.take(path) {
            continue;
        }
        let mut content = None;
        let signature = match table.signature(at, pool.search_index()) {
            Some(signature) => signature,
            None => {
                let data = pool.content(&id)?;
                let signature = table.index(at, pool.search_index(), &data);
                content = Some(data);
                signature
            }
        };
        if signature.is_binary || !query.invert && !signature.may_have(query.matcher.need()) {
            continue;
        }
        let content = match content {
            Some(content) => content,
            None => pool.content(&id)?,
        };
        found.files_read += 1;
        let behind = from.filter(|_| at == first).map_or(0, |place| place.line);
        if !search_file(path, &content, query, behind, limit, &mut found.hits) {
            found.more = true;
            break;
        }
    }
    Ok(Some(found))
}

/// Indexes what of the tree `root` is not indexed yet, as long as `go_on` says so.
///
/// # Errors
/// When a tree or a blob cannot be read.
pub fn index(pool: &Pool, root: ObjectId, go_on: impl Fn() -> bool) -> Result<(), PoolError> {
    let table = pool.search_index().table(pool, root)?;
    for at in 0..table.len() {
        let (_, mode, id) = table.file(at);
        if !go_on() {
            break;
        }
        if matches!(mode, MODE_FILE | MODE_EXECUTABLE)
            && table.signature(at, pool.search_index()).is_none()
        {
            table.index(at, pool.search_index(), &pool.content(&id)?);
        }
    }
    Ok(())
}

/// The files of the tree `root` whose path matches, behind the path `after`, and whether there
/// are more. `None`: nothing is at `after`.
///
/// # Errors
/// When a tree cannot be read.
#[allow(clippy::type_complexity, reason = "it is a list and a flag")]
pub fn find_files(
    pool: &Pool,
    root: ObjectId,
    matcher: &Matcher,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Option<(Vec<(Vec<u8>, u32, ObjectId)>, bool)>, PoolError> {
    let table = pool.search_index().table(pool, root)?;
    let first = match after.map(|path| table.find(path)) {
        None => 0,
        Some(None) => return Ok(None),
        Some(Some(at)) => at + 1,
    };
    let mut found = Vec::new();
    for at in first..table.len() {
        let (path, mode, id) = table.file(at);
        if matcher.matches(path) {
            if found.len() == limit {
                return Ok(Some((found, true)));
            }
            found.push((path.to_vec(), mode, id));
        }
    }
    Ok(Some((found, false)))
}

/// Collects the lines of a file that are looked for, behind the line `behind`; `false` where there
/// are more than `limit` in all.
fn search_file(
    path: &[u8],
    content: &[u8],
    query: &GrepQuery,
    behind: usize,
    limit: usize,
    hits: &mut Vec<Hit>,
) -> bool {
    let mut in_file = 0;
    let mut lines = matcher::Lines::new(content);
    while let Some(line) = match query.invert {
        false => lines.next_match(&query.matcher),
        true => lines.next_other(&query.matcher),
    } {
        in_file += 1;
        if query.max_count.is_some_and(|max| in_file > max) {
            break;
        }
        if line.number <= behind {
            continue;
        }
        if hits.len() >= limit {
            return false;
        }
        let text = &content[line.range.clone()];
        hits.push(Hit {
            path: path.to_vec(),
            line: line.number,
            ranges: match query.invert {
                false => query.matcher.ranges(text),
                true => Vec::new(),
            },
            text: text.to_vec(),
            before: lines_before(content, line.range.start, query.before),
            after: lines_behind(content, line.range.end, query.after),
        });
    }
    true
}

/// The last lines of `content` before `at`, where a line begins.
fn lines_before(content: &[u8], at: usize, count: usize) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut end = at;
    while lines.len() < count && end > 0 {
        // `end` is behind a newline.
        let text = &content[..end - 1];
        let start = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
        lines.push(text[start..].to_vec());
        end = start;
    }
    lines.reverse();
    lines
}

/// The first lines of `content` behind `at`, where a line ends.
fn lines_behind(content: &[u8], at: usize, count: usize) -> Vec<Vec<u8>> {
    let rest = content.get(at + 1..).unwrap_or_default();
    let lines = rest.split_inclusive(|byte| *byte == b'\n').take(count);
    lines
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec())
        .collect()
}
