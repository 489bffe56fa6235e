//! Commits.

use axum::extract::State;
use axum::response::Response;
use govc_api::commits::NewCommit;
use govc_api::rfc3339;
use http::StatusCode;

use crate::app::App;
use crate::app::commits::{CommitsQuery, place};
use crate::app::error::AppError;
use crate::http::ask::Ask;
use crate::http::etag::{self, ETag};
use crate::http::json::{self, Json};
use crate::http::page;
use crate::http::problem::ApiError;
use crate::http::query::Query;
use crate::http::reply::{as_of, located, written};
use crate::openapi::{Table, reads, writes};
use govc_api::commits::Commit;
use serde_json::json;

/// Commits.
pub fn routes(table: Table) -> Table {
    let commit = json!({
        "branch": "main",
        "message": "Say hello",
        "actions": [{ "op": "put", "path": "hello.txt", "content": "hello\n" }],
    });
    table
        .post(
            "/api/v1/repos/{repo}/commits",
            create,
            writes("Commit to a branch in one call")
                .in_reality()
                .moves_ref()
                .makes_commit()
                .resolves()
                .fails(&["REF_EXISTS"])
                .takes::<NewCommit>(commit)
                .gives::<Commit>(StatusCode::CREATED, "The commit."),
        )
        .get(
            "/api/v1/repos/{repo}/commits/{*rev}",
            show,
            reads("A commit")
                .of_moment()
                .path(
                    "rev",
                    "A revision, as gitrevisions(7) has it.",
                    ("revision", "main"),
                )
                .gives::<Commit>(StatusCode::OK, "The commit."),
        )
        .get(
            "/api/v1/repos/{repo}/log",
            list,
            reads("Commits, in the order of `git log`")
                .of_revision()
                .flag("all", "From all refs.")
                .text_as("path", "Only those that change this path.", "file-path")
                .text_as("since", "Not older than this time.", "time")
                .text_as("until", "Not newer than this time.", "time")
                .text(
                    "author",
                    "Only authors whose name or address has this in it.",
                )
                .flag("first_parent", "Follow first parents only.")
                .gives_page::<Commit>("Commits."),
        )
}

/// `POST /api/v1/repos/{repo}/commits`
pub async fn create(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewCommit>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let (commit, seq) = app.create_commit(&ask.caller, &repo, order, &terms).await?;
    let place = place(&repo, &commit);
    Ok(located(
        written(StatusCode::CREATED, &commit, seq, &terms),
        &place,
    ))
}

/// `GET /api/v1/repos/{repo}/commits/{rev…}`
pub async fn show(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let revision = ask.rest_as_revision()?.to_owned();
    let state = app.state(&ask.caller, &repo, &reading, None).await?;
    let seq = state.view.seq;
    let (id, commit) = app.offload(move || state.commit_body(&revision)).await??;
    let tag = ETag::of_state(Some(id), &id.to_string());
    let response = json::answer(StatusCode::OK, &commit);
    Ok(as_of(
        etag::finish(&ask.headers, response, &tag, Some(id)),
        seq,
    ))
}

/// `GET /api/v1/repos/{repo}/log`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let query = CommitsQuery {
        reference: ask.query().text("ref")?,
        all: ask.query().flag("all")?,
        path: ask
            .query()
            .bytes("path")
            .map(without_final_slash)
            .filter(|path| !path.is_empty()),
        since: bound(ask.query(), "since", Round::Up)?,
        until: bound(ask.query(), "until", Round::Down)?,
        author: ask
            .query()
            .text("author")?
            .filter(|author| !author.is_empty()),
        first_parent: ask.query().flag("first_parent")?,
    };
    let page = ask.page()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let state = app
        .state(&ask.caller, &repo, &reading, page.cursor.as_ref())
        .await?;
    let seq = state.view.seq;
    let (page, head) = app.offload(move || state.log(query, &page)).await??;
    Ok(as_of(
        page::answer_state(&ask.headers, &ask.uri, &page, head),
        seq,
    ))
}

fn without_final_slash(mut path: Vec<u8>) -> Vec<u8> {
    if path.ends_with(b"/") {
        path.pop();
    }
    path
}

/// Commits have whole seconds: where a bound has more, the next one that it lets in.
#[derive(Clone, Copy)]
pub(super) enum Round {
    Up,
    Down,
}

/// A bound in seconds since 1970: a time as of RFC 3339, or a date, which means its 00:00 UTC.
pub(super) fn bound(
    query: &mut Query,
    name: &'static str,
    round: Round,
) -> Result<Option<i64>, AppError> {
    let Some(text) = query.text(name)? else {
        return Ok(None);
    };
    let micros = match rfc3339::parse_day(&text) {
        Some(day) => day.0,
        None => {
            // A `+` that was not encoded has become a space on the way.
            let mended = match text.get(19..) {
                Some(rest) => format!("{}{}", &text[..19], rest.replace(' ', "+")),
                None => text.clone(),
            };
            let moment = rfc3339::parse(&mended).ok_or_else(|| {
                AppError::query(
                    name,
                    format!("`{name}` is a time as of RFC 3339, or a date, not {text:?}"),
                )
            })?;
            moment.time().0
        }
    };
    let seconds = micros.div_euclid(1_000_000);
    let rest = micros.rem_euclid(1_000_000) != 0;
    Ok(Some(match round {
        Round::Up => seconds + i64::from(rest),
        Round::Down => seconds,
    }))
}
