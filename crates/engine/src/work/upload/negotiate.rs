//! What client and server have in common.

use std::collections::{BinaryHeap, HashSet};

use govc_git::wire::fetch::{self, FetchRequest, Next};
use govc_git::wire::upload::{Negotiator, Said, WantRequest};
use govc_git::{ObjectId, pktline};

use super::{Shallow, UploadError, peel, shallow, wanted_refs};
use crate::pool::{CommitNumber, PoolError};
use crate::work::hidden::HiddenRefs;
use crate::work::{View, filter};

/// What a pack is to be made from, besides what the client wants.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The client's haves that the server has too and may speak of, each once.
    pub haves: Vec<ObjectId>,
    /// What becomes of the client's shallow history; `None` where it has none.
    pub shallow: Option<Shallow>,
}

/// Answers `request`, of version 2, up to its pack. Gives what the pack is made from; `None`
/// where the answer ends here. The refs that it wants by name are among its wants afterwards.
///
/// # Errors
/// [`UploadError::NotOurRef`] for a want that `view` does not reach, [`UploadError::Filter`]; others
/// as [`wanted_refs`] and [`shallow()`].
pub fn answer(
    view: &View,
    hidden: HiddenRefs<'_>,
    request: &mut FetchRequest,
    out: &mut Vec<u8>,
) -> Result<Option<Plan>, UploadError> {
    let refs = wanted_refs(view, hidden, &request.wanted_refs)?;
    request.wants.extend(refs.iter().map(|(id, _)| *id));
    check(view, request)?;
    let mut seen = HashSet::with_capacity(request.haves.len());
    let mut haves = Vec::new();
    for have in &request.haves {
        if seen.insert(have) && view.visibility().sees(have)? {
            haves.push(*have);
        }
    }
    if !request.done && !request.haves.is_empty() {
        let may_end = !request.wait_for_done && !haves.is_empty();
        let ready = may_end && all_reach(view, &request.wants, &haves)?;
        let next = fetch::write_acknowledgments(out, haves.iter().copied(), ready);
        if next == Next::MoreHaves {
            return Ok(None);
        }
    }
    if request.wants.is_empty() {
        return Ok(None);
    }
    let shallow = shallow(view, hidden, request)?;
    if let Some(shallow) = &shallow {
        fetch::begin_shallow_info(out);
        shallow.write(out);
        fetch::end_section(out);
    }
    fetch::write_wanted_refs(out, &refs);
    fetch::write_packfile_header(out);
    Ok(Some(Plan { haves, shallow }))
}

/// What a client of versions 0 and 1 may want that it was not shown. In version 2 a client may want
/// all that refs reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnshownWants {
    /// What hidden refs name.
    pub hidden_tips: bool,
    /// All that refs reach.
    pub reachable: bool,
}

impl UnshownWants {
    /// Whether a client may want all of `wants`, if it may see them at all.
    fn check(
        self,
        view: &View,
        hidden: HiddenRefs<'_>,
        wants: &[ObjectId],
    ) -> Result<(), UploadError> {
        if self.reachable {
            return Ok(());
        }
        let names = view.refs.iter().map(|(name, _)| name.as_bytes());
        let names = names.filter(|name| self.hidden_tips || !hidden.hides(name));
        let tips: HashSet<ObjectId> = names.filter_map(|name| view.refs.resolve(name)).collect();
        match wants.iter().find(|want| !tips.contains(*want)) {
            Some(want) => Err(UploadError::NotOurRef(*want)),
            None => Ok(()),
        }
    }
}

/// Whether all wants may be seen, and the filter can be applied: to be told before anything else.
fn check(view: &View, request: &FetchRequest) -> Result<(), UploadError> {
    let (graph, visibility) = (view.pool.graph(), view.visibility());
    for want in &request.wants {
        // Most are commits that refs name. Whether their objects are there is found out soon.
        let is_known = (graph.number(want)).is_some_and(|commit| visibility.sees_commit(commit));
        if !is_known && !visibility.sees(want)? {
            return Err(UploadError::NotOurRef(*want));
        }
    }
    if let Some(spec) = &request.filter {
        filter::resolve(view, spec)?;
    }
    Ok(())
}

/// What follows what a client of versions 0 and 1 said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The client goes on.
    Theirs,
    /// The client waits for what was written, and goes on: over HTTP in another request.
    RoundEnded,
    /// The pack.
    Pack,
}

/// The negotiation with a client of versions 0 and 1: over a connection all of it, over HTTP one
/// request, in which the client says again what it said before.
#[derive(Debug)]
pub struct Conversation {
    request: Box<WantRequest>,
    shallow: Option<Shallow>,
    negotiator: Negotiator,
    haves: Vec<ObjectId>,
    seen: HashSet<ObjectId>,
    /// Whether so many haves make us ready: asked for each have, and the same until one is added.
    known: (usize, bool),
}

impl Conversation {
    /// Begins with what the client wants. What becomes of its shallow history is told before it
    /// says what it has; over HTTP in every round.
    ///
    /// # Errors
    /// As [`answer`].
    pub fn begin(
        view: &View,
        hidden: HiddenRefs<'_>,
        unshown: UnshownWants,
        request: Box<WantRequest>,
        out: &mut Vec<u8>,
    ) -> Result<Conversation, UploadError> {
        unshown.check(view, hidden, &request.fetch.wants)?;
        check(view, &request.fetch)?;
        let shallow = shallow(view, hidden, &request.fetch)?;
        if let Some(shallow) = &shallow
            && request.fetch.depth.asks()
        {
            shallow.write(out);
            out.extend_from_slice(pktline::FLUSH);
        }
        Ok(Conversation {
            negotiator: Negotiator::new(&request),
            request,
            shallow,
            haves: Vec::new(),
            seen: HashSet::new(),
            known: (0, false),
        })
    }

    /// Answers the next thing that the client says.
    ///
    /// # Errors
    /// [`UploadError::Pool`].
    pub fn hear(
        &mut self,
        view: &View,
        said: &Said,
        out: &mut Vec<u8>,
    ) -> Result<Turn, UploadError> {
        let Conversation {
            request,
            negotiator,
            haves,
            seen,
            known,
            ..
        } = self;
        let mut ready = |haves: &[ObjectId]| -> Result<bool, PoolError> {
            if known.0 != haves.len() {
                // Once ready, more haves change nothing about it.
                let now = known.1 || all_reach(view, &request.fetch.wants, haves)?;
                *known = (haves.len(), now);
            }
            Ok(known.1)
        };
        match said {
            Said::Wants(_) => {}
            Said::Have(id) => {
                let common = view.visibility().sees(id)?;
                if common && seen.insert(*id) {
                    haves.push(*id);
                }
                negotiator.have(out, id, common, || ready(haves))?;
            }
            Said::Flush => {
                let pack_follows = negotiator.flush(out, || ready(haves))?;
                return Ok(if pack_follows {
                    Turn::Pack
                } else {
                    Turn::RoundEnded
                });
            }
            Said::Done => {
                negotiator.done(out);
                return Ok(Turn::Pack);
            }
        }
        Ok(Turn::Theirs)
    }

    /// What the client wants, and what its pack is made from.
    pub fn end(self) -> (Box<WantRequest>, Plan) {
        let Conversation {
            request,
            shallow,
            haves,
            ..
        } = self;
        (request, Plan { haves, shallow })
    }
}

/// Whether each of `wants` reaches one of `haves`. What is no commit, under its tags, has no
/// ancestry to tell by, and passes.
fn all_reach(view: &View, wants: &[ObjectId], haves: &[ObjectId]) -> Result<bool, PoolError> {
    let graph = view.pool.graph();
    let number = |id: &ObjectId| -> Result<Option<CommitNumber>, PoolError> {
        if let Some(number) = graph.number(id) {
            return Ok(Some(number));
        }
        Ok(peel(&view.pool, id)?.and_then(|id| graph.number(&id)))
    };
    let mut theirs = HashSet::new();
    for have in haves {
        let Some(have) = number(have)? else { continue };
        // Who has a commit has its parents: a branch from the same place has met it there.
        theirs.extend(graph.parents(have));
        theirs.insert(have);
    }
    let Some(lowest) = theirs.iter().map(|have| graph.generation(*have)).min() else {
        return Ok(false);
    };
    // Commits from which the walk of an earlier want found one of the client's.
    let mut reaching: HashSet<CommitNumber> = theirs;
    for want in wants {
        let Some(want) = number(want)? else { continue };
        let mut queue = BinaryHeap::from([(graph.generation(want), want)]);
        let mut met = HashSet::from([want]);
        let mut found = false;
        while let Some((generation, commit)) = queue.pop() {
            if reaching.contains(&commit) {
                found = true;
                break;
            }
            if generation <= lowest {
                continue;
            }
            for parent in graph.parents(commit) {
                if met.insert(parent) {
                    queue.push((graph.generation(parent), parent));
                }
            }
        }
        if !found {
            return Ok(false);
        }
        reaching.insert(want);
    }
    Ok(true)
}
