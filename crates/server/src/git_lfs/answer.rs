//! Answers of Git LFS: their media type, and errors that its client shows.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use govc_api::lfs::{self, DOCUMENTATION, MEDIA_TYPE};
use http::header::{self, HeaderName};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::app::error::AppError;
use crate::app::lfs::LfsError;
use crate::http::problem::{ApiError, Pending};

/// As `WWW-Authenticate`, for this client only: a browser that looks does not ask its user.
const LFS_AUTHENTICATE: HeaderName = HeaderName::from_static("lfs-authenticate");
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"govc\", charset=\"UTF-8\"");

/// Why a request is not answered as it would like to be.
#[derive(Debug)]
pub(super) enum Refused {
    /// The application says no.
    App(AppError),
    /// The path takes these methods only.
    Method(&'static str),
    /// The client takes no answer that there is.
    NotAcceptable,
}

impl<E: Into<AppError>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused::App(error.into())
    }
}

impl Refused {
    /// The answer to the request `request_id`.
    pub(super) fn into_response(self, request_id: &str) -> Response {
        let mut lock = None;
        let (mut response, message) = match self {
            Refused::Method(allowed) => {
                let status = StatusCode::METHOD_NOT_ALLOWED;
                let allow = [(header::ALLOW, HeaderValue::from_static(allowed))];
                let message = format!("this path takes {allowed}");
                ((status, allow).into_response(), message)
            }
            Refused::NotAcceptable => {
                let message = format!("the answer is {MEDIA_TYPE}: accept that");
                (StatusCode::NOT_ACCEPTABLE.into_response(), message)
            }
            Refused::App(error) => {
                if let AppError::Lfs(LfsError::Locked(there)) = &error {
                    lock = Some(lfs::Lock::from(&**there));
                }
                let message = match &error {
                    // What went wrong inside is for the log.
                    AppError::Internal(_) => "the server made a mistake".to_owned(),
                    other => other.to_string(),
                };
                let invalid = matches!(error, AppError::Body { .. } | AppError::Query { .. });
                let mut response = ApiError(error).into_response();
                response.extensions_mut().remove::<Pending>();
                if invalid {
                    // As the specification has it.
                    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
                }
                (response, message)
            }
        };
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(LFS_AUTHENTICATE, CHALLENGE);
        }
        let body = lfs::Error {
            message,
            documentation_url: DOCUMENTATION,
            request_id: request_id.to_owned(),
            lock,
        };
        *response.body_mut() = bytes_of(&body);
        headers(&mut response);
        response
    }
}

/// An answer with a body.
pub(super) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = (status, bytes_of(body)).into_response();
    headers(&mut response);
    response
}

fn bytes_of(body: &impl Serialize) -> Body {
    Body::from(serde_json::to_vec(body).unwrap_or_default())
}

fn headers(response: &mut Response) {
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
