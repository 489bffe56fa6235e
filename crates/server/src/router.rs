//! Every path govc answers, in the order a reader meets them.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;

use crate::app::App;
use crate::git_http;
use crate::git_lfs;
use crate::http::{caller, idempotency, layers};
use crate::openapi::Table;
use crate::routes::{
    archive, blame, branches, bundle, commits, compare, diff, docs, events, files, health, history,
    hooks, merges, pages, realities, refs, repos, search, stashes, tags, time_travel, transactions,
    workspaces,
};

/// The whole service: routes, and what every request passes through.
pub fn router(app: App) -> Router {
    let (described, open, document) = table().finish();
    let routes = Router::new()
        // These answer anybody.
        .route("/", get(pages::welcome))
        .merge(open)
        .merge(docs::routes(document).layer(compression()))
        .merge(api(&app, described))
        .method_not_allowed_fallback(pages::other_method)
        .merge(git(&app))
        .with_state(app.clone());
    // Around all routes and not on each: `Allow` is written by the routes as a whole.
    Router::new()
        .fallback_service(routes)
        .layer(CatchPanicLayer::custom(layers::caught))
        .layer(from_fn_with_state(app.clone(), layers::options_and_cors))
        .layer(from_fn_with_state(app.clone(), layers::admit))
        .layer(from_fn_with_state(app, layers::observe))
}

/// Every route that is described, and the description.
pub fn table() -> Table {
    let nouns = [
        health::routes,
        repos::routes,
        files::routes,
        diff::routes,
        blame::routes,
        archive::routes,
        workspaces::routes,
        stashes::routes,
        transactions::routes,
        commits::routes,
        compare::routes,
        merges::routes,
        branches::routes,
        tags::routes,
        refs::routes,
        search::routes,
        bundle::routes,
        realities::routes,
        history::routes,
        time_travel::routes,
        hooks::routes,
        events::routes,
    ];
    nouns
        .into_iter()
        .fold(Table::new(), |table, noun| noun(table))
}

/// Answers are compressed when asked.
fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().compress_when(layers::worth_compressing())
}

/// The API: JSON, compressed when asked, each write done once.
fn api(app: &App, described: Router<App>) -> Router<App> {
    described
        // Nothing else is there
        .route("/api", any(pages::nothing_here))
        .route("/api/{*rest}", any(pages::nothing_here))
        .layer(from_fn_with_state(app.clone(), idempotency::once))
        .layer(from_fn_with_state(app.clone(), caller::authenticate))
        .layer(compression())
        // Bodies have a limit of their own.
        .layer(DefaultBodyLimit::disable())
}

/// Git itself: clone, fetch and push; Git LFS below `info/lfs`. Ids have slashes, so functions take
/// the paths apart; a browser gets a page.
fn git(app: &App) -> Router<App> {
    Router::new()
        .fallback(git_http::serve_or_page)
        .layer(from_fn_with_state(app.clone(), caller::authenticate))
        // Says no in its own way, to strangers too.
        .layer(from_fn_with_state(app.clone(), git_lfs::serve_or_pass))
}
