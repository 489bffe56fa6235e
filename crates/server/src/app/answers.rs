//! Answers that are found again in the log: a write with an `Idempotency-Key` has in its entry
//! what gives the same answer again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use govc_api::repos::Size;
use govc_engine::journal::Moment;
use govc_engine::{Entry, Repository, Seq, Time};
use hashbrown::HashMap;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::App;
use super::error::AppError;
use super::repos::RepositoryState;
use crate::http::idempotency::{Answer, KEPT, Key};
use crate::http::reply::GOVC_SEQ;

/// What is kept of an answer in the entry of its change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// The HTTP status.
    pub status: u16,
    /// Where what was made is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The body, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body was the repository after the change: what of it is not in the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<LoggedRepository>,
}

/// What of a repository's answer is not in its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedRepository {
    /// How the caller sees this server.
    pub origin: String,
    /// How large it was.
    pub size: Size,
}

impl Logged {
    /// An answer without a body.
    pub fn empty(status: u16) -> Logged {
        Logged {
            status,
            ..Logged::default()
        }
    }

    /// An answer with a body; one that is not there is found missing by whoever asks again.
    pub fn body(status: u16, body: Option<impl Serialize>) -> Logged {
        Logged {
            status,
            body: body.and_then(|body| serde_json::to_string(&body).ok()),
            ..Logged::default()
        }
    }

    /// As an entry keeps it.
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// The entries of the last day that have an answer in them, by key. Made once: later ones are
/// kept as they are given.
pub type LoggedAnswers = HashMap<[u8; 32], (Arc<Repository>, Arc<Entry>)>;

/// How many entries are read at once.
const CHUNK: usize = 1024;

impl App {
    /// The answer of a write that was logged by a run of the server before this one.
    pub async fn logged_answer(&self, key: &Key) -> Option<Result<Answer, AppError>> {
        let logged = match self.logged_answers().await {
            Ok(logged) => logged,
            Err(error) => return Some(Err(error)),
        };
        let (repository, entry) = logged.get(&key.key)?;
        let kept = entry.cause.idempotency.as_ref()?;
        if kept.request != key.request {
            return Some(Err(AppError::IdempotencyKeyReused));
        }
        let logged: Logged = serde_json::from_slice(&kept.answer).ok()?;
        Some(again(repository, entry, &logged))
    }

    async fn logged_answers(&self) -> Result<&LoggedAnswers, AppError> {
        let engine = Arc::clone(self.engine()?);
        self.0
            .logged
            .get_or_try_init(|| async move {
                let since = Time(engine.clock().now().0 - micros(KEPT));
                self.offload(move || {
                    let mut found = LoggedAnswers::new();
                    for repository in engine.all() {
                        if repository.snapshot().time >= since {
                            collect(&repository, since, &mut found).map_err(AppError::internal)?;
                        }
                    }
                    Ok(found)
                })
                .await?
            })
            .await
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn collect(
    repository: &Arc<Repository>,
    since: Time,
    found: &mut LoggedAnswers,
) -> std::io::Result<()> {
    let mut after: Option<Seq> = repository
        .refs_at(Moment::Time(since))?
        .map(|past| past.seq);
    loop {
        let entries = repository.entries(after, CHUNK)?;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        after = Some(last.seq);
        for entry in entries {
            if let Some(kept) = &entry.cause.idempotency {
                let key = kept.key;
                found.insert(key, (Arc::clone(repository), entry));
            }
        }
    }
}

/// The answer once more.
fn again(repository: &Arc<Repository>, entry: &Entry, logged: &Logged) -> Result<Answer, AppError> {
    let status = StatusCode::from_u16(logged.status).map_err(AppError::internal)?;
    let mut headers = HeaderMap::new();
    headers.insert(GOVC_SEQ, HeaderValue::from(entry.seq));
    if let Some(location) = &logged.location
        && let Ok(value) = HeaderValue::from_str(location)
    {
        headers.insert(header::LOCATION, value);
    }
    let body = match (&logged.body, &logged.repository) {
        (Some(body), _) => Some(body.clone().into_bytes()),
        (None, Some(rest)) => {
            let state = RepositoryState::after(repository, entry, rest.size)?;
            let body = state.body(&rest.origin);
            Some(serde_json::to_vec(&body).map_err(AppError::internal)?)
        }
        (None, None) => None,
    };
    if body.is_some() {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    Ok(Answer {
        status,
        headers,
        body: body.unwrap_or_default().into(),
    })
}
