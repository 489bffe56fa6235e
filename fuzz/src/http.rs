//! What comes over HTTP beside Git: headers, queries, paths, JSON.

use govc_api::rfc3339;
use govc_engine::RepoId;
use govc_git::ObjectFormat;
use govc_git::wire::Service;
use govc_server::app::logged::Logged;
use govc_server::fuzzing::{self, Asked, GitPlace, LfsPlace};
use govc_server::http::accept::prefers;
use govc_server::http::ask::at_moment;
use govc_server::http::etag::{self, ETag, IfMatch};
use govc_server::http::page::{self, Cursor, List, Page, PageQuery};
use govc_server::http::path::{ApiPath, decode, encode};
use govc_server::http::query::Query;
use govc_server::http::range as ranges;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};

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
    }
}

/// Headers `Accept`, a line each: only what is named is preferred.
pub(crate) fn accept(data: &[u8]) {
    let values = data.split(|byte| *byte == b'\n');
    let values = values.filter_map(|line| HeaderValue::from_bytes(line).ok());
    let headers: HeaderMap = values.map(|value| (header::ACCEPT, value)).collect();
    for media in ["text/x-diff", "application/octet-stream"] {
        let named = data.to_ascii_lowercase();
        let is_named = named
            .windows(media.len())
            .any(|part| part == media.as_bytes());
        assert!(is_named || !prefers(&headers, media));
    }
}

/// What a client signs a push with, some of it just made; now, and whether it was another request
/// that gave it out: it counts as long as it may, and nobody else can make one.
pub(crate) fn push_nonce(data: &[u8]) {
    const SLOP_SECONDS: u64 = 60;
    let Some(([stateless, first, second], said)) = data.split_first_chunk::<3>() else {
        return;
    };
    let stateless = stateless & 1 != 0;
    let now = u64::from(u16::from_be_bytes([*first, *second])) + 1;
    let then = std::str::from_utf8(said)
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let (status, _) = match then {
        Some(then) => {
            let given = fuzzing::push_nonce_at(then);
            fuzzing::check_push_nonce(Some(given.as_bytes()), now, SLOP_SECONDS, stateless)
        }
        None => fuzzing::check_push_nonce(Some(said), now, SLOP_SECONDS, stateless),
    };
    // Nobody has one of the time 0 any more.
    let is_fresh =
        |then: u64| then == now || (stateless && then > 0 && then.abs_diff(now) <= SLOP_SECONDS);
    assert_eq!(status == "OK", then.is_some_and(is_fresh), "{status}");
    let missing = fuzzing::check_push_nonce(None, now, SLOP_SECONDS, stateless);
    assert_eq!(missing.0, "MISSING");
}

/// A pack that arrives over SSH in pieces: it is whole at its last byte, and not before.
pub(crate) fn pack_end(data: &[u8]) {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let mut hasher = gix_hash::hasher(format);
        hasher.update(data);
        let hash = hasher.try_finalize().expect("no collision");
        let whole = [data, hash.as_bytes()].concat();
        for size in crate::lines::cuts(&whole) {
            assert_eq!(
                fuzzing::is_pack_whole(whole.chunks(size), format),
                data.len() >= 12
            );
            assert!(!fuzzing::is_pack_whole(whole[1..].chunks(size), format));
        }
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
    if let Some(path) = query.bytes("path") {
        given += 1;
        let again = Query::parse(Some(&format!("path={}", encode(&path, false))));
        assert_eq!(
            again.ok().and_then(|mut again| again.bytes("path")),
            Some(path)
        );
    }
    given += usize::from(query.text("ref").is_ok_and(|text| text.is_some()));
    let _ = (query.number::<u64>("limit"), query.flag("recursive"));
    let all = query.finish();
    assert!(given <= text.split('&').count());
    if let Err(error) = &all {
        assert!(error.to_string().len() < 256 + 8 * data.len());
    }
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
        list_goes_on(&uri, page.limit);
    }
}

/// The cursor of a page's answer is read as one of the same list.
fn list_goes_on(uri: &Uri, limit: usize) {
    let next = Cursor {
        seq: limit as u64,
        after: uri.query().unwrap_or_default().into(),
    };
    let page = Page {
        items: vec![limit],
        next: Some(next.clone()),
    };
    let page = page.map(|item| item.to_string());
    let answer = page::answer_state(&HeaderMap::new(), uri, &page, None);
    let Some(link) = answer.headers().get(header::LINK) else {
        return;
    };
    // A query may have bytes that are no ASCII, and they come back.
    let link = std::str::from_utf8(link.as_bytes()).expect("what was just written");
    let said = link
        .trim_start_matches('<')
        .split('>')
        .next()
        .unwrap_or_default();
    let said = Uri::try_from(said).expect("an address");
    let cursor = said.query().unwrap_or_default().rsplit('&').next();
    let mut query = Query::parse(cursor).expect("one parameter");
    // A limit, and what comes behind a `>`, are no part of what a list is.
    let page = PageQuery::take(&mut query, List::of(&said)).expect("a cursor of this list");
    assert_eq!(page.cursor, Some(next));
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
        let head = ObjectFormat::Sha1.null();
        let response = etag::finish(&headers, http::Response::default(), &tag, Some(head));
        assert_eq!(response.status() == StatusCode::NOT_MODIFIED, known);
        if known {
            let text = String::from_utf8_lossy(data);
            assert!(text.contains("\"a-b\"") || text.trim() == "*");
        }
        let belief = etag::belief(&headers);
        if let Ok(Some(belief)) = &belief {
            assert_eq!(belief.holds(None), *belief == IfMatch::Absent);
        }
    }
}

/// Paths that Git asks for: `.git` is there or not, once.
pub(crate) fn git_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (remote, rest) = match GitPlace::of(text) {
        Some(GitPlace::InfoRefs(remote)) => (remote, "info/refs"),
        Some(GitPlace::Service(remote, service)) => (remote, service.name()),
        None => return,
    };
    let ends = ["", ".git"];
    let repos = ends.map(|end| format!("/{}{end}", remote.repo));
    let spelled: Vec<String> = match &remote.reality {
        None => repos.map(|repo| format!("{repo}/{rest}")).into(),
        Some(reality) => repos
            .iter()
            .flat_map(|repo| ends.map(|end| format!("{repo}/realities/{reality}{end}/{rest}")))
            .collect(),
    };
    let said = String::from_utf8(decode(text)).expect("a place was read from it");
    assert!(spelled.contains(&said), "{said:?} is read as {spelled:?}");
}

/// Paths of Git LFS.
pub(crate) fn lfs_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((repo, place)) = LfsPlace::of(text) else {
        return;
    };
    let rest = match &place {
        LfsPlace::Batch => "objects/batch".to_owned(),
        LfsPlace::Object(oid) => format!("objects/{oid}"),
        LfsPlace::Verify => "verify".to_owned(),
        LfsPlace::Locks => "locks".to_owned(),
        LfsPlace::VerifyLocks => "locks/verify".to_owned(),
        LfsPlace::Unlock(id) => format!("locks/{id}/unlock"),
    };
    let spelled = ["", ".git"].map(|end| format!("/{repo}{end}/info/lfs/{rest}"));
    let said = String::from_utf8(decode(text)).expect("a place was read from it");
    assert!(spelled.contains(&said), "{said:?} is read as {spelled:?}");
}

/// Commands that come by SSH: what git quotes is read back.
pub(crate) fn ssh_command(data: &[u8]) {
    let words = fuzzing::ssh_words(data);
    let length = |words: &Vec<Vec<u8>>| words.iter().map(Vec::len).sum::<usize>();
    assert!(words.as_ref().map_or(0, length) <= data.len());
    match Asked::parse(data) {
        Asked::Git(..) | Asked::Lfs(..) | Asked::NoRepository => {
            assert!(words.is_some_and(|words| (2..=4).contains(&words.len())));
        }
        Asked::Other => {}
    }
    // As sq_quote_buf() of git writes it.
    let mut line = b"git-upload-pack '".to_vec();
    for &byte in data {
        match byte {
            b'\'' | b'!' => line.extend_from_slice(&[b'\'', b'\\', byte, b'\'']),
            byte => line.push(byte),
        }
    }
    line.push(b'\'');
    let expected = vec![b"git-upload-pack".to_vec(), data.to_vec()];
    assert_eq!(fuzzing::ssh_words(&line), Some(expected));
    let id = std::str::from_utf8(data).ok();
    if let Some(id) = id.and_then(|id| RepoId::parse(id).ok()) {
        assert_eq!(
            Asked::parse(&line),
            Asked::Git(Service::UploadPack, id.into())
        );
    }
}

/// Answers that entries keep for requests that come again.
pub(crate) fn logged_answer(data: &[u8]) {
    let Ok(answer) = fuzzing::logged_answer(data) else {
        return;
    };
    assert!(answer.body.len() <= data.len());
    assert!(answer.body.is_empty() || answer.headers.contains_key(header::CONTENT_TYPE));
    let status = answer.status.as_u16();
    let logged = Logged::body(status, Some(data))
        .at("/x".to_owned())
        .to_bytes();
    let again = fuzzing::logged_answer(&logged).expect("what was just written");
    assert_eq!(again.status, answer.status);
    let empty = fuzzing::logged_answer(&Logged::empty(status).to_bytes());
    assert!(empty.is_ok_and(|empty| empty.body.is_empty()));
    if let Some(location) = answer.headers.get(header::LOCATION) {
        assert!(
            location
                .as_bytes()
                .iter()
                .all(|byte| !matches!(byte, b'\r' | b'\n'))
        );
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
}
