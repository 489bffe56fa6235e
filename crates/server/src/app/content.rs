//! The content of a large file, as it is sent: piece by piece, or one copy for all who read it.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use govc_engine::pool::Pool;
use govc_git::ObjectId;
use govc_git::pack::ObjectStream;
use hashbrown::HashMap;

use super::App;
use super::error::AppError;

/// Smaller files are given as they are: a reader who is slow holds no more than that.
const STREAMED_BYTES_MIN: u64 = 1 << 20;
/// So much is inflated at once, off the threads that serve connections.
const BATCH_BYTES: usize = 512 << 10;
/// Pieces of a copy.
const PIECE_BYTES: usize = 64 << 10;

/// Contents that somebody is reading, and that cannot be read piece by piece.
#[derive(Default)]
pub(super) struct HeldContents(Mutex<HashMap<ObjectId, Weak<Held>>>);

/// One of them, once it was read.
type Held = OnceLock<Bytes>;

impl HeldContents {
    /// The copy of `id` that others read, or one that `read` gives.
    fn get<E>(
        &self,
        id: ObjectId,
        read: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<(Bytes, Arc<Held>), E> {
        let held = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.get(&id).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                all.retain(|_, held| held.strong_count() > 0);
                let held = Arc::default();
                all.insert(id, Arc::downgrade(&held));
                held
            })
        };
        let content = match held.get() {
            Some(content) => content.clone(),
            None => {
                let content = read()?;
                held.get_or_init(|| content).clone()
            }
        };
        Ok((content, held))
    }
}

/// What of a file is to be sent.
pub enum Content {
    /// All of it, at once.
    Whole(Bytes),
    /// Inflated as it is sent.
    Streamed {
        /// All of it.
        stream: Box<ObjectStream>,
        /// What of it is to be sent.
        range: Range<u64>,
    },
    /// Of a copy that all share who read it now.
    Shared {
        /// The part that is to be sent.
        content: Bytes,
        /// Held while it is sent, so that others find it.
        held: Arc<OnceLock<Bytes>>,
    },
}

impl Content {
    /// The bytes `range` of the blob `id`, which has `size`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(
        app: &App,
        pool: &Pool,
        id: ObjectId,
        size: u64,
        range: Range<u64>,
    ) -> Result<Content, AppError> {
        let place = |at: u64| usize::try_from(at.min(size)).unwrap_or(usize::MAX);
        let places = place(range.start)..place(range.end);
        let part = |content: &Bytes| {
            let end = places.end.min(content.len());
            content.slice(places.start.min(end)..end)
        };
        if size < STREAMED_BYTES_MIN {
            return Ok(Content::Whole(part(&pool.get(&id)?.data)));
        }
        if let Some(stream) = pool.streamed(&id)? {
            let stream = Box::new(stream);
            return Ok(Content::Streamed { stream, range });
        }
        let read = || pool.get(&id).map(|object| object.data);
        let (content, held) = app.0.held.get(id, read)?;
        let content = part(&content);
        Ok(Content::Shared { content, held })
    }

    /// The body that it makes.
    pub fn into_body(self, app: &App) -> Body {
        match self {
            Content::Whole(content) => Body::from(content),
            content => Body::from_stream(content.into_stream(app)),
        }
    }

    /// Piece by piece. An error ends the answer before its time: who reads it sees that it is
    /// shorter than was said.
    fn into_stream(self, app: &App) -> BoxStream<'static, Result<Bytes, AppError>> {
        match self {
            Content::Whole(content) => stream::iter([Ok(content)]).boxed(),
            Content::Shared { content, held } => {
                let pieces = stream::unfold((content, held), |(mut rest, held)| async move {
                    if rest.is_empty() {
                        return None;
                    }
                    let piece = rest.split_to(rest.len().min(PIECE_BYTES));
                    Some((Ok(piece), (rest, held)))
                });
                pieces.boxed()
            }
            Content::Streamed { stream, range } => {
                let at = 0;
                let reading = Some(Reading { stream, at, range });
                let app = app.clone();
                let batches = stream::unfold(reading, move |reading| {
                    let app = app.clone();
                    async move { Reading::next(reading?, &app).await }
                });
                batches.flat_map(stream::iter).boxed()
            }
        }
    }
}

/// A file that is inflated as it is sent.
struct Reading {
    stream: Box<ObjectStream>,
    /// How much of it was inflated.
    at: u64,
    /// What of it is to be sent.
    range: Range<u64>,
}

type Batch = Vec<Result<Bytes, AppError>>;

impl Reading {
    /// The next pieces, and what is left to read; `None` at the end.
    async fn next(self, app: &App) -> Option<(Batch, Option<Reading>)> {
        if self.at >= self.range.end {
            return None;
        }
        let read = app.offload(move || {
            let mut reading = self;
            reading.batch().map(|batch| (batch, reading))
        });
        match read.await {
            Ok(Ok((batch, reading))) => Some((batch, Some(reading))),
            Ok(Err(error)) | Err(error) => Some((vec![Err(error)], None)),
        }
    }

    fn batch(&mut self) -> Result<Batch, AppError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && self.at < self.range.end {
            let piece = self.stream.next().ok_or_else(|| {
                AppError::internal(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
            })?;
            let mut piece = piece.map_err(AppError::internal)?;
            let from = self.at;
            self.at += piece.len() as u64;
            let inside = |at: u64| at.clamp(from, self.at) - from;
            let part = inside(self.range.start) as usize..inside(self.range.end) as usize;
            piece = piece.slice(part);
            if !piece.is_empty() {
                bytes += piece.len();
                batch.push(Ok(piece));
            }
        }
        Ok(batch)
    }
}
