//! A pack on its way out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use govc_engine::pool::{PackStream, PoolError};
use govc_engine::work::upload::UploadError;
use govc_git::pktline;
use govc_git::wire::sideband::{self, Band, Framer};
use govc_git::wire::upload::Carrier;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Sleep, sleep, timeout};

use super::reply::Reply;
use super::upload_pack::explain;
use super::{Failure, KEEP_ALIVE, our_fault};
use crate::app::error::AppError;

/// A pack is made so many bytes ahead of what the client has taken.
const AHEAD_BYTES: usize = 256 << 10;

/// Sends `head` and then the pack that is being counted: as one body where it is small and ready
/// at once, else piece by piece.
pub(super) async fn send(
    head: Vec<u8>,
    mut counting: JoinHandle<Result<Sending, UploadError>>,
    carrier: Carrier,
) -> Result<Reply, Failure> {
    let stage = match timeout(KEEP_ALIVE, &mut counting).await {
        Err(_) => Stage::Counting(counting, Box::pin(sleep(KEEP_ALIVE))),
        Ok(counted) => match counted.map_err(AppError::internal)? {
            Ok(sending) if sending.is_small() => {
                return Ok(sending.into_whole(head).into());
            }
            Ok(sending) => Stage::Sending(Box::new(sending)),
            Err(error) => Stage::ended(&explain(error), carrier),
        },
    };
    let head = Some(Bytes::from(head));
    Ok(Reply::pieces(Answer {
        head,
        carrier,
        stage,
    }))
}

/// The pieces of an answer that is still being made.
struct Answer {
    head: Option<Bytes>,
    carrier: Carrier,
    stage: Stage,
}

enum Stage {
    /// The pack's objects are being looked for.
    Counting(JoinHandle<Result<Sending, UploadError>>, Pin<Box<Sleep>>),
    /// What was made of the pack is being sent.
    Sending(Box<Sending>),
    /// More of it is being made.
    Filling(JoinHandle<Box<Sending>>),
    /// The last words.
    Last(Bytes),
    /// Everything was said.
    End,
}

impl Stage {
    /// Tells the client why it gets no pack. One without side-band sees a pack that is cut off.
    fn ended(why: &str, carrier: Carrier) -> Stage {
        match carrier {
            Carrier::Raw => Stage::End,
            _ => Stage::Last(last_words(why)),
        }
    }
}

impl Answer {
    /// The next piece; `None` at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(head) = self.head.take() {
            return Poll::Ready(Some(head));
        }
        loop {
            self.stage = match &mut self.stage {
                Stage::End => return Poll::Ready(None),
                Stage::Last(words) => {
                    let words = std::mem::take(words);
                    self.stage = Stage::End;
                    return Poll::Ready(Some(words));
                }
                Stage::Counting(counting, silence) => {
                    match Pin::new(counting).poll(context) {
                        Poll::Ready(Ok(Ok(sending))) => Stage::Sending(Box::new(sending)),
                        Poll::Ready(Ok(Err(error))) => Stage::ended(&explain(error), self.carrier),
                        Poll::Ready(Err(panic)) => self.panicked(&panic),
                        // Without lines there is nothing that could be said meanwhile.
                        Poll::Pending if self.carrier == Carrier::Raw => return Poll::Pending,
                        Poll::Pending => {
                            ready!(silence.as_mut().poll(context));
                            *silence = Box::pin(sleep(KEEP_ALIVE));
                            let alive = Bytes::from_static(sideband::KEEP_ALIVE);
                            return Poll::Ready(Some(alive));
                        }
                    }
                }
                Stage::Filling(filling) => match ready!(Pin::new(filling).poll(context)) {
                    Ok(sending) => Stage::Sending(sending),
                    Err(panic) => self.panicked(&panic),
                },
                Stage::Sending(sending) => {
                    if let Some(piece) = sending.framer.pop() {
                        return Poll::Ready(Some(piece));
                    }
                    if sending.is_finished {
                        Stage::End
                    } else if sending.take_made() {
                        continue;
                    } else {
                        // The client has taken everything: only now more is made.
                        let Stage::Sending(mut sending) =
                            std::mem::replace(&mut self.stage, Stage::End)
                        else {
                            continue;
                        };
                        Stage::Filling(tokio::task::spawn_blocking(move || {
                            sending.fill();
                            sending
                        }))
                    }
                }
            };
        }
    }

    fn panicked(&self, panic: &JoinError) -> Stage {
        Stage::ended(our_fault(panic), self.carrier)
    }
}

impl Stream for Answer {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_piece(context)
    }
}

fn last_words(why: &str) -> Bytes {
    let mut out = Vec::new();
    sideband::write(&mut out, Band::Error, format!("{why}\n").as_bytes());
    out.extend_from_slice(pktline::FLUSH);
    out.into()
}

/// A line for the person who waits.
fn progress(said: &str) -> Bytes {
    let mut line = Vec::new();
    sideband::write(&mut line, Band::Progress, said.as_bytes());
    line.into()
}

/// A pack that is being sent, in what the client understands.
pub(super) struct Sending {
    pack: PackStream,
    framer: Framer,
    show_progress: bool,
    /// Bytes of the pack so far.
    bytes: usize,
    is_finished: bool,
}

impl Sending {
    /// Begins with the first pieces of `pack`.
    pub(super) fn begin(pack: PackStream, carrier: Carrier, show_progress: bool) -> Sending {
        let mut framer = Framer::new(carrier);
        if show_progress {
            let said = format!("Enumerating objects: {}, done.\n", pack.len());
            framer.push_line(progress(&said));
        }
        let mut sending = Sending {
            pack,
            framer,
            show_progress,
            bytes: 0,
            is_finished: false,
        };
        sending.fill();
        sending
    }

    /// Takes pieces that were made before. Whether there were any: that takes no time.
    fn take_made(&mut self) -> bool {
        let start = self.bytes;
        while self.bytes - start < AHEAD_BYTES {
            let Some(piece) = self.pack.next_made() else {
                break;
            };
            self.push(piece);
        }
        self.bytes > start
    }

    /// Makes the next pieces.
    fn fill(&mut self) {
        let start = self.bytes;
        while self.bytes - start < AHEAD_BYTES {
            match self.pack.next() {
                Some(Ok(piece)) => self.push(piece),
                Some(Err(error)) => return self.failed(&error),
                None => return self.complete(),
            }
        }
    }

    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.framer.push(piece);
    }

    /// Says how much it was, as git does, and ends.
    fn complete(&mut self) {
        if self.show_progress {
            let said = format!("Total {} ({} bytes)\n", self.pack.len(), self.bytes);
            self.framer.push_line(progress(&said));
        }
        self.finish(Bytes::from_static(pktline::FLUSH));
    }

    fn failed(&mut self, error: &PoolError) {
        self.finish(last_words(our_fault(error)));
    }

    fn finish(&mut self, last: Bytes) {
        // Without lines there is no last one.
        self.framer.push_line(last);
        self.is_finished = true;
    }

    /// Whether all of it is there, and little.
    fn is_small(&self) -> bool {
        self.is_finished && self.bytes <= AHEAD_BYTES
    }

    /// All of it behind `head`.
    fn into_whole(mut self, mut head: Vec<u8>) -> Vec<u8> {
        while let Some(piece) = self.framer.pop() {
            head.extend_from_slice(&piece);
        }
        head
    }
}
