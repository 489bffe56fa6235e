//! What `git fsck --strict` has to say about one object, which is what `receive.fsckObjects` asks:
//! the same findings in the same order, under the same names (fsck-msgids in Git's
//! documentation), as git 2.39 has them.
//!
//! An arriving object is looked at once, and most of what arrives is trees: they are read without
//! an allocation, and the rules about disguised names are asked for the few names only whose
//! first byte leaves them a chance.

mod commit;
mod gitmodules;
mod headers;
mod tag;
mod tree;

use crate::{ObjectFormat, ObjectKind, oid};

/// What becomes of an arriving object with a [`Finding`], as `receive.fsckObjects` has it.
///
/// It asks strictly: what `git fsck` alone calls a warning (`hasDotgit`, `zeroPaddedFilemode`)
/// refuses the object too, and what `git fsck` calls an information (`badFilemode`,
/// `badTagName`) is the warning that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It is said, and the object is taken.
    Warn,
    /// The object is refused.
    Error,
}

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id}: {text}")]
pub struct Finding {
    /// Git's name for it: `hasDotgit`, `badTimezone`.
    pub id: &'static str,
    /// Whether the object is refused.
    pub severity: Severity,
    /// What Git says beside it.
    pub text: String,
}

/// Git's names for what can be wrong with an object, in lower case, as git 2.39 has them.
const KNOWN: &[&str] = &[
    "badtagname",
    "baddate",
    "baddateoverflow",
    "bademail",
    "badfilemode",
    "badname",
    "badobjectsha1",
    "badparentsha1",
    "badtimezone",
    "badtree",
    "badtreesha1",
    "badtype",
    "duplicateentries",
    "emptyname",
    "extraheaderentry",
    "fullpathname",
    "gitattributesblob",
    "gitattributeslarge",
    "gitattributeslinelength",
    "gitattributesmissing",
    "gitattributessymlink",
    "gitignoresymlink",
    "gitmodulesblob",
    "gitmoduleslarge",
    "gitmodulesmissing",
    "gitmodulesname",
    "gitmodulesparse",
    "gitmodulespath",
    "gitmodulessymlink",
    "gitmodulesupdate",
    "gitmodulesurl",
    "hasdot",
    "hasdotdot",
    "hasdotgit",
    "mailmapsymlink",
    "missingauthor",
    "missingcommitter",
    "missingemail",
    "missingnamebeforeemail",
    "missingobject",
    "missingspacebeforedate",
    "missingspacebeforeemail",
    "missingtag",
    "missingtagentry",
    "missingtaggerentry",
    "missingtree",
    "missingtype",
    "missingtypeentry",
    "multipleauthors",
    "nulincommit",
    "nulinheader",
    "nullsha1",
    "treenotsorted",
    "unknowntype",
    "unterminatedheader",
    "zeropaddeddate",
    "zeropaddedfilemode",
];

/// Whether git has a finding of this name, in lower case.
pub fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Whether an object with the finding of this name, in lower case, is always refused: git lets
/// nobody make it a warning.
pub fn is_fatal(name: &str) -> bool {
    matches!(name, "nulinheader" | "unterminatedheader")
}

/// A file that Git itself reads, and whose content is therefore checked too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialFile {
    /// `.gitmodules`, in any of its disguises.
    Gitmodules,
    /// `.gitattributes`, in any of its disguises.
    Gitattributes,
}

/// The most of a `.gitattributes` that Git reads, in bytes.
const GITATTRIBUTES_BYTES_MAX: usize = 100 << 20;
/// The longest line of a `.gitattributes` that Git reads is shorter than this, in bytes.
const GITATTRIBUTES_LINE_BYTES: usize = 2048;

impl Finding {
    /// A finding that refuses the object.
    fn error(id: &'static str, text: impl Into<String>) -> Finding {
        Finding {
            id,
            severity: Severity::Error,
            text: text.into(),
        }
    }

    /// A finding that the object passes with.
    fn warn(id: &'static str, text: impl Into<String>) -> Finding {
        Finding {
            id,
            severity: Severity::Warn,
            text: text.into(),
        }
    }
}

/// Checks one object. Trees hand the ids of the special files in them to `on_special`: what those
/// name must be blobs that are there, and pass [`check_special`]. Blobs have nothing to check.
pub fn check_object(
    kind: ObjectKind,
    data: &[u8],
    format: ObjectFormat,
    on_finding: &mut dyn FnMut(Finding),
    on_special: &mut dyn FnMut(SpecialFile, &oid),
) {
    match kind {
        ObjectKind::Commit => commit::check(data, format).unwrap_or_else(on_finding),
        ObjectKind::Tree => tree::check(data, format, on_finding, on_special),
        ObjectKind::Blob => {}
        ObjectKind::Tag => tag::check(data, format, on_finding).unwrap_or_else(on_finding),
    }
}

/// Checks the content of a special file.
pub fn check_special(file: SpecialFile, data: &[u8], on_finding: &mut dyn FnMut(Finding)) {
    match file {
        SpecialFile::Gitmodules => gitmodules::check(data, on_finding),
        SpecialFile::Gitattributes => check_gitattributes(data, on_finding),
    }
}

fn check_gitattributes(data: &[u8], on_finding: &mut dyn FnMut(Finding)) {
    if data.len() > GITATTRIBUTES_BYTES_MAX {
        return on_finding(SpecialFile::Gitattributes.too_large());
    }
    // Git reads to the first NUL.
    let text = data.split(|&b| b == 0).next().unwrap_or_default();
    let long = |line: &[u8]| line.len() >= GITATTRIBUTES_LINE_BYTES;
    if text.split(|&b| b == b'\n').any(long) {
        on_finding(Finding::error(
            "gitattributesLineLength",
            ".gitattributes has too long lines to parse",
        ));
    }
}

impl SpecialFile {
    /// The name without a disguise.
    pub fn name(self) -> &'static str {
        match self {
            SpecialFile::Gitmodules => ".gitmodules",
            SpecialFile::Gitattributes => ".gitattributes",
        }
    }

    /// What to say when the id that a tree named is not there.
    pub fn missing(self) -> Finding {
        let id = match self {
            SpecialFile::Gitmodules => "gitmodulesMissing",
            SpecialFile::Gitattributes => "gitattributesMissing",
        };
        Finding::error(id, format!("unable to read {} blob", self.name()))
    }

    /// What to say when the id that a tree named is not a blob's.
    pub fn not_a_blob(self) -> Finding {
        let id = match self {
            SpecialFile::Gitmodules => "gitmodulesBlob",
            SpecialFile::Gitattributes => "gitattributesBlob",
        };
        Finding::error(id, format!("non-blob found at {}", self.name()))
    }

    /// What to say when the blob is so large that it was never in memory.
    pub fn too_large(self) -> Finding {
        let id = match self {
            SpecialFile::Gitmodules => "gitmodulesLarge",
            SpecialFile::Gitattributes => "gitattributesLarge",
        };
        Finding::error(id, format!("{} too large to parse", self.name()))
    }
}
