//! What a client says, as it arrives: in pieces of any size.

use std::io;

use bytes::Bytes;
use govc_git::ObjectFormat;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why what a client says did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The client went away, or was silent for too long.
    #[error("the request's body did not arrive: {0}")]
    CutOff(#[source] BoxError),
    /// The client ended the conversation before it said anything, as git's own server says it.
    #[error("the remote end hung up unexpectedly")]
    HungUp,
    /// It says that it is compressed, and is not.
    #[error("the request's body is not gzip: {0}")]
    NotGzip(#[source] io::Error),
    /// It has more bytes than is allowed.
    #[error("the request's body has more than {0} bytes")]
    TooLarge(u64),
}

/// Bytes that arrive.
pub(crate) trait Input: Send {
    /// The next piece, never empty; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, InputError>> + Send;

    /// From here on a pack arrives, of which `begun` is there already. Input that does not end with
    /// it has to find its end.
    fn pack_follows(&mut self, _begun: &[u8], _format: ObjectFormat) {}
}

impl<I: Input> Input for &mut I {
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, InputError>> + Send {
        (**self).next()
    }

    fn pack_follows(&mut self, begun: &[u8], format: ObjectFormat) {
        (**self).pack_follows(begun, format);
    }
}
