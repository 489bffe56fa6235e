//! Answers to writes.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use govc_engine::Seq;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::ask::Terms;
use super::json;

/// The repository's number after a write.
pub const GOVC_SEQ: HeaderName = HeaderName::from_static("govc-seq");
/// Says that nothing was changed.
pub const GOVC_DRY_RUN: HeaderName = HeaderName::from_static("govc-dry-run");

/// The answer to a write that has something to say.
pub fn written(status: StatusCode, body: &impl Serialize, seq: Seq, terms: &Terms) -> Response {
    finish(json::answer(status, body), seq, terms)
}

/// As [`written`], of a body that is JSON already.
pub fn written_json(status: StatusCode, body: Bytes, seq: Seq, terms: &Terms) -> Response {
    let json = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    finish((status, [json], body).into_response(), seq, terms)
}

/// The answer to a write that has nothing to say.
pub fn done(seq: Seq, terms: &Terms) -> Response {
    finish(StatusCode::NO_CONTENT.into_response(), seq, terms)
}

fn finish(mut response: Response, seq: Seq, terms: &Terms) -> Response {
    let headers = response.headers_mut();
    headers.insert(GOVC_SEQ, HeaderValue::from(seq));
    if terms.dry_run {
        headers.insert(GOVC_DRY_RUN, HeaderValue::from_static("true"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Says where what was made is.
#[must_use]
pub fn located(mut response: Response, location: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// Says which state an answer is of.
#[must_use]
pub fn as_of(mut response: Response, seq: Seq) -> Response {
    response
        .headers_mut()
        .insert(GOVC_SEQ, HeaderValue::from(seq));
    response
}
