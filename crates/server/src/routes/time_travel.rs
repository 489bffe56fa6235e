//! The past as paths, and ways back to it.

use axum::extract::State;
use axum::response::Response;
use govc_api::refs::RefUpdates;
use govc_api::time_travel::{Rewind, Undo};
use http::{Method, StatusCode};

use super::{files, refs};
use crate::app::App;
use crate::http::ask::Ask;
use crate::http::json::Json;
use crate::http::problem::ApiError;
use crate::http::reply::written;
use crate::openapi::{Table, reads, writes};
use axum::routing::get;
use govc_api::files::TreeEntry;
use serde_json::json;

/// The past as paths, and ways back to it.
pub fn routes(table: Table) -> Table {
    let at = "The number of a change, or a time.";
    let folder = |summary| {
        reads(summary)
            .path("at", at, ("moment", "1"))
            .revision(
                "ref",
                "A revision, as gitrevisions(7) has it; HEAD without it.",
            )
            .flag("recursive", "All below it, too.")
            .flag(
                "last_commit",
                "With the newest commit that touched each entry.",
            )
            .in_reality()
            .fails(&["PATH_INVALID", "PATH_NOT_FOUND", "TREE_TOO_LARGE"])
            .gives_page::<TreeEntry>("Entries, in git's order.")
    };
    table
        .get(
            "/api/v1/repos/{repo}/time-travel/{at}",
            show,
            refs::describe_list(reads("All refs as they were").in_reality().path(
                "at",
                at,
                ("moment", "1"),
            )),
        )
        .get(
            "/api/v1/repos/{repo}/time-travel/{at}/read/{*path}",
            read,
            files::describe_read(reads("A file as it was").in_reality().path(
                "at",
                at,
                ("moment", "1"),
            ))
            .revision(
                "ref",
                "A revision, as gitrevisions(7) has it; HEAD without it.",
            ),
        )
        .get(
            "/api/v1/repos/{repo}/time-travel/{at}/tree",
            tree,
            folder("The root folder as it was"),
        )
        .also("/api/v1/repos/{repo}/time-travel/{at}/tree/", get(tree))
        .get(
            "/api/v1/repos/{repo}/time-travel/{at}/tree/{*path}",
            tree,
            folder("A folder as it was").path("path", "The folder's path.", ("file-path", "src")),
        )
        .post(
            "/api/v1/repos/{repo}/undo",
            undo,
            writes("Give every ref that a change moved its old value back")
                .in_reality()
                .moves_ref()
                .at_moment()
                .fails(&["NOTHING_TO_UNDO", "DEFAULT_BRANCH"])
                .takes::<Undo>(json!({ "seq": 2 }))
                .gives::<RefUpdates>(StatusCode::OK, "The refs that moved."),
        )
        .post(
            "/api/v1/repos/{repo}/rewind",
            rewind,
            writes("Put all refs as they were")
                .in_reality()
                .moves_ref()
                .at_moment()
                .fails(&["DEFAULT_BRANCH"])
                .takes::<Rewind>(json!({ "to": 1 }))
                .gives::<RefUpdates>(StatusCode::OK, "The refs that moved."),
        )
}

/// `GET /api/v1/repos/{repo}/time-travel/{at}`
pub async fn show(state: State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    ask.take_moment()?;
    refs::list(state, ask).await
}

/// `GET /api/v1/repos/{repo}/time-travel/{at}/read/{path}`
pub async fn read(state: State<App>, method: Method, mut ask: Ask) -> Result<Response, ApiError> {
    ask.take_moment()?;
    files::read(state, method, ask).await
}

/// `GET /api/v1/repos/{repo}/time-travel/{at}/tree/{path}`
pub async fn tree(state: State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    ask.take_moment()?;
    files::tree(state, ask).await
}

/// `POST /api/v1/repos/{repo}/undo`
pub async fn undo(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<Undo>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let (updates, seq) = app.undo(&ask.caller, &repo, body.seq, &terms).await?;
    let body = RefUpdates {
        ref_updates: updates,
    };
    Ok(written(StatusCode::OK, &body, seq, &terms))
}

/// `POST /api/v1/repos/{repo}/rewind`
pub async fn rewind(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<Rewind>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let to = body.to()?;
    let (updates, seq) = app.rewind(&ask.caller, &repo, to, &terms).await?;
    let body = RefUpdates {
        ref_updates: updates,
    };
    Ok(written(StatusCode::OK, &body, seq, &terms))
}
