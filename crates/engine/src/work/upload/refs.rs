//! Which refs are shown.

use govc_git::ObjectId;
use govc_git::wire::AdvertisedRef;
use govc_git::wire::ls_refs::LsRefsRequest;

use super::{UploadError, peel};
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

/// What the refs that a client wants by name are, each with its name as the client gave it. A name
/// may be an id: `git fetch-pack` puts those there too.
///
/// # Errors
/// [`UploadError::UnknownRef`] for one that is not there, hidden, or an id that `view` does not
/// reach.
pub fn wanted_refs(
    view: &View,
    hidden: HiddenRefs<'_>,
    names: &[Vec<u8>],
) -> Result<Vec<(ObjectId, Vec<u8>)>, UploadError> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let unknown = || UploadError::UnknownRef(name.clone());
        let mut id = match hidden.hides(name) {
            true => return Err(unknown()),
            false => view.refs.resolve(name),
        };
        if id.is_none()
            && name.len() == view.pool.format().len_in_hex()
            && let Ok(named) = ObjectId::from_hex(name)
            && view.visibility().sees(&named)?
        {
            id = Some(named);
        }
        found.push((id.ok_or_else(unknown)?, name.clone()));
    }
    Ok(found)
}
