//! `git-receive-pack`: a push.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use govc_engine::journal::PackSpool;
use govc_engine::work::receive::{self, Decision, Incoming, Prepared, Progress, ReceiveLimits};
use govc_engine::{Cause, CauseKind, Repository, Via};
use govc_git::object_id::hash_object;
use govc_git::pack::Stage;
use govc_git::wire::ProtocolError;
use govc_git::wire::receive::{
    PushCapabilities, PushDecoder, PushLimits, PushRequest, Report, write_answer, write_refusal,
};
use govc_git::wire::sideband::{self, Band};
use govc_git::{ObjectFormat, ObjectKind};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::input::{Input, InputError};
use super::integration::Integration;
use super::reply::Reply;
use super::{Failure, KEEP_ALIVE, LARGE_PACKS, aside, our_fault};
use crate::app::App;
use crate::app::error::AppError;
use crate::app::programs::{Passage, Pushed, SignedPush};
use crate::app::publish::cause;
use crate::http::caller::Caller;

/// Up to so many bytes of a pack stay in memory; it is written aside from there on.
const MEMORY_BYTES: usize = 1 << 20;
/// The longest certificate: it is kept in memory, and names each ref in a line.
const CERTIFICATE_BYTES: usize = 16 << 20;
/// A pack is written aside in blocks of so many bytes.
const BLOCK_BYTES: usize = 1 << 20;
/// So much of a pack that is over its limit is still read and thrown away: a client that is told
/// in the middle of its sending does not listen.
const OVER_LIMIT_BYTES: u64 = 1 << 30;

/// Who pushes, and how.
pub(crate) struct Asked<'a> {
    pub(crate) app: &'a App,
    pub(crate) caller: &'a Caller,
    pub(crate) via: Via,
    /// What was advertised in this conversation; `None` where that was another request.
    pub(crate) nonce: Option<String>,
}

/// Answers one push.
pub(crate) async fn answer(
    asked: Asked<'_>,
    repository: Arc<Repository>,
    mut input: impl Input,
) -> Result<Reply, Failure> {
    let Asked {
        app,
        caller,
        via,
        nonce,
    } = asked;
    let signed_are_taken = app.push_nonces(&repository).is_some();
    let limits = &app.config().limits;
    let push_limits = PushLimits {
        commands: limits.push_refs,
        certificate_bytes: if signed_are_taken {
            CERTIFICATE_BYTES
        } else {
            0
        },
        ..PushLimits::default()
    };
    let format = repository.pool().format();
    let (request, rest) = match read(&mut input, format, push_limits).await? {
        Ok(read) => read,
        Err(refusal) => return Ok(refusal),
    };
    if request.commands.is_empty() {
        return Ok(Reply::nothing());
    }
    let signed = match signed(app, &repository, &request, nonce) {
        Ok(signed) => signed,
        Err(error) => return Ok(refusal(&request.capabilities, &error)),
    };
    let own = repository.snapshot().record.settings.quotas.push_bytes;
    let limits = ReceiveLimits {
        pack_bytes: own.unwrap_or(u64::MAX).min(limits.pack.0),
        object_bytes: limits.object.0,
        delta_chain: limits.delta_chain,
        ..ReceiveLimits::default()
    };
    let incoming = if request.has_pack() {
        input.pack_follows(&rest, format);
        if let Err(full) = app.memory().has_room() {
            // Told in the report, and before the pack takes any.
            skip(&mut input, limits.pack_bytes).await?;
            let outcome = Outcome::unpack_error(&request, full.to_string());
            return Ok(outcome.write(&request).into());
        }
        take_pack(&repository, &mut input, rest, limits.pack_bytes).await?
    } else {
        Ok(Incoming::Nothing)
    };
    let push = Push {
        app: app.clone(),
        caller: caller.clone(),
        via,
        repository,
        progress: Arc::default(),
        request: Arc::new(request),
        signed,
        limits,
    };
    push.answer(incoming).await
}

/// What hooks are to know of the certificate of `request`, if it has one.
fn signed(
    app: &App,
    repository: &Repository,
    request: &PushRequest,
    nonce: Option<String>,
) -> Result<Option<Arc<SignedPush>>, ProtocolError> {
    let (Some(certificate), Some(nonces)) = (&request.certificate, app.push_nonces(repository))
    else {
        return Ok(None);
    };
    let text = certificate.text();
    let id = hash_object(repository.pool().format(), ObjectKind::Blob, text).map_err(|_| {
        ProtocolError::MalformedCertificate {
            why: "it was made to collide under SHA-1",
            text: Vec::new(),
        }
    })?;
    let stateless = nonce.is_none();
    let own = nonce.or_else(|| app.push_nonce(repository));
    let checked = nonces.check(certificate.nonce(), own.unwrap_or_default(), stateless);
    let signed = SignedPush::new(certificate.clone(), id, checked);
    Ok(Some(Arc::new(signed)))
}

/// Reads the commands; what follows them begins the pack.
async fn read(
    input: &mut impl Input,
    format: ObjectFormat,
    limits: PushLimits,
) -> Result<Result<(PushRequest, Bytes), Reply>, Failure> {
    let mut decoder = PushDecoder::new(format, limits);
    let mut rest = Bytes::new();
    while let Some(piece) = input.next().await? {
        let mut bytes = &piece[..];
        match decoder.read(&mut bytes) {
            Ok(false) => {}
            Ok(true) => {
                rest = piece.slice_ref(bytes);
                break;
            }
            Err(error) => return Ok(Err(refusal(decoder.capabilities_so_far(), &error))),
        }
    }
    let capabilities = decoder.capabilities_so_far().clone();
    let push = decoder.finish().map(|request| (request, rest));
    Ok(push.map_err(|error| refusal(&capabilities, &error)))
}

/// What a client is told that asked for no push.
fn refusal(capabilities: &PushCapabilities, error: &ProtocolError) -> Reply {
    let mut out = Vec::new();
    write_refusal(&mut out, capabilities, error);
    Reply::Refusal(out.into())
}

/// Reads the pack, into memory or beside it; or says which limit it is over.
async fn take_pack(
    repository: &Arc<Repository>,
    input: &mut impl Input,
    begun: Bytes,
    limit: u64,
) -> Result<Result<Incoming, String>, Failure> {
    let mut block = BytesMut::from(begun);
    let mut spool: Option<Box<dyn PackSpool>> = None;
    let mut total = block.len() as u64;
    if total > limit {
        return skip(input, limit).await.map(Err);
    }
    while let Some(piece) = input.next().await? {
        total += piece.len() as u64;
        if total > limit {
            drop(spool);
            drop(block);
            return skip(input, limit).await.map(Err);
        }
        let room = if spool.is_some() {
            BLOCK_BYTES
        } else {
            MEMORY_BYTES
        };
        if block.len() + piece.len() > room {
            let full = std::mem::replace(&mut block, BytesMut::with_capacity(BLOCK_BYTES));
            match write_aside(repository, spool, full.freeze()).await? {
                Ok(written) => spool = Some(written),
                Err(error) => {
                    let why = told(&error);
                    return skip(input, limit).await.map(|_| Err(why));
                }
            }
        }
        block.extend_from_slice(&piece);
    }
    if spool.is_none() {
        return Ok(Ok(Incoming::Memory(block.freeze())));
    }
    match write_aside(repository, spool, block.freeze()).await? {
        Ok(spool) => Ok(Ok(Incoming::Spool(spool))),
        Err(error) => Ok(Err(told(&error))),
    }
}

fn told(error: &std::io::Error) -> String {
    tracing::error!(%error, "a pushed pack could not be written");
    if error.kind() == std::io::ErrorKind::StorageFull {
        "there is no room for the pack".to_owned()
    } else {
        "the server could not write the pack".to_owned()
    }
}

/// Appends a block to what was written aside, or begins it.
async fn write_aside(
    repository: &Arc<Repository>,
    spool: Option<Box<dyn PackSpool>>,
    block: Bytes,
) -> Result<std::io::Result<Box<dyn PackSpool>>, AppError> {
    let repository = Arc::clone(repository);
    let written = tokio::task::spawn_blocking(move || {
        let mut spool = match spool {
            Some(spool) => spool,
            None => repository.packs().receive(repository.key())?,
        };
        spool.write(&block)?;
        Ok(spool)
    });
    written.await.map_err(AppError::internal)
}

/// Throws the rest of a pack away, and says why.
async fn skip(input: &mut impl Input, limit: u64) -> Result<String, Failure> {
    let mut skipped = 0;
    while let Some(piece) = input.next().await? {
        skipped += piece.len() as u64;
        if skipped > OVER_LIMIT_BYTES {
            return Err(InputError::TooLarge(limit).into());
        }
    }
    Ok(format!(
        "the pack exceeds the maximum allowed size of {limit} bytes"
    ))
}

/// A push that has arrived.
struct Push {
    app: App,
    caller: Caller,
    via: Via,
    repository: Arc<Repository>,
    request: Arc<PushRequest>,
    signed: Option<Arc<SignedPush>>,
    limits: ReceiveLimits,
    /// How far taking it apart is: the stage in the two highest bits, then what is done and
    /// what there is, of 31 bits each.
    progress: Arc<AtomicU64>,
}

/// Where programs say something to whoever pushes.
type Say = UnboundedSender<Bytes>;
type Working = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

impl Push {
    /// Works on it; while that takes long, a client that listens is told that it does.
    async fn answer(self, incoming: Result<Incoming, String>) -> Result<Reply, Failure> {
        let capabilities = self.request.capabilities.clone();
        let progress = Arc::clone(&self.progress);
        let (say, said) = unbounded_channel();
        let working: Working = Box::pin(self.work(incoming, say));
        if !capabilities.side_band {
            return Ok(working.await.into());
        }
        let mut waiting = Waiting {
            said,
            begun: None,
            working,
            progress,
            quiet: capabilities.quiet,
        };
        match waiting.next(KEEP_ALIVE).await {
            Heard::End(out) => return Ok(out.into()),
            Heard::Said(line) => waiting.begun = Some(line),
            Heard::Nothing => {}
        }
        let pieces = stream::unfold(Some(waiting), |waiting| async {
            let mut waiting = waiting?;
            if let Some(line) = waiting.begun.take() {
                return Some((line, Some(waiting)));
            }
            match waiting.next(KEEP_ALIVE).await {
                Heard::End(out) => Some((out.into(), None)),
                Heard::Said(line) => Some((line, Some(waiting))),
                Heard::Nothing => {
                    let line = waiting.sign_of_life();
                    Some((line, Some(waiting)))
                }
            }
        });
        Ok(Reply::pieces(pieces))
    }

    /// Takes the pack apart, publishes what holds, and writes the answer.
    async fn work(self, incoming: Result<Incoming, String>, say: Say) -> Vec<u8> {
        let request = Arc::clone(&self.request);
        let outcome = match incoming {
            Ok(incoming) => self.run(incoming, &say).await,
            Err(why) => Outcome::unpack_error(&request, why),
        };
        outcome.write(&request)
    }

    async fn run(self, incoming: Incoming, say: &Say) -> Outcome {
        let Push {
            app,
            caller,
            via,
            repository,
            request,
            signed,
            limits,
            progress,
        } = self;
        let _place = match &incoming {
            Incoming::Spool(_) => LARGE_PACKS.acquire().await.ok(),
            _ => None,
        };
        let cause = cause_of(&caller, via);
        let told_cause = cause.clone();
        let long = !is_quick(&repository, &incoming);
        let prepared = {
            let (repository, request) = (Arc::clone(&repository), Arc::clone(&request));
            aside::run(long, move || {
                let note = |now: Progress| progress.store(packed(now), Ordering::Relaxed);
                receive::prepare(&repository, &request, incoming, cause, &limits, &note)
            })
        };
        let prepared = match prepared.await {
            Ok(prepared) => prepared,
            Err(panic) => return Outcome::unpack_error(&request, our_fault(&panic).to_owned()),
        };
        let Prepared {
            unpack_error,
            refusals,
            messages,
            proposal,
        } = prepared;
        let mut outcome = Outcome {
            unpack_error,
            refusals,
            messages,
        };
        let Some(proposal) = proposal else {
            return outcome;
        };
        match Integration::of(&repository, &request, &outcome.refusals, proposal.objects()) {
            Ok(None) => {}
            Ok(Some(integration)) => {
                let objects = proposal.objects().clone();
                let cause = cause_of(&caller, via);
                let done = integration.run(&app, &caller, &repository, objects, cause);
                match done.await {
                    Ok(message) => outcome.messages.push_str(&message),
                    Err(error) => outcome.fail_integration(&error),
                }
                drop(proposal);
                return outcome;
            }
            Err(why) => {
                outcome.messages.push_str(&format!("error: {why}\n"));
                for refusal in &mut outcome.refusals {
                    refusal.get_or_insert_with(|| why.clone());
                }
                return outcome;
            }
        }
        let decision = proposal.decision();
        let passage = Passage {
            say: request.capabilities.side_band.then(|| say.clone()),
            options: request.options.clone(),
            signed,
            atomic: request.capabilities.atomic,
            push: Some(Pushed {
                commands: request.commands.as_slice().into(),
                decision: Arc::clone(&decision),
                cause: told_cause,
            }),
            refused: Arc::default(),
        };
        let published = app.publish_push(&repository, proposal, passage.clone());
        let published = published.await;
        let Decision { refusals, messages } =
            std::mem::take(&mut *decision.lock().unwrap_or_else(PoisonError::into_inner));
        outcome.messages.push_str(&messages);
        if refusals.len() == outcome.refusals.len() {
            outcome.refusals = refusals;
        }
        let declined = passage.refused();
        for name in &declined {
            let commands = request.commands.iter().zip(&mut outcome.refusals);
            for (_, refusal) in commands.filter(|(command, _)| command.name == name.as_bytes()) {
                refusal.get_or_insert_with(|| "hook declined".to_owned());
            }
        }
        if let Err(error) = published {
            if request.capabilities.atomic && !declined.is_empty() {
                for refusal in &mut outcome.refusals {
                    refusal.get_or_insert_with(|| "atomic push failure".to_owned());
                }
            }
            outcome.fail(&error);
        }
        outcome
    }
}

fn cause_of(caller: &Caller, via: Via) -> Cause {
    cause(caller, CauseKind::Push, via)
}

/// Whether a push is taken apart in less time than it takes to wake another thread: its pack is
/// small, and so is all that may have to be looked through to see what it builds on.
fn is_quick(repository: &Repository, incoming: &Incoming) -> bool {
    const PACK_BYTES: usize = 16 << 10;
    const COMMITS: u32 = 10_000;
    let small = match incoming {
        Incoming::Nothing => true,
        Incoming::Memory(pack) => pack.len() <= PACK_BYTES,
        Incoming::Spool(_) => false,
    };
    small && repository.pool().graph().len() <= COMMITS
}

/// So many conflicts are told.
const CONFLICTS_TOLD_MAX: usize = 20;

/// What became of a push.
struct Outcome {
    unpack_error: Option<String>,
    refusals: Vec<Option<String>>,
    messages: String,
}

impl Outcome {
    fn unpack_error(request: &PushRequest, why: String) -> Outcome {
        Outcome {
            messages: format!("fatal: {why}\n"),
            unpack_error: Some(why),
            refusals: vec![Some("unpacker error".to_owned()); request.commands.len()],
        }
    }

    /// Nothing was changed, or nobody knows.
    fn fail(&mut self, error: &AppError) {
        let why = match error {
            AppError::Internal(cause) => our_fault(&**cause).to_owned(),
            other => other.to_string(),
        };
        // That a program declined is in the report; what it said was heard while it ran.
        let told = usize::from(matches!(error, AppError::ProgramRefused { .. }));
        for line in why.lines().skip(told) {
            self.messages.push_str(&format!("error: {line}\n"));
        }
        // A report has room for one line.
        let short = why.lines().next().unwrap_or_default();
        for refusal in &mut self.refusals {
            refusal.get_or_insert_with(|| short.to_owned());
        }
    }

    /// What was pushed could not be brought onto its branch.
    fn fail_integration(&mut self, error: &AppError) {
        let AppError::MergeConflict { conflicts, .. } = error else {
            return self.fail(error);
        };
        for conflict in conflicts.iter().take(CONFLICTS_TOLD_MAX) {
            let line = format!("error: conflict ({}) in {}\n", conflict.kind, conflict.path);
            self.messages.push_str(&line);
        }
        let paths: Vec<&str> = conflicts
            .iter()
            .take(CONFLICTS_TOLD_MAX)
            .map(|conflict| &*conflict.path)
            .collect();
        let why = format!("conflicts in {}", paths.join(", "));
        for refusal in &mut self.refusals {
            refusal.get_or_insert_with(|| why.clone());
        }
    }

    fn write(&self, request: &PushRequest) -> Vec<u8> {
        let refs = request.commands.iter().zip(&self.refusals);
        let report = Report {
            unpack_error: self.unpack_error.as_deref(),
            refs: refs
                .map(|(command, refusal)| (&command.name[..], refusal.as_deref()))
                .collect(),
        };
        let mut out = Vec::new();
        write_answer(&mut out, &request.capabilities, &self.messages, &report);
        out
    }
}

/// A push that takes long.
struct Waiting {
    /// What programs say meanwhile.
    said: UnboundedReceiver<Bytes>,
    /// What the client is to hear first.
    begun: Option<Bytes>,
    working: Working,
    progress: Arc<AtomicU64>,
    quiet: bool,
}

/// What happens first.
enum Heard {
    /// The push is done, and this is the rest of its answer.
    End(Vec<u8>),
    /// A program said something.
    Said(Bytes),
    /// For as long as was waited.
    Nothing,
}

impl Waiting {
    async fn next(&mut self, patience: Duration) -> Heard {
        let on_its_band = |piece: &Bytes| {
            let mut out = Vec::new();
            sideband::write(&mut out, Band::Progress, piece);
            out
        };
        tokio::select! {
            biased;
            Some(piece) = self.said.recv() => Heard::Said(on_its_band(&piece).into()),
            out = &mut self.working => {
                let mut all = Vec::new();
                while let Ok(piece) = self.said.try_recv() {
                    all.extend(on_its_band(&piece));
                }
                if all.is_empty() {
                    return Heard::End(out);
                }
                all.extend(out);
                Heard::End(all)
            }
            () = tokio::time::sleep(patience) => Heard::Nothing,
        }
    }

    /// Something for the client to hear: how far we are, or nothing at all.
    fn sign_of_life(&self) -> Bytes {
        let now = self.progress.load(Ordering::Relaxed);
        let (stage, done, total) = (now >> 62, now >> 31 & MASK, now & MASK);
        if self.quiet || stage == 0 || total == 0 {
            return Bytes::from_static(sideband::KEEP_ALIVE);
        }
        let what = if stage == 1 {
            "Indexing objects"
        } else {
            "Resolving deltas"
        };
        let percent = done * 100 / total;
        let text = format!("{what}: {percent:3}% ({done}/{total})\r");
        let mut out = Vec::new();
        sideband::write(&mut out, Band::Progress, text.as_bytes());
        out.into()
    }
}

const MASK: u64 = (1 << 31) - 1;

fn packed(now: Progress) -> u64 {
    let stage = match now.stage {
        Stage::Receiving => 1,
        Stage::Resolving => 2,
    };
    stage << 62 | (u64::from(now.done) & MASK) << 31 | u64::from(now.total) & MASK
}
