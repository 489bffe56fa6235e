//! The pack between what a client wants and what it has.

use std::sync::Arc;

use govc_git::ObjectId;
use govc_git::wire::fetch::FetchRequest;

use super::{Plan, UploadError};
use crate::Target;
use crate::pool::{ObjectFilter, PackOptions, PackStream};
use crate::work::{View, filter};

/// The pack with all that `request` wants and that its client lacks, as the `plan` says.
///
/// # Errors
/// [`UploadError::Pool`] when something wanted cannot be read.
pub fn pack(view: &View, request: &FetchRequest, plan: &Plan) -> Result<PackStream, UploadError> {
    let filter = match &request.filter {
        Some(spec) => filter::resolve(view, spec)?,
        None => ObjectFilter::default(),
    };
    let (pool, wants, haves) = (&view.pool, &request.wants, &plan.haves);
    let mut set = match &plan.shallow {
        Some(shallow) => pool.closure_in_cut(wants, haves, &shallow.cuts, &filter)?,
        None => pool.closure_filtered(wants, haves, &filter)?,
    };
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
