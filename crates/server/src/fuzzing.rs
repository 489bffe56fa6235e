//! A door for the fuzzer to parsers that are nobody else's business.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use govc_git::ObjectFormat;
use govc_git::wire::Service;
use http::HeaderMap;
use russh::keys::PublicKey;
use serde_json::Value;

use crate::app::error::AppError;
use crate::app::hooks::client::Answer;
use crate::app::hooks::guard::{self, Networks};
use crate::app::hooks::verdict::{self, Verdict};
use crate::app::logged::Logged;
use crate::app::push_nonce::PushNonces;
use crate::config::SshKeys;
use crate::git_http::body::RequestBody;
use crate::git_service::input::Input;
use crate::git_ssh::pack_end::PackEnd;
use crate::http::idempotency;

pub use crate::git_http::place::Place as GitPlace;
pub use crate::git_lfs::place::Place as LfsPlace;
pub use crate::git_ssh::command::Asked;

/// Takes a command line apart as a shell does.
pub fn ssh_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    crate::git_ssh::command::words(line)
}

/// Reads a JSON list of public keys; gives the names by which those who have them are known.
///
/// # Panics
/// When somebody whose key was taken is not known.
pub fn ssh_key_owners(json: &[u8]) -> Option<Vec<Arc<str>>> {
    let keys: SshKeys = serde_json::from_slice(json).ok()?;
    let said: Vec<Value> = serde_json::from_slice(json).ok()?;
    let line = |said: &Value| said.get("key").unwrap_or(said).as_str().map(str::to_owned);
    let shown = said.iter().filter_map(line);
    let shown = shown.filter_map(|line| PublicKey::from_openssh(line.trim()).ok());
    let owners: Vec<_> = shown.filter_map(|key| keys.owner(&key)).collect();
    assert_eq!(owners.len(), said.len(), "whoever has a key is known");
    assert_eq!(keys.is_empty(), owners.is_empty());
    Some(owners)
}

/// The address of a webhook as it is kept, and the address that it names if that is no name, where
/// only public ones and `networks` are called.
///
/// # Errors
/// Why it is none, or may not be called.
pub fn webhook_url(url: &str, networks: &[String]) -> Result<(String, Option<IpAddr>), String> {
    let networks = Networks::parse(networks)?;
    let url = guard::parse(url, &networks).map_err(|error| error.to_string())?;
    Ok((url.to_string(), guard::literal(&url)))
}

/// What a policy hook says with this answer: that the change may be made, or why not; `None` where
/// it says nothing that can be understood.
pub fn verdict(status: u16, body: Bytes) -> Option<Result<(), String>> {
    match verdict::verdict(&Ok(Answer { status, body })) {
        Verdict::Passes => Some(Ok(())),
        Verdict::Refuses(why) => Some(Err(why)),
        Verdict::Unknown(_) => None,
    }
}

/// The nonce of a repository at `seconds` since 1970.
pub fn push_nonce_at(seconds: u64) -> String {
    PushNonces::new("seed", "a/b".to_owned(), 0).at(seconds)
}

/// What becomes of a nonce of that repository at `now`, in seconds since 1970, and which counts.
pub fn check_push_nonce(
    said: Option<&[u8]>,
    now: u64,
    slop_seconds: u64,
    stateless: bool,
) -> (&'static str, String) {
    let nonces = PushNonces::new("seed", "a/b".to_owned(), slop_seconds);
    let (status, counts) = nonces.check(said, nonces.at(now), stateless);
    (status.name(), counts)
}

/// Whether these pieces of a pack are all of it.
pub fn is_pack_whole<'a>(pieces: impl Iterator<Item = &'a [u8]>, format: ObjectFormat) -> bool {
    let mut end = PackEnd::new(format);
    for piece in pieces {
        end.arrived(piece);
    }
    end.is_whole()
}

/// The answer that an entry keeps of a write with an `Idempotency-Key`, as long as its body was
/// kept with it.
///
/// # Errors
/// [`AppError::Internal`] when it is none.
pub fn logged_answer(kept: &[u8]) -> Result<idempotency::Answer, AppError> {
    Logged::read(kept)?.again(1, None)
}

/// The body of a fetch with these headers that arrives in these pieces: each piece of what it says
/// is given to `take`.
///
/// # Errors
/// Why it is refused, or not understood.
pub fn request_body(
    headers: &HeaderMap,
    pieces: Vec<Bytes>,
    mut take: impl FnMut(&[u8]),
) -> Result<(), String> {
    let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, io::Error>)));
    let body = RequestBody::of(headers, body, Service::UploadPack);
    let mut body = body.map_err(|_| "refused".to_owned())?;
    // All of it is there: nothing is waited for.
    while let Some(next) = body.next().now_or_never() {
        match next.map_err(|error| error.to_string())? {
            Some(piece) => take(&piece),
            None => return Ok(()),
        }
    }
    Err("it waits".to_owned())
}
