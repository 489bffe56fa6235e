//! What every request passes through on its way in, and every answer on its way out.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;
use tower_http::compression::predicate::{Predicate, SizeAbove};

use super::caller::RequestId;
use super::problem::{ApiError, Pending};
use crate::app::App;
use crate::app::error::AppError;

/// The id of the request, in answers; taken over from a request that has a sound one.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Gives the request an id, writes problem documents, tells the log.
pub async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let silence = app.config().server.read_timeout.get();
    let request = request.map(|body| {
        if body.is_end_stream() {
            body
        } else {
            Body::new(Impatient::new(body, silence))
        }
    });

    let mut response = next.run(request).await;

    write_problem(&mut response, &uri, &id);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    tracing::info!(
        target: "govc::access",
        request_id = %id,
        method = %method,
        path = uri.path(),
        status = response.status().as_u16(),
        ms = begun.elapsed().as_micros() as f64 / 1000.0,
    );
    response
}

/// Writes the problem document of an answer that still waits for it.
pub fn write_problem(response: &mut Response, uri: &Uri, request_id: &str) {
    let Some(Pending(mut problem)) = response.extensions_mut().remove::<Pending>() else {
        return;
    };
    uri.path().clone_into(&mut problem.instance);
    request_id.clone_into(&mut problem.request_id);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(body);
}

/// The id that the client gave, or a new one.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let sound = |text: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    match headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(sound)
    {
        Some(text) => text.into(),
        None => new_request_id(),
    }
}

/// The id of a request that has none.
pub(crate) fn new_request_id() -> Arc<str> {
    let mut bytes = [0u8; 8];
    // Without randomness ids repeat, which is no reason to refuse a request.
    let _ = getrandom::fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes)).into()
}

/// A panic on the way is our own fault and nobody else's business.
pub fn caught(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(panic = %text, "a request panicked");
    ApiError(AppError::Internal("panic".into())).into_response()
}

/// Refuses heads that are too large, and names that are not ours.
pub async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let limit = app.config().limits.request_head;
    if head_bytes(&request) > limit.0 {
        return ApiError(AppError::HeadTooLarge { limit: limit.0 }).into_response();
    }
    if let Some(host) = app.names().refuses(&request) {
        return ApiError(AppError::Misdirected { host }).into_response();
    }
    next.run(request).await
}

/// Bytes of the request's line and headers, as HTTP/1.1 writes them.
fn head_bytes(request: &Request) -> u64 {
    let target = request
        .uri()
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    let line = request.method().as_str().len() + target + " HTTP/1.1\r\n".len() + 1;
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    (line + headers) as u64
}

/// The names by which this server may be asked for.
#[derive(Debug)]
pub struct Names {
    /// `None`: by any, because it listens beyond loopback.
    allowed: Option<Vec<String>>,
}

impl Names {
    /// The names that go with a configuration.
    pub fn of(config: &crate::config::Config) -> Names {
        let on_loopback = config.address().is_ok_and(|address| address.is_loopback());
        let public = config.server.public_url.parse::<Uri>().ok();
        let public = public
            .as_ref()
            .and_then(Uri::host)
            .map(str::to_ascii_lowercase);
        let extra = config
            .server
            .allowed_hosts
            .iter()
            .map(|name| name.to_ascii_lowercase());
        Names {
            allowed: on_loopback.then(|| extra.chain(public).collect()),
        }
    }

    /// The name in the request that is not one of ours. A page that had its own name point at
    /// loopback (DNS rebinding) would have the browser send that name.
    fn refuses(&self, request: &Request) -> Option<String> {
        let allowed = self.allowed.as_ref()?;
        let in_target = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().to_owned());
        let in_headers = request
            .headers()
            .get_all(header::HOST)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        in_target.into_iter().chain(in_headers).find(|given| {
            let name = without_port(given).to_ascii_lowercase();
            let ours = name == "localhost"
                || name.ends_with(".localhost")
                || name.parse::<IpAddr>().is_ok()
                || allowed.contains(&name);
            !ours
        })
    }
}

fn without_port(authority: &str) -> &str {
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if let Some(six) = authority.strip_prefix('[') {
        return six.split_once(']').map_or(six, |(host, _)| host);
    }
    authority
        .split_once(':')
        .map_or(authority, |(host, _)| host)
}

/// OPTIONS on what there is; 405 stays for the rest. And what another origin's page may see, where
/// the configuration lets it see anything.
pub async fn options_and_cors(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_options = request.method() == Method::OPTIONS;
    let origin = request.headers().get(header::ORIGIN).cloned();
    let wants_headers = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .cloned();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(allow) = response
            .headers()
            .get(header::ALLOW)
            .and_then(|v| v.to_str().ok())
    {
        let allow = allow_with_options(allow);
        if is_options {
            response = StatusCode::NO_CONTENT.into_response();
        }
        if let Ok(value) = HeaderValue::from_str(&allow) {
            response.headers_mut().insert(header::ALLOW, value);
        }
    }
    let allowed_origin = origin.filter(|origin| {
        let origins = &app.config().server.cors_origins;
        origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    });
    if let Some(origin) = allowed_origin {
        let methods = response.headers().get(header::ALLOW).cloned();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("ETag, Link, Govc-Head, Govc-Seq, Govc-Dry-Run, Idempotency-Replayed, X-Request-Id, Location"),
        );
        if is_options {
            let methods = methods.unwrap_or(HeaderValue::from_static("GET, HEAD, OPTIONS"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            if let Some(wanted) = wants_headers {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
            }
        }
    }
    response
}

/// `GET,HEAD` as `GET, HEAD, OPTIONS`.
fn allow_with_options(allow: &str) -> String {
    let mut methods: Vec<&str> = allow
        .split(',')
        .map(str::trim)
        .filter(|m| !m.is_empty())
        .collect();
    if !methods.contains(&"OPTIONS") {
        methods.push("OPTIONS");
    }
    methods.join(", ")
}

/// Answers that are compressed when the client asks: not small ones, and not bytes that a strong
/// tag names, because compressed they would be other bytes under that name.
pub fn worth_compressing() -> impl Predicate {
    const BYTES_MIN: u64 = 512;
    let by_head = |_: StatusCode, _: Version, headers: &HeaderMap, _: &http::Extensions| {
        let strong = headers
            .get(header::ETAG)
            .is_some_and(|tag| !tag.as_bytes().starts_with(b"W/"));
        // A compressor would hold events back until it has enough of them.
        let stream = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        !strong && !stream && !headers.contains_key(header::ACCEPT_RANGES)
    };
    SizeAbove::new(BYTES_MIN).and(by_head)
}

/// A body that gives up when nothing arrives for too long. How long all of it takes does not
/// matter.
struct Impatient {
    body: Body,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn new(body: Body, patience: Duration) -> Impatient {
        Impatient {
            body,
            patience,
            timer: None,
        }
    }
}

/// Nothing arrived for too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing arrived for {seconds} seconds")]
pub struct Silent {
    /// How long was waited.
    pub seconds: u64,
}

impl Silent {
    /// The silence that is behind an error, if one is.
    pub fn found_in<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Silent> {
        let mut error = Some(error);
        while let Some(this) = error {
            if let Some(silent) = this.downcast_ref::<Silent>() {
                return Some(silent);
            }
            error = this.source();
        }
        None
    }
}

impl http_body::Body for Impatient {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let patience = self.patience;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(timer.as_mut().poll(context));
        let silent = Silent {
            seconds: patience.as_secs(),
        };
        Poll::Ready(Some(Err(silent.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn on_loopback_only_our_own_names_are_answered() {
        let mut config = Config::default();
        config.server.allowed_hosts = vec!["Git.Home".to_owned()];
        let check = |config: &Config, host: &str| {
            let request = Request::get("/")
                .header(header::HOST, host)
                .body(Body::empty())
                .unwrap();
            Names::of(config).refuses(&request).is_none()
        };
        for ours in [
            "localhost",
            "LOCALHOST:80",
            "a.localhost",
            "127.0.0.1:8080",
            "[::1]:8080",
            "git.home:1",
        ] {
            assert!(check(&config, ours), "{ours}");
        }
        for others in [
            "evil.example",
            "localhost.evil.example:8080",
            "",
            "git.home.evil",
        ] {
            assert!(!check(&config, others), "{others}");
        }
        config.server.host = "0.0.0.0".to_owned();
        assert!(check(&config, "evil.example"));
    }
}
