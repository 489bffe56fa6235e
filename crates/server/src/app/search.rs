//! Searching commits, files and what is in them.

use std::sync::Arc;

use govc_api::commits::Commit;
use govc_api::search::{FoundFile, FoundLine, Grep};
use govc_engine::work::log::{Log, LogQuery};
use govc_engine::work::search::{
    self, GrepQuery, Matcher, PathspecError, Pathspecs, PatternError, PatternOptions, Place,
};
use govc_git::ObjectId;
use govc_git::encoding::commit_in_utf8;
use govc_git::object::CommitRef;

use super::App;
use super::commits::read;
use super::error::AppError;
use super::state::State;
use crate::http::page::{Cursor, Page, PageQuery};

/// The most lines shown on each side of one that was found.
const CONTEXT_MAX: usize = 1000;
/// The messages of so many commits are read for one answer.
const MESSAGES_MAX: usize = 500_000;

/// A pattern as it was asked for, and what it is called there.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// The text.
    pub text: String,
    /// What it means.
    pub options: PatternOptions,
}

impl Pattern {
    /// Ready to be looked for.
    ///
    /// # Errors
    /// [`AppError::Query`].
    pub fn in_query(&self) -> Result<Matcher, AppError> {
        let error = |error: PatternError| AppError::query("query", format!("`query`: {error}"));
        Matcher::new(&self.text, self.options).map_err(error)
    }
}

/// What `/search/content` and `/grep` are asked.
///
/// # Errors
/// [`AppError::Body`].
pub fn grep_query(body: &Grep) -> Result<GrepQuery, AppError> {
    let options = PatternOptions {
        is_regex: body.regex,
        is_case_sensitive: body.case_sensitive,
        is_word: body.word,
    };
    let pattern = |error: PatternError| AppError::body("pattern", format!("`pattern`: {error}"));
    let paths = |error: PathspecError| AppError::body("paths", format!("`paths`: {error}"));
    for (field, lines) in [
        ("context_before", body.context_before),
        ("context_after", body.context_after),
    ] {
        if lines > CONTEXT_MAX {
            let detail = format!("`{field}` is at most {CONTEXT_MAX}");
            return Err(AppError::body(field, detail));
        }
    }
    Ok(GrepQuery {
        matcher: Matcher::new(&body.pattern, options).map_err(pattern)?,
        paths: Pathspecs::parse(body.paths.iter().map(String::as_str)).map_err(paths)?,
        invert: body.invert,
        before: body.context_before,
        after: body.context_after,
        max_count: body.max_count,
    })
}

/// What `/search/content` asks.
///
/// # Errors
/// [`AppError::Query`].
pub fn content_query(pattern: &Pattern, path: Option<&str>) -> Result<GrepQuery, AppError> {
    let paths = |error: PathspecError| AppError::query("path", format!("`path`: {error}"));
    Ok(GrepQuery {
        matcher: pattern.in_query()?,
        paths: Pathspecs::parse(path).map_err(paths)?,
        invert: false,
        before: 0,
        after: 0,
        max_count: None,
    })
}

/// Which commits `/search/commits` looks at.
#[derive(Debug, Clone, Default)]
pub struct CommitsSearch {
    /// Where to start; `None`: HEAD.
    pub reference: Option<String>,
    /// A part of the author.
    pub author: Option<String>,
    /// Not older, in seconds since 1970.
    pub since: Option<i64>,
    /// Not newer.
    pub until: Option<i64>,
}

impl State {
    /// The lines of files that `query` finds, and the commit that they are from.
    ///
    /// # Errors
    /// As [`State::root`]; a cursor that leads nowhere.
    pub fn grep(
        &self,
        reference: Option<&str>,
        query: &GrepQuery,
        page: &PageQuery,
    ) -> Result<(Page<FoundLine>, Option<ObjectId>), AppError> {
        let Some((commit, root)) = self.root(reference)? else {
            return Ok((
                Page {
                    items: Vec::new(),
                    next: None,
                },
                None,
            ));
        };
        let from = page.cursor.as_ref().map(|cursor| place(&cursor.after));
        let from = match from {
            Some(None) => return Err(PageQuery::not_a_cursor()),
            from => from.flatten(),
        };
        let found = search::grep(&self.view.pool, root, query, from.as_ref(), page.limit)?;
        let found = found.ok_or_else(PageQuery::not_a_cursor)?;
        let next = found.hits.last().filter(|_| found.more).map(|last| Cursor {
            seq: self.view.seq,
            after: [&(last.line as u64).to_be_bytes()[..], &last.path].concat(),
        });
        let items = found.hits.iter();
        let items = items.map(|hit| FoundLine::new(hit, query.before > 0, query.after > 0));
        let page = Page {
            items: items.collect(),
            next,
        };
        Ok((page, commit))
    }

    /// The files whose path matches, and the commit that they are from.
    ///
    /// # Errors
    /// As [`State::grep`].
    pub fn search_files(
        &self,
        reference: Option<&str>,
        matcher: &Matcher,
        page: &PageQuery,
    ) -> Result<(Page<FoundFile>, Option<ObjectId>), AppError> {
        let Some((commit, root)) = self.root(reference)? else {
            return Ok((
                Page {
                    items: Vec::new(),
                    next: None,
                },
                None,
            ));
        };
        let after = page.cursor.as_ref().map(|cursor| &cursor.after[..]);
        let found = search::find_files(&self.view.pool, root, matcher, after, page.limit)?;
        let (files, more) = found.ok_or_else(PageQuery::not_a_cursor)?;
        let next = files.last().filter(|_| more).map(|(path, ..)| Cursor {
            seq: self.view.seq,
            after: path.clone(),
        });
        let items = files
            .iter()
            .map(|(path, mode, id)| FoundFile::new(path, *mode, *id));
        let page = Page {
            items: items.collect(),
            next,
        };
        Ok((page, commit))
    }

    /// The commits with a line in their message that matches, newest first.
    ///
    /// # Errors
    /// As [`State::commit`]; a cursor that leads nowhere.
    pub fn search_commits(
        &self,
        query: CommitsSearch,
        matcher: &Matcher,
        page: &PageQuery,
    ) -> Result<(Page<Commit>, Option<ObjectId>), AppError> {
        let tip = self.commit(query.reference.as_deref())?;
        let log_query = LogQuery {
            tips: tip.into_iter().collect(),
            author: query.author,
            since: query.since,
            until: query.until,
            ..LogQuery::default()
        };
        let mut log = Log::new(&self.view, log_query);
        let looked_at = match &page.cursor {
            None => 0,
            Some(cursor) => match cursor.after[..].try_into() {
                Ok(bytes) => u64::from_be_bytes(bytes),
                Err(_) => return Err(PageQuery::not_a_cursor()),
            },
        };
        log.skip_commits(looked_at)?;
        let pool = &self.view.pool;
        let mut items = Vec::new();
        let mut next = None;
        for (count, number) in log.enumerate() {
            let id = pool.graph().id(number?);
            let data = pool.get(&id)?.data;
            let data = commit_in_utf8(&data);
            let is_found = CommitRef::parse(&data, pool.format())
                .is_ok_and(|commit| matcher.matches_a_line(commit.message));
            if items.len() == page.limit && is_found || count == MESSAGES_MAX {
                next = Some(Cursor {
                    seq: self.view.seq,
                    after: (looked_at + count as u64).to_be_bytes().to_vec(),
                });
                break;
            }
            if is_found {
                items.push(read(pool, id)?);
            }
        }
        Ok((Page { items, next }, tip))
    }
}

/// Where a search goes on, as a cursor has it.
fn place(cursor: &[u8]) -> Option<Place> {
    let (line, path) = cursor.split_first_chunk::<8>()?;
    Some(Place {
        path: path.to_vec(),
        line: usize::try_from(u64::from_be_bytes(*line)).ok()?,
    })
}

impl App {
    /// Has what a search did not come to indexed too, for the next one, behind its answer.
    pub fn index_behind(&self, state: &State, reference: Option<&str>) {
        let Ok(Some((_, root))) = state.root(reference) else {
            return;
        };
        let pool = Arc::clone(&state.view.pool);
        let Some(turn) = pool.search_index().take_turn() else {
            return;
        };
        let app = self.clone();
        tokio::task::spawn_blocking(move || {
            let done = search::index(&pool, root, || !app.is_draining());
            if let Err(error) = done {
                tracing::warn!(%error, "a tree could not be indexed");
            }
            drop(turn);
        });
    }
}
