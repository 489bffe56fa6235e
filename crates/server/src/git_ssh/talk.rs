//! A session's channel: what arrives on it, and what goes out.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};
use govc_git::ObjectFormat;
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::time::timeout;

use super::pack_end::PackEnd;
use crate::git_service::Duplex;
use crate::git_service::input::{Input, InputError};
use crate::git_service::reply::Reply;

/// The stream of a channel that people read.
const STDERR: u32 = 1;
/// Small pieces of an answer are sent together, up to so many bytes.
const GATHERED_BYTES: usize = 32 << 10;
/// What a client may say while it is being answered. Clients wait for answers; what is said ahead
/// in a negotiation are some thousand bytes.
const SAID_AHEAD_BYTES: usize = 2 << 20;

/// The conversation on a channel.
pub(super) struct Talk {
    heard: Heard,
    write: ChannelWriteHalf<Msg>,
    /// How long the client may be silent, and how long it may take nothing.
    listen_patience: Duration,
    write_patience: Duration,
    pack: Option<PackEnd>,
    has_refused: bool,
}

/// What the client said.
struct Heard {
    read: ChannelReadHalf,
    /// Arrived while we were talking.
    ahead: VecDeque<Bytes>,
    ahead_bytes: usize,
    /// The client said something.
    has_begun: bool,
    /// The client says nothing more.
    ended: bool,
}

/// The client is not there any more.
fn gone() -> InputError {
    InputError::CutOff("the client went away".into())
}

impl Heard {
    /// Takes in the next thing that happens on the channel; data is given.
    fn take(&mut self, message: Option<ChannelMsg>) -> Result<Option<Bytes>, InputError> {
        match message {
            None | Some(ChannelMsg::Close) => Err(gone()),
            Some(ChannelMsg::Data { data }) if !data.is_empty() => {
                self.has_begun = true;
                Ok(Some(data))
            }
            Some(ChannelMsg::Eof) => {
                self.ended = true;
                Ok(None)
            }
            Some(_) => Ok(None),
        }
    }

    /// Listens until something goes wrong; what is said is kept.
    async fn listen_aside(&mut self) -> InputError {
        while !self.ended {
            let message = self.read.wait().await;
            match self.take(message) {
                Ok(None) => {}
                Ok(Some(data)) => {
                    self.ahead_bytes += data.len();
                    self.ahead.push_back(data);
                    if self.ahead_bytes > SAID_AHEAD_BYTES {
                        return InputError::TooLarge(SAID_AHEAD_BYTES as u64);
                    }
                }
                Err(error) => return error,
            }
        }
        std::future::pending().await
    }
}

impl Talk {
    /// Begins on `channel`.
    pub(super) fn new(channel: Channel<Msg>, listen: Duration, write: Duration) -> Talk {
        let (read, write_half) = channel.split();
        Talk {
            heard: Heard {
                read,
                ahead: VecDeque::new(),
                ahead_bytes: 0,
                has_begun: false,
                ended: false,
            },
            write: write_half,
            listen_patience: listen,
            write_patience: write,
            pack: None,
            has_refused: false,
        }
    }

    /// Sends `bytes`, in the order of the calls; waits until the client has room for them.
    async fn write(&mut self, stream: Option<u32>, mut bytes: Bytes) -> Result<(), InputError> {
        while !bytes.is_empty() {
            let some = bytes.split_to(bytes.len().min(GATHERED_BYTES));
            let write = &self.write;
            let writing = timeout(self.write_patience, async move {
                match stream {
                    None => write.data_bytes(some).await,
                    Some(stream) => write.extended_data_bytes(stream, some).await,
                }
            });
            // Whoever talks at the same time must not make us wait for each other.
            tokio::select! {
                written = writing => match written {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(gone()),
                    Err(_) => {
                        let why = "the client takes nothing of what is sent";
                        return Err(InputError::CutOff(io::Error::new(io::ErrorKind::TimedOut, why).into()));
                    }
                },
                error = self.heard.listen_aside() => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the client said anything so far.
    pub(super) fn has_begun(&self) -> bool {
        self.heard.has_begun
    }

    /// Whether the client was told that the conversation is over, and why.
    pub(super) fn has_refused(&self) -> bool {
        self.has_refused
    }

    /// Tells the person at the other end.
    pub(super) async fn complain(&mut self, text: String) -> Result<(), InputError> {
        self.write(Some(STDERR), text.into()).await
    }

    /// Ends with what a program ends with.
    pub(super) async fn end(self, status: u32) {
        let write = self.write;
        let ending = async {
            write.exit_status(status).await?;
            write.eof().await?;
            write.close().await
        };
        // If the client is gone there is nobody to tell.
        let _ = timeout(self.write_patience, ending).await;
    }
}

impl Input for Talk {
    async fn next(&mut self) -> Result<Option<Bytes>, InputError> {
        let next = self.listen().await?;
        if let (Some(pack), Some(piece)) = (&mut self.pack, &next) {
            pack.arrived(piece);
        }
        Ok(next)
    }

    fn pack_follows(&mut self, begun: &[u8], format: ObjectFormat) {
        let mut pack = PackEnd::new(format);
        pack.arrived(begun);
        self.pack = Some(pack);
    }
}

impl Talk {
    async fn listen(&mut self) -> Result<Option<Bytes>, InputError> {
        let heard = &mut self.heard;
        if let Some(piece) = heard.ahead.pop_front() {
            heard.ahead_bytes -= piece.len();
            return Ok(Some(piece));
        }
        while !heard.ended {
            let mut message = heard.read.wait().now_or_never();
            if message.is_none() {
                if self.pack.as_ref().is_some_and(PackEnd::is_whole) {
                    return Ok(None);
                }
                let waited = timeout(self.listen_patience, heard.read.wait()).await;
                message = Some(waited.map_err(|_| {
                    let why = "the client says nothing";
                    InputError::CutOff(io::Error::new(io::ErrorKind::TimedOut, why).into())
                })?);
            }
            if let Some(piece) = heard.take(message.flatten())? {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

impl Duplex for Talk {
    async fn reply(&mut self, reply: Reply) -> Result<(), InputError> {
        let mut pieces = match reply {
            Reply::Whole(whole) => return self.write(None, whole).await,
            Reply::Refusal(why) => {
                self.has_refused = true;
                return self.write(None, why).await;
            }
            Reply::Pieces(pieces) => pieces,
        };
        let mut gathered = BytesMut::new();
        loop {
            let piece = match pieces.next().now_or_never() {
                Some(piece) => piece,
                None => {
                    // What there is goes out while the next piece is made.
                    self.write(None, gathered.split().freeze()).await?;
                    let waiting = pin!(pieces.next());
                    tokio::select! {
                        piece = waiting => piece,
                        error = self.heard.listen_aside() => return Err(error),
                    }
                }
            };
            let Some(piece) = piece else {
                return self.write(None, gathered.freeze()).await;
            };
            if gathered.is_empty() && piece.len() >= GATHERED_BYTES {
                self.write(None, piece).await?;
                continue;
            }
            gathered.extend_from_slice(&piece);
            while gathered.len() >= GATHERED_BYTES {
                let full = gathered.split_to(GATHERED_BYTES).freeze();
                self.write(None, full).await?;
            }
        }
    }
}
