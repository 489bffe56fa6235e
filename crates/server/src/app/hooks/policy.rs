//! Asking policy hooks about a change before it is made.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use govc_api::events::{Event, Types};
use govc_engine::{CauseKind, Entry, Hook, HookKind, Hooks, Repository};
use govc_git::ObjectKind;

use super::client::{Answer, CallError};
use super::courier::headers;
use super::verdict::{Verdict, verdict};
use crate::app::App;
use crate::app::error::AppError;
use crate::config::Unreachable;

/// Whether any of `hooks` may want to be asked.
pub(in crate::app) fn any_asks(hooks: &Hooks) -> bool {
    hooks.iter().any(|(_, hook)| asks(hook))
}

fn asks(hook: &Hook) -> bool {
    hook.active && hook.kind == HookKind::Policy
}

/// Whether `hook` wants to be asked about `entry`: by the type of its event, before any push, or
/// before anything else that brings commits.
fn wants(hook: &Hook, entry: &Entry) -> bool {
    let types = Types::new(hook.events.iter().map(|name| name.to_string()));
    let is_push = entry.cause.kind == CauseKind::Push;
    let is_commit = |kind: ObjectKind| kind == ObjectKind::Commit;
    let commits = entry.objects.inline.iter().any(|new| is_commit(new.kind));
    types.include(entry.cause.kind.name())
        || (is_push && types.include("pre-push"))
        || (!is_push && commits && types.include("pre-commit"))
}

impl App {
    /// Asks the policy hooks of a repository about `entry`, which was decided and not made.
    ///
    /// # Errors
    /// [`AppError::HookRefused`]; [`AppError::HookUnreachable`] where that refuses.
    pub(in crate::app) async fn ask_policies(
        &self,
        repository: &Arc<Repository>,
        entry: &Entry,
    ) -> Result<(), AppError> {
        let snapshot = repository.snapshot();
        let asked: Vec<_> = snapshot
            .hooks
            .iter()
            .filter(|(_, hook)| asks(hook) && wants(hook, entry))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let event = Event::new(snapshot.record.id.as_str(), entry);
        // What serde cannot write is not among these types.
        let body: Bytes = serde_json::to_vec(&event).unwrap_or_default().into();
        let answers = join_all(asked.into_iter().map(|(id, hook)| {
            let body = body.clone();
            async move { (id, self.ask(id, hook, entry, body).await) }
        }));
        for (id, answer) in answers.await {
            match verdict(&answer) {
                Verdict::Passes => {}
                Verdict::Refuses(message) => {
                    let id = id.to_string();
                    return Err(AppError::HookRefused { id, message });
                }
                Verdict::Unknown(why) => {
                    tracing::warn!(hook = &**id, why, "a policy hook could not be asked");
                    if self.config().hooks.policy_unreachable == Unreachable::Refuse {
                        let id = id.to_string();
                        return Err(AppError::HookUnreachable { id, why });
                    }
                }
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        id: &str,
        hook: &Hook,
        entry: &Entry,
        body: Bytes,
    ) -> Result<Answer, CallError> {
        let Ok(engine) = self.engine() else {
            return Err(CallError::Url("the server is starting"));
        };
        let message = format!("ask_{id}_{}_{}", entry.seq, entry.cause.request_id);
        let kind = entry.cause.kind.name();
        let headers = headers(hook, &message, kind, engine.clock().now(), &body);
        let client = &self.courier().questioner;
        client.post(&hook.url, headers, body).await
    }
}
