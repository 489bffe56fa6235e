//! What objects are, for clients that ask without fetching them.

use govc_git::wire::object_info::ObjectInfoRequest;

use super::View;
use crate::pool::PoolError;

/// Writes the answer to `object-info`, its flush included. Of what `view` does not reach it says
/// what it says of what is not there.
///
/// # Errors
/// As [`Pool::header`](crate::pool::Pool::header).
pub fn object_info(
    view: &View,
    request: &ObjectInfoRequest,
    out: &mut Vec<u8>,
) -> Result<(), PoolError> {
    let mut sizes = Vec::with_capacity(request.ids.len());
    for id in &request.ids {
        sizes.push(match view.visibility().sees(id)? {
            true => view.pool.header(id)?.map(|(_, size)| size),
            false => None,
        });
    }
    request.write(out, sizes);
    Ok(())
}
