//! Git's two services, whatever carries them: clone and fetch, and push.
//!
//! The conversations are in `govc_git::wire`; here they are held, over an [`Input`] of bytes that
//! arrive and [`Reply`]s that go out; where both are of one connection, that is a [`Duplex`]. Both stream: what a conversation holds in memory does not
//! grow with what is said in it. HTTP is one carrier, SSH the other.

pub(crate) mod advertisement;
mod aside;
pub(crate) mod input;
mod integration;
pub(crate) mod receive_pack;
pub(crate) mod reply;
mod sending;
pub(crate) mod upload_pack;

use std::time::Duration;

use govc_git::wire::Service;
use tokio::sync::Semaphore;

use crate::app::Action;
use crate::app::error::AppError;
use input::{Input, InputError};
use reply::Reply;

/// Clients give up when they hear nothing: isomorphic-git after five seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// How many requests may take large packs apart at once; more wait.
static LARGE_PACKS: Semaphore = Semaphore::const_new(4);

/// Why a conversation ends without an answer in its own words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What the client says did not arrive, or is over a limit.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The application says no.
    #[error(transparent)]
    App(#[from] AppError),
}

/// A connection that stays open over many questions and answers.
pub(crate) trait Duplex: Input {
    /// Sends an answer, as fast as the client takes it.
    fn reply(&mut self, reply: Reply) -> impl Future<Output = Result<(), InputError>> + Send;
}

/// What a service does with a repository.
pub(crate) fn action(service: Service) -> Action {
    match service {
        Service::UploadPack => Action::Read,
        Service::ReceivePack => Action::Write,
    }
}

/// What stands in for an error of our own.
pub(crate) fn our_fault(error: &(impl std::error::Error + ?Sized)) -> &'static str {
    tracing::error!(error = %error, "a Git request failed by our own fault");
    "the server cannot read this repository"
}
