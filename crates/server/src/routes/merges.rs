//! Merges, picks, reverts, rebases.

use axum::extract::State;
use axum::response::Response;
use govc_api::merges::{NewMerge, NewPick, NewRebase, Replayed};
use govc_engine::Seq;
use http::StatusCode;

use crate::app::App;
use crate::app::commits::place;
use crate::app::error::AppError;
use crate::http::ask::{Ask, Terms};
use crate::http::etag::{self, ETag};
use crate::http::json::{self, Json};
use crate::http::problem::ApiError;
use crate::http::reply::{as_of, located, written};
use crate::openapi::{Table, reads, writes};
use govc_api::commits::Commit;
use govc_api::merges::MergeBase;
use serde_json::json;

/// Merging, and making commits anew somewhere else.
pub fn routes(table: Table) -> Table {
    let nothing = "No commit had to be made.";
    let replayed = "The commits that were made.";
    table
        .post(
            "/api/v1/repos/{repo}/merge",
            merge,
            writes("Merge one branch into another")
                .takes::<NewMerge>(json!({ "from": "dev", "to": "main" }))
                .gives::<Commit>(StatusCode::OK, nothing)
                .gives::<Commit>(StatusCode::CREATED, "The commit."),
        )
        .get(
            "/api/v1/repos/{repo}/merge-base",
            merge_base,
            reads("The best common ancestors of two commits")
                .of_moment()
                .needs_text("a", "A revision.", "main")
                .needs_text("b", "Another one.", "dev")
                .gives::<MergeBase>(StatusCode::OK, "They."),
        )
        .post(
            "/api/v1/repos/{repo}/cherry-pick",
            cherry_pick,
            writes("Make the changes of commits once more on a branch")
                .takes::<NewPick>(json!({ "commit": "dev" }))
                .gives::<Replayed>(StatusCode::OK, nothing)
                .gives::<Replayed>(StatusCode::CREATED, replayed),
        )
        .post(
            "/api/v1/repos/{repo}/revert",
            revert,
            writes("Undo the changes of commits by new ones")
                .takes::<NewPick>(json!({ "commit": "main" }))
                .gives::<Replayed>(StatusCode::OK, nothing)
                .gives::<Replayed>(StatusCode::CREATED, replayed),
        )
        .post(
            "/api/v1/repos/{repo}/rebase",
            rebase,
            writes("Make the commits of a branch once more on another commit")
                .takes::<NewRebase>(json!({ "branch": "dev", "onto": "main" }))
                .gives::<Replayed>(StatusCode::OK, nothing)
                .gives::<Replayed>(StatusCode::CREATED, replayed),
        )
}

/// `POST /api/v1/repos/{repo}/merge`
pub async fn merge(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewMerge>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let (commit, is_new, seq) = app.merge(&ask.caller, &repo, order, &terms).await?;
    if !is_new {
        return Ok(written(StatusCode::OK, &commit, seq, &terms));
    }
    let place = place(&repo, &commit);
    Ok(located(
        written(StatusCode::CREATED, &commit, seq, &terms),
        &place,
    ))
}

/// `POST /api/v1/repos/{repo}/cherry-pick`
pub async fn cherry_pick(
    state: State<App>,
    ask: Ask,
    body: Json<NewPick>,
) -> Result<Response, ApiError> {
    pick(state, ask, body, false).await
}

/// `POST /api/v1/repos/{repo}/revert`
pub async fn revert(
    state: State<App>,
    ask: Ask,
    body: Json<NewPick>,
) -> Result<Response, ApiError> {
    pick(state, ask, body, true).await
}

async fn pick(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewPick>,
    is_revert: bool,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let done = app
        .pick(&ask.caller, &repo, order, is_revert, &terms)
        .await?;
    Ok(answer(done, &terms))
}

/// `POST /api/v1/repos/{repo}/rebase`
pub async fn rebase(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewRebase>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let done = app.rebase(&ask.caller, &repo, order, &terms).await?;
    Ok(answer(done, &terms))
}

fn answer((replayed, seq): (Replayed, Seq), terms: &Terms) -> Response {
    let status = match replayed.commits.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    written(status, &replayed, seq, terms)
}

/// `GET /api/v1/repos/{repo}/merge-base`
pub async fn merge_base(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let mut take = |name: &'static str| -> Result<String, AppError> {
        let text = ask.query().text(name)?;
        text.ok_or_else(|| AppError::query(name, format!("`{name}` is missing: a revision")))
    };
    let (a, b) = (take("a")?, take("b")?);
    ask.finish()?;
    let repo = ask.repo()?;
    let state = app.state(&ask.caller, &repo, &reading, None).await?;
    let seq = state.view.seq;
    let body = app.offload(move || state.merge_bases(&a, &b)).await??;
    let tag = ETag::of_state(None, &body.all.join(" "));
    let response = json::answer(StatusCode::OK, &body);
    Ok(as_of(etag::finish(&ask.headers, response, &tag, None), seq))
}
