//! Bundles: refs and what they reach, less what commits reach that the receiver has, as a file.

use std::sync::Arc;

use govc_git::bundle::BundleHeader;
use govc_git::{ObjectId, ObjectKind};

use super::View;
use super::hidden::HiddenRefs;
use crate::Target;
use crate::pool::{PackOptions, PackStream, PoolError};

/// The header of the bundle of `view` that holds the ref `name`, found as revisions find refs, or
/// all refs; what the commits in `since` reach it presupposes. `None` where there is no such ref,
/// or none at all.
///
/// HEAD is among the refs where its branch is: `git clone` of the file then checks that out. What
/// is hidden is not.
///
/// # Errors
/// As [`Pool::find`](crate::pool::Pool::find).
pub fn header(
    view: &View,
    hidden: HiddenRefs<'_>,
    name: Option<&[u8]>,
    since: &[ObjectId],
) -> Result<Option<BundleHeader>, PoolError> {
    let mut header = BundleHeader::default();
    let mut take = |name: &[u8]| {
        let found = view.refs.resolve(name).filter(|_| !hidden.hides(name));
        header.refs.extend(found.map(|id| (id, name.to_vec())));
        found.is_some()
    };
    let head = view.refs.head_branch();
    let head = head.filter(|branch| !hidden.hides(branch.as_bytes()));
    match name {
        None => {
            let named = view
                .refs
                .iter()
                .filter(|(name, _)| name.as_bytes() != b"HEAD");
            for (name, target) in named {
                if !matches!(target, Target::Gone) {
                    take(name.as_bytes());
                }
            }
        }
        Some(name) => {
            let places: [&[u8]; 4] = [b"", b"refs/", b"refs/tags/", b"refs/heads/"];
            let mut names = places.iter().map(|place| [place, name].concat());
            let full = match name {
                b"HEAD" => head.map(|branch| branch.as_bytes().to_vec()),
                _ => names.find(|name| view.refs.resolve(name).is_some()),
            };
            if let Some(full) = full {
                take(&full);
            }
        }
    }
    let is_head =
        |(_, name): &(ObjectId, Vec<u8>)| head.is_some_and(|head| head.as_bytes() == name);
    if let Some((id, _)) = header.refs.iter().find(|named| is_head(named)) {
        header.refs.insert(0, (*id, b"HEAD".to_vec()));
    }
    for id in since {
        let commit = view.pool.get_kind(id, ObjectKind::Commit)?;
        let message = commit.windows(2).position(|pair| pair == b"\n\n");
        let subject = message.map_or(&[][..], |at| &commit[at + 2..]);
        let line = subject.split(|&byte| byte == b'\n').next();
        let line = line.unwrap_or_default().to_vec();
        header.prerequisites.push((*id, line));
    }
    Ok((!header.refs.is_empty()).then_some(header))
}

/// The pack that follows `header`. It may hold deltas of what the receiver has.
///
/// # Errors
/// As [`Pool::closure`](crate::pool::Pool::closure).
pub fn pack(view: &View, header: &BundleHeader) -> Result<PackStream, PoolError> {
    let mut wants: Vec<ObjectId> = header.refs.iter().map(|(id, _)| *id).collect();
    wants.sort_unstable();
    wants.dedup();
    let haves: Vec<ObjectId> = header.prerequisites.iter().map(|(id, _)| *id).collect();
    let set = view.pool.closure(&wants, &haves)?;
    let options = PackOptions {
        thin: !haves.is_empty(),
        ofs_delta: true,
    };
    Arc::clone(&view.pool).pack_stream(set, options)
}
