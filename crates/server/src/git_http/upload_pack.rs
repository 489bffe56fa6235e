//! `POST …/git-upload-pack`: which refs there are, and packs.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use govc_engine::Repository;
use govc_engine::pool::PackStream;
use govc_engine::work::View;
use govc_engine::work::hidden::HiddenRefs;
use govc_engine::work::upload::{self, Common, UploadError};
use govc_git::pktline;
use govc_git::wire::command::{Command, Request, RequestDecoder};
use govc_git::wire::fetch::{self, FetchRequest, Next, OBJECTS_MAX};
use govc_git::wire::ls_refs::LsRefsRequest;
use govc_git::wire::sideband::{self, Band, Framer};
use govc_git::wire::upload::{Carrier, Said, UploadDecoder, WantRequest};
use govc_git::wire::{ProtocolError, ProtocolVersion};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::{Refused, answer as answer_as, error_line, our_fault};
use super::body::RequestBody;
use super::{KEEP_ALIVE, aside};
use crate::app::error::AppError;

const RESULT: &str = "application/x-git-upload-pack-result";

/// A pack is made so many bytes ahead of what the client has taken.
const AHEAD_BYTES: usize = 256 << 10;

const NOT_SHALLOW: ProtocolError = ProtocolError::NotSupported("a shallow history");

/// Answers one request.
pub(super) async fn answer(
    repository: Arc<Repository>,
    version: ProtocolVersion,
    body: RequestBody,
) -> Result<Response, Refused> {
    if version != ProtocolVersion::V2 {
        return converse(&repository, body).await;
    }
    let request = match read(&repository, body).await? {
        Ok(Some(request)) => request,
        Ok(None) => return Ok(answer_as(RESULT, Body::empty())),
        Err(error) => return Ok(answer_as(RESULT, error_line(&error))),
    };
    match request.command {
        Command::LsRefs(asked) => list_refs(&repository, asked).await,
        Command::Fetch(asked) => fetch(&repository, asked).await,
    }
}

/// Reads the request; `None` where the body is empty.
async fn read(
    repository: &Repository,
    mut body: RequestBody,
) -> Result<Result<Option<Request>, ProtocolError>, Refused> {
    let mut decoder = RequestDecoder::new(repository.pool().format());
    while let Some(piece) = body.next().await? {
        match decoder.read(&mut &piece[..]) {
            Ok(None) => {}
            found => return Ok(found),
        }
    }
    if decoder.is_idle() {
        return Ok(Ok(None));
    }
    Ok(Err(ProtocolError::Truncated))
}

async fn list_refs(
    repository: &Arc<Repository>,
    asked: LsRefsRequest,
) -> Result<Response, Refused> {
    let view = View::of(repository);
    let record = Arc::clone(&repository.snapshot().record);
    let many = view.refs.len() > aside::REFS_MAX;
    let listed = aside::run(many, move || {
        let mut out = Vec::new();
        upload::list_refs(&view, HiddenRefs::of(&record.settings), &asked, &mut out)?;
        Ok(out)
    });
    match listed.await? {
        Ok(out) => Ok(answer_as(RESULT, out)),
        Err(error) => Ok(answer_as(RESULT, error_line(&explain(error)))),
    }
}

/// What of an error the client is told.
fn explain(error: UploadError) -> String {
    match error {
        UploadError::NotOurRef(_) => error.to_string(),
        UploadError::Pool(error) => our_fault(&error).to_owned(),
    }
}

async fn fetch(repository: &Arc<Repository>, asked: FetchRequest) -> Result<Response, Refused> {
    if asked.wants.is_empty() && !asked.wait_for_done {
        return Ok(answer_as(RESULT, Body::empty()));
    }
    if !asked.depth.is_empty() {
        return Ok(answer_as(RESULT, error_line(&NOT_SHALLOW)));
    }
    let view = View::of(repository);
    let negotiated = aside::run(true, move || {
        let common = upload::negotiate(&view, &asked)?;
        Ok((view, asked, common))
    });
    let (view, asked, common) = match negotiated.await? {
        Ok(negotiated) => negotiated,
        Err(error) => return Ok(answer_as(RESULT, error_line(&explain(error)))),
    };
    let mut head = Vec::new();
    if !asked.done && !asked.haves.is_empty() {
        let Common { haves, ready } = &common;
        let ready = *ready && !asked.wait_for_done;
        let next = fetch::write_acknowledgments(&mut head, haves.iter().copied(), ready);
        if next == Next::MoreHaves {
            return Ok(answer_as(RESULT, head));
        }
    }
    if asked.wants.is_empty() {
        return Ok(answer_as(RESULT, head));
    }
    fetch::write_packfile_header(&mut head);
    let show_progress = !asked.no_progress;
    let counting = tokio::task::spawn_blocking(move || {
        let pack = upload::pack(&view, &asked, common.haves)?;
        Ok(Sending::begin(pack, Carrier::Lines, show_progress))
    });
    send(head, counting, Carrier::Lines).await
}

/// Answers one request of versions 0 and 1: wants, and haves or `done`.
async fn converse(repository: &Arc<Repository>, body: RequestBody) -> Result<Response, Refused> {
    let (wants, said) = match listen(repository, body).await? {
        Ok(Some(heard)) => heard,
        Ok(None) => return Ok(answer_as(RESULT, Body::empty())),
        Err(error) => return Ok(answer_as(RESULT, error_line(&error))),
    };
    if !wants.fetch.depth.is_empty() {
        return Ok(answer_as(RESULT, error_line(&NOT_SHALLOW)));
    }
    let view = View::of(repository);
    let negotiated = aside::run(true, move || {
        let mut head = Vec::new();
        let haves = upload::converse(&view, &wants, &said, &mut head)?;
        Ok((view, wants, haves, head))
    });
    let (view, wants, haves, head) = match negotiated.await? {
        Ok(negotiated) => negotiated,
        Err(error) => return Ok(answer_as(RESULT, error_line(&explain(error)))),
    };
    let Some(haves) = haves else {
        return Ok(answer_as(RESULT, head));
    };
    let carrier = wants.carrier;
    let counting = tokio::task::spawn_blocking(move || {
        let pack = upload::pack(&view, &wants.fetch, haves)?;
        Ok(Sending::begin(pack, carrier, !wants.fetch.no_progress))
    });
    send(head, counting, carrier).await
}

type Heard = (Box<WantRequest>, Vec<Said>);

/// Reads a request of versions 0 and 1; `None` where the client wants nothing.
async fn listen(
    repository: &Repository,
    mut body: RequestBody,
) -> Result<Result<Option<Heard>, ProtocolError>, Refused> {
    let mut decoder = UploadDecoder::new(repository.pool().format());
    let (mut wants, mut said) = (None, Vec::new());
    while let Some(piece) = body.next().await? {
        let mut input = &piece[..];
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Said::Wants(all))) => wants = Some(all),
                Ok(Some(_)) if said.len() == OBJECTS_MAX => {
                    let (what, max) = ("haves", OBJECTS_MAX);
                    return Ok(Err(ProtocolError::TooMany { what, max }));
                }
                Ok(Some(other)) => said.push(other),
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    if !decoder.is_at_boundary() {
        return Ok(Err(ProtocolError::Truncated));
    }
    let wants = wants.filter(|wants| !wants.fetch.wants.is_empty());
    Ok(Ok(wants.map(|wants| (wants, said))))
}

/// Sends `head` and then the pack that is being counted: as one body where it is small and ready
/// at once, else piece by piece.
async fn send(
    head: Vec<u8>,
    mut counting: JoinHandle<Result<Sending, UploadError>>,
    carrier: Carrier,
) -> Result<Response, Refused> {
    let answer = match timeout(KEEP_ALIVE, &mut counting).await {
        Err(_) => Answer::Counting(counting, carrier),
        Ok(counted) => match counted.map_err(AppError::internal)? {
            Ok(sending) if sending.finished => {
                return Ok(answer_as(RESULT, sending.into_whole(head)));
            }
            Ok(sending) => Answer::Sending(Box::new(sending)),
            Err(error) => Answer::failed(error, carrier),
        },
    };
    let first = stream::iter([Ok::<Bytes, Infallible>(head.into())]);
    let rest = stream::unfold(answer, |answer| async {
        let (piece, answer) = answer.next().await?;
        Some((Ok(piece), answer))
    });
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    Ok(answer_as(RESULT, body))
}

/// An answer that is still being made.
enum Answer {
    /// The pack's objects are being looked for.
    Counting(JoinHandle<Result<Sending, UploadError>>, Carrier),
    /// The pack is being sent.
    Sending(Box<Sending>),
    /// The last words.
    Last(Bytes),
    /// Everything was said.
    End,
}

impl Answer {
    /// The next piece, and what is left; `None` at the end.
    async fn next(mut self) -> Option<(Bytes, Answer)> {
        loop {
            self = match self {
                Answer::End => return None,
                Answer::Last(piece) => return Some((piece, Answer::End)),
                Answer::Counting(mut counting, carrier) => {
                    // Without lines there is nothing that could be said meanwhile.
                    let counted = match carrier {
                        Carrier::Raw => counting.await,
                        _ => match timeout(KEEP_ALIVE, &mut counting).await {
                            Ok(counted) => counted,
                            Err(_) => {
                                let piece = Bytes::from_static(sideband::KEEP_ALIVE);
                                return Some((piece, Answer::Counting(counting, carrier)));
                            }
                        },
                    };
                    match counted {
                        Ok(Ok(sending)) => Answer::Sending(Box::new(sending)),
                        Ok(Err(error)) => Answer::failed(error, carrier),
                        Err(panic) => Answer::ended(our_fault(&panic), carrier),
                    }
                }
                Answer::Sending(mut sending) => {
                    if let Some(piece) = sending.framer.pop() {
                        return Some((piece, Answer::Sending(sending)));
                    }
                    if sending.finished {
                        return None;
                    }
                    // The client has taken everything: only now more is made.
                    let carrier = sending.carrier;
                    let filled = tokio::task::spawn_blocking(move || {
                        sending.fill();
                        sending
                    });
                    match filled.await {
                        Ok(sending) => Answer::Sending(sending),
                        Err(panic) => Answer::ended(our_fault(&panic), carrier),
                    }
                }
            };
        }
    }

    fn failed(error: UploadError, carrier: Carrier) -> Answer {
        Answer::ended(&explain(error), carrier)
    }

    /// Tells the client why it gets no pack. One without side-band sees a pack that is cut off.
    fn ended(why: &str, carrier: Carrier) -> Answer {
        match carrier {
            Carrier::Raw => Answer::End,
            _ => Answer::Last(last_words(why)),
        }
    }
}

fn last_words(why: &str) -> Bytes {
    let mut out = Vec::new();
    sideband::write(&mut out, Band::Error, format!("{why}\n").as_bytes());
    out.extend_from_slice(pktline::FLUSH);
    out.into()
}

/// A pack on its way out.
struct Sending {
    pack: PackStream,
    carrier: Carrier,
    framer: Framer,
    finished: bool,
}

impl Sending {
    /// Begins with the first pieces of `pack`.
    fn begin(pack: PackStream, carrier: Carrier, show_progress: bool) -> Sending {
        let mut framer = Framer::new(carrier);
        if show_progress {
            let mut text = Vec::new();
            let said = format!("Enumerating objects: {}, done.\n", pack.len());
            sideband::write(&mut text, Band::Progress, said.as_bytes());
            framer.push_line(text.into());
        }
        let mut sending = Sending {
            pack,
            carrier,
            framer,
            finished: false,
        };
        sending.fill();
        sending
    }

    /// Makes the next pieces.
    fn fill(&mut self) {
        let mut bytes = 0;
        while bytes < AHEAD_BYTES {
            match self.pack.next() {
                Some(Ok(piece)) => {
                    bytes += piece.len();
                    self.framer.push(piece);
                }
                Some(Err(error)) => {
                    self.finish(last_words(our_fault(&error)));
                    return;
                }
                None => {
                    self.finish(Bytes::from_static(pktline::FLUSH));
                    return;
                }
            }
        }
    }

    fn finish(&mut self, last: Bytes) {
        self.framer.end_line();
        self.framer.push_line(last);
        self.finished = true;
    }

    /// All of it behind `head`; for what is finished.
    fn into_whole(mut self, mut head: Vec<u8>) -> Vec<u8> {
        while let Some(piece) = self.framer.pop() {
            head.extend_from_slice(&piece);
        }
        head
    }
}
