//! Merges, picks, reverts, rebases.

use axum::extract::State;
use axum::response::Response;
use govc_api::merges::{NewAbort, NewContinue, NewMerge, NewPick, NewRebase, Replayed};
use govc_api::status::Status;
use govc_api::workspaces::Workspace;
use govc_engine::Seq;
use http::StatusCode;
use serde::Serialize;

use crate::app::App;
use crate::app::commits::place;
use crate::app::error::AppError;
use crate::app::operations::Came;
use crate::http::ask::{Ask, Terms};
use crate::http::etag::{self, ETag};
use crate::http::json::{self, Json, OptionalJson};
use crate::http::problem::ApiError;
use crate::http::reply::{as_of, located, written};
use crate::openapi::{Operation, Table, reads, writes};
use govc_api::commits::Commit;
use govc_api::merges::MergeBase;
use serde_json::json;

/// Merging, and making commits anew somewhere else.
pub fn routes(table: Table) -> Table {
    let nothing = "No commit had to be made.";
    let replayed = "The commits that were made.";
    // What may stop at a conflict, which stays in a workspace.
    let may_stop = |operation: Operation| {
        operation
            .text_as(
                "workspace",
                "Done in this workspace, on its branch; no workspace is touched without it.",
                "workspace-name",
            )
            .in_reality()
            .merges()
            .stops()
            .gives::<Status>(
                StatusCode::ACCEPTED,
                "It stopped at a conflict, which is left in the workspace: solve it by `add` and \
                 `remove`, then `continue`, or `abort`.",
            )
    };
    table
        .post(
            "/api/v1/repos/{repo}/merge",
            merge,
            may_stop(writes("Merge one branch into another"))
                .takes::<NewMerge>(json!({ "from": "dev", "to": "main" }))
                .gives::<Commit>(StatusCode::OK, nothing)
                .gives::<Commit>(StatusCode::CREATED, "The commit."),
        )
        .get(
            "/api/v1/repos/{repo}/merge-base",
            merge_base,
            reads("The best common ancestors of two commits")
                .of_moment()
                .revision("a", "A revision.")
                .required("main")
                .revision("b", "Another one.")
                .required("dev")
                .gives::<MergeBase>(StatusCode::OK, "They."),
        )
        .post(
            "/api/v1/repos/{repo}/cherry-pick",
            cherry_pick,
            may_stop(writes("Make the changes of commits once more on a branch"))
                .takes::<NewPick>(json!({ "commit": "dev" }))
                .gives::<Replayed>(StatusCode::OK, nothing)
                .gives::<Replayed>(StatusCode::CREATED, replayed),
        )
        .post(
            "/api/v1/repos/{repo}/revert",
            revert,
            may_stop(writes("Undo the changes of commits by new ones"))
                .takes::<NewPick>(json!({ "commit": "main" }))
                .gives::<Replayed>(StatusCode::OK, nothing)
                .gives::<Replayed>(StatusCode::CREATED, replayed),
        )
        .post(
            "/api/v1/repos/{repo}/rebase",
            rebase,
            may_stop(writes(
                "Make the commits of a branch once more on another commit",
            ))
            .takes::<NewRebase>(json!({ "branch": "dev", "onto": "main" }))
            .gives::<Replayed>(StatusCode::OK, nothing)
            .gives::<Replayed>(StatusCode::CREATED, replayed),
        )
        .post(
            "/api/v1/repos/{repo}/continue",
            go_on,
            writes("Go on with the merge, cherry-pick, revert or rebase that stopped")
                .in_workspace()
                .merges()
                .stops()
                .fails(&["NOTHING_IN_PROGRESS"])
                .may_take::<NewContinue>()
                .gives::<Replayed>(StatusCode::OK, nothing)
                .gives::<Replayed>(StatusCode::CREATED, replayed)
                .gives::<Status>(StatusCode::ACCEPTED, "It stopped at the next conflict."),
        )
        .post(
            "/api/v1/repos/{repo}/abort",
            abort,
            writes("Take back the merge, cherry-pick, revert or rebase that stopped")
                .in_workspace()
                .merges()
                .stops()
                .fails(&["NOTHING_IN_PROGRESS"])
                .may_take::<NewAbort>()
                .gives::<Workspace>(StatusCode::OK, "The workspace as it is now."),
        )
}

/// `POST /api/v1/repos/{repo}/merge`
pub async fn merge(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewMerge>,
) -> Result<Response, ApiError> {
    let (terms, workspace) = ask.terms_in_named_workspace()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let (came, seq) = match workspace {
        Some(name) => {
            let at = ask.place(name)?;
            app.merge_here(&ask.caller, &at, order, &terms).await?
        }
        None => {
            let merged = app.merge(&ask.caller, &repo, order, &terms).await?;
            let (commit, is_new, seq) = merged;
            (Came::ToEnd(commit, is_new), seq)
        }
    };
    let response = answer(&came, seq, &terms);
    Ok(match &came {
        Came::ToEnd(commit, true) => located(response, &place(&repo, commit)),
        _ => response,
    })
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
    let (terms, workspace) = ask.terms_in_named_workspace()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let (came, seq) = match workspace {
        Some(name) => {
            let at = ask.place(name)?;
            app.pick_here(&ask.caller, &at, order, is_revert, &terms)
                .await?
        }
        None => {
            let picked = app.pick(&ask.caller, &repo, order, is_revert, &terms);
            ended(picked.await?)
        }
    };
    Ok(answer(&came, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/rebase`
pub async fn rebase(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewRebase>,
) -> Result<Response, ApiError> {
    let (terms, workspace) = ask.terms_in_named_workspace()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let (came, seq) = match workspace {
        Some(name) => {
            let at = ask.place(name)?;
            app.rebase_here(&ask.caller, &at, order, &terms).await?
        }
        None => ended(app.rebase(&ask.caller, &repo, order, &terms).await?),
    };
    Ok(answer(&came, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/continue`
pub async fn go_on(
    State(app): State<App>,
    mut ask: Ask,
    OptionalJson(body): OptionalJson<NewContinue>,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    ask.finish()?;
    let order = body.try_into()?;
    let (came, seq) = app.go_on(&ask.caller, &at, order, &terms).await?;
    Ok(answer(&came, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/abort`
pub async fn abort(
    State(app): State<App>,
    mut ask: Ask,
    OptionalJson(body): OptionalJson<NewAbort>,
) -> Result<Response, ApiError> {
    let (terms, at) = ask.terms_at()?;
    ask.finish()?;
    let expected = body.expected()?;
    let (workspace, seq) = app.abort(&ask.caller, &at, expected, &terms).await?;
    Ok(written(StatusCode::OK, &workspace, seq, &terms))
}

fn ended((replayed, seq): (Replayed, Seq)) -> (Came<Replayed>, Seq) {
    let is_new = !replayed.commits.is_empty();
    (Came::ToEnd(replayed, is_new), seq)
}

/// The answer of something that may have stopped at a conflict.
pub(super) fn answer<T: Serialize>(came: &Came<T>, seq: Seq, terms: &Terms) -> Response {
    match came {
        Came::ToEnd(body, true) => written(StatusCode::CREATED, body, seq, terms),
        Came::ToEnd(body, false) => written(StatusCode::OK, body, seq, terms),
        Came::Stopped(status) => written(StatusCode::ACCEPTED, status, seq, terms),
    }
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
