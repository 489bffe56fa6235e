//! Git over HTTP: clone, fetch and push (gitprotocol-http(5)).
//!
//! The services themselves are in [`crate::git_service`]; here bodies become their input, and
//! their replies become bodies.

mod answer;
pub(crate) mod body;
mod info_refs;
pub(crate) mod place;

use axum::extract::{Request, State};
use axum::response::Response;
use govc_engine::Via;
use govc_git::wire::{ProtocolVersion, Service};
use http::{HeaderMap, Method};

use crate::app::App;
use crate::git_service::{action, receive_pack, upload_pack};
use crate::http::ask::origin;
use crate::http::caller::Caller;
use crate::routes::pages;
use answer::Refused;
use place::Place;

/// What Git asks for; anything else is for people.
pub async fn serve_or_page(state: State<App>, request: Request) -> Response {
    let Some(place) = Place::of(request.uri().path()) else {
        return pages::repository_or_nothing(state, request).await;
    };
    match serve(&state.0, place, request).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

async fn serve(app: &App, place: Place, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let caller = parts.extensions.get::<Caller>().cloned();
    let caller = caller.ok_or(Refused::NotFound)?;
    let version = protocol_version(&parts.headers);
    match place {
        Place::InfoRefs(id) => {
            if !matches!(parts.method, Method::GET | Method::HEAD) {
                return Err(Refused::Method("GET, HEAD"));
            }
            let service = info_refs::service(parts.uri.query())?;
            let repository = app.remote(&caller, &id, action(service)).await?;
            let mut offers = app.offers(&repository, &caller.request_id);
            if service == Service::ReceivePack {
                offers.push_nonce = app.push_nonce(&repository);
            }
            info_refs::answer(&repository, service, version, offers).await
        }
        Place::Service(id, service) => {
            if parts.method != Method::POST {
                return Err(Refused::Method("POST"));
            }
            let repository = app.remote(&caller, &id, action(service)).await?;
            let body = body::RequestBody::of(&parts.headers, body, service)?;
            let (content_type, reply) = match service {
                Service::UploadPack => {
                    let origin = origin(app, &parts);
                    let offers = app.offers(&repository, &caller.request_id);
                    let asked = upload_pack::Asked {
                        app,
                        caller: &caller,
                        offers,
                        origin,
                    };
                    let reply = upload_pack::answer(asked, repository, version, body).await?;
                    ("application/x-git-upload-pack-result", reply)
                }
                Service::ReceivePack => {
                    let asked = receive_pack::Asked {
                        app,
                        caller: &caller,
                        via: Via::Git,
                        nonce: None,
                    };
                    let reply = receive_pack::answer(asked, repository, body).await?;
                    ("application/x-git-receive-pack-result", reply)
                }
            };
            Ok(answer::reply(content_type, reply))
        }
    }
}

fn protocol_version(headers: &HeaderMap) -> ProtocolVersion {
    let versions = headers.get_all("git-protocol").iter();
    versions
        .map(|value| ProtocolVersion::from_header(value.as_bytes()))
        .max()
        .unwrap_or_default()
}
