//! Webhooks: who is told of changes, or asked about them.

pub(crate) mod client;
mod courier;
mod deliveries;
pub(crate) mod guard;
mod policy;
mod sign;
pub(crate) mod verdict;

use std::sync::{Arc, Mutex, PoisonError};

use govc_api::hooks::{self as api, NewHook, PatchHook};
use govc_engine::{
    CauseKind, Change, Edit, Found, Hook, HookKind, NewObjects, Pending, RepoId, Repository, Seq,
    Via,
};

pub use client::certificates;
pub(crate) use courier::Courier;
pub use courier::Telling;
pub use guard::Networks;
pub(in crate::app) use policy::any_asks;

use super::answers::Logged;
use super::error::AppError;
use super::publish::{Answering, cause};
use super::repos::location;
use super::{Action, App};
use crate::http::ask::{Reading, Terms};
use crate::http::caller::Caller;
use crate::http::page::{Cursor as PageCursor, Page, PageQuery};
use client::CallError;
use courier::{body_of, message_id};
use deliveries::Try;

/// The type of a ping.
const PING: &str = "ping";

impl App {
    pub(super) fn courier(&self) -> &Arc<Courier> {
        &self.0.courier
    }

    /// The hooks of a repository, in the order of their ids.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`].
    pub async fn hooks(
        &self,
        caller: &Caller,
        id: &RepoId,
        reading: &Reading,
        page: PageQuery,
    ) -> Result<(Page<api::Hook>, Seq), AppError> {
        let repository = self.repository(caller, id, Action::Administer).await?;
        self.reached(&repository, reading).await?;
        let snapshot = repository.snapshot();
        let after = page.cursor.map(|cursor| cursor.after);
        let after = after.as_deref().map(String::from_utf8_lossy);
        let mut items: Vec<api::Hook> = snapshot
            .hooks
            .after(after.as_deref())
            .take(page.limit.saturating_add(1))
            .map(|(id, hook)| api::Hook::new(id, hook))
            .collect();
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        let next = items.last().filter(|_| more).map(|last| PageCursor {
            seq: snapshot.seq,
            after: last.id.as_bytes().to_vec(),
        });
        Ok((Page { items, next }, snapshot.seq))
    }

    /// One hook.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`AppError::HookNotFound`].
    pub async fn hook(
        &self,
        caller: &Caller,
        id: &RepoId,
        hook: &str,
        reading: &Reading,
    ) -> Result<(api::Hook, Seq), AppError> {
        let repository = self.repository(caller, id, Action::Administer).await?;
        self.reached(&repository, reading).await?;
        let snapshot = repository.snapshot();
        let found = snapshot.hooks.get(hook).ok_or_else(|| not_found(hook))?;
        Ok((api::Hook::new(hook, found), snapshot.seq))
    }

    /// Makes a hook, which is told of what happens after it.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`]; [`AppError::Body`] for what cannot be a hook;
    /// [`AppError::Impossible`] for an address that is not called; [`AppError::Quota`].
    pub async fn create_hook(
        &self,
        caller: &Caller,
        id: &RepoId,
        new: NewHook,
        terms: &Terms,
    ) -> Result<(api::Hook, Seq), AppError> {
        let repository = self.repository(caller, id, Action::Administer).await?;
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(|error| AppError::Internal(error.into()))?;
        let name: Arc<str> = format!("{:016x}", u64::from_be_bytes(random)).into();
        let kind = new.kind.as_deref().map(api::kind).transpose()?;
        let hook = Hook {
            url: self.check_url(&new.url)?,
            events: api::events(&new.events)?,
            secret: new.secret.as_deref().map(api::secret).transpose()?,
            active: new.active.unwrap_or(true),
            kind: kind.unwrap_or(HookKind::Notify),
            created_at: self.engine()?.clock().now(),
            delivered: 0,
        };
        let limit = self.config().hooks.per_repository;
        let place = format!("{}/hooks/{name}", location(id));
        let made = self.set_hook(caller, &repository, &name, terms, (201, Some(place)), {
            move |now: &Pending<'_>, _: Option<&Arc<Hook>>| {
                if now.snapshot.hooks.len() >= limit {
                    return Err(AppError::Quota {
                        what: "hooks",
                        limit: limit as u64,
                        setting: "hooks.per_repository",
                    });
                }
                Ok(Some(Hook {
                    delivered: now.snapshot.seq,
                    ..hook.clone()
                }))
            }
        });
        let (made, seq) = made.await?;
        Ok((made.ok_or_else(|| not_found(&name))?, seq))
    }

    /// Changes a hook.
    ///
    /// # Errors
    /// As [`App::create_hook`]; [`AppError::HookNotFound`].
    pub async fn patch_hook(
        &self,
        caller: &Caller,
        id: &RepoId,
        hook: &str,
        patch: PatchHook,
        terms: &Terms,
    ) -> Result<(api::Hook, Seq), AppError> {
        let repository = self.repository(caller, id, Action::Administer).await?;
        let url = patch.url.as_deref().map(|url| self.check_url(url));
        let url = url.transpose()?;
        let events = patch.events.as_deref().map(api::events).transpose()?;
        let kind = patch.kind.as_deref().map(api::kind).transpose()?;
        let secret = match &patch.secret {
            Some(Some(text)) => Some(Some(api::secret(text)?)),
            Some(None) => Some(None),
            None => None,
        };
        let name: Arc<str> = hook.into();
        let missing = not_found(hook).to_string();
        let changed = self.set_hook(caller, &repository, &name, terms, (200, None), {
            let name = Arc::clone(&name);
            move |now: &Pending<'_>, there: Option<&Arc<Hook>>| {
                let there = there.ok_or_else(|| not_found(&name))?;
                let mut after = Hook::clone(there);
                after.url = url.clone().unwrap_or(after.url);
                after.events = events.clone().unwrap_or(after.events);
                after.kind = kind.unwrap_or(after.kind);
                after.secret = secret.clone().unwrap_or(after.secret);
                after.active = patch.active.unwrap_or(after.active);
                let told = |hook: &Hook| hook.active && hook.kind == HookKind::Notify;
                if told(&after) && !told(there) {
                    // What happened while it was at rest it is not told.
                    after.delivered = now.snapshot.seq;
                }
                Ok(Some(after))
            }
        });
        let (changed, seq) = changed.await?;
        let changed = changed.ok_or(AppError::Unavailable { why: missing })?;
        Ok((changed, seq))
    }

    /// Removes a hook.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`AppError::HookNotFound`].
    pub async fn delete_hook(
        &self,
        caller: &Caller,
        id: &RepoId,
        hook: &str,
        terms: &Terms,
    ) -> Result<Seq, AppError> {
        let repository = self.repository(caller, id, Action::Administer).await?;
        let name: Arc<str> = hook.into();
        let gone = self.set_hook(caller, &repository, &name, terms, (204, None), {
            let name = Arc::clone(&name);
            move |_: &Pending<'_>, there: Option<&Arc<Hook>>| match there {
                Some(_) => Ok(None),
                None => Err(not_found(&name)),
            }
        });
        let (_, seq) = gone.await?;
        if !terms.dry_run {
            self.courier().deliveries.forget(&(repository.key(), name));
        }
        Ok(seq)
    }

    /// Makes hook `name` what `after` says in its turn.
    async fn set_hook(
        &self,
        caller: &Caller,
        repository: &Arc<Repository>,
        name: &Arc<str>,
        terms: &Terms,
        (status, place): (u16, Option<String>),
        after: impl Fn(&Pending<'_>, Option<&Arc<Hook>>) -> Result<Option<Hook>, AppError>
        + Send
        + 'static,
    ) -> Result<(Option<api::Hook>, Seq), AppError> {
        let cause = cause(caller, CauseKind::Hook, Via::Rest);
        let made = Arc::new(Mutex::new(None));
        let lock = |made: &Mutex<Option<api::Hook>>| {
            made.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let kept = Arc::clone(&made);
        let answering = Answering::about(Vec::new(), move |_: &Change, _: &Pending<'_>| {
            let logged = match lock(&kept) {
                Some(hook) => Logged::body(status, Some(hook)),
                None => Logged::empty(status),
            };
            match &place {
                Some(place) => logged.at(place.clone()),
                None => logged,
            }
        });
        let (id, kept) = (Arc::clone(name), Arc::clone(&made));
        let proposal = move |now: &Pending<'_>| {
            let after = after(now, now.snapshot.hooks.get(&id))?.map(Arc::new);
            *kept.lock().unwrap_or_else(PoisonError::into_inner) =
                after.as_ref().map(|hook| api::Hook::new(&id, hook));
            Ok(Some(Change {
                objects: NewObjects::default(),
                edits: vec![Edit::Hook {
                    id: Arc::clone(&id),
                    after,
                }],
                cause: cause.clone(),
            }))
        };
        let published = self
            .publish_answering(repository, terms, answering, proposal)
            .await?;
        Ok((lock(&made), published.seq))
    }

    /// An address that may be called, as far as can be said before it is.
    fn check_url(&self, text: &str) -> Result<Arc<str>, AppError> {
        api::url_length(text)?;
        match guard::parse(text, self.courier().client.networks()) {
            Ok(url) => Ok(url.as_str().into()),
            Err(error @ CallError::NotPublic(_)) => Err(AppError::Impossible {
                code: "HOOK_ADDRESS_REFUSED",
                detail: error.to_string(),
            }),
            Err(error) => Err(AppError::body("url", format!("`url`: {error}"))),
        }
    }

    /// The newest deliveries of a hook, newest first.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`AppError::HookNotFound`].
    pub async fn deliveries(
        &self,
        caller: &Caller,
        id: &RepoId,
        hook: &str,
        limit: usize,
    ) -> Result<Page<api::Delivery>, AppError> {
        let (repository, _) = self.hook_of(caller, id, hook).await?;
        let key = (repository.key(), hook.into());
        let items = self.courier().deliveries.newest(&key, limit);
        Ok(Page { items, next: None })
    }

    /// Sends once more what a delivery sent, under the same `webhook-id`, and says what came of it.
    ///
    /// # Errors
    /// As [`App::deliveries`]; [`AppError::DeliveryNotFound`].
    pub async fn redeliver(
        &self,
        caller: &Caller,
        id: &RepoId,
        hook: &str,
        delivery: &str,
    ) -> Result<api::Delivery, AppError> {
        let (repository, there) = self.hook_of(caller, id, hook).await?;
        let key = (repository.key(), Arc::from(hook));
        let missing = || AppError::DeliveryNotFound {
            id: delivery.to_owned(),
        };
        let number = delivery.parse().map_err(|_| missing())?;
        let log = &self.courier().deliveries;
        let before = log.get(&key, number).ok_or_else(missing)?;
        let Some(seq) = before.seq else {
            return self
                .send_ping(&repository, &there, key, before.webhook_id)
                .await;
        };
        let found = Found::Here(Arc::clone(&repository));
        let entries = self
            .offload(move || found.entries(seq.checked_sub(1), 1))
            .await?
            .map_err(AppError::internal)?;
        let entry = entries.iter().find(|entry| entry.seq == seq);
        let entry = entry.ok_or_else(missing)?;
        let body = body_of(&Found::Here(repository), entry);
        let webhook_id = message_id(hook, seq);
        let message = (webhook_id.as_str(), before.kind.as_str(), Some(seq));
        self.send_once(&there, key, message, body).await
    }

    /// Sends a ping, and says what came of it.
    ///
    /// # Errors
    /// As [`App::deliveries`].
    pub async fn ping_hook(
        &self,
        caller: &Caller,
        id: &RepoId,
        hook: &str,
    ) -> Result<api::Delivery, AppError> {
        let (repository, there) = self.hook_of(caller, id, hook).await?;
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(|error| AppError::Internal(error.into()))?;
        let webhook_id = format!("msg_ping_{:016x}", u64::from_be_bytes(random));
        let key = (repository.key(), Arc::from(hook));
        self.send_ping(&repository, &there, key, webhook_id).await
    }

    async fn send_ping(
        &self,
        repository: &Repository,
        hook: &Hook,
        key: deliveries::HookKey,
        webhook_id: String,
    ) -> Result<api::Delivery, AppError> {
        let repo = &repository.snapshot().record.id;
        let time = govc_api::rfc3339::server_time(self.engine()?.clock().now());
        let body = serde_json::json!({
            "repo": repo.as_str(),
            "type": PING,
            "time": time,
            "hook": api::Hook::new(&key.1, hook),
        });
        let body = body.to_string().into();
        self.send_once(hook, key, (&webhook_id, PING, None), body)
            .await
    }

    /// One try, and what came of it.
    async fn send_once(
        &self,
        hook: &Hook,
        key: deliveries::HookKey,
        message: (&str, &str, Option<Seq>),
        body: bytes::Bytes,
    ) -> Result<api::Delivery, AppError> {
        let courier = self.courier();
        let clock = self.engine()?.clock();
        let log = &courier.deliveries;
        let id = log.begin(&key, message, (&hook.url, &body), clock.now());
        let (webhook_id, kind, _) = message;
        let sent = courier.send(hook, (webhook_id, kind), clock.now(), &body);
        let (outcome, duration) = sent.await;
        let tried = Try {
            outcome: &outcome,
            duration,
            next: None,
        };
        log.tried(&key, id, &tried);
        let delivery = log.get(&key, id);
        let delivery = delivery.as_ref().map(api::Delivery::from);
        delivery.ok_or_else(|| AppError::DeliveryNotFound { id: id.to_string() })
    }

    async fn hook_of(
        &self,
        caller: &Caller,
        id: &RepoId,
        hook: &str,
    ) -> Result<(Arc<Repository>, Arc<Hook>), AppError> {
        let repository = self.repository(caller, id, Action::Administer).await?;
        let found = repository.snapshot().hooks.get(hook).cloned();
        Ok((repository, found.ok_or_else(|| not_found(hook))?))
    }
}

fn not_found(hook: &str) -> AppError {
    AppError::HookNotFound {
        id: hook.to_owned(),
    }
}
