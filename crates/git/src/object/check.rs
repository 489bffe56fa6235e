//! What `git fsck --strict` has to say about one object.

use crate::{ObjectFormat, ObjectKind, oid};

/// How bad a [`Finding`] is when objects arrive, as `receive.fsckObjects` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It is said, and the object is taken.
    Warn,
    /// The object is refused.
    Error,
}

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Git's name for it: `hasDotgit`, `badTimezone`.
    pub id: &'static str,
    /// Whether the object is refused.
    pub severity: Severity,
    /// What Git says beside it.
    pub text: String,
}

/// A file that Git itself reads, and whose content is therefore checked too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialFile {
    /// `.gitmodules`, in any of its disguises.
    Gitmodules,
    /// `.gitattributes`, in any of its disguises.
    Gitattributes,
}

/// Checks one object. Trees hand the ids of the special files in them to `on_special`: what those
/// name must be blobs that are there, and pass [`check_special`]. Blobs pass.
pub fn check_object(
    kind: ObjectKind,
    data: &[u8],
    format: ObjectFormat,
    on_finding: &mut dyn FnMut(Finding),
    on_special: &mut dyn FnMut(SpecialFile, &oid),
) {
    let _ = (kind, data, format, on_finding, on_special);
    unimplemented!()
}

/// Checks the content of a special file.
pub fn check_special(file: SpecialFile, data: &[u8], on_finding: &mut dyn FnMut(Finding)) {
    let _ = (file, data, on_finding);
    unimplemented!()
}
