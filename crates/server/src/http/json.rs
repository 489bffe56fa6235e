//! JSON bodies: read strictly, and a mistake is told by the field that it is in.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use govc_api::objects::Objects;

use super::layers::Silent;
use super::problem::ApiError;
use crate::app::App;
use crate::app::error::AppError;

/// A body that was there, was JSON, and is what the route takes.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// As [`Json`]; no body at all is the type's default.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Json<T>, ApiError> {
        let media_type = check_media_type(request.headers());
        let body = whole(request, app).await?;
        // An empty body without a type is a missing body, which says more than a missing type.
        if !body.is_empty() {
            media_type?;
        }
        Ok(Json(read(&body)?))
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<OptionalJson<T>, ApiError> {
        let media_type = check_media_type(request.headers());
        let body = whole(request, app).await?;
        if body.is_empty() {
            return Ok(OptionalJson(T::default()));
        }
        media_type?;
        Ok(OptionalJson(read(&body)?))
    }
}

/// That a request has no body, or one that says nothing: whatever it said would be done without.
#[derive(Debug, Clone, Copy)]
pub struct NoBody;

impl FromRequest<App> for NoBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<NoBody, ApiError> {
        let body = whole(request, app).await?;
        let says = body.iter().filter(|byte| !byte.is_ascii_whitespace());
        match says.copied().eq(*b"{}") || body.trim_ascii().is_empty() {
            true => Ok(NoBody),
            false => Err(AppError::body("", "this takes no body: say it in the query").into()),
        }
    }
}

/// The whole body, below the limit for JSON.
///
/// # Errors
/// [`AppError::TooLarge`], [`AppError::TimedOut`], [`AppError::BodyCutOff`].
pub async fn whole(request: Request, app: &App) -> Result<Bytes, AppError> {
    let limit = app.config().limits.json_body;
    let too_large = || AppError::TooLarge {
        what: "the body".to_owned(),
        limit: limit.0,
        setting: "limits.json_body",
    };
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit.0) {
        return Err(too_large());
    }
    let mut body = request.into_body();
    // What was announced need not arrive: a small start, and then as bytes come.
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Silent::found_in(&error).map_or(AppError::BodyCutOff, |silent| AppError::TimedOut {
                seconds: silent.seconds,
            })
        })?;
        if let Ok(data) = frame.into_data() {
            if (whole.len() + data.len()) as u64 > limit.0 {
                return Err(too_large());
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

/// `application/json`, or a type that ends in `+json`; in UTF-8.
fn check_media_type(headers: &HeaderMap) -> Result<(), AppError> {
    let refuse = |found: &str| {
        Err(AppError::MediaType {
            found: found.to_owned(),
            wanted: "application/json",
        })
    };
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return refuse(&format!(
            "content encoded as {}",
            String::from_utf8_lossy(coding.as_bytes())
        ));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return refuse("a body without Content-Type");
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    let charset = parts.find_map(|part| {
        part.to_ascii_lowercase()
            .strip_prefix("charset=")
            .map(str::to_owned)
    });
    let is_utf8 =
        charset.is_none_or(|set| matches!(set.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    if is_json && is_utf8 {
        Ok(())
    } else {
        refuse(&text)
    }
}

/// `body` as a `T`. Nesting is bounded at 128 by the reader itself.
///
/// # Errors
/// [`AppError::Body`] names the field.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, AppError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(AppError::body("", "this needs a JSON body"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(Objects::only(&mut reader))
        .map_err(|error| explain(&error.path().to_string(), error.inner()))?;
    reader.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

/// The error with the field that it is in. For unknown, missing and repeated fields the reader
/// names the field in its sentence, and the path leads to the object around it.
fn explain(path: &str, error: &serde_json::Error) -> AppError {
    let sentence = error.to_string();
    let around = if path == "." || path == "?" { "" } else { path };
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| sentence.strip_prefix(start)?.split('`').next());
    let field = match named {
        // The path of an unknown field may end in the field itself.
        Some(name) if around == name || around.ends_with(&format!(".{name}")) => around.to_owned(),
        Some(name) if around.is_empty() => name.to_owned(),
        Some(name) => format!("{around}.{name}"),
        None => around.to_owned(),
    };
    let detail = if field.is_empty() || named.is_some() {
        sentence
    } else {
        format!("`{field}`: {sentence}")
    };
    AppError::Body { field, detail }
}

/// An answer in JSON.
pub fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => answer_bytes(status, bytes.into()),
        Err(error) => ApiError(AppError::internal(error)).into_response(),
    }
}

/// An answer of JSON that is written already.
pub fn answer_bytes(status: StatusCode, body: Bytes) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading it is tested")]
    struct Outer {
        name: String,
        inner: Option<Vec<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading it is tested")]
    struct Inner {
        mode: u32,
    }

    #[test]
    fn a_mistake_is_told_by_its_field() {
        let field = |body: &str| match read::<Outer>(body.as_bytes()) {
            Err(AppError::Body { field, .. }) => field,
            other => panic!("{body}: {other:?}"),
        };
        assert_eq!(field(r#"{"name":1}"#), "name");
        assert_eq!(field(r#"{"nam":"x"}"#), "nam");
        assert_eq!(field("{}"), "name");
        assert_eq!(field(r#"{"name":"x","name":"y"}"#), "name");
        assert_eq!(
            field(r#"{"name":"x","inner":[{"mode":1},{"mode":"x"}]}"#),
            "inner[1].mode"
        );
        assert_eq!(field(r#"{"name":"x","inner":[{"mod":1}]}"#), "inner[0].mod");
        assert_eq!(field(r#"{"name":"x","inner":[{}]}"#), "inner[0].mode");
        assert_eq!(
            field(r#"{"name":"x","inner":[{"mode":1,"mode":2}]}"#),
            "inner[0].mode"
        );
        assert_eq!(field(r#"{"name":"x","inner":{}}"#), "inner");
        assert_eq!(field(r#"["x"]"#), "");
        assert_eq!(field(r#"{"name":"x","inner":[[1]]}"#), "inner[0]");
        assert_eq!(field("[]"), "");
        assert_eq!(field("{"), "");
        assert_eq!(field(""), "");
        assert_eq!(field(r#"{"name":"x"} x"#), "");
        assert_eq!(field("{\"name\":\"\u{1}\"}"), "name");
        let deep = format!(
            "{{\"deep\":{}{}}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(field(&deep), "deep");
    }
}
