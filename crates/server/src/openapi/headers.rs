//! The headers of answers.

use serde_json::{Value, json};

/// Name, whether it is on every answer that it is described on, what it says.
const HEADERS: &[(&str, bool, &str)] = &[
    (
        "ETag",
        true,
        "What identifies this answer; for `If-None-Match`.",
    ),
    (
        "Govc-Head",
        false,
        "The commit that was read from; for `If-Match`.",
    ),
    (
        "Govc-Seq",
        true,
        "The number of the repository's newest change that this is of.",
    ),
    ("Govc-Dry-Run", false, "`true`: nothing was changed."),
    (
        "Idempotency-Replayed",
        false,
        "`true`: this answer was given before.",
    ),
    ("Location", false, "Where what was made is."),
    ("Link", false, "The next page, `rel=\"next\"`."),
    (
        "Content-Range",
        true,
        "Which bytes these are, and of how many.",
    ),
    (
        "Retry-After",
        true,
        "After how many seconds it is worth to ask again.",
    ),
    ("WWW-Authenticate", true, "How to say who asks."),
];

/// All, as components.
pub(super) fn components() -> Value {
    let mut all = json!({});
    for (name, required, says) in HEADERS {
        let schema = match *name {
            "Govc-Seq" | "Retry-After" => json!({ "type": "integer", "minimum": 0 }),
            "Govc-Dry-Run" | "Idempotency-Replayed" => json!({ "type": "string", "const": "true" }),
            _ => json!({ "type": "string" }),
        };
        all[*name] = json!({ "description": says, "required": required, "schema": schema });
    }
    all
}

/// These, as a response has them.
pub(super) fn refer(names: &[&str]) -> Value {
    let mut headers = json!({});
    for name in names {
        headers[*name] = json!({ "$ref": format!("#/components/headers/{name}") });
    }
    headers
}
