//! Webhooks.

use axum::extract::State;
use axum::response::Response;
use govc_api::hooks::{NewHook, PatchHook};
use http::StatusCode;

use crate::app::App;
use crate::app::error::AppError;
use crate::app::repos::location;
use crate::http::ask::Ask;
use crate::http::etag;
use crate::http::json::{self, Json, NoBody};
use crate::http::page::{self, PageQuery};
use crate::http::problem::ApiError;
use crate::http::reply::{as_of, done, located, written};
use crate::openapi::{Table, asks, reads, writes};
use govc_api::hooks::{Delivery, Hook};
use govc_api::page::PageOf;
use serde_json::json;

/// What can be wrong with a body where there is to be none.
const NO_BODY: &[&str] = &["BODY_INVALID", "TOO_LARGE", "TIMED_OUT"];

/// Webhooks, and hooks that are asked.
pub fn routes(table: Table) -> Table {
    let new = json!({ "url": "https://example.org/hook", "events": ["push"] });
    table
        .get(
            "/api/v1/repos/{repo}/hooks",
            list,
            reads("Hooks").gives_page::<Hook>("Hooks, without their secrets."),
        )
        .post(
            "/api/v1/repos/{repo}/hooks",
            create,
            writes("Make a hook")
                .fails(&["HOOK_ADDRESS_REFUSED"])
                .takes::<NewHook>(new)
                .gives::<Hook>(StatusCode::CREATED, "The hook."),
        )
        .get(
            "/api/v1/repos/{repo}/hooks/{id}",
            show,
            reads("A hook")
                .of_hook()
                .gives::<Hook>(StatusCode::OK, "The hook."),
        )
        .patch(
            "/api/v1/repos/{repo}/hooks/{id}",
            patch,
            writes("Change a hook")
                .of_hook()
                .fails(&["HOOK_ADDRESS_REFUSED"])
                .takes::<PatchHook>(json!({ "active": false }))
                .gives::<Hook>(StatusCode::OK, "The hook as it is now."),
        )
        .delete(
            "/api/v1/repos/{repo}/hooks/{id}",
            remove,
            writes("Delete a hook")
                .of_hook()
                .gives_nothing("It is deleted."),
        )
        .get(
            "/api/v1/repos/{repo}/hooks/{id}/deliveries",
            deliveries,
            asks("What a hook was sent lately")
                .of_hook()
                .limit("How many at most; 50 without it.")
                .gives::<PageOf<Delivery>>(StatusCode::OK, "The newest first, in one page."),
        )
        .post(
            "/api/v1/repos/{repo}/hooks/{id}/deliveries/{delivery}/redeliver",
            redeliver,
            asks("Send something once more")
                .fails(NO_BODY)
                .of_hook()
                .path(
                    "delivery",
                    "What names the delivery.",
                    ("delivery-id", "delivery"),
                )
                .fails(&["DELIVERY_NOT_FOUND"])
                .gives::<Delivery>(StatusCode::OK, "What became of it."),
        )
        .post(
            "/api/v1/repos/{repo}/hooks/{id}/ping",
            ping,
            asks("Send something to see whether it arrives")
                .fails(NO_BODY)
                .of_hook()
                .gives::<Delivery>(StatusCode::OK, "What became of it."),
        )
}

/// `GET /api/v1/repos/{repo}/hooks`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_of_all()?;
    let query = ask.page()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let (page, seq) = app.hooks(&ask.caller, &repo, &reading, query).await?;
    Ok(as_of(
        page::answer_state(&ask.headers, &ask.uri, &page, None),
        seq,
    ))
}

/// `POST /api/v1/repos/{repo}/hooks`
pub async fn create(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewHook>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let (hook, seq) = app.create_hook(&ask.caller, &repo, body, &terms).await?;
    let place = format!("{}/hooks/{}", location(&repo), hook.id);
    Ok(located(
        written(StatusCode::CREATED, &hook, seq, &terms),
        &place,
    ))
}

/// `GET /api/v1/repos/{repo}/hooks/{id}`
pub async fn show(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_of_all()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, hook(&ask)?);
    let (hook, seq) = app.hook(&ask.caller, &repo, &id, &reading).await?;
    Ok(as_of(etag::answer(&ask.headers, &hook, None), seq))
}

/// `PATCH /api/v1/repos/{repo}/hooks/{id}`
pub async fn patch(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<PatchHook>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, hook(&ask)?);
    let changed = app.patch_hook(&ask.caller, &repo, &id, body, &terms);
    let (hook, seq) = changed.await?;
    Ok(written(StatusCode::OK, &hook, seq, &terms))
}

/// `DELETE /api/v1/repos/{repo}/hooks/{id}`
pub async fn remove(State(app): State<App>, mut ask: Ask, _: NoBody) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, hook(&ask)?);
    let seq = app.delete_hook(&ask.caller, &repo, &id, &terms).await?;
    Ok(done(seq, &terms))
}

/// `GET /api/v1/repos/{repo}/hooks/{id}/deliveries`
pub async fn deliveries(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let limit = PageQuery::take_limit(ask.query())?;
    ask.finish()?;
    let (repo, id) = (ask.repo()?, hook(&ask)?);
    let page = app.deliveries(&ask.caller, &repo, &id, limit).await?;
    Ok(page::answer(&ask.uri, &page))
}

/// `POST /api/v1/repos/{repo}/hooks/{id}/deliveries/{delivery}/redeliver`
pub async fn redeliver(State(app): State<App>, ask: Ask, _: NoBody) -> Result<Response, ApiError> {
    ask.finish()?;
    let (repo, id) = (ask.repo()?, hook(&ask)?);
    let delivery = part(&ask, 2).unwrap_or_default();
    let sent = app.redeliver(&ask.caller, &repo, &id, &delivery).await?;
    Ok(json::answer(StatusCode::OK, &sent))
}

/// `POST /api/v1/repos/{repo}/hooks/{id}/ping`
pub async fn ping(State(app): State<App>, ask: Ask, _: NoBody) -> Result<Response, ApiError> {
    ask.finish()?;
    let (repo, id) = (ask.repo()?, hook(&ask)?);
    let sent = app.ping_hook(&ask.caller, &repo, &id).await?;
    Ok(json::answer(StatusCode::OK, &sent))
}

/// A part of `{id}/deliveries/{delivery}/redeliver`.
fn part(ask: &Ask, number: usize) -> Option<String> {
    let part = ask.rest().split(|&byte| byte == b'/').nth(number)?;
    String::from_utf8(part.to_vec()).ok()
}

/// The hook in the path.
fn hook(ask: &Ask) -> Result<String, AppError> {
    part(ask, 0).ok_or_else(|| AppError::HookNotFound {
        id: String::from_utf8_lossy(ask.rest()).into_owned(),
    })
}
