//! Fetching: which refs are shown, what client and server have in common, and the pack between.

use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use govc_git::object::tag::TagRef;
use govc_git::wire::AdvertisedRef;
use govc_git::wire::fetch::FetchRequest;
use govc_git::wire::ls_refs::LsRefsRequest;
use govc_git::wire::upload::{Negotiator, Said, WantRequest};
use govc_git::{ObjectId, ObjectKind, oid};

use super::View;
use super::hidden::HiddenRefs;
use crate::pool::{CommitNumber, PackOptions, PackStream, Pool, PoolError};
use crate::{RefName, Target};

/// Why a client does not get what it wants.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It wants what this repository does not show it.
    #[error("upload-pack: not our ref {0}")]
    NotOurRef(ObjectId),
    /// What it wants cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Tags that point at tags that point at tags: more than this nobody follows.
const TAG_DEPTH_MAX: usize = 64;

/// The object under a tag, or tags; `None` where `id` is no tag.
///
/// # Errors
/// As [`Pool::find`].
pub fn peel(pool: &Pool, id: &oid) -> Result<Option<ObjectId>, PoolError> {
    if pool.graph().number(id).is_some() {
        return Ok(None);
    }
    let mut at = id.to_owned();
    for depth in 0..TAG_DEPTH_MAX {
        match pool.header(&at)? {
            Some((ObjectKind::Tag, _)) => {}
            Some(_) if depth > 0 => return Ok(Some(at)),
            _ => return Ok(None),
        }
        let Some(object) = pool.find(&at)? else {
            return Ok(None);
        };
        match TagRef::parse(&object.data, pool.format()) {
            Ok(tag) => at = tag.target,
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// Shows the refs of `view` that are not hidden, in the order of their names, HEAD first, to `show`.
///
/// With `peel_tags` what is under annotated tags is looked up. An unborn HEAD is shown without id.
///
/// # Errors
/// As [`Pool::find`], where a tag is looked into.
pub fn shown_refs(
    view: &View,
    hidden: HiddenRefs<'_>,
    prefixes: &[&[u8]],
    peel_tags: bool,
    mut show: impl FnMut(&AdvertisedRef<'_>),
) -> Result<(), PoolError> {
    let mut one = |name: &RefName, target: &Target| -> Result<(), PoolError> {
        if hidden.hides(name.as_bytes()) {
            return Ok(());
        }
        let (id, symref_target) = match target {
            Target::At(id) => (Some(*id), None),
            Target::Symbolic(to) => (
                view.refs.resolve(name.as_bytes()),
                Some(to).filter(|to| !hidden.hides(to.as_bytes())),
            ),
            Target::Gone => return Ok(()),
        };
        // A symbolic ref to nowhere is nothing that a client can use, but for HEAD.
        if id.is_none() && name.as_bytes() != b"HEAD" {
            return Ok(());
        }
        let peeled = match &id {
            Some(id) if peel_tags => peel(&view.pool, id)?,
            _ => None,
        };
        show(&AdvertisedRef {
            name: name.as_bytes(),
            id,
            symref_target: symref_target.map(RefName::as_bytes),
            peeled,
        });
        Ok(())
    };
    if prefixes.is_empty() {
        for (name, target) in view.refs.iter() {
            one(name, target)?;
        }
    }
    for prefix in prefixes {
        for (name, target) in view.refs.with_prefix(prefix) {
            one(name, target)?;
        }
    }
    Ok(())
}

/// Writes the answer to `ls-refs`, its flush included.
///
/// # Errors
/// As [`shown_refs`].
pub fn list_refs(
    view: &View,
    hidden: HiddenRefs<'_>,
    request: &LsRefsRequest,
    out: &mut Vec<u8>,
) -> Result<(), PoolError> {
    shown_refs(view, hidden, &request.ranges(), request.peel, |shown| {
        request.write(out, shown);
    })?;
    out.extend_from_slice(govc_git::pktline::FLUSH);
    Ok(())
}

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
/// [`UploadError::NotOurRef`] for a want that `view` does not reach.
pub fn negotiate(view: &View, request: &FetchRequest) -> Result<Common, UploadError> {
    check_wants(view, &request.wants)?;
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

fn check_wants(view: &View, wants: &[ObjectId]) -> Result<(), UploadError> {
    for want in wants {
        if !view.visibility().sees(want)? {
            return Err(UploadError::NotOurRef(*want));
        }
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
    check_wants(view, wants)?;
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

/// The pack with all that `request` wants and that a client with `haves` lacks.
///
/// # Errors
/// [`UploadError::Pool`] when something wanted cannot be read.
pub fn pack(
    view: &View,
    request: &FetchRequest,
    haves: Vec<ObjectId>,
) -> Result<PackStream, UploadError> {
    let mut wants = request.wants.clone();
    wants.sort_unstable();
    wants.dedup();
    let mut set = view.pool.closure(&wants, &haves)?;
    if request.include_tag {
        let tags: Vec<ObjectId> = view
            .refs
            .with_prefix(b"refs/tags/")
            .filter_map(|(_, target)| match target {
                Target::At(id) if view.pool.graph().number(id).is_none() => Some(*id),
                _ => None,
            })
            .collect();
        view.pool.include_tags(&mut set, &tags)?;
    }
    let options = PackOptions {
        thin: request.thin_pack,
        ofs_delta: request.ofs_delta,
    };
    Ok(Arc::clone(&view.pool).pack_stream(set, options)?)
}
