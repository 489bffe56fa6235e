//! What comes over HTTP beside Git: headers, queries, paths, JSON.

use govc_api::{lfs, refs, repos, rfc3339};
use govc_server::http::ask::at_moment;
use govc_server::http::etag::{self, ETag, IfMatch};
use govc_server::http::json;
use govc_server::http::page::{List, PageQuery};
use govc_server::http::path::{ApiPath, decode, encode};
use govc_server::http::query::Query;
use govc_server::http::range as ranges;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::plant::plant;

fn with(name: HeaderName, value: &[u8]) -> Option<HeaderMap> {
    Some(HeaderMap::from_iter([(
        name,
        HeaderValue::from_bytes(value).ok()?,
    )]))
}

/// Ranges of bytes lie inside what there is.
pub(crate) fn range(data: &[u8]) {
    let Some(headers) = with(header::RANGE, data) else {
        return;
    };
    for size in [0, 1, 10, u64::MAX] {
        let Ok(Some(range)) = ranges::wanted(&headers, size) else {
            continue;
        };
        assert!(range.start < range.end && range.end <= size);
        plant("range", || {
            size == 10 && (range == (3..10) || range == (6..10))
        });
    }
}

/// Queries: what is encoded again is the same, and all that is known is taken.
pub(crate) fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(mut query) = Query::parse(Some(text)) else {
        return;
    };
    let mut given = 0;
    given += usize::from(query.bytes("path").is_some());
    given += usize::from(query.text("ref").is_ok_and(|text| text.is_some()));
    let limit = query.number::<u64>("limit");
    let number = limit.as_ref().ok().copied().flatten();
    let flag = query.flag("recursive");
    let all = query.finish();
    assert!(given <= text.split('&').count());
    if let Err(error) = &all {
        assert!(error.to_string().len() < 256 + 8 * data.len());
    }
    plant("query", || {
        all.is_ok() && number.is_some_and(|number| number > 1000) && flag.is_ok_and(|flag| flag)
    });
}

/// Paths of requests: percent-encoded and decoded they are the same.
pub(crate) fn url_path(data: &[u8]) {
    for keep_slashes in [false, true] {
        assert_eq!(decode(&encode(data, keep_slashes)), data);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let path = ApiPath::of(text);
    assert!(path.rest().len() <= text.len());
    let repo = path.repo();
    if let Ok(id) = &repo {
        assert_eq!(id.to_string().as_bytes(), path.repo);
    }
    plant("url_path", || {
        repo.is_ok() && path.repo.contains(&b'/') && path.rest().contains(&0xff)
    });
}

/// Cursors of lists: the first byte says whether it is made for this list.
pub(crate) fn cursor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let uri = Uri::from_static("/api/v1/repos/hello/refs?limit=3");
    let Ok(mut query) = Query::parse(Some(text)) else {
        return;
    };
    let Ok(page) = PageQuery::take(&mut query, List::of(&uri)) else {
        return;
    };
    assert!((1..=1000).contains(&page.limit));
    if let Some(cursor) = &page.cursor {
        assert!(cursor.after.len() <= data.len());
    }
    if let Ok(uri) = Uri::try_from(format!("/a?{text}")) {
        let _ = List::of(&uri);
    }
    plant("cursor", || (14..100).contains(&page.limit));
}

/// `If-Match`, `If-None-Match` and `If-Range`.
pub(crate) fn etag(data: &[u8]) {
    let tag = ETag::Strong("a-b".to_owned());
    for name in [header::IF_NONE_MATCH, header::IF_RANGE, header::IF_MATCH] {
        let Some(headers) = with(name, data) else {
            return;
        };
        let known = tag.is_known_to(&headers);
        let _ = tag.allows_range(&headers);
        if known {
            let text = String::from_utf8_lossy(data);
            assert!(text.contains("\"a-b\"") || text.trim() == "*");
        }
        let belief = etag::if_match(&headers);
        if let Ok(Some(belief)) = &belief {
            let any = *belief == IfMatch::Any;
            assert!(!belief.holds(None) || any);
            plant("etag", || match belief {
                IfMatch::OneOf(ids) => ids.len() == 2 && data.starts_with(b"W/"),
                IfMatch::Any => false,
            });
        }
    }
}

/// Moments: written again they are the same.
pub(crate) fn rfc3339(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = at_moment(text);
    if let Some(day) = rfc3339::parse_day(text) {
        assert!(rfc3339::server_time(day).starts_with(text));
    }
    let Some(moment) = rfc3339::parse(text) else {
        return;
    };
    let server = rfc3339::server_time(moment.time());
    let again = rfc3339::parse(&server);
    let year_fits = !server.starts_with("9999-12-31T23:59:59.999999");
    if year_fits {
        assert_eq!(again.map(|again| again.time()), Some(moment.time()));
    }
    let said = rfc3339::format(moment.seconds, moment.offset_minutes, moment.offset_unknown);
    if let Some(said) = said {
        let again = rfc3339::parse(&said).expect("a moment that was just written");
        assert_eq!(again.seconds, moment.seconds);
        assert_eq!(again.offset_minutes, moment.offset_minutes);
    }
    plant("rfc3339", || {
        text.get(17..19) == Some("60") && moment.offset_minutes < -60 && moment.micros == 0
    });
}

/// The JSON of Git LFS.
pub(crate) fn lfs_json(data: &[u8]) {
    let batch = json::read::<lfs::BatchRequest>(data);
    let lock = json::read::<lfs::LockRequest>(data);
    let _ = json::read::<lfs::VerifyLocksRequest>(data);
    let _ = json::read::<lfs::UnlockRequest>(data);
    if let Err(error) = &lock {
        assert!(error.to_string().len() < 512 + 8 * data.len());
    }
    let Ok(batch) = batch else { return };
    assert!(batch.objects.len() * 2 <= data.len());
    for object in &batch.objects {
        let id = govc_engine::LfsOid::parse(&object.oid);
        assert!(id.is_none_or(|id| id.to_string().eq_ignore_ascii_case(&object.oid)));
    }
    plant("lfs_json", || {
        batch.objects.iter().any(|object| object.size < -5) && batch.hash_algo.is_some()
    });
}

/// The JSON of the API: what is taken fits.
pub(crate) fn json(data: &[u8]) {
    if let Ok(body) = json::read::<govc_api::commits::NewCommit>(data) {
        let order = govc_api::commits::CommitOrder::try_from(body);
        plant("json", || {
            order.is_ok() && data.windows(6).any(|text| text == b"\\u00e9")
        });
    }
    if let Ok(body) = json::read::<refs::NewBranch>(data) {
        let _ = refs::RefOrder::try_from(body);
    }
    if let Ok(body) = json::read::<refs::NewTag>(data) {
        let _ = refs::RefOrder::try_from(body);
    }
    if let Ok(body) = json::read::<refs::RefBatch>(data) {
        let _ = Vec::<govc_engine::RefEdit>::try_from(body);
    }
    if let Ok(body) = json::read::<repos::NewRepository>(data) {
        let _ = repos::RepositoryOrder::try_from(body);
    }
    if let Ok(body) = json::read::<repos::PatchRepository>(data) {
        let _ = repos::RepositoryPatch::try_from(body);
    }
    if let Ok(body) = json::read::<repos::Fork>(data) {
        let _ = repos::ForkOrder::try_from(body);
    }
}
