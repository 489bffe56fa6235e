//! Who is asking.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use super::problem::ApiError;
use crate::app::error::AppError;
use crate::app::{Action, App};
use crate::config::Auth;

/// Somebody who asks, and the request in which they do.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What history calls them.
    pub name: Arc<str>,
    /// The address of the commits that they make without saying another.
    pub email: Arc<str>,
    /// Whether they may do everything.
    pub administrator: bool,
    /// The request, as logs, problem documents and history have it.
    pub request_id: Arc<str>,
}

impl Caller {
    /// The server's own jobs.
    pub fn job() -> Caller {
        Caller {
            name: "govc".into(),
            email: "".into(),
            administrator: true,
            request_id: "".into(),
        }
    }

    /// Whether they may do `action`. Users and their roles will be asked here.
    pub fn may(&self, _action: Action) -> bool {
        self.administrator
    }
}

/// The id of a request, given to it by the outermost layer.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

/// Puts the [`Caller`] into the request, or refuses it.
pub async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let request_id = request
        .extensions()
        .get::<RequestId>()
        .map_or_else(|| Arc::from(""), |id| Arc::clone(&id.0));
    match caller(&app.config().auth, request.headers(), request_id) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => ApiError(error).into_response(),
    }
}

/// Who sent these headers.
///
/// # Errors
/// [`AppError::Unauthenticated`] when a token is needed and they have none, or a wrong one.
pub fn caller(auth: &Auth, headers: &HeaderMap, request_id: Arc<str>) -> Result<Caller, AppError> {
    if auth.token.is_empty() {
        return Ok(Caller {
            name: auth.anonymous_name.as_str().into(),
            email: auth.anonymous_email.as_str().into(),
            administrator: true,
            request_id,
        });
    }
    let shown = shown_token(headers).ok_or(AppError::Unauthenticated)?;
    // As long as the token is, comparing takes as long, whatever is in it.
    if !bool::from(shown.ct_eq(auth.token.reveal().as_bytes())) {
        return Err(AppError::Unauthenticated);
    }
    Ok(Caller {
        name: auth.administrator_name.as_str().into(),
        email: auth.administrator_email.as_str().into(),
        administrator: true,
        request_id,
    })
}

/// What whoever sent these headers calls themselves: the user name in `Authorization: Basic …`.
/// Nobody has checked it.
pub fn said_name(headers: &HeaderMap) -> Option<String> {
    const NAME_BYTES_MAX: usize = 255;
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let at = value.iter().position(|&byte| byte == b' ')?;
    if !value[..at].eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut pair = STANDARD.decode(value[at + 1..].trim_ascii()).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    pair.truncate(colon);
    let name = String::from_utf8(pair).ok()?;
    let sound = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    sound.then_some(name)
}

/// The token in `Authorization: Bearer TOKEN`, or the password in `Authorization: Basic …`.
fn shown_token(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let at = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = (&value[..at], value[at + 1..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"token") {
        return Some(rest.to_vec());
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let pair = STANDARD.decode(rest).ok()?;
        let colon = pair.iter().position(|&byte| byte == b':')?;
        return Some(pair[colon + 1..].to_vec());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn names_are_said_in_basic_only() {
        let said = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            said_name(&headers)
        };
        let basic = |pair: &str| format!("basic {}", STANDARD.encode(pair));
        assert_eq!(said(&basic("ada:x")).as_deref(), Some("ada"));
        assert_eq!(said(&basic("Ada L:x:y")).as_deref(), Some("Ada L"));
        for nobody in ["", ":x", "ada", "a\nb:x"] {
            assert_eq!(said(&basic(nobody)), None, "{nobody:?}");
        }
        assert_eq!(said("Bearer ada:x"), None);
        assert_eq!(said_name(&HeaderMap::new()), None);
    }

    #[test]
    fn the_token_opens_as_bearer_and_as_password() {
        let mut auth = Config::default().auth;
        auth.token = "s3cret".into();
        let check = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            caller(&auth, &headers, "".into()).is_ok()
        };
        assert!(check(Some("Bearer s3cret")));
        assert!(check(Some("bearer   s3cret")));
        assert!(check(Some(&format!(
            "Basic {}",
            STANDARD.encode("git:s3cret")
        ))));
        assert!(check(Some(&format!(
            "Basic {}",
            STANDARD.encode(":s3cret")
        ))));
        assert!(!check(None));
        assert!(!check(Some("Bearer s3cre")));
        assert!(!check(Some("Bearer s3cret1")));
        assert!(!check(Some("Bearer")));
        assert!(!check(Some("Basic s3cret")));
        assert!(!check(Some(&format!(
            "Basic {}",
            STANDARD.encode("s3cret:git")
        ))));
        assert!(!check(Some("Digest s3cret")));
    }
}
