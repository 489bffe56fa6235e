//! Refs by their full names, one by one and in batches.

use axum::extract::State;
use axum::response::Response;
use govc_api::refs::{DropRef, PutRef, RefBatch, RefUpdates, full_name};
use govc_engine::Expected;
use http::StatusCode;

use crate::app::App;
use crate::app::error::AppError;
use crate::app::refs::Namespace;
use crate::http::ask::Ask;
use crate::http::etag::{self, ETag};
use crate::http::json::{self, Json, OptionalJson};
use crate::http::page;
use crate::http::problem::ApiError;
use crate::http::reply::{as_of, done, located, written};
use crate::openapi::{Table, reads, writes};
use govc_api::refs::Ref;
use serde_json::json;

/// Refs by their full names.
pub fn routes(table: Table) -> Table {
    let name = "Its name without the leading `refs/`.";
    table
        .get(
            "/api/v1/repos/{repo}/refs",
            list,
            describe_list(reads("Refs, by name")).of_moment(),
        )
        .post(
            "/api/v1/repos/{repo}/refs",
            batch,
            writes("Move refs, all or none")
                .in_reality()
                .moves_ref()
                .fails(&[
                    "REF_INVALID",
                    "OBJECT_NOT_FOUND",
                    "DEFAULT_BRANCH",
                    "REF_NOT_FOUND",
                ])
                .fails(&["REF_WRONG_KIND"])
                .takes::<RefBatch>(
                    json!({ "updates": [{ "ref": "refs/heads/gone-too", "new": null }] }),
                )
                .gives::<RefUpdates>(StatusCode::OK, "The refs that moved."),
        )
        .get(
            "/api/v1/repos/{repo}/refs/{*name}",
            show,
            reads("A ref")
                .of_moment()
                .path("name", name, ("ref-name", "heads/main"))
                .gives::<Ref>(StatusCode::OK, "The ref."),
        )
        .put(
            "/api/v1/repos/{repo}/refs/{*name}",
            put,
            writes("Point a ref at an object")
                .in_reality()
                .moves_ref()
                .path("name", name, ("ref-name", "heads/put"))
                .fails(&["OBJECT_NOT_FOUND", "REF_WRONG_KIND"])
                .takes::<PutRef>(json!({ "oid": "c52ab706b61d270e9192d22f47a3473eb8d0f96f" }))
                .gives::<Ref>(StatusCode::OK, "The ref.")
                .gives::<Ref>(StatusCode::CREATED, "The ref, which was made."),
        )
        .delete(
            "/api/v1/repos/{repo}/refs/{*name}",
            remove,
            writes("Delete a ref")
                .in_reality()
                .moves_ref()
                .path("name", name, ("ref-name", "heads/gone-three"))
                .fails(&["DEFAULT_BRANCH"])
                .text_as(
                    "expected_head",
                    "What it is believed to point at.",
                    "object-id",
                )
                .text_as("expected", "The same.", "object-id")
                .may_take::<DropRef>()
                .gives_nothing("It is deleted."),
        )
}

/// What is answered to a list of refs, whichever way the moment is said.
pub(super) fn describe_list(operation: crate::openapi::Operation) -> crate::openapi::Operation {
    operation
        .text("prefix", "Only names that begin so.")
        .flag("all", "The server's own, too.")
        .gives_page::<Ref>("Refs.")
}

/// `GET /api/v1/repos/{repo}/refs`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let given = ask.query().bytes("prefix").unwrap_or_default();
    let internal = ask.query().flag("all")?;
    // Full names begin with refs/; without it, it is meant.
    let prefix = if given.starts_with(b"refs/") {
        given
    } else if b"refs/".starts_with(given.as_slice()) {
        b"refs/".to_vec()
    } else {
        [b"refs/", given.as_slice()].concat()
    };
    list_of(app, ask, Namespace::Refs, prefix, internal).await
}

/// A page of refs.
pub(super) async fn list_of(
    app: App,
    mut ask: Ask,
    namespace: Namespace,
    prefix: Vec<u8>,
    internal: bool,
) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    let page = ask.page()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let state = app
        .state(&ask.caller, &repo, &reading, page.cursor.as_ref())
        .await?;
    let (seq, head) = (state.view.seq, state.view.refs.resolve(b"HEAD"));
    let page = app
        .offload(move || state.refs(namespace, &prefix, internal, &page))
        .await??;
    Ok(as_of(
        page::answer_state(&ask.headers, &ask.uri, &page, head),
        seq,
    ))
}

/// `GET /api/v1/repos/{repo}/refs/{name…}`
pub async fn show(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    one_of(app, ask, Namespace::Refs).await
}

/// One ref.
pub(super) async fn one_of(
    app: App,
    mut ask: Ask,
    namespace: Namespace,
) -> Result<Response, ApiError> {
    let reading = ask.reading()?;
    ask.finish()?;
    let state = app.state(&ask.caller, &ask.repo()?, &reading, None).await?;
    let (body, id) = state.one_ref(namespace, ask.rest())?;
    let object = body
        .target
        .clone()
        .or_else(|| body.oid.clone())
        .unwrap_or_default();
    let tag = ETag::of_state(
        id,
        &object.replace(|c: char| !c.is_ascii_graphic() || c == '"', "_"),
    );
    let response = json::answer(StatusCode::OK, &body);
    Ok(as_of(
        etag::finish(&ask.headers, response, &tag, id),
        state.view.seq,
    ))
}

/// `POST /api/v1/repos/{repo}/refs`
pub async fn batch(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<RefBatch>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let edits = body.try_into()?;
    let (updates, seq) = app.update_refs(&ask.caller, &repo, edits, &terms).await?;
    let body = RefUpdates {
        ref_updates: updates,
    };
    Ok(written(StatusCode::OK, &body, seq, &terms))
}

/// `PUT /api/v1/repos/{repo}/refs/{name…}`
pub async fn put(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<PutRef>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let name = Namespace::Refs.full(ask.rest());
    full_name(name.as_bytes()).map_err(|error| AppError::RefInvalid {
        name: name.to_text(),
        why: error.to_string(),
    })?;
    let edit = body.edit(name)?;
    let (body, made, seq) = app.put_ref(&ask.caller, &repo, edit, &terms).await?;
    if !made {
        return Ok(written(StatusCode::OK, &body, seq, &terms));
    }
    let place = Namespace::Refs.place(&repo, ask.rest());
    Ok(located(
        written(StatusCode::CREATED, &body, seq, &terms),
        &place,
    ))
}

/// `DELETE /api/v1/repos/{repo}/refs/{name…}`
pub async fn remove(
    State(app): State<App>,
    ask: Ask,
    OptionalJson(body): OptionalJson<DropRef>,
) -> Result<Response, ApiError> {
    remove_from(app, ask, Namespace::Refs, body).await
}

/// Deletes a ref. What it is believed to be is in the body, or, because not every client can send
/// one with DELETE, in the query.
pub(super) async fn remove_from(
    app: App,
    mut ask: Ask,
    namespace: Namespace,
    body: DropRef,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    let said = (
        ask.query().text("expected_head")?,
        ask.query().text("expected")?,
    );
    let in_query = match said {
        (Some(_), Some(_)) => {
            let detail = "`expected_head` is `expected`, said twice";
            return Err(AppError::query("expected_head", detail).into());
        }
        (head, expected) => head.or(expected),
    };
    ask.finish()?;
    let repo = ask.repo()?;
    let expected = match (in_query, body.expected()?) {
        (None, expected) => expected,
        (Some(text), Expected::Anything) => {
            let wrong = |_| AppError::query("expected_head", "an object id is 40 or 64 hex digits");
            Expected::At(govc_git::ObjectId::from_hex(text.as_bytes()).map_err(wrong)?)
        }
        (Some(_), _) => {
            return Err(AppError::query("expected_head", "is said in the body too").into());
        }
    };
    let name = namespace.full(ask.rest());
    let seq = app
        .delete_ref(&ask.caller, &repo, name, expected, &terms)
        .await?;
    Ok(done(seq, &terms))
}
