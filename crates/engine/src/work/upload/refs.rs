//! Which refs are shown.

use govc_git::wire::AdvertisedRef;
use govc_git::wire::ls_refs::LsRefsRequest;

use super::peel;
use crate::pool::PoolError;
use crate::work::View;
use crate::work::hidden::HiddenRefs;
use crate::{RefName, Target};

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
