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

/// Whether all wants may be seen, and the filter can be applied: to be told before anything else.
fn check(view: &View, request: &FetchRequest) -> Result<(), UploadError> {
    for want in &request.wants {
        if !view.visibility().sees(want)? {
            return Err(UploadError::NotOurRef(*want));
        }
    }
    if let Some(spec) = &request.filter {
        filter::resolve(view, spec)?;
    }
    Ok(())
}

/// Answers what a client of versions 0 and 1 `said` behind its wants, in one request that stands
/// for itself. Gives what the pack is made from where it follows now; `None` where the client is
/// to come again, with more.
///
/// # Errors
/// As [`answer`].
pub fn converse(
    view: &View,
    hidden: HiddenRefs<'_>,
    request: &WantRequest,
    said: &[Said],
    out: &mut Vec<u8>,
) -> Result<Option<Plan>, UploadError> {
    let wants = &request.fetch.wants;
    check(view, &request.fetch)?;
    let shallow = shallow(view, hidden, &request.fetch)?;
    // Said before the client has said what it has: it is told at once, in every round.
    if let Some(shallow) = &shallow
        && request.fetch.depth.asks()
    {
        shallow.write(out);
        out.extend_from_slice(pktline::FLUSH);
    }
    let mut negotiator = Negotiator::new(request);
    let (mut haves, mut seen) = (Vec::new(), HashSet::new());
    // Whether so many haves make us ready: asked for each have, and the same until one is added.
    let mut known = (0, false);
    let mut ready = |haves: &[ObjectId]| -> Result<bool, PoolError> {
        if known.0 != haves.len() {
            // Once ready, more haves change nothing about it.
            let now = known.1 || all_reach(view, wants, haves)?;
            known = (haves.len(), now);
        }
        Ok(known.1)
    };
    for said in said {
        match said {
            Said::Wants(_) => {}
            Said::Have(id) => {
                let common = view.visibility().sees(id)?;
                if common && seen.insert(*id) {
                    haves.push(*id);
                }
                negotiator.have(out, id, common, || ready(&haves))?;
            }
            Said::Flush => {
                let pack_follows = negotiator.flush(out, || ready(&haves))?;
                return Ok(pack_follows.then_some(Plan { haves, shallow }));
            }
            Said::Done => {
                negotiator.done(out);
                return Ok(Some(Plan { haves, shallow }));
            }
        }
    }
    Ok(None)
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
        theirs.extend(number(have)?);
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
