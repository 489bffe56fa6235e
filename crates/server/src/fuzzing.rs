//! A door for the fuzzer to parsers that are nobody else's business.

use crate::app::error::AppError;
use crate::app::logged::Logged;
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
