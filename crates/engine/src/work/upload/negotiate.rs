//! What client and server have in common.

use std::collections::{BinaryHeap, HashSet};

use govc_git::ObjectId;
use govc_git::wire::fetch::FetchRequest;
use govc_git::wire::upload::{Negotiator, Said, WantRequest};

use super::{UploadError, peel};
use crate::pool::{CommitNumber, PoolError};
use crate::work::{View, filter};

/// What client and server have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// The client's haves that the server has too and may speak of, each once.
    pub haves: Vec<ObjectId>,
    /// Every wanted commit reaches one of them: a good pack can be made, more haves need not be
    /// named.
    pub ready: bool,
}

/// Checks what `request` wants, and finds what both sides have.
///
/// # Errors
/// [`UploadError::NotOurRef`] for a want that `view` does not reach, [`UploadError::Filter`].
pub fn negotiate(view: &View, request: &FetchRequest) -> Result<Common, UploadError> {
    check(view, request)?;
    let mut seen = HashSet::with_capacity(request.haves.len());
    let mut haves = Vec::new();
    for have in &request.haves {
        if seen.insert(have) && view.visibility().sees(have)? {
            haves.push(*have);
        }
    }
    let ready = !request.done && !haves.is_empty() && all_reach(view, &request.wants, &haves)?;
    Ok(Common { haves, ready })
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
/// for itself. Gives what both sides have where the pack follows now; `None` where the client is
/// to come again, with more.
///
/// # Errors
/// As [`negotiate`].
pub fn converse(
    view: &View,
    request: &WantRequest,
    said: &[Said],
    out: &mut Vec<u8>,
) -> Result<Option<Vec<ObjectId>>, UploadError> {
    let wants = &request.fetch.wants;
    check(view, &request.fetch)?;
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
                return Ok(pack_follows.then_some(haves));
            }
            Said::Done => {
                negotiator.done(out);
                return Ok(Some(haves));
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
