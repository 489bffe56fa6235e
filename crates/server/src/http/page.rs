//! Lists: a page of them, where the next begins, and a link to it.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use govc_api::page::PageOf;
use govc_engine::Seq;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::Serialize;

use super::path::{decode, encode};
use super::query::Query;
use super::{etag, json};
use crate::app::error::AppError;

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// How many items at most.
    pub limit: usize,
    /// After which item it begins; `None`: with the first.
    pub cursor: Option<Cursor>,
}

/// Where a page begins: after the item `after`, in the state after the change `seq`, so that
/// writers do not shift what a reader has not yet seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The state that the list is of.
    pub seq: Seq,
    /// The key of the last item of the page before.
    pub after: Vec<u8>,
}

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 1000;
/// The first byte of a cursor's bytes: another layout has another number.
const CURSOR_VERSION: u8 = 2;

/// Which list a cursor is of: a digest of the path, and of the parameters that select. With
/// another list's cursor a reader would miss items and not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List(u32);

impl List {
    /// The list that is asked for.
    pub fn of(uri: &Uri) -> List {
        let path = decode(uri.path().trim_end_matches('/'));
        let pairs = uri.query().unwrap_or_default().split('&');
        let mut pairs: Vec<Vec<u8>> = pairs.map(|pair| decode(&pair.replace('+', " "))).collect();
        pairs.retain(|pair| {
            !pair.is_empty() && !pair.starts_with(b"cursor=") && !pair.starts_with(b"limit=")
        });
        pairs.sort_unstable();
        pairs.push(path);
        let all = digest(&pairs.join(&0));
        // Both halves have a say.
        List((all ^ (all >> 32)) as u32)
    }
}

impl Cursor {
    fn encode(&self, list: List) -> String {
        let mut bytes = vec![CURSOR_VERSION];
        bytes.extend_from_slice(&list.0.to_be_bytes());
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.after);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(text: &str, list: List) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (&version, rest) = bytes.split_first()?;
        let (of, rest) = rest.split_first_chunk::<4>()?;
        let (seq, after) = rest.split_first_chunk::<8>()?;
        let fits = version == CURSOR_VERSION && *of == list.0.to_be_bytes();
        fits.then(|| Cursor {
            seq: u64::from_be_bytes(*seq),
            after: after.to_vec(),
        })
    }
}

impl PageQuery {
    /// Takes `limit` and `cursor`.
    ///
    /// # Errors
    /// [`AppError::Query`] when the limit is not 1 to 1000, or the cursor is none of this list.
    pub fn take(query: &mut Query, list: List) -> Result<PageQuery, AppError> {
        let limit = PageQuery::take_limit(query)?;
        let cursor = query
            .text("cursor")?
            .map(|text| Cursor::decode(&text, list).ok_or_else(PageQuery::not_a_cursor))
            .transpose()?;
        Ok(PageQuery { limit, cursor })
    }

    /// Takes `limit` alone, for a list that does not go on.
    ///
    /// # Errors
    /// [`AppError::Query`].
    pub fn take_limit(query: &mut Query) -> Result<usize, AppError> {
        let limit = query.number("limit")?.unwrap_or(LIMIT_DEFAULT);
        match (1..=LIMIT_MAX).contains(&limit) {
            true => Ok(limit),
            false => Err(AppError::query(
                "limit",
                format!("`limit` is 1 to {LIMIT_MAX}"),
            )),
        }
    }

    /// The error for a cursor that leads nowhere.
    pub fn not_a_cursor() -> AppError {
        AppError::query("cursor", "`cursor` is a `next_cursor` of the same list")
    }
}

/// A part of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next part begins; `None`: this is the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The page with other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}

/// The answer that is a page: its items, the cursor and the link to the next one.
pub fn answer<T: Serialize>(uri: &Uri, page: &Page<T>) -> Response {
    let list = List::of(uri);
    let next_cursor = page.next.as_ref().map(|next| next.encode(list));
    let link = next_cursor
        .as_ref()
        .and_then(|cursor| next_link(uri, cursor));
    let body = PageOf {
        items: page.items.iter().collect(),
        next_cursor,
    };
    let mut response = json::answer(StatusCode::OK, &body);
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// `</path?…&cursor=…>; rel="next"`, relative to where the list is.
fn next_link(uri: &Uri, cursor: &str) -> Option<HeaderValue> {
    let others = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let mut query = String::new();
    for pair in others {
        // `>` would end the link early.
        query.push_str(&pair.replace('>', "%3E"));
        query.push('&');
    }
    let path = uri.path().replace('>', "%3E");
    HeaderValue::from_str(&format!(
        "<{path}?{query}cursor={}>; rel=\"next\"",
        encode(cursor.as_bytes(), false)
    ))
    .ok()
}

/// As [`answer`], of a list that is read from a state: with a tag of what is in it.
pub fn answer_state<T: Serialize>(
    request: &HeaderMap,
    uri: &Uri,
    page: &Page<T>,
    head: Option<govc_git::ObjectId>,
) -> Response {
    // Where the cursor is does not matter, but whether there is one: a list that grew behind this
    // page has another answer.
    let more = if page.next.is_some() { "+" } else { "" };
    let tag = match serde_json::to_vec(&page.items) {
        Ok(bytes) => etag::ETag::of_state(head, &format!("{:016x}{more}", digest(&bytes))),
        Err(_) => etag::ETag::of_state(head, ""),
    };
    etag::finish(request, answer(uri, page), &tag, head)
}

/// 64 bits that tell two answers apart. Not for anything that somebody may want to forge.
pub fn digest(bytes: &[u8]) -> u64 {
    // FNV-1a.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_were() {
        let cursor = Cursor {
            seq: 7,
            after: b"refs/heads/\xff".to_vec(),
        };
        let list = |uri: &str| List::of(&uri.parse().unwrap());
        let log = list("/api/v1/repos/a%2Fb/log?ref=x&author=y%20z&limit=1");
        let text = cursor.encode(log);
        assert_eq!(Cursor::decode(&text, log), Some(cursor));
        for same in [
            "/api/v1/repos/a%2fb/log/?author=y+z&ref=x&limit=7&cursor=AA",
            "/api/v1/repos/a/b/log?&ref=%78&author=y%20z",
        ] {
            assert_eq!(list(same), log, "{same}");
        }
        for other in [
            "/api/v1/repos/a%2Fb/log?ref=x",
            "/api/v1/repos/a%2Fb/log?ref=x&author=y",
            "/api/v1/repos/a%2Fc/log?ref=x&author=y%20z",
            "/api/v1/repos/a%2Fb/tree?ref=x&author=y%20z",
        ] {
            assert_eq!(Cursor::decode(&text, list(other)), None, "{other}");
        }
        for wrong in ["", "x", "AA", "====", "AgAAAAAAAAAH"] {
            assert_eq!(Cursor::decode(wrong, log), None, "{wrong}");
        }
    }

    #[test]
    fn limits_are_one_to_a_thousand() {
        let list = List::of(&Uri::from_static("/api/v1/repos"));
        let take = |raw: &str| PageQuery::take(&mut Query::parse(Some(raw)).unwrap(), list);
        assert_eq!(take("").unwrap().limit, 50);
        assert_eq!(take("limit=1").unwrap().limit, 1);
        assert_eq!(take("limit=1000").unwrap().limit, 1000);
        for wrong in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "cursor=",
            "cursor=nonsense",
        ] {
            assert!(take(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_next_page_is_linked() {
        let uri: Uri = "/api/v1/repos?prefix=a%2Fb&cursor=old&limit=1"
            .parse()
            .unwrap();
        let page = Page {
            items: vec![1],
            next: Some(Cursor {
                seq: 0,
                after: vec![b'x'],
            }),
        };
        let response = answer(&uri, &page);
        assert_eq!(
            response.headers()[header::LINK],
            "</api/v1/repos?prefix=a%2Fb&limit=1&cursor=ApP3EzMAAAAAAAAAAHg>; rel=\"next\""
        );
    }
}
