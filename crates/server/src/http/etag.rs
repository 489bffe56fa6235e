//! Conditional requests (RFC 9110, section 13): entity tags on what is read, beliefs on what is
//! written.

use axum::response::{IntoResponse, Response};
use govc_git::ObjectId;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use serde::Serialize;

use super::problem::ApiError;
use super::{json, page};
use crate::app::error::AppError;

/// The commit that was read from; what is to be echoed in `If-Match`.
pub const GOVC_HEAD: HeaderName = HeaderName::from_static("govc-head");

/// What identifies a representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ETag {
    /// Bytes that are named by their id: they never change.
    Strong(String),
    /// A view of a state.
    Weak(String),
}

impl ETag {
    /// The tag of an object as seen from a commit; `head` is `None` while there is none.
    pub fn of_state(head: Option<ObjectId>, object: &str) -> ETag {
        match head {
            Some(head) => ETag::Weak(format!("{head}-{object}")),
            None => ETag::Weak(format!("-{object}")),
        }
    }

    fn opaque(&self) -> &str {
        match self {
            ETag::Strong(text) | ETag::Weak(text) => text,
        }
    }

    /// As a header has it.
    pub fn value(&self) -> HeaderValue {
        let text = match self {
            ETag::Strong(text) => format!("\"{text}\""),
            ETag::Weak(text) => format!("W/\"{text}\""),
        };
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("W/\"\""))
    }

    /// Whether `If-None-Match` names it: the client has what it would get. Compared weakly.
    pub fn is_known_to(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|list| {
                list.trim() == "*"
                    || tags(list)
                        .iter()
                        .any(|(_, opaque)| *opaque == self.opaque())
            })
    }

    /// Whether `If-Range` lets a range of it be sent: absent, or this very tag, and strong.
    pub fn allows_range(&self, headers: &HeaderMap) -> bool {
        match headers.get(header::IF_RANGE) {
            None => true,
            Some(value) => matches!(self, ETag::Strong(_)) && *value == self.value(),
        }
    }
}

/// `"a", W/"b"` as tags: whether each is weak, and what is between its quotes.
fn tags(list: &str) -> Vec<(bool, &str)> {
    let mut tags = Vec::new();
    let mut rest = list.trim();
    while !rest.is_empty() {
        let weak = rest.starts_with("W/");
        let Some(quoted) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"') else {
            break;
        };
        let Some((opaque, after)) = quoted.split_once('"') else {
            break;
        };
        tags.push((weak, opaque));
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    tags
}

/// Completes the answer to a read: its tag, what it varies with, the commit it is from; 304 when
/// the client has it.
pub fn finish(
    request: &HeaderMap,
    mut response: Response,
    tag: &ETag,
    head: Option<ObjectId>,
) -> Response {
    if response.status().is_success() && tag.is_known_to(request) {
        let kept = std::mem::take(response.headers_mut());
        response = StatusCode::NOT_MODIFIED.into_response();
        for name in [header::CACHE_CONTROL, header::LINK] {
            if let Some(value) = kept.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag.value());
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Accept, Accept-Encoding"),
    );
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-cache"),
        );
    }
    if let Some(value) = head.and_then(|id| HeaderValue::from_str(&id.to_string()).ok()) {
        headers.insert(GOVC_HEAD, value);
    }
    response
}

/// The answer that shows a state, whose tag is made of what is shown.
pub fn answer(request: &HeaderMap, body: &impl Serialize, head: Option<ObjectId>) -> Response {
    let bytes = match serde_json::to_vec(body) {
        Ok(bytes) => bytes,
        Err(error) => return ApiError(AppError::internal(error)).into_response(),
    };
    let tag = ETag::of_state(head, &format!("{:016x}", page::digest(&bytes)));
    let response = json::answer_bytes(StatusCode::OK, bytes.into());
    finish(request, response, &tag, head)
}

/// What `If-Match` or `If-None-Match` of a write says about a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// It exists.
    Any,
    /// It is one of these.
    OneOf(Vec<ObjectId>),
    /// It does not exist: `If-None-Match: *`.
    Absent,
}

impl IfMatch {
    /// Whether a ref that points at `current` is what it says.
    pub fn holds(&self, current: Option<ObjectId>) -> bool {
        match self {
            IfMatch::Any => current.is_some(),
            IfMatch::OneOf(ids) => current.is_some_and(|current| ids.contains(&current)),
            IfMatch::Absent => current.is_none(),
        }
    }
}

/// What a write believes: `If-Match`, which is `*` or ids in quotes, or `If-None-Match: *`. Weak
/// tags never match (RFC 9110, 13.1.1).
///
/// # Errors
/// [`AppError::Query`] when one cannot be read, or both are there.
pub fn belief(headers: &HeaderMap) -> Result<Option<IfMatch>, AppError> {
    let Some(value) = headers.get(header::IF_NONE_MATCH) else {
        return if_match(headers);
    };
    let wrong = |detail: &str| Err(AppError::query("If-None-Match", detail));
    match value.as_bytes().trim_ascii() {
        b"*" if headers.contains_key(header::IF_MATCH) => {
            wrong("either `If-Match` or `If-None-Match`, not both")
        }
        b"*" => Ok(Some(IfMatch::Absent)),
        _ => wrong("`If-None-Match` of a write is *: the ref must not exist"),
    }
}

fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>, AppError> {
    let wrong = |detail: &str| AppError::query("If-Match", detail);
    let mut found = None;
    for value in headers.get_all(header::IF_MATCH) {
        let text = value
            .to_str()
            .map_err(|_| wrong("`If-Match` is not text"))?
            .trim();
        if text == "*" {
            return Ok(Some(IfMatch::Any));
        }
        let list = tags(text);
        if list.is_empty() {
            return Err(wrong("`If-Match` is \"<oid>\" in quotes, or *"));
        }
        let ids: &mut Vec<ObjectId> = found.get_or_insert_default();
        ids.extend(
            list.iter()
                .filter(|(weak, _)| !weak)
                .filter_map(|(_, opaque)| ObjectId::from_hex(opaque.as_bytes()).ok()),
        );
    }
    Ok(found.map(IfMatch::OneOf))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let tag = ETag::Weak("a-b".to_owned());
        let known = |value: &str| tag.is_known_to(&headers(header::IF_NONE_MATCH, value));
        assert!(known("W/\"a-b\""));
        assert!(known("\"a-b\""));
        assert!(known("\"x\", W/\"a-b\""));
        assert!(known("*"));
        assert!(!known("W/\"a\""));
        assert!(!known("a-b"));
        assert!(!known("\"a-b"));
        assert!(!tag.is_known_to(&HeaderMap::new()));
    }

    #[test]
    fn beliefs_are_ids_in_quotes() {
        let id = "ce013625030ba8dba906f756967f9e9ca394464a";
        let read = |value: &str| if_match(&headers(header::IF_MATCH, value)).ok().flatten();
        let one = Some(IfMatch::OneOf(vec![
            ObjectId::from_hex(id.as_bytes()).unwrap(),
        ]));
        assert_eq!(read(&format!("\"{id}\"")), one);
        assert_eq!(read(&format!("\"x\", \"{id}\"")), one);
        assert_eq!(read(&format!("W/\"{id}\"")), Some(IfMatch::OneOf(vec![])));
        assert_eq!(read("*"), Some(IfMatch::Any));
        assert_eq!(read(id), None);
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
        let none = |value: &str| belief(&headers(header::IF_NONE_MATCH, value));
        assert_eq!(none("*").unwrap(), Some(IfMatch::Absent));
        assert!(none("\"x\"").is_err());
    }
}
