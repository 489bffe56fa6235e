//! One session: a service of a repository, on a channel.

use std::sync::Arc;

use govc_engine::{RepoId, Repository, Via};
use govc_git::wire::{ProtocolVersion, Service};

use super::command::Asked;
use super::talk::Talk;
use crate::app::error::AppError;
use crate::app::lfs::passes;
use crate::app::remote::Remote;
use crate::app::{Action, App};
use crate::git_service::input::InputError;
use crate::git_service::reply::Reply;
use crate::git_service::{self, Duplex, Failure, action, advertisement, receive_pack, upload_pack};
use crate::http::caller::Caller;

/// What git's own programs end with when they give up.
const FATAL: u32 = 128;

/// Does what is asked, tells the client how it ended, and closes the channel.
pub(super) async fn run(
    app: App,
    caller: Caller,
    asked: Asked,
    version: ProtocolVersion,
    mut talk: Talk,
) {
    let refused = match asked {
        Asked::Git(service, id) => {
            match serve(&app, &caller, service, &id, version, &mut talk).await {
                Ok(()) => None,
                Err(Failure::Input(error)) => {
                    tracing::debug!(request_id = %caller.request_id, %error, "an SSH session was cut off");
                    Some((FATAL, format!("fatal: {error}\n")))
                }
                Err(Failure::App(AppError::RepoNotFound { .. })) => Some(not_found()),
                Err(Failure::App(AppError::Internal(cause))) => {
                    let why = git_service::our_fault(&*cause);
                    Some((FATAL, format!("fatal: {why}\n")))
                }
                Err(Failure::App(error)) => Some((1, format!("ERROR: {error}\n"))),
            }
        }
        Asked::Lfs(action, id) => match let_transfer(&app, &caller, action, &id, &mut talk).await {
            Ok(()) => None,
            Err(Failure::App(AppError::RepoNotFound { .. })) => Some(not_found()),
            Err(error) => Some((1, format!("ERROR: {error}\n"))),
        },
        Asked::NoRepository => Some(not_found()),
        Asked::Other => Some((1, no_shell(&caller))),
    };
    let status = match refused {
        None if talk.has_refused() => FATAL,
        None => 0,
        Some((status, text)) => {
            // Who is gone is not told.
            let _ = talk.complain(text).await;
            status
        }
    };
    talk.end(status).await;
}

fn not_found() -> (u32, String) {
    (1, "ERROR: Repository not found.\n".to_owned())
}

/// Tells Git LFS where and as whom it transfers large files: by HTTP, with a pass.
async fn let_transfer(
    app: &App,
    caller: &Caller,
    action: Action,
    id: &RepoId,
    talk: &mut Talk,
) -> Result<(), Failure> {
    let pass = app.lfs_pass(caller, id, action).await?;
    let told = serde_json::json!({
        "href": format!("{}/{id}.git/info/lfs", app.http_origin()),
        "header": { "Authorization": pass },
        "expires_in": passes::LIFE.as_secs(),
    });
    Ok(talk.reply(told.to_string().into_bytes().into()).await?)
}

fn no_shell(caller: &Caller) -> String {
    format!(
        "Hi {}, you've authenticated, but govc does not provide shell access.\n",
        caller.name
    )
}

async fn serve(
    app: &App,
    caller: &Caller,
    service: Service,
    id: &Remote,
    version: ProtocolVersion,
    talk: &mut Talk,
) -> Result<(), Failure> {
    let repository: Arc<Repository> = app.remote(caller, id, action(service)).await?;
    let mut offers = app.offers(&repository, &caller.request_id);
    if service == Service::ReceivePack {
        offers.push_nonce = app.push_nonce(&repository);
    }
    // Bundles are fetched over HTTP.
    let origin = app.http_origin();
    let advertised =
        advertisement::write(Vec::new(), &repository, service, version, offers.clone()).await?;
    talk.reply(Reply::Whole(advertised)).await?;
    match service {
        Service::UploadPack => {
            let asked = upload_pack::Asked {
                app,
                caller,
                offers,
                origin,
            };
            upload_pack::converse(asked, repository, version, talk).await?;
        }
        Service::ReceivePack => {
            let asked = receive_pack::Asked {
                app,
                caller,
                via: Via::Ssh,
                nonce: offers.push_nonce,
            };
            let reply = receive_pack::answer(asked, repository, &mut *talk).await?;
            talk.reply(reply).await?;
        }
    }
    // Who wants nothing says so, but for version 2 of a fetch.
    let may_be_silent = service == Service::UploadPack && version == ProtocolVersion::V2;
    match talk.has_begun() || may_be_silent {
        true => Ok(()),
        false => Err(Failure::Input(InputError::HungUp)),
    }
}
