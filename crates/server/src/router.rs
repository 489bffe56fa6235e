//! Every path govc answers, in the order a reader meets them.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, delete, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

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
        .merge(docs::routes(document))
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
        commits::routes,
        branches::routes,
        tags::routes,
        refs::routes,
        bundle::routes,
        history::routes,
        time_travel::routes,
        events::routes,
    ];
    nouns
        .into_iter()
        .fold(Table::new(), |table, noun| noun(table))
}

/// The API: JSON, compressed when asked, each write done once.
fn api(app: &App, described: Router<App>) -> Router<App> {
    described
        // What follows is served, and not described yet.
        // Files
        .route("/api/v1/repos/{repo}/diff", get(diff::show))
        .route("/api/v1/repos/{repo}/blame/{*path}", get(blame::show))
        .route("/api/v1/repos/{repo}/add", post(workspaces::add))
        .route("/api/v1/repos/{repo}/write", post(workspaces::write))
        .route(
            "/api/v1/repos/{repo}/remove/{*path}",
            delete(workspaces::remove_file),
        )
        .route("/api/v1/repos/{repo}/move", post(workspaces::move_file))
        .route("/api/v1/repos/{repo}/status", get(workspaces::status))
        // Transactions
        .route("/api/v1/transactions", post(transactions::change_many))
        .route(
            "/api/v1/repos/{repo}/transaction",
            post(transactions::begin),
        )
        .route(
            "/api/v1/repos/{repo}/transaction/{id}",
            get(transactions::show),
        )
        .route(
            "/api/v1/repos/{repo}/transaction/{id}/add",
            post(transactions::add),
        )
        .route(
            "/api/v1/repos/{repo}/transaction/{id}/remove",
            post(transactions::remove),
        )
        .route(
            "/api/v1/repos/{repo}/transaction/{id}/move",
            post(transactions::rename),
        )
        .route(
            "/api/v1/repos/{repo}/transaction/{id}/validate",
            post(transactions::validate),
        )
        .route(
            "/api/v1/repos/{repo}/transaction/{id}/commit",
            post(transactions::commit),
        )
        .route(
            "/api/v1/repos/{repo}/transaction/{id}/rollback",
            post(transactions::roll_back),
        )
        // Workspaces
        .route(
            "/api/v1/repos/{repo}/workspaces",
            get(workspaces::list).post(workspaces::create),
        )
        .route(
            "/api/v1/repos/{repo}/workspaces/{name}",
            delete(workspaces::remove),
        )
        .route("/api/v1/repos/{repo}/checkout", post(workspaces::checkout))
        .route("/api/v1/repos/{repo}/reset", post(workspaces::reset))
        .route(
            "/api/v1/repos/{repo}/stash",
            get(stashes::list).post(stashes::create),
        )
        .route(
            "/api/v1/repos/{repo}/stash/{id}",
            get(stashes::show).delete(stashes::remove),
        )
        .route(
            "/api/v1/repos/{repo}/stash/{id}/apply",
            post(stashes::apply),
        )
        // Commits
        .route("/api/v1/repos/{repo}/commit", post(workspaces::commit))
        .route("/api/v1/repos/{repo}/compare/{*revs}", get(compare::show))
        .route("/api/v1/repos/{repo}/merge", post(merges::merge))
        .route("/api/v1/repos/{repo}/merge-base", get(merges::merge_base))
        .route(
            "/api/v1/repos/{repo}/cherry-pick",
            post(merges::cherry_pick),
        )
        .route("/api/v1/repos/{repo}/revert", post(merges::revert))
        .route("/api/v1/repos/{repo}/rebase", post(merges::rebase))
        // Branches, tags, refs
        .route("/api/v1/repos/{repo}/archive/{*name}", get(archive::show))
        // Search
        .route("/api/v1/repos/{repo}/search/commits", get(search::commits))
        .route("/api/v1/repos/{repo}/search/content", get(search::content))
        .route("/api/v1/repos/{repo}/search/files", get(search::files))
        .route("/api/v1/repos/{repo}/grep", post(search::grep))
        // Parallel realities
        .route(
            "/api/v1/repos/{repo}/parallel-realities",
            get(realities::list).post(realities::create),
        )
        .route(
            "/api/v1/repos/{repo}/parallel-realities/compare",
            post(realities::compare),
        )
        .route(
            "/api/v1/repos/{repo}/parallel-realities/conflicts",
            get(realities::conflicts),
        )
        .route(
            "/api/v1/repos/{repo}/parallel-realities/{reality}",
            get(realities::show).delete(realities::remove),
        )
        .route(
            "/api/v1/repos/{repo}/parallel-realities/{reality}/apply",
            post(realities::apply),
        )
        .route(
            "/api/v1/repos/{repo}/parallel-realities/{reality}/results",
            post(realities::results),
        )
        .route(
            "/api/v1/repos/{repo}/parallel-realities/{reality}/benchmark",
            get(realities::benchmark),
        )
        .route(
            "/api/v1/repos/{repo}/parallel-realities/{reality}/promote",
            post(realities::promote),
        )
        // What happens
        .route(
            "/api/v1/repos/{repo}/hooks",
            get(hooks::list).post(hooks::create),
        )
        .route(
            "/api/v1/repos/{repo}/hooks/{id}",
            get(hooks::show).patch(hooks::patch).delete(hooks::remove),
        )
        .route(
            "/api/v1/repos/{repo}/hooks/{id}/deliveries",
            get(hooks::deliveries),
        )
        .route(
            "/api/v1/repos/{repo}/hooks/{id}/deliveries/{delivery}/redeliver",
            post(hooks::redeliver),
        )
        .route("/api/v1/repos/{repo}/hooks/{id}/ping", post(hooks::ping))
        // Nothing else is there
        .route("/api", any(pages::nothing_here))
        .route("/api/{*rest}", any(pages::nothing_here))
        .layer(from_fn_with_state(app.clone(), idempotency::once))
        .layer(from_fn_with_state(app.clone(), caller::authenticate))
        .layer(CompressionLayer::new().compress_when(layers::worth_compressing()))
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
