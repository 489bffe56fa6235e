//! What a request brings.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use govc_api::lfs::MEDIA_TYPE;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::answer::Refused;
use crate::app::error::AppError;
use crate::http::layers::Silent;

/// Bytes of a JSON body: some ten thousand objects.
const JSON_BYTES_MAX: u64 = 4 << 20;

/// The next bytes of a body.
pub(super) async fn next(body: &mut Body) -> Result<Option<Bytes>, AppError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Silent::found_in(&error).map_or(AppError::BodyCutOff, |silent| AppError::TimedOut {
                seconds: silent.seconds,
            })
        })?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// How many bytes a request says it brings.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

/// A body that is JSON.
pub(super) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    mut body: Body,
) -> Result<T, Refused> {
    check_media_type(headers)?;
    let too_large = || AppError::TooLarge {
        what: "the body".to_owned(),
        limit: JSON_BYTES_MAX,
        setting: "a limit of Git LFS that is fixed",
    };
    if announced(headers).is_some_and(|bytes| bytes > JSON_BYTES_MAX) {
        return Err(too_large().into());
    }
    let mut whole = BytesMut::new();
    while let Some(data) = next(&mut body).await? {
        if (whole.len() + data.len()) as u64 > JSON_BYTES_MAX {
            return Err(too_large().into());
        }
        whole.extend_from_slice(&data);
    }
    serde_json::from_slice(&whole)
        .map_err(|error| AppError::body("", format!("the body cannot be read: {error}")).into())
}

fn check_media_type(headers: &HeaderMap) -> Result<(), AppError> {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.map_or("", |value| value.to_str().unwrap_or_default());
    let media = text.split(';').next().unwrap_or_default().trim();
    let known = [MEDIA_TYPE, "application/json"];
    if known.iter().any(|known| media.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(AppError::MediaType {
        found: text.to_owned(),
        wanted: MEDIA_TYPE,
    })
}
