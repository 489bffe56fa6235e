//! Asking policy hooks about a change before it is made.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use govc_api::events::{Event, Types};
use govc_engine::{CauseKind, Entry, Hook, HookKind, Hooks, Repository};
use govc_git::ObjectKind;
use serde_json::Value;

use super::client::{Answer, CallError};
use super::courier::headers;
use crate::app::App;
use crate::app::error::AppError;
use crate::config::Unreachable;

/// So much of a refusal is passed on.
const MESSAGE_CHARS_MAX: usize = 2000;

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

/// What an answer says about a change.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Passes,
    Refuses(String),
    Unknown(String),
}

/// 2xx lets it pass, unless its JSON says `"allow": false`; 4xx refuses it. The `message` or
/// `detail` of a JSON body, or a body of plain text, says why.
fn verdict(answer: &Result<Answer, CallError>) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Verdict::Unknown(error.to_string()),
    };
    let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let field = |name: &str| {
        let text = json.as_ref()?.get(name)?.as_str()?;
        (!text.trim().is_empty()).then(|| text.to_owned())
    };
    let message = || {
        let plain = || {
            let text = std::str::from_utf8(&answer.body).ok()?.trim();
            let plain = json.is_none() && !text.is_empty() && !text.starts_with('<');
            plain.then(|| text.to_owned())
        };
        let text = field("message").or_else(|| field("detail")).or_else(plain);
        let text = text.unwrap_or_else(|| "refused without a word".to_owned());
        let clean = |c: &char| !c.is_control() || *c == '\n';
        text.chars().filter(clean).take(MESSAGE_CHARS_MAX).collect()
    };
    match answer.status {
        200..300 => {
            let allow = json.as_ref().and_then(|json| json.get("allow"));
            match allow.and_then(Value::as_bool) {
                Some(false) => Verdict::Refuses(message()),
                _ => Verdict::Passes,
            }
        }
        400..500 => Verdict::Refuses(message()),
        status => Verdict::Unknown(format!("it answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood() {
        let check = |status: u16, body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            verdict(&Ok(Answer { status, body }))
        };
        let refuses = |text: &str| Verdict::Refuses(text.to_owned());
        assert_eq!(check(200, ""), Verdict::Passes);
        assert_eq!(check(204, "anything"), Verdict::Passes);
        assert_eq!(check(200, r#"{"allow":true}"#), Verdict::Passes);
        assert_eq!(
            check(200, r#"{"allow":false,"message":"not on Fridays"}"#),
            refuses("not on Fridays")
        );
        assert_eq!(check(403, r#"{"detail":"no"}"#), refuses("no"));
        assert_eq!(check(422, "no\u{1b}[31m way\n"), refuses("no[31m way"));
        assert_eq!(check(404, "<html>"), refuses("refused without a word"));
        assert!(matches!(check(302, ""), Verdict::Unknown(_)));
        assert!(matches!(check(500, "oops"), Verdict::Unknown(_)));
        let late = Err(CallError::TimedOut(std::time::Duration::from_secs(1)));
        assert!(matches!(verdict(&late), Verdict::Unknown(_)));
    }
}
