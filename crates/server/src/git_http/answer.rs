//! Answers to Git: their headers, and refusals that Git shows to its user.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, PRAGMA};
use http::{HeaderValue, StatusCode};

use crate::app::error::AppError;
use crate::git_service::Failure;
use crate::git_service::input::InputError;
use crate::git_service::reply::Reply;
use crate::http::problem::ApiError;

/// Why there is no conversation: told by a status. Git shows the text of a plain answer.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is nothing here.
    NotFound,
    /// The path is there, the method is not; these are.
    Method(&'static str),
    /// The service is not offered.
    Service,
    /// The body is not what the service takes.
    MediaType(String),
    /// The body did not arrive, or is over a limit.
    Body(InputError),
    /// The application says no.
    App(AppError),
}

impl From<AppError> for Refused {
    fn from(error: AppError) -> Refused {
        Refused::App(error)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        match failure {
            Failure::Input(error) => Refused::Body(error),
            Failure::App(error) => Refused::App(error),
        }
    }
}

impl Refused {
    pub(super) fn into_response(self) -> Response {
        match self {
            Refused::NotFound => plain(StatusCode::NOT_FOUND, "there is nothing here"),
            Refused::Method(allowed) => {
                let mut response = plain(
                    StatusCode::METHOD_NOT_ALLOWED,
                    &format!("this path takes {allowed}"),
                );
                let allowed = HeaderValue::from_static(allowed);
                response.headers_mut().insert(ALLOW, allowed);
                response
            }
            Refused::Service => plain(
                StatusCode::FORBIDDEN,
                "this server speaks Git's smart protocol: ask for info/refs?service=git-upload-pack \
                 or info/refs?service=git-receive-pack",
            ),
            Refused::MediaType(why) => plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, &why),
            Refused::Body(error) => plain(status(&error), &error.to_string()),
            Refused::App(error) => {
                let text = error.to_string();
                let mut response = ApiError(error).into_response();
                // Git shows a plain text to its user, and nothing of a problem document.
                response
                    .extensions_mut()
                    .remove::<crate::http::problem::Pending>();
                *response.body_mut() = Body::from(text + "\n");
                plain_headers(&mut response);
                response
            }
        }
    }
}

fn status(error: &InputError) -> StatusCode {
    match error {
        InputError::CutOff(_) | InputError::HungUp | InputError::NotGzip(_) => {
            StatusCode::BAD_REQUEST
        }
        InputError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
    }
}

fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = (status, format!("{text}\n")).into_response();
    plain_headers(&mut response);
    response
}

fn plain_headers(response: &mut Response) {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    no_cache(response);
}

fn no_cache(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(
        EXPIRES,
        HeaderValue::from_static("Fri, 01 Jan 1980 00:00:00 GMT"),
    );
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, max-age=0, must-revalidate"),
    );
}

/// An answer of `content_type` that nobody may keep.
pub(super) fn answer(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    no_cache(&mut response);
    response
}

/// What a service answered, as a body.
pub(super) fn reply(content_type: &'static str, reply: Reply) -> Response {
    match reply {
        Reply::Whole(whole) | Reply::Refusal(whole) => answer(content_type, whole),
        Reply::Pieces(pieces) => {
            let pieces = pieces.map(Ok::<_, Infallible>);
            answer(content_type, Body::from_stream(pieces))
        }
    }
}
