//! How receivers know that a request is ours: Standard Webhooks
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>)
//! and the header that GitHub's receivers look for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What begins a secret that is a key in base64.
const KEY_PREFIX: &str = "whsec_";

/// Both signatures of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// The value of `webhook-signature`.
    pub standard: String,
    /// The value of `X-Hub-Signature-256`.
    pub hub: String,
}

/// Signs `body`, which is the message `id`, sent at `timestamp` (seconds since 1970).
pub fn sign(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Signatures {
    let decoded = secret.strip_prefix(KEY_PREFIX);
    let decoded = decoded.and_then(|text| STANDARD.decode(text).ok());
    let standard = decoded.as_deref().unwrap_or(secret.as_bytes());
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, standard));
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    let standard = format!("v1,{}", STANDARD.encode(context.sign().as_ref()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body);
    let digits: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    Signatures {
        standard,
        hub: format!("sha256={digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_documents() {
        // The example of Standard Webhooks' own libraries' tests.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = br#"{"test": 2432232314}"#;
        let signed = sign(secret, id, 1_614_265_330, body);
        assert_eq!(
            signed.standard,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        // The example of GitHub's "Validating webhook deliveries".
        let signed = sign("It's a Secret to Everybody", "", 0, b"Hello, World!");
        assert_eq!(
            signed.hub,
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }
}
