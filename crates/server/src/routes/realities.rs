//! Parallel realities.

use axum::extract::State;
use axum::response::Response;
use govc_api::realities::{Apply, CompareRealities, Conflicts, NewRealities, NewResults, Promote};
use http::StatusCode;

use crate::app::App;
use crate::app::commits::place as commit_place;
use crate::app::error::AppError;
use crate::app::realities::Listed;
use crate::app::realities::body::Bodies;
use crate::http::ask::Ask;
use crate::http::etag;
use crate::http::json::{self, Json, NoBody, OptionalJson};
use crate::http::page;
use crate::http::problem::ApiError;
use crate::http::reply::{as_of, done, located, written, written_json};
use crate::openapi::{Table, asks, reads, writes};
use govc_api::commits::Commit;
use govc_api::realities::{Benchmark, Comparison, Reality};
use serde_json::json;

/// The reality in the path: what follows the noun, up to the next one.
fn name(ask: &Ask) -> Result<String, AppError> {
    let rest = ask.rest();
    let name = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
    String::from_utf8(name.to_vec()).map_err(|_| AppError::RealityNotFound {
        name: String::from_utf8_lossy(name).into_owned(),
    })
}

/// Parallel realities.
pub fn routes(table: Table) -> Table {
    table
        .post(
            "/api/v1/repos/{repo}/parallel-realities",
            create,
            writes("Make realities: isolated copies of all refs")
                .in_reality()
                .resolves()
                .at_moment()
                .fails(&["REALITY_EXISTS", "REALITY_NOT_FOUND", "REALITY_DISCARDED"])
                .takes::<NewRealities>(json!({ "branches": ["a", "b"] }))
                .gives::<serde_json::Value>(StatusCode::CREATED, "All of them."),
        )
        .get(
            "/api/v1/repos/{repo}/parallel-realities",
            list,
            reads("Realities")
                .one_of(
                    "state",
                    "Which ones; the open ones without it.",
                    &["open", "closed", "all"],
                )
                .gives_page::<Reality<'static>>("Realities, by name."),
        )
        .post(
            "/api/v1/repos/{repo}/parallel-realities/compare",
            compare,
            asks("Compare realities, all with all")
                .waits()
                .fails(&[
                    "REALITY_NOT_FOUND",
                    "REALITY_DISCARDED",
                    "TOO_MANY_REALITIES",
                ])
                .fails(&["MERGE_IMPOSSIBLE"])
                .takes::<CompareRealities>(json!({ "realities": ["a", "b"] }))
                .gives::<Comparison>(StatusCode::OK, "What they have in common and what not."),
        )
        .get(
            "/api/v1/repos/{repo}/parallel-realities/conflicts",
            conflicts,
            reads("Which realities conflict with each other")
                .fails(&[
                    "REALITY_NOT_FOUND",
                    "REALITY_DISCARDED",
                    "TOO_MANY_REALITIES",
                ])
                .fails(&["MERGE_IMPOSSIBLE"])
                .text("realities", "Only these, with commas between them.")
                .gives::<Conflicts<'static>>(StatusCode::OK, "Pairs that conflict."),
        )
        .get(
            "/api/v1/repos/{repo}/parallel-realities/{reality}",
            show,
            reads("A reality")
                .of_reality()
                .gives::<Reality<'static>>(StatusCode::OK, "The reality."),
        )
        .delete(
            "/api/v1/repos/{repo}/parallel-realities/{reality}",
            remove,
            writes("Discard a reality, and those made from it")
                .of_reality()
                .gives_nothing("It is discarded."),
        )
        .post(
            "/api/v1/repos/{repo}/parallel-realities/{reality}/apply",
            apply,
            writes("Commit in a reality")
                .of_reality()
                .moves_ref()
                .makes_commit()
                .takes::<Apply>(json!({
                    "message": "try",
                    "actions": [{ "op": "put", "path": "try.txt", "content": "1\n" }],
                }))
                .gives::<Commit>(StatusCode::CREATED, "The commit."),
        )
        .post(
            "/api/v1/repos/{repo}/parallel-realities/{reality}/results",
            results,
            writes("Attach figures to a reality")
                .of_reality()
                .takes::<NewResults>(json!({ "metrics": { "seconds": 1.5 }, "passed": true }))
                .gives_nothing("They are attached."),
        )
        .get(
            "/api/v1/repos/{repo}/parallel-realities/{reality}/benchmark",
            benchmark,
            reads("The figures of a reality")
                .of_reality()
                .gives::<Benchmark>(StatusCode::OK, "Those attached, and those counted."),
        )
        .post(
            "/api/v1/repos/{repo}/parallel-realities/{reality}/promote",
            promote,
            writes("Move a branch of the parent to what a reality made")
                .of_reality()
                .merges()
                .fails(&["NOTHING_TO_PROMOTE"])
                .may_take::<Promote>()
                .gives::<Commit>(StatusCode::OK, "The commit, which was there.")
                .gives::<Commit>(StatusCode::CREATED, "The commit, which was made."),
        )
}

/// `POST /api/v1/repos/{repo}/parallel-realities`
pub async fn create(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewRealities>,
) -> Result<Response, ApiError> {
    let terms = ask.terms()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let (body, seq) = app
        .make_realities(&ask.caller, &repo, order, &terms, &ask.origin)
        .await?;
    Ok(written_json(StatusCode::CREATED, body, seq, &terms))
}

/// `GET /api/v1/repos/{repo}/parallel-realities`
pub async fn list(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_of_all()?;
    let listed = match ask.query().text("state")?.as_deref() {
        None | Some("open") => Listed::Open,
        Some("closed") => Listed::Closed,
        Some("all") => Listed::All,
        Some(_) => {
            return Err(AppError::query("state", "`state` is open, closed or all").into());
        }
    };
    let page = ask.page()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let (host, page) = app
        .list_realities(&ask.caller, &repo, listed, &reading, &page)
        .await?;
    let bodies = Bodies::of(&repo, &ask.origin);
    let engine = app.engine()?;
    let page = page.map(|reality| bodies.one(engine, &reality));
    let response = page::answer_state(&ask.headers, &ask.uri, &page, None);
    Ok(as_of(response, host.snapshot().seq))
}

/// `GET /api/v1/repos/{repo}/parallel-realities/{reality}`
pub async fn show(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let reality = app
        .show_reality(&ask.caller, &repo, &name(&ask)?, &reading)
        .await?;
    let body = Bodies::of(&repo, &ask.origin).one(app.engine()?, &reality);
    let response = etag::answer(&ask.headers, &body, None);
    Ok(as_of(response, reality.host.snapshot().seq))
}

/// `DELETE /api/v1/repos/{repo}/parallel-realities/{reality}`
pub async fn remove(State(app): State<App>, mut ask: Ask, _: NoBody) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let seq = app
        .discard_reality(&ask.caller, &repo, &name(&ask)?, &terms)
        .await?;
    Ok(done(seq, &terms))
}

/// `POST /api/v1/repos/{repo}/parallel-realities/{reality}/apply`
pub async fn apply(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<Apply>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let (commit, seq) = app
        .apply_to_reality(&ask.caller, &repo, &name(&ask)?, body, terms.clone())
        .await?;
    let place = commit_place(&repo, &commit);
    Ok(located(
        written(StatusCode::CREATED, &commit, seq, &terms),
        &place,
    ))
}

/// `POST /api/v1/repos/{repo}/parallel-realities/{reality}/results`
pub async fn results(
    State(app): State<App>,
    mut ask: Ask,
    Json(body): Json<NewResults>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let results = body.read()?;
    let seq = app
        .attach_results(&ask.caller, &repo, &name(&ask)?, results, &terms)
        .await?;
    Ok(done(seq, &terms))
}

/// `GET /api/v1/repos/{repo}/parallel-realities/{reality}/benchmark`
pub async fn benchmark(State(app): State<App>, ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let (body, seq) = app
        .benchmark(&ask.caller, &repo, &name(&ask)?, &reading)
        .await?;
    Ok(as_of(etag::answer(&ask.headers, &body, None), seq))
}

/// `POST /api/v1/repos/{repo}/parallel-realities/compare`
pub async fn compare(
    State(app): State<App>,
    ask: Ask,
    Json(body): Json<CompareRealities>,
) -> Result<Response, ApiError> {
    let reading = ask.reading_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let comparison = app
        .compare_realities(&ask.caller, &repo, &reading, body.realities, body.metric)
        .await?;
    Ok(json::answer(StatusCode::OK, &comparison))
}

/// `GET /api/v1/repos/{repo}/parallel-realities/conflicts`
pub async fn conflicts(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_of_all()?;
    let names = ask.query().text("realities")?;
    ask.finish()?;
    let repo = ask.repo()?;
    let names = names.map(|names| {
        let names = names.split(',').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    });
    let (pairs, realities, seq) = app
        .reality_conflicts(&ask.caller, &repo, names, &reading)
        .await?;
    let body = Conflicts {
        pairs: &pairs,
        realities,
    };
    Ok(as_of(etag::answer(&ask.headers, &body, None), seq))
}

/// `POST /api/v1/repos/{repo}/parallel-realities/{reality}/promote`
pub async fn promote(
    State(app): State<App>,
    mut ask: Ask,
    OptionalJson(body): OptionalJson<Promote>,
) -> Result<Response, ApiError> {
    let terms = ask.terms_of_all()?;
    ask.finish()?;
    let repo = ask.repo()?;
    let order = body.try_into()?;
    let promoted = app
        .promote_reality(&ask.caller, &repo, &name(&ask)?, order, &terms)
        .await?;
    let status = match promoted.is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let response = written(status, &promoted.commit, promoted.seq, &terms);
    if !promoted.is_new {
        return Ok(response);
    }
    Ok(located(response, &commit_place(&repo, &promoted.commit)))
}
