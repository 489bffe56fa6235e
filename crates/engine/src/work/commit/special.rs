//! Files that Git reads itself.

use govc_git::ObjectKind;
use govc_git::object::check::{Finding, Severity, check_object, check_special};
use govc_git::object::tree::write_entry;

use super::CommitError;
use super::steps::blob;
use crate::NewObject;
use crate::pool::{Pool, PoolError};
use crate::work::tree_editor::Placed;

/// Refuses what a push would be refused for: a `.gitmodules` that is a symbolic link, or names
/// submodules that would leave the working tree or run something.
pub(in crate::work) fn check_special_file(
    pool: &Pool,
    file: &Placed,
    new: &[NewObject],
) -> Result<(), CommitError> {
    let mut tree = Vec::new();
    write_entry(&mut tree, file.mode, &file.name, &file.id);
    let mut finding = None;
    let mut special = None;
    let mut on_finding = |found: Finding| {
        if found.severity == Severity::Error {
            finding.get_or_insert(found);
        }
    };
    let format = pool.format();
    check_object(
        ObjectKind::Tree,
        &tree,
        format,
        &mut on_finding,
        &mut |what, _| {
            special = Some(what);
        },
    );
    if let Some(special) = special {
        match blob(pool, file.id, &[new]) {
            Ok(data) => check_special(special, &data, &mut on_finding),
            Err(PoolError::Missing { .. }) => on_finding(special.missing()),
            Err(error) => return Err(error.into()),
        }
    }
    match finding {
        None => Ok(()),
        Some(finding) => Err(CommitError::FileRefused {
            name: file.name.to_vec(),
            finding,
        }),
    }
}
