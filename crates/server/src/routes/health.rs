//! Whether the server is there, and what it is.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::app::App;
use crate::app::error::AppError;
use crate::http::json::answer;
use crate::http::problem::ApiError;

/// `GET /health/live`: the process answers.
pub async fn live() -> Response {
    answer(StatusCode::OK, &json!({ "status": "ok" }))
}

/// `GET /health`, `GET /health/ready`: it answers, and serves repositories.
pub async fn ready(State(app): State<App>) -> Response {
    if app.is_ready() {
        return answer(StatusCode::OK, &json!({ "status": "ok" }));
    }
    let why = "the server is starting or stopping".to_owned();
    ApiError(AppError::Unavailable { why }).into_response()
}

/// `GET /version`.
pub async fn version() -> Response {
    let body = json!({
        "name": "govc",
        "version": env!("CARGO_PKG_VERSION"),
        "api": "v1",
        "git": { "object_formats": ["sha1", "sha256"], "protocol_versions": [0, 2] },
    });
    answer(StatusCode::OK, &body)
}
