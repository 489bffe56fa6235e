//! Webhooks: who is told of changes, or asked about them, by HTTP.

use std::fmt;
use std::sync::Arc;

use super::named::NamedMap;
use crate::{Entry, EntryEdit, Seq, Time};

/// The webhooks of a repository by id.
pub type Hooks = NamedMap<Hook>;

/// A webhook. One that is told of changes is a cursor into history: it says itself how far it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// Where it is told, or asked.
    pub url: Arc<str>,
    /// The types of events, or their part before the dot; none is all.
    pub events: Arc<[Arc<str>]>,
    /// What requests are signed with. Answers, logs and `Debug` never have it.
    pub secret: Option<Arc<str>>,
    /// Whether it is told or asked at all.
    pub active: bool,
    /// Told, or asked.
    pub kind: HookKind,
    /// When it was made.
    pub created_at: Time,
    /// The number of the last change that it need not be told of any more.
    pub delivered: Seq,
}

/// What a webhook is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// It is told of changes that were made.
    Notify,
    /// It is asked about changes before they are made, and may refuse them.
    Policy,
}

impl HookKind {
    /// The word that requests and answers use.
    pub fn name(self) -> &'static str {
        match self {
            HookKind::Notify => "notify",
            HookKind::Policy => "policy",
        }
    }

    /// What `name` names.
    pub fn from_name(name: &str) -> Option<HookKind> {
        [HookKind::Notify, HookKind::Policy]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

impl Hook {
    /// Whether it is `other`, but for how far it is.
    pub fn is_but_for_position(&self, other: &Hook) -> bool {
        self.url == other.url
            && self.events == other.events
            && self.secret == other.secret
            && self.active == other.active
            && self.kind == other.kind
            && self.created_at == other.created_at
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("url", &self.url)
            .field("events", &self.events)
            .field("secret", &self.secret.as_ref().map(|_| "***"))
            .field("active", &self.active)
            .field("kind", &self.kind)
            .field("created_at", &self.created_at)
            .field("delivered", &self.delivered)
            .finish()
    }
}

/// Makes `hooks` what they are after `entry`.
pub fn apply(hooks: &mut Hooks, entry: &Entry) {
    for edit in &entry.edits {
        if let EntryEdit::Hook { id, after, .. } = edit {
            hooks.set(id, after.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sees_a_secret_by_accident() {
        let hook = Hook {
            url: "https://example.org/".into(),
            events: ["push".into()].into(),
            secret: Some("hunter2".into()),
            active: true,
            kind: HookKind::Notify,
            created_at: Time(1),
            delivered: 3,
        };
        assert!(!format!("{hook:?}").contains("hunter2"));
        let further = Hook {
            delivered: 4,
            ..hook.clone()
        };
        assert!(hook.is_but_for_position(&further));
        let other = Hook {
            active: false,
            ..hook.clone()
        };
        assert!(!hook.is_but_for_position(&other));
    }
}
