//! Every path govc answers, in the order a reader meets them.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::git_http;
use crate::http::{caller, idempotency, layers};
use crate::routes::{health, pages};

/// The whole service: routes, and what every request passes through.
pub fn router(app: App) -> Router {
    let layer = |router: Router<App>| router.layer(CatchPanicLayer::custom(layers::caught));
    let root = Router::new()
        // Is it there, and what is it? These answer anybody.
        .route("/", get(pages::welcome))
        .route("/health", get(health::ready))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/version", get(health::version))
        .method_not_allowed_fallback(pages::other_method);

    layer(root.merge(api(&app)).merge(git(&app)))
        .layer(from_fn_with_state(app.clone(), layers::options_and_cors))
        .layer(from_fn_with_state(app.clone(), layers::admit))
        .layer(from_fn_with_state(app.clone(), layers::observe))
        .with_state(app)
}

/// The API: JSON, compressed when asked, answered once.
fn api(app: &App) -> Router<App> {
    Router::new()
        .route("/api/v1/{*rest}", get(pages::nothing_here))
        .layer(from_fn_with_state(app.clone(), idempotency::once))
        .layer(from_fn_with_state(app.clone(), caller::authenticate))
        .layer(CompressionLayer::new().compress_when(layers::worth_compressing()))
}

/// Git itself: clone, fetch and push. Ids have slashes, so one function takes the path apart; a
/// browser gets a page.
fn git(app: &App) -> Router<App> {
    Router::new()
        .fallback(git_http::serve_or_page)
        .layer(from_fn_with_state(app.clone(), caller::authenticate))
}
