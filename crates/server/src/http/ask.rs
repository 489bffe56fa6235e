//! What a request says besides its body: who, where, which state, under which conditions.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use govc_api::rfc3339;
use govc_engine::journal::Moment;
use govc_engine::{RepoId, Seq};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Uri, header};

use super::caller::Caller;
use super::etag::{IfMatch, belief};
use super::idempotency::Key;
use super::page::{List, PageQuery};
use super::path::ApiPath;
use super::problem::ApiError;
use super::query::Query;
use crate::app::App;
use crate::app::error::AppError;
use crate::app::scope::{Place, Scope, Within};

/// The number that a read waits for.
pub const GOVC_MIN_SEQ: HeaderName = HeaderName::from_static("govc-min-seq");

/// A request without its body. Handlers take what they know from it, then say [`Ask::finish`].
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who is asking.
    pub caller: Caller,
    /// The method.
    pub method: Method,
    /// The target as it was sent.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// `http://host:port` as the client sees this server.
    pub origin: String,
    path: ApiPath,
    /// The moment that was in the path.
    at: Option<At>,
    query: Query,
    idempotency: Option<Key>,
}

/// Which state of a repository is to be read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The moment; `None`: now.
    pub at: Option<At>,
    /// The number that has to be there first.
    pub min_seq: Option<Seq>,
    /// Inside of what.
    pub scope: Scope,
}

/// A moment, and how it was asked for.
#[derive(Debug, Clone)]
pub struct At {
    /// The moment.
    pub moment: Moment,
    /// As the request has it.
    pub text: String,
}

/// Under which conditions something is to be written.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Answer as if, and change nothing.
    pub dry_run: bool,
    /// What `If-Match` or `If-None-Match` says about the ref.
    pub if_match: Option<IfMatch>,
    /// What makes the same request get the same answer.
    pub idempotency: Option<Key>,
    /// Inside of what: no more than a reality, for what does not work in a workspace.
    pub scope: Scope,
}

impl Ask {
    /// The repository in the path.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`] when none can have that id.
    pub fn repo(&self) -> Result<RepoId, AppError> {
        self.path.repo()
    }

    /// What follows the noun in the path, decoded.
    pub fn rest(&self) -> &[u8] {
        self.path.rest()
    }

    /// As [`Ask::rest`], as text.
    ///
    /// # Errors
    /// [`AppError::RefNotFound`]: what is not UTF-8 is no revision.
    pub fn rest_as_revision(&self) -> Result<&str, AppError> {
        std::str::from_utf8(self.rest()).map_err(|_| AppError::RefInvalid {
            name: String::from_utf8_lossy(self.rest()).into_owned(),
            why: "it is not UTF-8".to_owned(),
        })
    }

    /// Takes the moment of `/time-travel/{at}/{noun}/{rest}`: what follows is read as of then.
    ///
    /// # Errors
    /// [`AppError::Query`] when it is none.
    pub fn take_moment(&mut self) -> Result<(), AppError> {
        let (at, rest) = self.path.take_moment();
        let at = String::from_utf8(at).map_err(|_| AppError::query("at", "it is not UTF-8"))?;
        self.at = Some(parse_at(at)?);
        self.path.rest = rest;
        Ok(())
    }

    /// The parameters, for those that are a route's own.
    pub fn query(&mut self) -> &mut Query {
        &mut self.query
    }

    /// Takes `at`, `Govc-Min-Seq` and the scope.
    ///
    /// # Errors
    /// [`AppError::Query`] when one of them cannot be read.
    pub fn reading(&mut self) -> Result<Reading, AppError> {
        let at = match self.at.take() {
            Some(at) => Some(at),
            None => self.query.text("at")?.map(parse_at).transpose()?,
        };
        let scope = Scope::take(&mut self.query)?;
        if let (Some(_), Some(within)) = (&at, &scope.within) {
            let name = match within {
                Within::Workspace(_) => "workspace",
                Within::Transaction(_) => "transaction",
            };
            let detail = format!("either `at` or `{name}`: it is as it is now");
            return Err(AppError::query("at", detail));
        }
        Ok(Reading {
            at,
            min_seq: self.min_seq()?,
            scope,
        })
    }

    /// Takes `Govc-Min-Seq` and `reality`, for what has no past.
    ///
    /// # Errors
    /// [`AppError::Query`] when it cannot be read.
    pub fn reading_now(&mut self) -> Result<Reading, AppError> {
        Ok(Reading {
            at: None,
            min_seq: self.min_seq()?,
            scope: Scope::take_repository(&mut self.query)?,
        })
    }

    /// Takes `Govc-Min-Seq`, for what is the same in every reality.
    ///
    /// # Errors
    /// [`AppError::Query`] when it cannot be read.
    pub fn reading_of_all(&self) -> Result<Reading, AppError> {
        Ok(Reading {
            at: None,
            min_seq: self.min_seq()?,
            scope: Scope::default(),
        })
    }

    /// Takes `limit` and `cursor`.
    ///
    /// # Errors
    /// [`AppError::Query`].
    pub fn page(&mut self) -> Result<PageQuery, AppError> {
        PageQuery::take(&mut self.query, List::of(&self.uri))
    }

    fn min_seq(&self) -> Result<Option<Seq>, AppError> {
        self.headers
            .get(GOVC_MIN_SEQ)
            .map(|value| {
                let text = value.to_str().unwrap_or_default();
                let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                plain.then(|| text.parse().ok()).flatten().ok_or_else(|| {
                    AppError::query("Govc-Min-Seq", "`Govc-Min-Seq` is a number of a change")
                })
            })
            .transpose()
    }

    /// Takes `dry_run`, `If-Match` or `If-None-Match`, the idempotency key and `reality`.
    ///
    /// # Errors
    /// [`AppError::Query`] when one of them cannot be read.
    pub fn terms(&mut self) -> Result<Terms, AppError> {
        let scope = Scope::take_repository(&mut self.query)?;
        self.terms_in(scope)
    }

    /// As [`Ask::reading_now`], for what reads a workspace; its name too, `default` where none is
    /// given.
    ///
    /// # Errors
    /// As [`Ask::reading_now`].
    pub fn reading_in_workspace(&mut self) -> Result<(Reading, Arc<str>), AppError> {
        let (scope, name) = Scope::take_workspace(&mut self.query)?;
        let reading = Reading {
            at: None,
            min_seq: self.min_seq()?,
            scope,
        };
        Ok((reading, name))
    }

    /// As [`Ask::terms`], for what works in a workspace; its name too, `default` where none is
    /// given.
    ///
    /// # Errors
    /// As [`Ask::terms`].
    pub fn terms_in_workspace(&mut self) -> Result<(Terms, Arc<str>), AppError> {
        let (scope, name) = Scope::take_workspace(&mut self.query)?;
        Ok((self.terms_in(scope)?, name))
    }

    /// As [`Ask::reading_in_workspace`], and which workspace of which repository it is.
    ///
    /// # Errors
    /// As [`Ask::reading_in_workspace`] and [`Ask::repo`].
    pub fn reading_at(&mut self) -> Result<(Reading, Place), AppError> {
        let (reading, name) = self.reading_in_workspace()?;
        Ok((reading, self.place(name)?))
    }

    /// As [`Ask::terms_in_workspace`], and which workspace of which repository it is.
    ///
    /// # Errors
    /// As [`Ask::terms_in_workspace`] and [`Ask::repo`].
    pub fn terms_at(&mut self) -> Result<(Terms, Place), AppError> {
        let (terms, name) = self.terms_in_workspace()?;
        Ok((terms, self.place(name)?))
    }

    /// The workspace or transaction `name` of the repository in the path.
    ///
    /// # Errors
    /// As [`Ask::repo`].
    pub fn place(&self, name: Arc<str>) -> Result<Place, AppError> {
        let repo = self.repo()?;
        Ok(Place { repo, name })
    }

    /// As [`Ask::terms`], for what works in a workspace only where one is named.
    ///
    /// # Errors
    /// As [`Ask::terms`].
    pub fn terms_in_named_workspace(&mut self) -> Result<(Terms, Option<Arc<str>>), AppError> {
        let (scope, name) = Scope::take_named_workspace(&mut self.query)?;
        Ok((self.terms_in(scope)?, name))
    }

    /// As [`Ask::terms`], of what is not in any reality: the repository itself.
    ///
    /// # Errors
    /// As [`Ask::terms`].
    pub fn terms_of_all(&mut self) -> Result<Terms, AppError> {
        self.terms_in(Scope::default())
    }

    fn terms_in(&mut self, scope: Scope) -> Result<Terms, AppError> {
        Ok(Terms {
            scope,
            dry_run: self.query.flag("dry_run")?,
            if_match: belief(&self.headers)?,
            idempotency: self.idempotency.clone(),
        })
    }

    /// Says that the request has nothing more that anybody knows.
    ///
    /// # Errors
    /// [`AppError::Query`] when it has.
    pub fn finish(&self) -> Result<(), AppError> {
        self.query.finish()
    }
}

/// Reads `at`: digits only are a number, anything else a time, or a date that means its 00:00 UTC.
///
/// # Errors
/// [`AppError::Query`].
pub fn parse_at(text: String) -> Result<At, AppError> {
    at_moment(&text)
        .map(|moment| At { moment, text })
        .ok_or_else(|| {
            AppError::query(
                "at",
                "`at` is the number of a change, a time as of RFC 3339, or a date",
            )
        })
}

/// The moment that `text` says.
pub fn at_moment(text: &str) -> Option<Moment> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than any number of ours has: after all changes there can be.
        return Some(Moment::Seq(text.parse().unwrap_or(Seq::MAX)));
    }
    if let Some(day) = rfc3339::parse_day(text) {
        return Some(Moment::Time(day));
    }
    // A `+` that was not encoded has become a space on the way.
    let mended = match text.char_indices().nth(19) {
        Some(_) => text
            .char_indices()
            .map(|(at, c)| if at >= 19 && c == ' ' { '+' } else { c })
            .collect(),
        None => text.to_owned(),
    };
    rfc3339::parse(&mended).map(|moment| Moment::Time(moment.time()))
}

impl FromRequestParts<App> for Ask {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Ask, ApiError> {
        let caller = parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or(AppError::Unauthenticated)?;
        Ok(Ask {
            caller,
            path: ApiPath::of(parts.uri.path()),
            at: None,
            query: Query::parse(parts.uri.query())?,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            origin: origin(app, parts),
            idempotency: parts.extensions.get::<Key>().cloned(),
            headers: parts.headers.clone(),
        })
    }
}

/// `http://host:port` as the client sees this server.
pub fn origin(app: &App, parts: &Parts) -> String {
    let config = app.config();
    if !config.server.public_url.is_empty() {
        return config.server.public_url.trim_end_matches('/').to_owned();
    }
    let sound = |text: &&str| {
        !text.is_empty()
            && text.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_')
            })
    };
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .filter(sound);
    match host {
        Some(host) => format!("http://{host}"),
        None => format!("http://{}:{}", config.server.host, config.server.port),
    }
}

#[cfg(test)]
mod tests {
    use govc_engine::Time;

    use super::*;

    #[test]
    fn at_is_a_number_a_time_or_a_day() {
        assert_eq!(at_moment("17"), Some(Moment::Seq(17)));
        assert_eq!(
            at_moment("99999999999999999999999"),
            Some(Moment::Seq(u64::MAX))
        );
        assert_eq!(
            at_moment("1970-01-02"),
            Some(Moment::Time(Time(86_400_000_000)))
        );
        let noon = Some(Moment::Time(Time(36_000_000_000)));
        assert_eq!(at_moment("1970-01-01T12:00:00+02:00"), noon);
        assert_eq!(at_moment("1970-01-01T12:00:00 02:00"), noon);
        assert_eq!(at_moment("1970-01-01T10:00:00Z"), noon);
        for wrong in [
            "",
            "-1",
            "yesterday",
            "1.5",
            "1970-01-01T12:00:00",
            "é1970-01-01T12:00:00Z",
        ] {
            assert_eq!(at_moment(wrong), None, "{wrong}");
        }
    }
}
