//! `git-upload-pack`: which refs there are, and packs.

use std::sync::Arc;

use bytes::Bytes;
use govc_engine::Repository;
use govc_engine::pool::PoolError;
use govc_engine::repository::listings::Listing;
use govc_engine::work::hidden::HiddenRefs;
use govc_engine::work::upload::{self, Conversation, Turn, UnshownWants, UploadError};
use govc_engine::work::{View, objects};
use govc_git::wire::bundle_uri;
use govc_git::wire::command::{Command, Request, RequestDecoder};
use govc_git::wire::fetch::{FetchRequest, OBJECTS_MAX};
use govc_git::wire::ls_refs::LsRefsRequest;
use govc_git::wire::object_info::ObjectInfoRequest;
use govc_git::wire::offers::Offers;
use govc_git::wire::sideband::{self, Band};
use govc_git::wire::upload::{Carrier, Said, UploadDecoder, WantRequest};
use govc_git::wire::{ProtocolError, ProtocolVersion};

use super::input::Input;
use super::reply::Reply;
use super::sending::{Sending, send};
use super::{Duplex, Failure, aside, our_fault};
use crate::app::App;
use crate::http::caller::Caller;

/// A request, besides its body.
pub(crate) struct Asked<'a> {
    pub(crate) app: &'a App,
    pub(crate) caller: &'a Caller,
    /// What the server offers this client.
    pub(crate) offers: Offers,
    /// The server as this client sees it.
    pub(crate) origin: String,
}

impl Asked<'_> {
    /// Notes what a client says of itself beside the request's id.
    fn note(&self, agent: Option<&[u8]>, session_id: Option<&[u8]>, options: &[Vec<u8>]) {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        if session_id.is_some() || !options.is_empty() {
            tracing::info!(
                request_id = %self.caller.request_id,
                agent = agent.map(text),
                client_session_id = session_id.map(text),
                server_options = ?options.iter().map(|option| text(option)).collect::<Vec<_>>(),
                "a client says who it is"
            );
        }
    }
}

/// Answers one request that stands for itself.
pub(crate) async fn answer(
    asked: Asked<'_>,
    repository: Arc<Repository>,
    version: ProtocolVersion,
    mut input: impl Input,
) -> Result<Reply, Failure> {
    if version != ProtocolVersion::V2 {
        return negotiate_once(&asked, &repository, input).await;
    }
    match read(&asked, &repository, &mut Bytes::new(), &mut input).await? {
        Ok(Some(request)) => obey(&asked, &repository, request).await,
        Ok(None) => Ok(Reply::nothing()),
        Err(error) => Ok(Reply::error_line(&error)),
    }
}

/// Holds a conversation to its end, behind the advertisement.
pub(crate) async fn converse(
    asked: Asked<'_>,
    repository: Arc<Repository>,
    version: ProtocolVersion,
    talk: &mut impl Duplex,
) -> Result<(), Failure> {
    if version != ProtocolVersion::V2 {
        return negotiate(&asked, &repository, talk).await;
    }
    let mut ahead = Bytes::new();
    loop {
        let reply = match read(&asked, &repository, &mut ahead, talk).await? {
            Ok(Some(request)) => obey(&asked, &repository, request).await?,
            Ok(None) => return Ok(()),
            Err(error) => return Ok(talk.reply(Reply::error_line(&error)).await?),
        };
        talk.reply(reply).await?;
    }
}

/// Does what a request of version 2 asks.
async fn obey(
    asked: &Asked<'_>,
    repository: &Arc<Repository>,
    request: Request,
) -> Result<Reply, Failure> {
    asked.note(
        request.agent.as_deref(),
        request.session_id.as_deref(),
        &request.server_options,
    );
    match request.command {
        Command::LsRefs(mut wanted) => {
            wanted.unborn &= asked.offers.unborn_head;
            list_refs(repository, wanted).await
        }
        Command::Fetch(wanted) => fetch(asked, repository, wanted).await,
        Command::ObjectInfo(wanted) => object_info(repository, wanted).await,
        Command::BundleUri => {
            let mut out = Vec::new();
            bundle_uri::write(&mut out, &asked.app.bundles(repository, &asked.origin));
            Ok(out.into())
        }
    }
}

/// What the operator says about the filter of a request; its line where that is no.
fn refused_filter(
    asked: &Asked<'_>,
    repository: &Repository,
    wanted: &FetchRequest,
) -> Option<String> {
    let spec = wanted.filter.as_ref()?;
    let record = Arc::clone(&repository.snapshot().record);
    let refused = asked.app.check_filter(&record.settings.fetch, spec).err()?;
    Some(refused.to_string())
}

async fn object_info(
    repository: &Arc<Repository>,
    wanted: ObjectInfoRequest,
) -> Result<Reply, Failure> {
    let view = View::of(repository);
    let told = aside::run(true, move || {
        let mut out = Vec::new();
        objects::object_info(&view, &wanted, &mut out).map(|()| out)
    });
    match told.await? {
        Ok(out) => Ok(out.into()),
        Err(error) => Ok(Reply::error_line(&our_fault(&error))),
    }
}

/// Reads a request from what came `ahead` and `input`; what follows it is `ahead` of the next one.
/// `None` where there is none any more: the input ends, or the client says that it has no more.
async fn read(
    asked: &Asked<'_>,
    repository: &Repository,
    ahead: &mut Bytes,
    input: &mut impl Input,
) -> Result<Result<Option<Request>, ProtocolError>, Failure> {
    let decoder = RequestDecoder::new(repository.pool().format());
    let mut decoder = decoder.offering(asked.offers.clone());
    loop {
        if ahead.is_empty() {
            match input.next().await? {
                Some(piece) => *ahead = piece,
                None if decoder.is_idle() => return Ok(Ok(None)),
                None => return Ok(Err(ProtocolError::Truncated)),
            }
        }
        let mut bytes = &ahead[..];
        let read = decoder.read(&mut bytes);
        *ahead = ahead.slice_ref(bytes);
        match read {
            Ok(None) if decoder.is_over() => return Ok(Ok(None)),
            Ok(None) => {}
            found => return Ok(found),
        }
    }
}

async fn list_refs(repository: &Arc<Repository>, asked: LsRefsRequest) -> Result<Reply, Failure> {
    let snapshot = repository.snapshot();
    let asked = Listing::LsRefs(asked);
    if let Some(answer) = repository.listing(&snapshot, &asked) {
        return Ok(Reply::Whole(answer));
    }
    let many = snapshot.refs.len() > aside::REFS_MAX;
    let repository = Arc::clone(repository);
    let listed = aside::run(many, move || {
        let view = View::of_snapshot(&repository, &snapshot);
        let hidden = HiddenRefs::of(&snapshot.record.settings);
        let mut out = Vec::new();
        if let Listing::LsRefs(asked) = &asked {
            upload::list_refs(&view, hidden, asked, &mut out)?;
        }
        let answer = Bytes::from(out);
        repository.keep_listing(&snapshot, asked, &answer);
        Ok(answer)
    });
    match listed.await? {
        Ok(answer) => Ok(Reply::Whole(answer)),
        Err(error) => Ok(Reply::error_line(&explain(error))),
    }
}

/// What of an error the client is told.
pub(super) fn explain(error: UploadError) -> String {
    match error {
        UploadError::Pool(error @ PoolError::FilterTooCostly) => error.to_string(),
        UploadError::Pool(error) => our_fault(&error).to_owned(),
        asked => asked.to_string(),
    }
}

async fn fetch(
    asked: &Asked<'_>,
    repository: &Arc<Repository>,
    mut wanted: FetchRequest,
) -> Result<Reply, Failure> {
    if !wanted.wants_something() && !wanted.wait_for_done {
        return Ok(Reply::nothing());
    }
    let voice = Voice::of(&wanted);
    if let Some(refused) = refused_filter(asked, repository, &wanted) {
        return Ok(voice.refuse(&refused));
    }
    let view = View::of(repository);
    let record = Arc::clone(&repository.snapshot().record);
    let negotiated = aside::run(true, move || {
        let (hidden, mut head) = (HiddenRefs::of(&record.settings), Vec::new());
        let plan = upload::answer(&view, hidden, &mut wanted, &mut head)?;
        Ok((view, wanted, plan, head))
    });
    let (view, wanted, plan, head) = match negotiated.await? {
        Ok(negotiated) => negotiated,
        Err(error) => return Ok(voice.refuse(&explain(error))),
    };
    let Some(plan) = plan else {
        return Ok(voice.say(head).into());
    };
    let show_progress = !wanted.no_progress;
    let counting = tokio::task::spawn_blocking(move || {
        let pack = upload::pack(&view, &wanted, &plan)?;
        Ok(Sending::begin(pack, Carrier::Lines, show_progress))
    });
    send(voice.say(head), counting, Carrier::Lines).await
}

/// How a client of version 2 is spoken to before the pack.
#[derive(Debug, Clone, Copy)]
struct Voice {
    /// All in side-band lines.
    in_bands: bool,
}

impl Voice {
    fn of(wanted: &FetchRequest) -> Voice {
        Voice {
            in_bands: wanted.sideband_all,
        }
    }

    /// `lines` as the client takes them.
    fn say(self, lines: Vec<u8>) -> Vec<u8> {
        match self.in_bands {
            true => sideband::into_data_band(&lines),
            false => lines,
        }
    }

    /// The answer that says no.
    fn refuse(self, why: &impl ToString) -> Reply {
        if !self.in_bands {
            return Reply::error_line(why);
        }
        let mut out = Vec::new();
        sideband::write(&mut out, Band::Error, why.to_string().as_bytes());
        Reply::Refusal(out.into())
    }
}

/// A negotiation of versions 0 and 1 that has begun.
struct Negotiation {
    view: View,
    conversation: Conversation,
}

/// A negotiation that goes on, who is next, and what is answered; or what the client is told
/// instead.
type Step = Result<(Negotiation, Turn, Vec<u8>), String>;

impl Negotiation {
    /// Begins with what the client wants. One that `comes_again` for each round may have been shown
    /// refs that have moved on.
    async fn begin(
        asked: &Asked<'_>,
        repository: &Arc<Repository>,
        wants: Box<WantRequest>,
        comes_again: bool,
    ) -> Result<Step, Failure> {
        asked.note(wants.agent.as_deref(), wants.session_id.as_deref(), &[]);
        if let Some(refused) = refused_filter(asked, repository, &wants.fetch) {
            return Ok(Err(refused));
        }
        let view = View::of(repository);
        let record = Arc::clone(&repository.snapshot().record);
        let unshown = UnshownWants {
            hidden_tips: asked.offers.tip_wants,
            reachable: asked.offers.reachable_wants || comes_again,
        };
        let begun = aside::run(true, move || {
            let (hidden, mut out) = (HiddenRefs::of(&record.settings), Vec::new());
            let conversation = Conversation::begin(&view, hidden, unshown, wants, &mut out)?;
            Ok((Negotiation { view, conversation }, Turn::Theirs, out))
        });
        Ok(begun.await?.map_err(explain))
    }

    /// Answers, behind `out`, what the client `said`, up to where it waits for the answer if
    /// `one_round`, or up to its pack.
    async fn hear(
        self,
        said: Vec<Said>,
        mut out: Vec<u8>,
        one_round: bool,
    ) -> Result<Step, Failure> {
        let heard = aside::run(true, move || {
            let Negotiation {
                view,
                mut conversation,
            } = self;
            let mut turn = Turn::Theirs;
            for said in &said {
                turn = conversation.hear(&view, said, &mut out)?;
                if turn == Turn::Pack || (one_round && turn == Turn::RoundEnded) {
                    break;
                }
            }
            Ok((Negotiation { view, conversation }, turn, out))
        });
        Ok(heard.await?.map_err(explain))
    }

    /// The pack behind `head`.
    async fn send(self, head: Vec<u8>) -> Result<Reply, Failure> {
        let Negotiation { view, conversation } = self;
        let (wants, plan) = conversation.end();
        let carrier = wants.carrier;
        let counting = tokio::task::spawn_blocking(move || {
            let pack = upload::pack(&view, &wants.fetch, &plan)?;
            Ok(Sending::begin(pack, carrier, !wants.fetch.no_progress))
        });
        send(head, counting, carrier).await
    }
}

/// Answers one request of versions 0 and 1: wants, and haves or `done`.
async fn negotiate_once(
    asked: &Asked<'_>,
    repository: &Arc<Repository>,
    input: impl Input,
) -> Result<Reply, Failure> {
    let (wants, said) = match listen(asked, repository, input).await? {
        Ok(Some(heard)) => heard,
        Ok(None) => return Ok(Reply::nothing()),
        Err(error) => return Ok(Reply::error_line(&error)),
    };
    let (begun, out) = match Negotiation::begin(asked, repository, wants, true).await? {
        Ok((begun, _, out)) => (begun, out),
        Err(why) => return Ok(Reply::error_line(&why)),
    };
    match begun.hear(said, out, true).await? {
        Ok((negotiation, Turn::Pack, head)) => negotiation.send(head).await,
        Ok((_, _, head)) => Ok(head.into()),
        Err(why) => Ok(Reply::error_line(&why)),
    }
}

/// Holds a conversation of versions 0 and 1: wants, haves in rounds, and the pack.
async fn negotiate(
    asked: &Asked<'_>,
    repository: &Arc<Repository>,
    talk: &mut impl Duplex,
) -> Result<(), Failure> {
    let decoder = UploadDecoder::new(repository.pool().format());
    let mut decoder = decoder.offering(asked.offers.clone());
    let mut negotiation: Option<Negotiation> = None;
    let mut said_in_all = 0;
    while let Some(piece) = talk.next().await? {
        let mut bytes = &piece[..];
        let mut said = Vec::new();
        loop {
            match decoder.next(&mut bytes) {
                Ok(Some(Said::Wants(wants))) if wants.fetch.wants.is_empty() => return Ok(()),
                Ok(Some(Said::Wants(wants))) => {
                    match Negotiation::begin(asked, repository, wants, false).await? {
                        Ok((begun, _, out)) => {
                            negotiation = Some(begun);
                            talk.reply(out.into()).await?;
                        }
                        Err(why) => return Ok(talk.reply(Reply::error_line(&why)).await?),
                    }
                }
                Ok(Some(other)) => said.push(other),
                Ok(None) => break,
                Err(error) => return Ok(talk.reply(Reply::error_line(&error)).await?),
            }
        }
        said_in_all += said.len();
        if said_in_all > OBJECTS_MAX {
            let (what, max) = ("haves", OBJECTS_MAX);
            let error = ProtocolError::TooMany { what, max };
            return Ok(talk.reply(Reply::error_line(&error)).await?);
        }
        let Some(begun) = negotiation.take() else {
            continue;
        };
        let reply = match begun.hear(said, Vec::new(), false).await? {
            Ok((ended, Turn::Pack, head)) => ended.send(head).await?,
            Ok((going_on, _, out)) => {
                negotiation = Some(going_on);
                talk.reply(out.into()).await?;
                continue;
            }
            Err(why) => Reply::error_line(&why),
        };
        return Ok(talk.reply(reply).await?);
    }
    if !decoder.is_at_boundary() {
        let error = Reply::error_line(&ProtocolError::Truncated);
        talk.reply(error).await?;
    }
    Ok(())
}

type Heard = (Box<WantRequest>, Vec<Said>);

/// Reads a request of versions 0 and 1; `None` where the client wants nothing.
async fn listen(
    asked: &Asked<'_>,
    repository: &Repository,
    mut input: impl Input,
) -> Result<Result<Option<Heard>, ProtocolError>, Failure> {
    let decoder = UploadDecoder::new(repository.pool().format());
    let mut decoder = decoder.offering(asked.offers.clone());
    let (mut wants, mut said) = (None, Vec::new());
    while let Some(piece) = input.next().await? {
        let mut bytes = &piece[..];
        loop {
            match decoder.next(&mut bytes) {
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
