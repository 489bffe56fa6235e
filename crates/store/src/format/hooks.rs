//! Webhooks, as entries and checkpoints have them.

use std::sync::Arc;

use govc_engine::{Hook, HookKind, Hooks};

use super::codec::{Decoder, Encoder, FormatError};

const WHAT: &str = "a hook";

const HAS_SECRET: u8 = 1;
const IS_ACTIVE: u8 = 2;
const IS_POLICY: u8 = 4;

/// One hook: flags, address, secret where it has one, types of events, time, position.
pub(super) fn encode_hook(out: &mut Encoder, hook: &Hook) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.byte(
        flag(hook.secret.is_some(), HAS_SECRET)
            | flag(hook.active, IS_ACTIVE)
            | flag(hook.kind == HookKind::Policy, IS_POLICY),
    );
    out.string(hook.url.as_bytes());
    if let Some(secret) = &hook.secret {
        out.string(secret.as_bytes());
    }
    out.number(hook.events.len() as u64);
    for kind in hook.events.iter() {
        out.string(kind.as_bytes());
    }
    out.time(hook.created_at);
    out.number(hook.delivered);
}

/// Reads what [`encode_hook`] wrote, to the end of `input`.
pub(super) fn decode_hook(input: &mut Decoder) -> Result<Hook, FormatError> {
    let flags = input.byte(WHAT)?;
    if flags & !(HAS_SECRET | IS_ACTIVE | IS_POLICY) != 0 {
        return Err(FormatError::Invalid(WHAT));
    }
    let url = input.text(WHAT)?.into();
    let secret = match flags & HAS_SECRET {
        0 => None,
        _ => Some(Arc::from(input.text(WHAT)?)),
    };
    let count = input.count(1, WHAT)?;
    let mut events: Vec<Arc<str>> = Vec::with_capacity(count);
    for _ in 0..count {
        events.push(input.text(WHAT)?.into());
    }
    let created_at = input.time(WHAT)?;
    let delivered = input.number(WHAT)?;
    input.end(WHAT)?;
    Ok(Hook {
        url,
        events: events.into(),
        secret,
        active: flags & IS_ACTIVE != 0,
        kind: match flags & IS_POLICY {
            0 => HookKind::Notify,
            _ => HookKind::Policy,
        },
        created_at,
        delivered,
    })
}

/// All hooks with their ids.
pub(super) fn encode_hooks(out: &mut Encoder, hooks: &Hooks) {
    out.number(hooks.len() as u64);
    for (id, hook) in hooks.iter() {
        out.string(id.as_bytes());
        out.nested(|out| encode_hook(out, hook));
    }
}

/// Reads what [`encode_hooks`] wrote, to the end of `input`.
pub(super) fn decode_hooks(input: &mut Decoder) -> Result<Hooks, FormatError> {
    const LEAST_BYTES: usize = 2;
    let count = input.count(LEAST_BYTES, WHAT)?;
    let mut hooks = Hooks::default();
    for _ in 0..count {
        let id: Arc<str> = input.text(WHAT)?.into();
        let hook = decode_hook(&mut input.nested(WHAT)?)?;
        hooks.set(&id, Some(Arc::new(hook)));
    }
    input.end(WHAT)?;
    Ok(hooks)
}
