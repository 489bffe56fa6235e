//! Telling webhooks of changes: at least once, in order, across restarts.
//!
//! A hook is a cursor into its repository's history, and has a task that follows it: what happens
//! while a receiver is away waits in history. How far the hook is, is saved as a step of staging
//! now and then, so after a crash a receiver may hear the last few again, under the same
//! `webhook-id`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use govc_api::events::{Event, Types};
use govc_engine::{
    CauseKind, Change, Edit, Entry, EntryEdit, Found, Hook, HookKind, Listener, NewObjects,
    Pending, RepoKey, Seq, Time, Via,
};
use hashbrown::HashMap;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;

use super::client::{Answer, CallError, Client};
use super::deliveries::{Deliveries, HookKey, Try, arrived};
use super::guard::Networks;
use super::sign::sign;
use crate::app::App;
use crate::app::error::AppError;
use crate::config::HooksSection;

/// How many changes are read at once.
const CHUNK: usize = 64;
/// A position is saved when it has not moved for so long, or has not been saved for so long.
const SAVED_EVERY: Duration = Duration::from_secs(1);
/// How long a stop waits until positions are saved.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Tells webhooks.
pub(crate) struct Courier {
    pub(super) client: Client,
    /// For those who are asked: they have less time.
    pub(super) questioner: Client,
    pub(super) deliveries: Deliveries,
    settings: HooksSection,
    /// How many requests are under way at once.
    places: Semaphore,
    /// The repositories that have hooks.
    hooked: Mutex<HashSet<RepoKey>>,
    /// How many these are: mostly none, then a change costs nothing here.
    hooked_count: AtomicUsize,
    /// Repositories in which something happened.
    stirred: Mutex<HashSet<RepoKey>>,
    stir: Notify,
    closing: watch::Sender<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Courier {
    pub(crate) fn new(settings: &HooksSection) -> Arc<Courier> {
        // What is no network was refused when the server started.
        let networks = Networks::parse(&settings.allow_networks).unwrap_or_default();
        Arc::new(Courier {
            client: Client::new(networks.clone(), settings.timeout.get(), &settings.ca_file),
            questioner: Client::new(networks, settings.policy_timeout.get(), &settings.ca_file),
            deliveries: Deliveries::new(settings.deliveries),
            places: Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            settings: settings.clone(),
            hooked: Mutex::default(),
            hooked_count: AtomicUsize::new(0),
            stirred: Mutex::default(),
            stir: Notify::new(),
            closing: watch::Sender::new(false),
        })
    }

    /// From now on changes of `repo` are looked at.
    fn watch(&self, repo: RepoKey) {
        let mut hooked = lock(&self.hooked);
        hooked.insert(repo);
        self.hooked_count.store(hooked.len(), Ordering::Release);
    }

    fn stir(&self, repo: RepoKey) {
        lock(&self.stirred).insert(repo);
        self.stir.notify_one();
    }

    /// One request, when there is a place for it.
    pub(super) async fn send(
        &self,
        hook: &Hook,
        (webhook_id, kind): (&str, &str),
        now: Time,
        body: &Bytes,
    ) -> (Result<Answer, CallError>, Duration) {
        let _place = self.places.acquire().await;
        let begun = Instant::now();
        let headers = headers(hook, webhook_id, kind, now, body);
        let outcome = self.client.post(&hook.url, headers, body.clone()).await;
        (outcome, begun.elapsed())
    }

    /// How long is waited after try number `attempt`, from 1; `None`: it is given up.
    fn pause(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.settings.attempts {
            return None;
        }
        let factor = 1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
        let pause = self.settings.first_retry.get().saturating_mul(factor);
        Some(pause.min(self.settings.last_retry.get()))
    }
}

/// The headers of a request; signed where the hook has a secret.
pub(super) fn headers(
    hook: &Hook,
    webhook_id: &str,
    kind: &str,
    now: Time,
    body: &Bytes,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let timestamp = now.seconds();
    set("user-agent", concat!("govc/", env!("CARGO_PKG_VERSION")));
    set("content-type", "application/json");
    set("webhook-id", webhook_id);
    set("webhook-timestamp", &timestamp.to_string());
    set("x-govc-event", kind);
    if let Some(secret) = &hook.secret {
        let signatures = sign(secret, webhook_id, timestamp, body);
        set("webhook-signature", &signatures.standard);
        set("x-hub-signature-256", &signatures.hub);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers
}

/// What names the message that tells hook `id` of change `seq`.
pub(super) fn message_id(id: &str, seq: Seq) -> String {
    format!("msg_{id}_{seq}")
}

/// The body that tells of `entry`.
pub(super) fn body_of(found: &Found, entry: &Entry) -> Bytes {
    let event = Event::new(found.record().id.as_str(), entry);
    // What serde cannot write is not among these types.
    serde_json::to_vec(&event).unwrap_or_default().into()
}

impl Listener for Courier {
    fn known(&self, entry: &Arc<Entry>) {
        if entry.step != 0 {
            return;
        }
        let made = |edit: &EntryEdit| matches!(edit, EntryEdit::Hook { after: Some(_), .. });
        if entry.cause.kind == CauseKind::Hook && entry.edits.iter().any(made) {
            self.watch(entry.repo);
        }
        if self.hooked_count.load(Ordering::Acquire) > 0 && lock(&self.hooked).contains(&entry.repo)
        {
            self.stir(entry.repo);
        }
    }
}

/// The task that tells hooks.
pub struct Telling {
    courier: Arc<Courier>,
    dispatch: JoinHandle<()>,
}

impl Telling {
    /// Stops, and saves how far each hook is.
    pub async fn stop(self) {
        self.courier.closing.send_replace(true);
        if tokio::time::timeout(STOP_PATIENCE, self.dispatch)
            .await
            .is_err()
        {
            tracing::warn!("how far some webhooks are was not saved: they hear the newest again");
        }
    }
}

impl App {
    /// Begins to tell webhooks of what happened since they were told last.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] before there is anything to serve.
    pub fn tell_hooks(&self) -> Result<Telling, AppError> {
        let courier = Arc::clone(self.courier());
        for found in self.engine()?.all() {
            if !found.hooks().is_empty() {
                courier.watch(found.key());
                courier.stir(found.key());
            }
        }
        let dispatch = tokio::spawn(dispatch(self.clone()));
        Ok(Telling { courier, dispatch })
    }
}

/// Wakes the tasks of hooks whose repositories change, and begins those that are not there.
async fn dispatch(app: App) {
    let courier = Arc::clone(app.courier());
    let mut closing = courier.closing.subscribe();
    let mut tasks: HashMap<HookKey, (Arc<Notify>, JoinHandle<()>)> = HashMap::new();
    loop {
        let stirred = std::mem::take(&mut *lock(&courier.stirred));
        for repo in stirred {
            let Ok(engine) = app.engine() else { continue };
            let Some(found) = engine.find_by_key(repo) else {
                continue;
            };
            for (id, hook) in found.hooks().iter() {
                if hook.kind != HookKind::Notify || !hook.active {
                    continue;
                }
                let key = (repo, Arc::clone(id));
                match tasks.get(&key) {
                    Some((news, task)) if !task.is_finished() => news.notify_one(),
                    _ => {
                        let news = Arc::new(Notify::new());
                        let cursor = Cursor::new(app.clone(), key.clone(), Arc::clone(&news));
                        tasks.insert(key, (news, tokio::spawn(cursor.run())));
                    }
                }
            }
            // Those that are gone or at rest learn it themselves.
            for ((_, _), (news, _)) in tasks.iter().filter(|((of, _), _)| *of == repo) {
                news.notify_one();
            }
        }
        tasks.retain(|_, (_, task)| !task.is_finished());
        tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => break,
            () = courier.stir.notified() => {}
        }
    }
    for (_, task) in tasks.into_values() {
        let _ = task.await;
    }
}

/// One hook on its way through history.
struct Cursor {
    app: App,
    courier: Arc<Courier>,
    key: HookKey,
    news: Arc<Notify>,
    closing: watch::Receiver<bool>,
    /// The last change that it need not be told of.
    position: Seq,
    saved: Seq,
    saved_at: Instant,
}

/// What became of a change that a hook was to be told of.
enum Told {
    /// It knows, or never will.
    Done,
    /// The hook is gone, at rest, or the server stops.
    Ended,
}

impl Cursor {
    fn new(app: App, key: HookKey, news: Arc<Notify>) -> Cursor {
        let courier = Arc::clone(app.courier());
        Cursor {
            closing: courier.closing.subscribe(),
            app,
            courier,
            key,
            news,
            position: 0,
            saved: 0,
            saved_at: Instant::now(),
        }
    }

    /// The hook, if it is still to be told.
    fn hook(&self) -> Option<(Found, Arc<Hook>)> {
        let found = self.app.engine().ok()?.find_by_key(self.key.0)?;
        let hook = found.hooks().get(&self.key.1).cloned()?;
        (hook.active && hook.kind == HookKind::Notify).then_some((found, hook))
    }

    async fn run(mut self) {
        let Some((_, hook)) = self.hook() else { return };
        (self.position, self.saved) = (hook.delivered, hook.delivered);
        while self.step().await {}
        self.save().await;
    }

    /// Tells of the next changes, or waits for them. Whether to go on.
    async fn step(&mut self) -> bool {
        let Some((found, hook)) = self.hook() else {
            return false;
        };
        if *self.closing.borrow() {
            return false;
        }
        self.position = self.position.max(hook.delivered);
        let (visible, after) = (found.seq(), self.position);
        let reading = found.clone();
        let read = self
            .app
            .offload(move || reading.entries(Some(after), CHUNK))
            .await;
        let entries = match read {
            Ok(Ok(entries)) => entries,
            Ok(Err(error)) => {
                tracing::warn!(%error, "history cannot be read: a webhook waits");
                Vec::new()
            }
            Err(error) => {
                tracing::warn!(%error, "history cannot be read: a webhook waits");
                Vec::new()
            }
        };
        let mut read_any = false;
        for entry in entries.iter().filter(|entry| entry.seq <= visible) {
            read_any = true;
            let Some((found, hook)) = self.hook() else {
                return false;
            };
            if self.is_wanted(&hook, entry) && matches!(self.tell(&found, entry).await, Told::Ended)
            {
                return false;
            }
            self.position = entry.seq;
            if self.saved_at.elapsed() >= SAVED_EVERY {
                self.save().await;
            }
        }
        if !read_any {
            self.wait().await;
        }
        true
    }

    fn is_wanted(&self, hook: &Hook, entry: &Entry) -> bool {
        let own =
            |edit: &EntryEdit| matches!(edit, EntryEdit::Hook { id, .. } if *id == self.key.1);
        let types = Types::new(hook.events.iter().map(|name| name.to_string()));
        // That it was made or changed itself it is not told.
        types.include(entry.cause.kind.name()) && !entry.edits.iter().any(own)
    }

    /// Waits for news; saves the position once nothing happens for a while.
    async fn wait(&mut self) {
        let pause = if self.position == self.saved {
            Duration::MAX
        } else {
            SAVED_EVERY
        };
        let news = Arc::clone(&self.news);
        let quiet = tokio::select! {
            biased;
            _ = self.closing.wait_for(|closing| *closing) => false,
            () = news.notified() => false,
            () = sleep(pause) => true,
        };
        if quiet {
            self.save().await;
        }
    }

    /// Tells of one change, again and again until it arrives or is given up.
    async fn tell(&mut self, found: &Found, entry: &Entry) -> Told {
        let webhook_id = message_id(&self.key.1, entry.seq);
        let kind = entry.cause.kind.name();
        let body = body_of(found, entry);
        let Some((_, hook)) = self.hook() else {
            return Told::Ended;
        };
        let Ok(engine) = self.app.engine() else {
            return Told::Ended;
        };
        let clock = Arc::clone(engine.clock());
        let message = (webhook_id.as_str(), kind, Some(entry.seq));
        let courier = Arc::clone(&self.courier);
        let log = &courier.deliveries;
        let id = log.begin(&self.key, message, (&hook.url, &body), clock.now());
        let mut attempt = 0;
        loop {
            // It may have been changed meanwhile.
            let Some((_, hook)) = self.hook() else {
                return Told::Ended;
            };
            let sending = courier.send(&hook, (&webhook_id, kind), clock.now(), &body);
            let (outcome, duration) = tokio::select! {
                biased;
                _ = self.closing.wait_for(|closing| *closing) => return Told::Ended,
                sent = sending => sent,
            };
            attempt += 1;
            let pause = match arrived(&outcome) {
                true => None,
                false => courier.pause(attempt),
            };
            let next = pause.map(|pause| {
                let micros = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
                Time(clock.now().0.saturating_add(micros))
            });
            let tried = Try {
                outcome: &outcome,
                duration,
                next,
            };
            log.tried(&self.key, id, &tried);
            let Some(pause) = pause else {
                if !arrived(&outcome) {
                    tracing::warn!(
                        hook = &*self.key.1,
                        seq = entry.seq,
                        attempts = attempt,
                        "a webhook was not told: given up"
                    );
                }
                return Told::Done;
            };
            // What is told before is saved meanwhile.
            self.save().await;
            tokio::select! {
                biased;
                _ = self.closing.wait_for(|closing| *closing) => return Told::Ended,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Saves how far the hook is.
    async fn save(&mut self) {
        self.saved_at = Instant::now();
        if self.position == self.saved {
            return;
        }
        let Some((found, _)) = self.hook() else {
            return;
        };
        let repository = match self.app.in_memory(found).await {
            Ok(repository) => repository,
            Err(error) => {
                tracing::warn!(%error, "how far a webhook is was not saved");
                return;
            }
        };
        let (id, position) = (Arc::clone(&self.key.1), self.position);
        let proposal = move |now: &Pending<'_>| {
            let there = now.snapshot.hooks.get(&id);
            let Some(there) = there.filter(|there| there.delivered < position) else {
                return Ok(None);
            };
            let after = Hook {
                delivered: position,
                ..Hook::clone(there)
            };
            Ok(Some(Change {
                objects: NewObjects::default(),
                edits: vec![Edit::Hook {
                    id: Arc::clone(&id),
                    after: Some(Arc::new(after)),
                }],
                cause: govc_engine::Cause {
                    kind: CauseKind::HookDelivered,
                    actor: "govc".into(),
                    via: Via::Job,
                    request_id: "".into(),
                    reason: None,
                    idempotency: None,
                },
            }))
        };
        match repository.publish(proposal).await {
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "how far a webhook is was not saved"),
        }
        // Where it failed it is saved with the next change that is told.
        self.saved = position;
    }
}

async fn sleep(pause: Duration) {
    if pause == Duration::MAX {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(pause).await;
}
