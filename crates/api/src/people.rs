//! People: authors, committers, taggers.

use govc_engine::Time;
use govc_git::object::{GitTime, Signature, SignatureRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::text;
use crate::{Invalid, rfc3339};

/// A person and a moment, as answers have them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The name exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_base64: Option<String>,
    /// The address.
    pub email: String,
    /// The address exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_base64: Option<String>,
    /// The moment, at its offset; `null` where RFC 3339 cannot say it.
    pub time: Option<String>,
    /// The moment as Git writes it, where RFC 3339 cannot say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_raw: Option<String>,
}

impl From<SignatureRef<'_>> for Person {
    fn from(signature: SignatureRef<'_>) -> Person {
        let (name, name_base64) = text(signature.name);
        let (email, email_base64) = text(signature.email);
        let time = signature.time().and_then(|time| {
            rfc3339::format(time.seconds, time.offset_minutes, time.negative_zero)
        });
        let raw = || String::from_utf8_lossy(signature.time_raw).into_owned();
        Person {
            name,
            name_base64,
            email,
            email_base64,
            time_raw: time.is_none().then(raw),
            time,
        }
    }
}

/// A person as requests have them; without `time` it is now.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// The name.
    #[schemars(extend("minLength" = 1))]
    pub name: String,
    /// The address.
    pub email: String,
    /// When, RFC 3339; its offset is kept. Now, where it is absent.
    #[schemars(extend("format" = "date-time"))]
    pub time: Option<String>,
}

impl NewPerson {
    /// The person in field `field`, at the moment they say, or `now`.
    ///
    /// # Errors
    /// [`Invalid::Field`] when nothing is left of the name, or Git cannot have the time.
    pub fn signature(&self, field: &str, now: Time) -> Result<Signature, Invalid> {
        let time = match &self.time {
            None => GitTime::utc(now.seconds()),
            Some(text) => {
                let moment = rfc3339::parse(text).ok_or_else(|| {
                    Invalid::field(
                        format!("{field}.time"),
                        format!("a time as of RFC 3339, 2024-05-01T10:00:00+02:00, not {text:?}"),
                    )
                })?;
                // `git fsck` takes a time before 1970 for a damaged one.
                if moment.seconds < 0 {
                    return Err(Invalid::field(
                        format!("{field}.time"),
                        "Git has no times before 1970",
                    ));
                }
                GitTime {
                    seconds: moment.seconds,
                    offset_minutes: moment.offset_minutes,
                    negative_zero: moment.offset_unknown,
                }
            }
        };
        Signature::new(self.name.as_bytes(), self.email.as_bytes(), time)
            .map_err(|error| Invalid::field(format!("{field}.name"), error.to_string()))
    }
}
