//! What is answered.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use govc_git::pktline;

/// The pieces of an answer, made as they are taken.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// What is answered.
pub(crate) enum Reply {
    /// All of it, at once.
    Whole(Bytes),
    /// That the conversation is over, and why: a program of git's would fail here.
    Refusal(Bytes),
    /// Piece by piece: the next one is made when the one before was taken.
    Pieces(Pieces),
}

impl Reply {
    /// Nothing is answered.
    pub(crate) fn nothing() -> Reply {
        Reply::Whole(Bytes::new())
    }

    /// A line that ends the conversation: Git says `fatal: remote error:` before it.
    pub(crate) fn error_line(error: &impl ToString) -> Reply {
        let mut out = Vec::new();
        pktline::write_error(&mut out, &error.to_string());
        Reply::Refusal(out.into())
    }

    /// Pieces from a stream.
    pub(crate) fn pieces(stream: impl Stream<Item = Bytes> + Send + 'static) -> Reply {
        Reply::Pieces(Box::pin(stream))
    }
}

impl From<Vec<u8>> for Reply {
    fn from(whole: Vec<u8>) -> Reply {
        Reply::Whole(whole.into())
    }
}
