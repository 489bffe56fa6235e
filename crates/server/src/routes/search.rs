//! Searches.

use axum::extract::State;
use axum::response::Response;
use govc_api::search::Grep;
use govc_engine::work::search::{GrepQuery, PatternOptions};
use http::Method;

use super::commits::{Round, bound};
use crate::app::App;
use crate::app::error::AppError;
use crate::app::search::{CommitsSearch, Pattern, content_query, grep_query};
use crate::http::ask::{Ask, Reading};
use crate::http::json::Json;
use crate::http::page::{self, PageQuery};
use crate::http::problem::ApiError;
use crate::http::query::Query;
use crate::http::reply::as_of;
use crate::openapi::{Table, asks, reads};
use govc_api::commits::Commit;
use govc_api::search::{FoundFile, FoundLine};
use serde_json::json;

/// Takes the pattern that is asked for.
fn pattern(query: &mut Query) -> Result<Pattern, AppError> {
    let text = query.text("query")?;
    Ok(Pattern {
        text: text.ok_or_else(|| AppError::query("query", "`query` says what to look for"))?,
        options: PatternOptions {
            is_regex: query.flag("regex")?,
            is_case_sensitive: query.flag_unless_false("case_sensitive")?,
            is_word: false,
        },
    })
}

/// Searches.
pub fn routes(table: Table) -> Table {
    let search = |summary, example| {
        reads(summary)
            .of_revision()
            .some_text("query", "What to look for.")
            .required(example)
            .flag("regex", "It is a regular expression.")
            .flag(
                "case_sensitive",
                "Upper and lower case are different; they are without it.",
            )
    };
    table
        .get(
            "/api/v1/repos/{repo}/search/commits",
            commits,
            search("Search in messages of commits", "first")
                .text(
                    "author",
                    "Only authors whose name or address has this in it.",
                )
                .text_as("since", "Not older than this time.", "time")
                .text_as("until", "Not newer than this time.", "time")
                .gives_page::<Commit>("Commits."),
        )
        .get(
            "/api/v1/repos/{repo}/search/content",
            content,
            search("Search in contents of files", "hello")
                .some_text("path", "Only files that this pathspec names.")
                .gives_page::<FoundLine>("Lines."),
        )
        .get(
            "/api/v1/repos/{repo}/search/files",
            files,
            search("Search in paths", "README").gives_page::<FoundFile>("Files."),
        )
        .post(
            "/api/v1/repos/{repo}/grep",
            grep,
            asks("Search in contents with all of grep's options")
                .waits()
                .resolves()
                .of_moment()
                .takes::<Grep>(json!({ "pattern": "hello" }))
                .gives_page::<FoundLine>("Lines."),
        )
}

/// `GET /api/v1/repos/{repo}/search/commits`
pub async fn commits(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let matcher = pattern(ask.query())?.in_query()?;
    let search = CommitsSearch {
        reference: ask.query().text("ref")?,
        author: ask
            .query()
            .text("author")?
            .filter(|author| !author.is_empty()),
        since: bound(ask.query(), "since", Round::Up)?,
        until: bound(ask.query(), "until", Round::Down)?,
    };
    let page = ask.page()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let cursor = page.cursor.as_ref();
    let state = app.state(&ask.caller, &repo, &reading, cursor).await?;
    let seq = state.view.seq;
    let found = app.offload(move || state.search_commits(search, &matcher, &page));
    let (page, head) = found.await??;
    Ok(as_of(
        page::answer_state(&ask.headers, &ask.uri, &page, head),
        seq,
    ))
}

/// `GET /api/v1/repos/{repo}/search/content`
pub async fn content(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let pattern = pattern(ask.query())?;
    let path = ask.query().text("path")?;
    let query = content_query(&pattern, path.as_deref())?;
    let reference = ask.query().text("ref")?;
    let page = ask.page()?;
    ask.finish()?;
    lines(&app, &ask, &reading, reference, query, page).await
}

/// `POST /api/v1/repos/{repo}/grep`
pub async fn grep(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<Grep>,
) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let page = ask.page()?;
    ask.finish()?;
    let query = grep_query(&body)?;
    lines(&app, &ask, &reading, body.r#ref, query, page).await
}

async fn lines(
    app: &App,
    ask: &Ask,
    reading: &Reading,
    reference: Option<String>,
    query: GrepQuery,
    page: PageQuery,
) -> Result<Response, ApiError> {
    let repo = ask.repo()?;
    let cursor = page.cursor.as_ref();
    let state = app.state(&ask.caller, &repo, reading, cursor).await?;
    let seq = state.view.seq;
    let behind = app.clone();
    let work = move || {
        let found = state.grep(reference.as_deref(), &query, &page)?;
        if found.0.next.is_some() {
            behind.index_behind(&state, reference.as_deref());
        }
        Ok::<_, AppError>(found)
    };
    let (page, head) = app.offload(work).await??;
    // A pattern that was sent is no address: such an answer is nothing to be kept.
    let response = match ask.method == Method::POST {
        true => page::answer(&ask.uri, &page),
        false => page::answer_state(&ask.headers, &ask.uri, &page, head),
    };
    Ok(as_of(response, seq))
}

/// `GET /api/v1/repos/{repo}/search/files`
pub async fn files(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let matcher = pattern(ask.query())?.in_query()?;
    let reference = ask.query().text("ref")?;
    let page = ask.page()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let cursor = page.cursor.as_ref();
    let state = app.state(&ask.caller, &repo, &reading, cursor).await?;
    let seq = state.view.seq;
    let found = move || state.search_files(reference.as_deref(), &matcher, &page);
    let (page, head) = app.offload(found).await??;
    Ok(as_of(
        page::answer_state(&ask.headers, &ask.uri, &page, head),
        seq,
    ))
}
