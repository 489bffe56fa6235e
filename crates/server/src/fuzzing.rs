//! A door for the fuzzer to parsers that are nobody else's business.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use govc_git::wire::Service;
use http::HeaderMap;

use crate::app::error::AppError;
use crate::app::logged::Logged;
use crate::git_http::body::RequestBody;
use crate::git_service::input::Input;
use crate::http::idempotency::Answer;

pub use crate::git_http::place::Place as GitPlace;
pub use crate::git_lfs::place::Place as LfsPlace;
pub use crate::git_ssh::command::Asked;

/// Takes a command line apart as a shell does.
pub fn ssh_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    crate::git_ssh::command::words(line)
}

/// The answer that an entry keeps of a write with an `Idempotency-Key`, as long as its body was
/// kept with it.
///
/// # Errors
/// [`AppError::Internal`] when it is none.
pub fn logged_answer(kept: &[u8]) -> Result<Answer, AppError> {
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
