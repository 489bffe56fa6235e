//! `…/objects/{oid}`: an object's bytes, up and down, and whether they arrived.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use govc_api::lfs::ObjectRef;
use govc_engine::journal::contents::Content;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::answer::Refused;
use super::{Asked, body};
use crate::app::error::AppError;
use crate::app::lfs::objects::parse_oid;
use crate::http::etag::ETag;
use crate::http::query::Query;
use crate::http::range;
use crate::http::reply::GOVC_SEQ;

/// An object is read in blocks of so many bytes.
const BLOCK_BYTES: usize = 512 << 10;
/// So much of a body that is refused is still read and thrown away: a client that is told in the
/// middle of its sending does not listen.
const REFUSED_BYTES: u64 = 1 << 30;

/// `GET`: an object, or a range of it.
pub(super) async fn get(asked: &Asked, oid: &str) -> Result<Response, Refused> {
    let oid = parse_oid(oid)?;
    let content = asked.app.lfs_open(&asked.caller, &asked.repo, oid).await?;
    let size = content.size();
    let request = &asked.parts.headers;
    // Its name is its hash: what has the name is the same for ever.
    let tag = ETag::Strong(oid.to_string());
    let range = match tag.allows_range(request) {
        true => range::wanted(request, size)?,
        false => None,
    };
    let mut headers = HeaderMap::new();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, octets);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let cached = HeaderValue::from_static("private, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, cached);
    if let Ok(value) = HeaderValue::from_str(&format!("\"{oid}\"")) {
        headers.insert(header::ETAG, value);
    }
    let status = match &range {
        None => StatusCode::OK,
        Some(range) => {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            let value = HeaderValue::from_str(&text).map_err(AppError::internal)?;
            headers.insert(header::CONTENT_RANGE, value);
            StatusCode::PARTIAL_CONTENT
        }
    };
    let range = range.unwrap_or(0..size);
    let length = HeaderValue::from(range.end - range.start);
    headers.insert(header::CONTENT_LENGTH, length);
    let body = match asked.parts.method {
        Method::HEAD => Body::empty(),
        _ => Body::from_stream(blocks(content, range)),
    };
    Ok((status, headers, body).into_response())
}

/// The bytes of a content, a block at a time. Each is read while the one before is on its way.
fn blocks(
    content: Arc<dyn Content>,
    range: Range<u64>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((content, range), |(content, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let left = range.end - range.start;
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        let reading = Arc::clone(&content);
        let read = tokio::task::spawn_blocking(move || reading.read(range.start, most));
        let block = read.await.map_err(io::Error::other)??;
        if block.is_empty() {
            // Fewer bytes than were announced: the client must see that it is cut off.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let rest = range.start + block.len() as u64..range.end;
        Ok(Some((block, (content, rest))))
    })
}

/// `PUT`: an object arrives.
pub(super) async fn put(asked: &Asked, oid: &str, mut arriving: Body) -> Result<Response, Refused> {
    match receive(asked, oid, &mut arriving).await {
        Ok(response) => Ok(response),
        Err(refused) => {
            let mut thrown_away = 0;
            while thrown_away < REFUSED_BYTES
                && let Ok(Some(data)) = body::next(&mut arriving).await
            {
                thrown_away += data.len() as u64;
            }
            Err(refused)
        }
    }
}

async fn receive(asked: &Asked, oid: &str, arriving: &mut Body) -> Result<Response, Refused> {
    let oid = parse_oid(oid)?;
    let request = &asked.parts.headers;
    if let Some(coding) = request.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(AppError::MediaType {
            found: String::from_utf8_lossy(coding.as_bytes()).into_owned(),
            wanted: "an object as it is",
        }
        .into());
    }
    // The batch put its size into the address; who was told another is told early.
    let mut query = Query::parse(asked.parts.uri.query())?;
    let said = query.text("size")?;
    let said = said.map(|text| text.parse::<u64>()).transpose();
    let said = said.map_err(|_| AppError::query("size", "`size` is a number of bytes"))?;
    let announced = body::announced(request);
    let mut upload = asked
        .app
        .lfs_receive(&asked.caller, &asked.repo, oid, said.or(announced))
        .await?;
    if let Some((said, announced)) = said.zip(announced)
        && said != announced
    {
        return Err(crate::app::lfs::LfsError::Invalid(format!(
            "the object has {said} bytes, and {announced} are announced"
        ))
        .into());
    }
    while let Some(data) = body::next(arriving).await? {
        upload.write(data).await?;
    }
    let seq = upload.finish().await?;
    let mut response = StatusCode::OK.into_response();
    response
        .headers_mut()
        .insert(GOVC_SEQ, HeaderValue::from(seq));
    Ok(response)
}

/// `POST …/verify`: did the object arrive?
pub(super) async fn verify(asked: &Asked, body: Body) -> Result<Response, Refused> {
    let object: ObjectRef = asked.json(body).await?;
    asked
        .app
        .lfs_verify(&asked.caller, &asked.repo, &object)
        .await?;
    Ok(StatusCode::OK.into_response())
}
