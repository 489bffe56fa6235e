//! Plain pages for people who come with a browser, and what is said where there is nothing.

use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use govc_engine::RepoId;
use http::{HeaderValue, Method, Uri, header};

use crate::app::error::AppError;
use crate::app::{Action, App};
use crate::http::ask::origin;
use crate::http::caller::Caller;
use crate::http::path::decode;
use crate::http::problem::ApiError;

const WELCOME: &str = include_str!("../pages/welcome.html");
const REPOSITORY: &str = include_str!("../pages/repository.html");

/// `GET /`: what runs here, and how to push to it.
pub async fn welcome(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let token = if app.config().auth.token.is_empty() {
        ""
    } else {
        "<p>This server wants a token. Git asks for it as the password, any user name will do; \
         <code>curl</code> sends it with <code>-H \"Authorization: Bearer …\"</code>.</p>"
    };
    let page = WELCOME
        .replace("{{origin}}", &escape(&origin(&app, &parts)))
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{token}}", token);
    html(page)
}

/// `GET /{repo}` in a browser: where its clone is. Anything else: there is nothing.
pub async fn repository_or_nothing(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let nothing = || {
        ApiError(AppError::RouteNotFound {
            path: parts.uri.path().to_owned(),
        })
        .into_response()
    };
    let Some(caller) = parts.extensions.get::<Caller>() else {
        return nothing();
    };
    let Some(id) = repository_id(&parts.uri) else {
        return nothing();
    };
    match app.repository(caller, &id, Action::Read).await {
        Err(error) => ApiError(error).into_response(),
        Ok(_) if !matches!(parts.method, Method::GET | Method::HEAD) => {
            let mut response = ApiError(AppError::Method {
                method: parts.method.to_string(),
            })
            .into_response();
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
            response
        }
        Ok(repository) => {
            let snapshot = repository.snapshot();
            let record = &snapshot.record;
            let branch = snapshot.refs.head_branch().map(|name| name.to_text());
            let state = match snapshot.head() {
                Some(head) => format!("HEAD is at <code>{head}</code>."),
                None => "Nothing was pushed to it yet.".to_owned(),
            };
            let branch = branch
                .as_deref()
                .map_or("main", |name| name.trim_start_matches("refs/heads/"));
            html(
                REPOSITORY
                    .replace("{{state}}", &state)
                    .replace("{{origin}}", &escape(&origin(&app, &parts)))
                    .replace("{{branch}}", &escape(branch))
                    .replace(
                        "{{encoded}}",
                        &escape(&record.id.as_str().replace('/', "%2F")),
                    )
                    .replace("{{description}}", &escape(&record.description))
                    .replace("{{id}}", &escape(record.id.as_str())),
            )
        }
    }
}

/// The id in `/group/project`, `/group/project/` or `/group/project.git`.
fn repository_id(uri: &Uri) -> Option<RepoId> {
    let path = String::from_utf8(decode(uri.path())).ok()?;
    let id = path.trim_start_matches('/').trim_end_matches('/');
    RepoId::parse(id.strip_suffix(".git").unwrap_or(id)).ok()
}

/// A path that is none of ours.
pub async fn nothing_here(uri: Uri) -> Response {
    ApiError(AppError::RouteNotFound {
        path: uri.path().to_owned(),
    })
    .into_response()
}

/// A path that is ours, with a method that is not; the router adds `Allow`.
pub async fn other_method(method: Method) -> Response {
    ApiError(AppError::Method {
        method: method.to_string(),
    })
    .into_response()
}

fn html(page: String) -> Response {
    let mut response = Html(page).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Accept, Accept-Encoding"),
    );
    response
}

/// `text` where HTML may not be.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        // So that what somebody wrote is never taken for a place of ours.
        .replace('{', "&#123;")
}
