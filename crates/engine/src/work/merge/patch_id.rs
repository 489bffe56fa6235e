//! What a commit changes, told from what others change: two commits with equal ids make the same
//! change somewhere. As git's, it does not look at line numbers and white space.

use bytes::Bytes;
use govc_git::object::tree::MODE_SUBMODULE;
use govc_git::xdiff::{self, DiffOptions, UnifiedOptions};
use govc_git::{ObjectId, ObjectKind};

use crate::pool::{CommitNumber, Pool, PoolError};
use crate::work::diff;
use crate::work::tree::Found;

/// What a commit changes.
pub(super) type PatchId = ObjectId;

/// What the commit changed since its parent; `None` for a merge, and for one that changed nothing.
pub(super) fn patch_id(pool: &Pool, commit: CommitNumber) -> Result<Option<PatchId>, PoolError> {
    let graph = pool.graph();
    let parents = graph.parents(commit);
    if parents.len() > 1 {
        return Ok(None);
    }
    let before = parents.first().map(|parent| graph.tree(*parent));
    let after = graph.tree(commit);
    let filter = diff::TreeFilter::default();
    let changes = diff::changed_files(pool, before.as_deref(), Some(&after), &filter)?;
    if changes.is_empty() {
        return Ok(None);
    }
    let mut text = Vec::new();
    for change in &changes {
        let mut put = |part: &[u8]| {
            text.extend(part.iter().filter(|byte| !byte.is_ascii_whitespace()));
            text.push(b'\n');
        };
        let content = |found: Option<Found>| match found {
            Some(found) if found.mode != MODE_SUBMODULE => {
                pool.get_kind(&found.id, ObjectKind::Blob)
            }
            Some(found) => Ok(Bytes::from(found.id.to_string())),
            None => Ok(Bytes::new()),
        };
        put(&change.path);
        for version in [change.old, change.new] {
            let mode = version.map_or(0, |found| found.mode);
            put(format!("{mode:o}").as_bytes());
        }
        let (old, new) = (content(change.old)?, content(change.new)?);
        let lines = match xdiff::is_binary(&old) || xdiff::is_binary(&new) {
            true => None,
            false => xdiff::unified(
                &old,
                &new,
                &DiffOptions::default(),
                &UnifiedOptions::default(),
            )
            .ok(),
        };
        match lines {
            Some(lines) => {
                for line in lines.split(|byte| *byte == b'\n') {
                    if !line.starts_with(b"@@") {
                        put(line);
                    }
                }
            }
            None => {
                for version in [change.old, change.new] {
                    let id = version.map(|found| found.id.to_string());
                    let id = id.unwrap_or_default();
                    put(id.as_bytes());
                }
            }
        }
    }
    let mut hasher = govc_git::object_id::hasher(pool.format());
    hasher.update(&text);
    Ok(hasher.try_finalize().ok())
}
