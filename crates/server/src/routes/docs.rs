//! What the API is: for programs, and for people.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;

/// `GET /openapi.json`, and `GET /docs`, which shows it with nothing from elsewhere.
pub fn routes(document: String) -> Router<App> {
    let document = Bytes::from(document);
    let answer = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document) }
    };
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    Router::new()
        .route("/openapi.json", get(answer))
        .merge(page)
}
