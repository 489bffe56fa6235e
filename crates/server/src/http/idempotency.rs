//! `Idempotency-Key`: the same request again gets the same answer again, and is done once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use govc_git::object_id::object_hasher;
use govc_git::{ObjectFormat, ObjectKind};
use hashbrown::HashMap;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::watch;

use super::caller::Caller;
use super::json;
use super::layers::write_problem;
use super::problem::ApiError;
use crate::app::App;
use crate::app::error::AppError;

/// The header with the client's key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_BYTES_MAX: usize = 255;
/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A request that may come again: digests of who asks for what under which key, and of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Caller, method, path, query and the client's key.
    pub key: [u8; 32],
    /// The body.
    pub request: [u8; 32],
}

/// An answer as it was given.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without those of the connection.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The answers that are kept, and the requests that are being answered.
#[derive(Debug)]
pub struct Answers {
    inner: Mutex<Kept>,
    keys_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<[u8; 32], Slot>,
    /// Keys of finished slots, oldest first.
    order: VecDeque<([u8; 32], Instant)>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    request: [u8; 32],
    state: SlotState,
}

#[derive(Debug)]
enum SlotState {
    /// Somebody is at it; the receiver hears when they are done.
    Running(watch::Receiver<()>),
    Done(Arc<Answer>),
}

/// What there is to do about a request with a key.
enum Turn {
    /// Answer it; who holds this is the only one who does.
    Mine(Claim),
    /// Wait for the one who does.
    Wait(watch::Receiver<()>),
    /// It was answered.
    Again(Arc<Answer>),
    /// The key is another request's.
    Reused,
}

/// The right to answer a request. Dropped without an answer, the next one may try.
struct Claim {
    app: App,
    key: [u8; 32],
    /// Dropped with the claim: that wakes who waits.
    _done: watch::Sender<()>,
}

impl Answers {
    /// No answers yet; at most so many, of so many bytes.
    pub fn new(keys_max: usize, bytes_max: usize) -> Answers {
        Answers {
            inner: Mutex::default(),
            keys_max,
            bytes_max,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, app: &App, key: &Key) -> Turn {
        let mut kept = self.lock();
        kept.drop_old(self.keys_max, self.bytes_max);
        if let Some(slot) = kept.slots.get(&key.key) {
            if slot.request != key.request {
                return Turn::Reused;
            }
            return match &slot.state {
                SlotState::Running(done) => Turn::Wait(done.clone()),
                SlotState::Done(answer) => Turn::Again(Arc::clone(answer)),
            };
        }
        let (sender, receiver) = watch::channel(());
        kept.slots.insert(
            key.key,
            Slot {
                request: key.request,
                state: SlotState::Running(receiver),
            },
        );
        Turn::Mine(Claim {
            app: app.clone(),
            key: key.key,
            _done: sender,
        })
    }

    fn keep(&self, key: [u8; 32], answer: Arc<Answer>) {
        let mut kept = self.lock();
        let size = answer.body.len();
        if let Some(slot) = kept.slots.get_mut(&key) {
            slot.state = SlotState::Done(answer);
            kept.order.push_back((key, Instant::now()));
            kept.bytes += size;
        }
        kept.drop_old(self.keys_max, self.bytes_max);
    }
}

impl Kept {
    fn drop_old(&mut self, keys_max: usize, bytes_max: usize) {
        while let Some((key, since)) = self.order.front().copied() {
            let over = self.order.len() > keys_max || self.bytes > bytes_max;
            if !over && since.elapsed() < KEPT {
                break;
            }
            self.order.pop_front();
            if let Some(Slot {
                state: SlotState::Done(answer),
                ..
            }) = self.slots.remove(&key)
            {
                self.bytes -= answer.body.len();
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut kept = self.app.answers().lock();
        if matches!(
            kept.slots.get(&self.key),
            Some(Slot {
                state: SlotState::Running(_),
                ..
            })
        ) {
            kept.slots.remove(&self.key);
        }
    }
}

/// Answers a write with a key once, and again what was answered.
pub async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let writes = matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    );
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY).filter(|_| writes) else {
        return next.run(request).await;
    };
    match keyed(&app, value.clone(), request, next).await {
        Ok(response) => response,
        Err(error) => ApiError(error).into_response(),
    }
}

async fn keyed(
    app: &App,
    value: HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, AppError> {
    let (request, key) = identify(app, &value, request).await?;
    loop {
        let mut done = match app.answers().turn(app, &key) {
            Turn::Mine(claim) => {
                // It goes on when the client goes away: its next try gets this answer.
                let task = tokio::spawn(answer(app.clone(), key, claim, request, next));
                return Ok(task.await.unwrap_or_else(|_| {
                    ApiError(AppError::Internal("the answer was lost".into())).into_response()
                }));
            }
            Turn::Again(answer) => return Ok(answer.again()),
            Turn::Reused => return Err(AppError::IdempotencyKeyReused),
            Turn::Wait(done) => done,
        };
        // An error says that whoever was at it is done.
        let _ = done.changed().await;
    }
}

/// The request with its body read, and what identifies it.
async fn identify(
    app: &App,
    value: &HeaderValue,
    request: Request,
) -> Result<(Request, Key), AppError> {
    let text = value.as_bytes();
    let sound = (1..=KEY_BYTES_MAX).contains(&text.len())
        && text.iter().all(|byte| (0x20..0x7f).contains(byte));
    if !sound {
        return Err(AppError::query(
            "Idempotency-Key",
            "`Idempotency-Key` is 1 to 255 printable characters",
        ));
    }
    let who = request
        .extensions()
        .get::<Caller>()
        .map(|caller| Arc::clone(&caller.name));
    let scope: [&[u8]; 5] = [
        who.as_deref().unwrap_or_default().as_bytes(),
        request.method().as_str().as_bytes(),
        request.uri().path().as_bytes(),
        request.uri().query().unwrap_or_default().as_bytes(),
        text,
    ];
    let key = digest(&scope)?;
    let (parts, body) = request.into_parts();
    let body = json::whole(Request::from_parts(parts.clone(), body), app).await?;
    let key = Key {
        key,
        request: digest(&[&body])?,
    };
    let mut request = Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(key.clone());
    Ok((request, key))
}

/// SHA-256 of parts, each with its length before it.
fn digest(parts: &[&[u8]]) -> Result<[u8; 32], AppError> {
    let size = parts.iter().map(|part| part.len() as u64).sum();
    let mut hasher = object_hasher(ObjectFormat::Sha256, ObjectKind::Blob, size);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let id = hasher.try_finalize().map_err(AppError::internal)?;
    id.as_bytes().try_into().map_err(AppError::internal)
}

async fn answer(app: App, key: Key, claim: Claim, request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    if let Some(answer) = app.logged_answer(&key).await {
        return match answer {
            Ok(answer) => {
                let answer = Arc::new(answer);
                app.answers().keep(key.key, Arc::clone(&answer));
                drop(claim);
                answer.again()
            }
            Err(error) => ApiError(error).into_response(),
        };
    }
    let request_id = request
        .extensions()
        .get::<Caller>()
        .map(|c| Arc::clone(&c.request_id));
    let mut response = next.run(request).await;
    write_problem(
        &mut response,
        &uri,
        request_id.as_deref().unwrap_or_default(),
    );
    if response.status().is_server_error() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return ApiError(AppError::Internal("an answer could not be written".into()))
            .into_response();
    };
    let answer = Arc::new(Answer {
        status: parts.status,
        headers: parts.headers.clone(),
        body: body.to_bytes(),
    });
    app.answers().keep(key.key, Arc::clone(&answer));
    drop(claim);
    Response::from_parts(parts, Body::from(answer.body.clone()))
}

impl Answer {
    /// The answer, once more.
    fn again(&self) -> Response {
        let mut response = (self.status, self.body.clone()).into_response();
        *response.headers_mut() = self.headers.clone();
        response
            .headers_mut()
            .insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        response
    }
}
