//! What became of the newest deliveries of each hook. In memory: how far a hook is, is in the
//! repository's log; what is here is for people who look why something did not arrive.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use govc_api::hooks as api;
use govc_api::rfc3339::server_time;
use govc_engine::{RepoKey, Seq, Time};
use hashbrown::HashMap;

use super::client::{Answer, CallError};

/// So much of what was sent and answered is shown.
const SHOWN_BYTES: usize = 4096;

/// A hook of a repository.
pub(super) type HookKey = (RepoKey, Arc<str>);

/// The newest deliveries of all hooks.
pub(super) struct Deliveries {
    kept: usize,
    logs: Mutex<HashMap<HookKey, Log>>,
}

#[derive(Default)]
struct Log {
    /// Oldest first.
    deliveries: VecDeque<Delivery>,
    next: u64,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) id: u64,
    pub(super) webhook_id: String,
    pub(super) kind: String,
    pub(super) seq: Option<Seq>,
    state: &'static str,
    created_at: Time,
    attempts: u32,
    status: Option<u16>,
    error: Option<String>,
    duration: Duration,
    next_try: Option<Time>,
    url: String,
    body: String,
    response: Option<String>,
}

/// A try, and what is done about it.
pub(super) struct Try<'a> {
    pub(super) outcome: &'a Result<Answer, CallError>,
    pub(super) duration: Duration,
    /// When it is tried again; `None`: it is not.
    pub(super) next: Option<Time>,
}

/// Whether an answer says that the message arrived.
pub(super) fn arrived(outcome: &Result<Answer, CallError>) -> bool {
    matches!(outcome, Ok(answer) if (200..300).contains(&answer.status))
}

fn beginning(bytes: &[u8]) -> String {
    let bytes = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

impl Deliveries {
    pub(super) fn new(kept: usize) -> Deliveries {
        Deliveries {
            kept: kept.max(1),
            logs: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HookKey, Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one, and says what it is called.
    pub(super) fn begin(
        &self,
        hook: &HookKey,
        (webhook_id, kind, seq): (&str, &str, Option<Seq>),
        (url, body): (&str, &Bytes),
        now: Time,
    ) -> u64 {
        let mut logs = self.lock();
        let log = logs.entry(hook.clone()).or_default();
        log.next += 1;
        if log.deliveries.len() >= self.kept {
            log.deliveries.pop_front();
        }
        log.deliveries.push_back(Delivery {
            id: log.next,
            webhook_id: webhook_id.to_owned(),
            kind: kind.to_owned(),
            seq,
            state: "pending",
            created_at: now,
            attempts: 0,
            status: None,
            error: None,
            duration: Duration::ZERO,
            next_try: None,
            url: url.to_owned(),
            body: beginning(body),
            response: None,
        });
        log.next
    }

    /// Notes what a try came to.
    pub(super) fn tried(&self, hook: &HookKey, id: u64, tried: &Try<'_>) {
        let mut logs = self.lock();
        let log = logs.get_mut(hook);
        let found = log.and_then(|log| log.deliveries.iter_mut().rev().find(|d| d.id == id));
        let Some(delivery) = found else { return };
        delivery.attempts += 1;
        delivery.duration = tried.duration;
        delivery.next_try = tried.next;
        delivery.state = match (arrived(tried.outcome), tried.next) {
            (true, _) => "delivered",
            (false, Some(_)) => "pending",
            (false, None) => "failed",
        };
        match tried.outcome {
            Ok(answer) => {
                delivery.status = Some(answer.status);
                delivery.response = Some(beginning(&answer.body));
                delivery.error = match answer.status {
                    200..300 => None,
                    300..400 => Some("redirects are not followed".to_owned()),
                    status => Some(format!("the receiver answered {status}")),
                };
            }
            Err(error) => {
                delivery.status = None;
                delivery.response = None;
                delivery.error = Some(error.to_string());
            }
        }
    }

    /// The newest `limit`, newest first.
    pub(super) fn newest(&self, hook: &HookKey, limit: usize) -> Vec<api::Delivery> {
        let logs = self.lock();
        let log = logs.get(hook);
        let newest = log.into_iter().flat_map(|log| log.deliveries.iter().rev());
        newest.take(limit).map(api::Delivery::from).collect()
    }

    /// The one that is called `id`.
    pub(super) fn get(&self, hook: &HookKey, id: u64) -> Option<Delivery> {
        let logs = self.lock();
        let log = logs.get(hook)?;
        log.deliveries.iter().find(|d| d.id == id).cloned()
    }

    /// The hook is gone.
    pub(super) fn forget(&self, hook: &HookKey) {
        self.lock().remove(hook);
    }
}

impl From<&Delivery> for api::Delivery {
    fn from(delivery: &Delivery) -> api::Delivery {
        api::Delivery {
            id: delivery.id.to_string(),
            webhook_id: delivery.webhook_id.clone(),
            r#type: delivery.kind.clone(),
            seq: delivery.seq,
            state: delivery.state,
            created_at: server_time(delivery.created_at),
            attempts: delivery.attempts,
            status: delivery.status,
            error: delivery.error.clone(),
            duration_ms: u64::try_from(delivery.duration.as_millis()).unwrap_or(u64::MAX),
            next_try_at: delivery.next_try.map(server_time),
            request: api::DeliveryRequest {
                url: delivery.url.clone(),
                body: delivery.body.clone(),
            },
            response: delivery.response.clone(),
        }
    }
}
