//! Putting what changed between two trees onto a third, path by path: without renames, as stash
//! and a late commit need it.

use bytes::Bytes;
use govc_git::object::tree::canonical_mode;
use govc_git::object_id::hash_object;
use govc_git::xdiff::{Labels, MergeOptions, merge_text};
use govc_git::{ObjectId, ObjectKind};

use super::WorkspaceError;
use super::draft::TreeEdit;
use crate::pool::Pool;
use crate::work::diff::{TreeFilter, changed_files};
use crate::work::tree::{self, Found};
use crate::{NewObject, ObjectBody, Unmerged};

/// What three trees come to.
#[derive(Debug, Default)]
pub(super) struct ThreeWay {
    /// What is to be done to ours.
    pub(super) edits: Vec<TreeEdit>,
    /// Merged contents.
    pub(super) objects: Vec<NewObject>,
    /// Paths that cannot be put together; the edits give their files with markers.
    pub(super) unmerged: Vec<Unmerged>,
}

/// Applies what changed from `base` to `theirs` onto `ours`.
///
/// # Errors
/// When something cannot be read.
pub(super) fn three_way(
    pool: &Pool,
    [base, ours, theirs]: [&ObjectId; 3],
    labels: Labels<'_>,
) -> Result<ThreeWay, WorkspaceError> {
    let mut all = ThreeWay::default();
    for change in changed_files(pool, Some(base), Some(theirs), &TreeFilter::default())? {
        let path = change.path;
        let there = tree::lookup(pool, ours, &path)?;
        let our = there.filter(|found| !found.is_folder());
        let is_blocked = there.is_some_and(|found| found.is_folder()) && change.new.is_some();
        if our == change.new && !is_blocked {
            continue;
        }
        if our == change.old && !is_blocked && !is_below_a_file(pool, ours, &path)? {
            all.edits.push(TreeEdit::to(&path, change.new));
            continue;
        }
        let stage = |found: Option<Found>| found.map(|f| (canonical_mode(f.mode), f.id));
        let unmerged = Unmerged {
            path: path.clone().into(),
            stages: [stage(change.old), stage(our), stage(change.new)],
        };
        let (Some(our), Some(their)) = (our, change.new) else {
            all.unmerged.push(unmerged);
            // Modified here and deleted there, or the reverse: what was modified is kept.
            if our.is_none() && !is_blocked {
                all.edits.push(TreeEdit::to(&path, change.new));
            }
            continue;
        };
        match merge_file(pool, change.old, our, their, labels)? {
            Some((found, object, is_clean)) => {
                all.edits.push(TreeEdit::to(&path, Some(found)));
                all.objects.extend(object);
                if !is_clean {
                    all.unmerged.push(unmerged);
                }
            }
            None => all.unmerged.push(unmerged),
        }
    }
    Ok(all)
}

fn is_below_a_file(pool: &Pool, root: &ObjectId, path: &[u8]) -> Result<bool, WorkspaceError> {
    for end in memchr::memchr_iter(b'/', path) {
        match tree::lookup(pool, root, &path[..end])? {
            None => return Ok(false),
            Some(found) if !found.is_folder() => return Ok(true),
            Some(_) => {}
        }
    }
    Ok(false)
}

/// The file that two versions come to, its blob, and whether without conflict; `None` where they
/// are no two texts.
#[expect(clippy::type_complexity, reason = "three parts of one answer")]
fn merge_file(
    pool: &Pool,
    base: Option<Found>,
    our: Found,
    their: Found,
    labels: Labels<'_>,
) -> Result<Option<(Found, Option<NewObject>, bool)>, WorkspaceError> {
    let base_mode = base.map(|found| found.mode);
    let mode = match base_mode {
        Some(mode) if mode == our.mode => their.mode,
        _ => our.mode,
    };
    let is_file = |found: &Found| canonical_mode(found.mode) & 0o170_000 == 0o100_000;
    let modes_agree = our.mode == their.mode
        || base_mode.is_some_and(|mode| mode == our.mode || mode == their.mode);
    if our.id == their.id || base.is_some_and(|base| base.id == our.id || base.id == their.id) {
        let id = match base {
            Some(base) if base.id == our.id => their.id,
            _ => our.id,
        };
        return Ok(Some((Found { mode, id }, None, modes_agree)));
    }
    if !is_file(&our) || !is_file(&their) || base.is_some_and(|base| !is_file(&base)) {
        return Ok(None);
    }
    let content = |found: Found| pool.get_kind(&found.id, ObjectKind::Blob);
    let base_text = base.map(content).transpose()?.unwrap_or_default();
    let (our_text, their_text) = (content(our)?, content(their)?);
    let texts = [&base_text, &our_text, &their_text];
    if texts.iter().any(|text| govc_git::xdiff::is_binary(text)) {
        return Ok(None);
    }
    let options = MergeOptions::default();
    let Ok(merged) = merge_text(&base_text, &our_text, &their_text, &labels, &options) else {
        return Ok(None);
    };
    let is_clean = merged.conflicts == 0;
    let data = Bytes::from(merged.text);
    let id = hash_object(pool.format(), ObjectKind::Blob, &data)?;
    let object = NewObject {
        id,
        kind: ObjectKind::Blob,
        body: ObjectBody::Whole(data),
    };
    Ok(Some((
        Found { mode, id },
        Some(object),
        is_clean && modes_agree,
    )))
}
