//! What the catalogue knows of a repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use govc_git::{ObjectFormat, ObjectId};

use crate::{FetchRules, RepoKey, Seq, Time};

/// The id that users give a repository: one to three segments joined by `/`, valid by construction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoId(Arc<str>);

/// Where a repository lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Storage {
    /// Nothing on disk; gone when the server stops.
    Memory,
    /// Log and checkpoints on disk, everything served from memory.
    #[default]
    Hybrid,
    /// The same safety; packs are read in place.
    Disk,
}

/// Where a fork came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkedFrom {
    /// The parent, which may be gone by now.
    pub key: RepoKey,
    /// The parent's id when the fork was made.
    pub id: RepoId,
    /// The parent's change after which its state was copied.
    pub seq: Seq,
}

/// What an owner may set. Everything has a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Refuse pushes and ref edits that are not fast-forwards.
    pub deny_non_fast_forwards: bool,
    /// Refuse deleting refs.
    pub deny_deletes: bool,
    /// Refuse pushes that delete the branch which HEAD names, as git's
    /// `receive.denyDeleteCurrent`. On by default.
    pub deny_delete_current: bool,
    /// Say that a push may be atomic, as git's `receive.advertiseAtomic`. On by default.
    pub atomic_pushes: bool,
    /// Say that a push may come with options, as git's `receive.advertisePushOptions`. On by
    /// default.
    pub push_options: bool,
    /// Check pushed objects as git's `receive.fsckObjects`. On by default.
    pub fsck_objects: bool,
    /// What becomes of an object with a finding, by git's name for it, where that differs from
    /// what [`Severity`](govc_git::object::check::Severity) says, as git's `receive.fsck.<msg-id>`.
    /// Names are in lower case: git does not look at theirs.
    pub fsck_severities: FsckSeverities,
    /// Objects that are taken whatever is found wrong with them, as git's
    /// `receive.fsck.skipList`.
    pub fsck_skip: BTreeSet<ObjectId>,
    /// What fetches may do.
    pub fetch: FetchRules,
    /// Ref prefixes that are not advertised, as git's `transfer.hideRefs`.
    pub hide_refs: Vec<String>,
    /// The same for fetches alone, as git's `uploadpack.hideRefs`; what stands here decides first.
    pub hide_refs_from_fetches: Vec<String>,
    /// The same for pushes alone, as git's `receive.hideRefs`; what stands here decides first.
    pub hide_refs_from_pushes: Vec<String>,
    /// Limits of this repository; `None` is the server's default.
    pub quotas: Quotas,
    /// How long what is past is kept.
    pub retention: Retention,
}

/// What becomes of objects, by the name of what is found wrong with them, in lower case.
pub type FsckSeverities = BTreeMap<String, FsckSeverity>;

/// What becomes of an arriving object with a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FsckSeverity {
    /// It is taken, and nothing is said.
    Ignore,
    /// It is taken, and it is said.
    Warn,
    /// It is refused.
    Error,
}

impl FsckSeverity {
    /// As git spells it.
    pub fn name(self) -> &'static str {
        match self {
            FsckSeverity::Ignore => "ignore",
            FsckSeverity::Warn => "warn",
            FsckSeverity::Error => "error",
        }
    }

    /// What `name` names.
    pub fn from_name(name: &str) -> Option<FsckSeverity> {
        [
            FsckSeverity::Ignore,
            FsckSeverity::Warn,
            FsckSeverity::Error,
        ]
        .into_iter()
        .find(|severity| severity.name() == name)
    }
}

/// Limits of a repository. `None`: the server's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Bytes of objects, as packed.
    pub bytes: Option<u64>,
    /// Number of objects.
    pub objects: Option<u64>,
    /// Number of refs.
    pub refs: Option<u64>,
    /// Bytes of one push.
    pub push_bytes: Option<u64>,
}

/// How long what is past is kept, in seconds. `None`: as long as the server's default says; 0: for
/// ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// Past states of refs, and history.
    pub refs_seconds: Option<u64>,
    /// What discarded realities had.
    pub discarded_realities_seconds: Option<u64>,
    /// The repository itself, once it is deleted.
    pub deleted_seconds: Option<u64>,
}

/// What the catalogue knows of a repository: it is changed by entries, like everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRecord {
    /// Its name among users; can be changed.
    pub id: RepoId,
    /// A sentence for people.
    pub description: String,
    /// Where it lives.
    pub storage: Storage,
    /// Which hash names its objects.
    pub object_format: ObjectFormat,
    /// The key of the first repository of its fork family: all of them share one pool.
    pub family: RepoKey,
    /// Where it was forked from.
    pub forked_from: Option<ForkedFrom>,
    /// When it was made.
    pub created_at: Time,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Time>,
    /// When it goes by itself, if it does.
    pub expires_at: Option<Time>,
    /// What its owner set.
    pub settings: Settings,
}

/// Why a text is not a repository id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepoIdError {
    /// It breaks the syntax; the sentence says how.
    #[error("{0}")]
    Invalid(String),
    /// It is a word that the server uses itself.
    #[error("\"{0}\" is reserved")]
    Reserved(String),
}

const RESERVED_FIRST: &[&str] = &[
    "-",
    "api",
    "assets",
    "docs",
    "events",
    "explore",
    "health",
    "login",
    "metrics",
    "openapi.json",
    "settings",
    "ui",
    "version",
];
const DEVICES: &[&str] = &["con", "prn", "aux", "nul"];
const SEGMENTS_MAX: usize = 3;
const SEGMENT_BYTES_MAX: usize = 100;

impl RepoId {
    /// Takes `text` for an id.
    ///
    /// # Errors
    /// [`RepoIdError`] says which rule `text` breaks.
    pub fn parse(text: &str) -> Result<RepoId, RepoIdError> {
        let invalid = |why: String| Err(RepoIdError::Invalid(why));
        let segments: Vec<&str> = text.split('/').collect();
        if segments.len() > SEGMENTS_MAX {
            return invalid(format!(
                "a repository id has at most {SEGMENTS_MAX} segments"
            ));
        }
        for segment in &segments {
            if !is_name_segment(segment) {
                return invalid(format!(
                    "each segment of a repository id is a letter or digit and at most 99 more of \
                     letters, digits, '.', '_', '-'; {segment:?} is not"
                ));
            }
            let lower = segment.to_ascii_lowercase();
            if lower.ends_with(".git") || lower.ends_with(".lock") {
                return invalid(format!(
                    "a segment of a repository id may not end as {segment:?}"
                ));
            }
            if lower == "realities" || is_device(&lower) {
                return Err(RepoIdError::Reserved((*segment).to_owned()));
            }
        }
        if RESERVED_FIRST.contains(&segments[0].to_ascii_lowercase().as_str()) {
            return Err(RepoIdError::Reserved(segments[0].to_owned()));
        }
        Ok(RepoId(text.into()))
    }

    /// The id as its owner spelled it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two ids have in common that differ in case only: they may not both exist.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`, without `..` and without a final dot, which Windows drops.
fn is_name_segment(segment: &str) -> bool {
    let mut bytes = segment.bytes();
    let starts_well = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric());
    starts_well
        && segment.len() <= SEGMENT_BYTES_MAX
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !segment.contains("..")
        && !segment.ends_with('.')
}

/// Whether `text` can be the name of a reality or workspace: one segment as of an id.
pub fn is_scope_name(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    is_name_segment(text)
        && !lower.ends_with(".git")
        && !lower.ends_with(".lock")
        && !matches!(lower.as_str(), "compare" | "conflicts")
        && !is_device(&lower)
}

/// `con`, `con.txt`, `com1` and the like, which Windows keeps for itself.
fn is_device(lower: &str) -> bool {
    let stem = lower.split('.').next().unwrap_or(lower);
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
    };
    DEVICES.contains(&stem) || numbered("com") || numbered("lpt")
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            deny_non_fast_forwards: false,
            deny_deletes: false,
            deny_delete_current: true,
            atomic_pushes: true,
            push_options: true,
            fsck_objects: true,
            fsck_severities: FsckSeverities::new(),
            fsck_skip: BTreeSet::new(),
            fetch: FetchRules::default(),
            hide_refs: Vec::new(),
            hide_refs_from_fetches: Vec::new(),
            hide_refs_from_pushes: Vec::new(),
            quotas: Quotas::default(),
            retention: Retention::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_to_three_safe_segments() {
        for good in [
            "a",
            "group/project",
            "a/b/c",
            "0.x",
            "A-b_c.d",
            "comx",
            "console",
        ] {
            assert!(RepoId::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "a/b/c/d",
            ".a",
            "-a",
            "a..b",
            "a.",
            "a b",
            "é",
            "x.git",
            "x.LOCK/y",
            &"a".repeat(101),
        ] {
            assert!(
                matches!(RepoId::parse(bad), Err(RepoIdError::Invalid(_))),
                "{bad}"
            );
        }
        for reserved in [
            "api",
            "API/x",
            "health",
            "a/realities",
            "nul",
            "x/com1.txt",
            "openapi.json",
        ] {
            assert!(
                matches!(RepoId::parse(reserved), Err(RepoIdError::Reserved(_))),
                "{reserved}"
            );
        }
    }
}
