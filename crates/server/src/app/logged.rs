//! What is kept of an answer beside its change.

use bytes::Bytes;
use govc_api::repos::Size;
use govc_engine::Seq;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::error::AppError;
use crate::http::idempotency::Answer;
use crate::http::reply::GOVC_SEQ;

/// What is kept of an answer in the entry of its change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// The HTTP status.
    pub status: u16,
    /// Where what was made is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The body, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// It is of several repositories: their numbers are in the body alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_several: bool,
    /// The body was the repository after the change: what of it is not in the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<LoggedRepository>,
    /// The body was the realities that were made: what of it is not in the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realities: Option<LoggedRealities>,
}

/// What of the answer to making realities is not in its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedRealities {
    /// How the caller sees this server.
    pub origin: String,
    /// How long it took until it was decided.
    pub elapsed_us: u64,
}

/// What of a repository's answer is not in its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedRepository {
    /// How the caller sees this server.
    pub origin: String,
    /// How large it was.
    pub size: Size,
}

impl Logged {
    /// An answer without a body.
    pub fn empty(status: u16) -> Logged {
        Logged {
            status,
            ..Logged::default()
        }
    }

    /// An answer with a body; one that is not there is found missing by whoever asks again.
    pub fn body(status: u16, body: Option<impl Serialize>) -> Logged {
        Logged {
            status,
            body: body.and_then(|body| serde_json::to_string(&body).ok()),
            ..Logged::default()
        }
    }

    /// The answer that says where what was made is.
    #[must_use]
    pub fn at(mut self, location: String) -> Logged {
        self.location = Some(location);
        self
    }

    /// The answer to what changes several repositories.
    #[must_use]
    pub fn in_several(mut self) -> Logged {
        self.in_several = true;
        self
    }

    /// As an entry keeps it.
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// What [`Logged::to_bytes`] made.
    ///
    /// # Errors
    /// [`AppError::Internal`] when it is something else.
    pub fn read(kept: &[u8]) -> Result<Logged, AppError> {
        serde_json::from_slice(kept).map_err(AppError::internal)
    }

    /// The answer once more, of the change `seq`; `state` is the body where none was kept.
    pub(crate) fn again(&self, seq: Seq, state: Option<Vec<u8>>) -> Result<Answer, AppError> {
        let status = StatusCode::from_u16(self.status).map_err(AppError::internal)?;
        let mut headers = HeaderMap::new();
        if !self.in_several {
            headers.insert(GOVC_SEQ, HeaderValue::from(seq));
        }
        if let Some(location) = &self.location
            && let Ok(value) = HeaderValue::from_str(location)
        {
            headers.insert(header::LOCATION, value);
        }
        let body = self.body.clone().map(String::into_bytes).or(state);
        if body.is_some() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        Ok(Answer {
            status,
            headers,
            body: body.unwrap_or_default().into(),
        })
    }
}
