//! What a policy hook's answer says.

use serde_json::Value;

use super::client::{Answer, CallError};

/// So much of a refusal is passed on.
const MESSAGE_CHARS_MAX: usize = 2000;

/// What an answer says about a change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may be made.
    Passes,
    /// It may not, and why.
    Refuses(String),
    /// Nothing that can be understood; how that came.
    Unknown(String),
}

/// 2xx lets it pass, unless its JSON says `"allow": false`; 4xx refuses it. The `message` or
/// `detail` of a JSON body, or a body of plain text, says why.
pub(crate) fn verdict(answer: &Result<Answer, CallError>) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Verdict::Unknown(error.to_string()),
    };
    let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
    // What can be shown of a text, if that is anything.
    let shown = |text: &str| {
        let clean = |c: &char| !c.is_control() || *c == '\n';
        let clean = text.trim().chars().filter(clean);
        let text: String = clean.take(MESSAGE_CHARS_MAX).collect();
        (!text.trim().is_empty()).then_some(text)
    };
    let field = |name: &str| shown(json.as_ref()?.get(name)?.as_str()?);
    let message = || {
        let plain = || {
            let text = std::str::from_utf8(&answer.body).ok()?;
            let is_plain = json.is_none() && !text.trim_start().starts_with('<');
            is_plain.then(|| shown(text)).flatten()
        };
        let text = field("message").or_else(|| field("detail")).or_else(plain);
        text.unwrap_or_else(|| "refused without a word".to_owned())
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
    use bytes::Bytes;

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
        assert_eq!(check(422, "\u{1b}\u{7}"), refuses("refused without a word"));
        assert_eq!(check(404, "<html>"), refuses("refused without a word"));
        assert!(matches!(check(302, ""), Verdict::Unknown(_)));
        assert!(matches!(check(500, "oops"), Verdict::Unknown(_)));
        let late = Err(CallError::TimedOut(std::time::Duration::from_secs(1)));
        assert!(matches!(verdict(&late), Verdict::Unknown(_)));
    }
}
