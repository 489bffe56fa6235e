//! Git LFS over HTTP: the batch API, the `basic` transfer and locks, as git-lfs specifies them
//! (docs/api/ in its source).
//!
//! Here requests become values and values answers; what they do is in `app/lfs`.

mod answer;
mod batch;
mod body;
mod locks;
pub(crate) mod place;
mod transfer;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use govc_api::lfs::MEDIA_TYPE;
use govc_engine::RepoId;
use http::request::Parts;
use http::{HeaderMap, Method, header};

use crate::app::error::AppError;
use crate::app::lfs::{LfsError, PASS_SCHEME};
use crate::app::remote::Remote;
use crate::app::{Action, App};
use crate::http::ask::origin;
use crate::http::caller::{Caller, RequestId, caller, said_name};
use answer::Refused;
use place::Place;

/// A request of Git LFS, without its body.
struct Asked {
    app: App,
    caller: Caller,
    repo: RepoId,
    /// What a pass lets them do, where they show one.
    by_pass: Option<Action>,
    parts: Parts,
}

/// Answers what is asked of Git LFS, and passes everything else on.
pub async fn serve_or_pass(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some((remote, place)) = Place::of(request.uri().path()) else {
        return next.run(request).await;
    };
    let request_id = request
        .extensions()
        .get::<RequestId>()
        .map_or_else(|| Arc::from(""), |id| Arc::clone(&id.0));
    match serve(app, remote, place, request, Arc::clone(&request_id)).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(&request_id),
    }
}

async fn serve(
    app: App,
    remote: Remote,
    place: Place,
    request: Request,
    request_id: Arc<str>,
) -> Result<Response, Refused> {
    let repo = remote.repo.clone();
    let pass = pass_in(request.headers()).map(|shown| app.passes().find(shown, &repo));
    let (caller, by_pass) = match pass {
        None => (
            caller(&app.config().auth, request.headers(), request_id)?,
            None,
        ),
        Some(None) => return Err(AppError::Unauthenticated.into()),
        Some(Some(pass)) => (
            Caller {
                request_id,
                ..pass.caller
            },
            Some(pass.action),
        ),
    };
    if remote.reality.is_some() {
        // Large files are the repository's, whichever reality needs them.
        app.remote(&caller, &remote, Action::Read).await?;
    }
    let (parts, body) = request.into_parts();
    let asked = Asked {
        app,
        caller,
        repo,
        by_pass,
        parts,
    };
    let method = asked.parts.method.clone();
    match (place, &method) {
        (Place::Object(oid), &Method::GET | &Method::HEAD) => transfer::get(&asked, &oid).await,
        (Place::Object(oid), &Method::PUT) => {
            asked.writes()?;
            transfer::put(&asked, &oid, body).await
        }
        (Place::Object(_), _) => Err(Refused::Method("GET, HEAD, PUT")),
        (Place::Locks, &Method::GET | &Method::HEAD) => locks::list(&asked).await,
        (Place::Locks, &Method::POST) => {
            asked.writes()?;
            locks::create(&asked, body).await
        }
        (Place::Locks, _) => Err(Refused::Method("GET, HEAD, POST")),
        (_, method) if *method != Method::POST => Err(Refused::Method("POST")),
        (Place::Batch, _) => batch::answer(&asked, body).await,
        (Place::Verify, _) => transfer::verify(&asked, body).await,
        (Place::VerifyLocks, _) => locks::verify(&asked, body).await,
        (Place::Unlock(id), _) => {
            asked.writes()?;
            locks::unlock(&asked, &id, body).await
        }
    }
}

impl Asked {
    /// Where Git LFS of the repository is, as the client sees it.
    fn here(&self) -> String {
        let origin = origin(&self.app, &self.parts);
        format!("{origin}/{}.git/info/lfs", self.repo)
    }

    /// Whose locks are the caller's. Until there are accounts all who show the token are one: what
    /// they call themselves tells them apart.
    fn owner(&self) -> Arc<str> {
        if self.by_pass.is_some() {
            return Arc::clone(&self.caller.name);
        }
        let said = said_name(&self.parts.headers);
        said.map_or_else(|| Arc::clone(&self.caller.name), Arc::from)
    }

    /// Refuses whoever shows a pass that is good for reading only.
    fn writes(&self) -> Result<(), Refused> {
        match self.by_pass {
            Some(Action::Read) => Err(LfsError::ReadOnlyPass.into()),
            _ => Ok(()),
        }
    }

    /// The body as JSON, for a client that takes such an answer.
    async fn json<T: serde::de::DeserializeOwned>(&self, body: Body) -> Result<T, Refused> {
        self.accepts_json()?;
        body::json(&self.parts.headers, body).await
    }

    fn accepts_json(&self) -> Result<(), Refused> {
        if accepts(&self.parts.headers) {
            return Ok(());
        }
        Err(Refused::NotAcceptable)
    }
}

/// The pass that is shown.
fn pass_in(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, pass) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case(PASS_SCHEME)
        .then_some(pass.trim())
}

/// Whether the client takes answers of Git LFS's media type.
fn accepts(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(header::ACCEPT) {
        let text = value.to_str().unwrap_or_default();
        for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
            let media = item.split(';').next().unwrap_or_default().trim();
            let known = [MEDIA_TYPE, "application/json", "application/*", "*/*"];
            if known.iter().any(|known| media.eq_ignore_ascii_case(known)) {
                return true;
            }
            any = true;
        }
    }
    !any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_media_type_and_json_are_accepted() {
        let check = |value: &str| {
            accepts(&HeaderMap::from_iter([(
                header::ACCEPT,
                value.parse().unwrap(),
            )]))
        };
        assert!(check("application/vnd.git-lfs+json"));
        assert!(check("application/vnd.git-lfs+json; charset=utf-8"));
        assert!(check("text/html, */*;q=0.1"));
        assert!(check("Application/JSON"));
        assert!(check(""));
        assert!(accepts(&HeaderMap::new()));
        assert!(!check("text/html"));
        assert!(!check("application/vnd.git-lfs"));
    }
}
