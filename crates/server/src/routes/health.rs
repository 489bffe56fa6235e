//! Whether the server is there, and what it is.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use govc_api::health::{GitVersions, Health, Version};
use http::StatusCode;

use crate::app::App;
use crate::app::error::AppError;
use crate::http::json::answer;
use crate::http::problem::ApiError;
use crate::openapi::{Table, opens};

/// Is it there, and what is it? These answer anybody.
pub fn routes(table: Table) -> Table {
    let health = |summary| {
        opens(summary)
            .gives::<Health>(StatusCode::OK, "It is.")
            .unavailable()
    };
    table
        .get("/health", ready, health("Is the server ready?"))
        .get("/health/live", live, health("Does the process answer?"))
        .get("/health/ready", ready, health("Is the server ready?"))
        .get(
            "/version",
            version,
            opens("What runs here").gives::<Version>(StatusCode::OK, "Its version."),
        )
}

/// `GET /health/live`: the process answers.
pub async fn live() -> Response {
    answer(StatusCode::OK, &Health { status: "ok" })
}

/// `GET /health`, `GET /health/ready`: it answers, and serves repositories.
pub async fn ready(State(app): State<App>) -> Response {
    if app.is_ready() {
        return answer(StatusCode::OK, &Health { status: "ok" });
    }
    let why = "the server is starting or stopping".to_owned();
    ApiError(AppError::Unavailable { why }).into_response()
}

/// `GET /version`.
pub async fn version() -> Response {
    let body = Version {
        name: "govc",
        version: env!("CARGO_PKG_VERSION"),
        api: "v1",
        git: GitVersions {
            object_formats: ["sha1", "sha256"],
            protocol_versions: [0, 1, 2],
        },
    };
    answer(StatusCode::OK, &body)
}
