//! Why a push is not taken, and how that is told.

use std::io;

use govc_git::ObjectId;
use govc_git::pack::PackError;

use crate::pool::PoolError;
use crate::{FsckSeverity, QuarantineError};

/// Why a pack is not taken.
pub(super) enum TakeError {
    /// It is malformed or over a limit.
    Pack(PackError),
    /// It is good, and what is in it is not.
    Fsck(String),
    /// A delta starts from something that is not there, or not for this repository.
    Base(ObjectId),
    /// Objects are to be checked by a rule that there cannot be.
    Rule {
        finding: String,
        severity: FsckSeverity,
    },
    /// It names what is neither in it nor there. Only where objects are checked the whole push is
    /// refused for that, as git does.
    Missing(String),
    /// It has more bytes than is allowed.
    TooLarge(u64),
    /// It could not be written.
    Io(io::Error),
    /// Something that it builds on cannot be read.
    Pool(PoolError),
}

impl TakeError {
    /// What the report says behind `unpack`.
    pub(super) fn report(&self) -> String {
        match self {
            TakeError::Pack(error) => error.to_string(),
            TakeError::Fsck(_) => "fsck error in packed object".to_owned(),
            TakeError::Base(_) => "unresolved deltas".to_owned(),
            TakeError::Rule { finding, severity } => {
                format!("Cannot demote {finding} to {}", severity.name())
            }
            TakeError::Missing(_) => "missing necessary objects".to_owned(),
            TakeError::TooLarge(limit) => {
                format!("the pack exceeds the maximum allowed size of {limit} bytes")
            }
            TakeError::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
                "there is no room for the pack".to_owned()
            }
            TakeError::Io(_) | TakeError::Pool(_) => {
                "the server could not take the pack".to_owned()
            }
        }
    }

    /// What whoever pushes is told besides.
    pub(super) fn message(&self) -> String {
        match self {
            TakeError::Fsck(findings) => format!("{findings}fatal: fsck error in packed object\n"),
            TakeError::Base(base) => format!(
                "error: the pack builds on {base}, which is not in this repository\n\
                 fatal: unresolved deltas\n"
            ),
            TakeError::Io(error) => {
                tracing::error!(%error, "a pushed pack could not be written");
                format!("fatal: {}\n", self.report())
            }
            TakeError::Pool(error) => {
                tracing::error!(%error, "what a push builds on could not be read");
                format!("fatal: {}\n", self.report())
            }
            TakeError::Missing(what) => format!("{what}fatal: {}\n", self.report()),
            TakeError::Pack(_) | TakeError::TooLarge(_) | TakeError::Rule { .. } => {
                format!("fatal: {}\n", self.report())
            }
        }
    }
}

impl From<PackError> for TakeError {
    fn from(error: PackError) -> TakeError {
        match error {
            PackError::MissingBase { base, .. } => TakeError::Base(base),
            PackError::Io(error) => TakeError::Io(error),
            error => TakeError::Pack(error),
        }
    }
}

impl From<QuarantineError> for TakeError {
    fn from(error: QuarantineError) -> TakeError {
        match error {
            QuarantineError::Write(error) => TakeError::Io(error),
            QuarantineError::Pack(error) => error.into(),
            QuarantineError::Pool(error) => TakeError::Pool(error),
        }
    }
}

impl From<io::Error> for TakeError {
    fn from(error: io::Error) -> TakeError {
        TakeError::Io(error)
    }
}

impl From<PoolError> for TakeError {
    fn from(error: PoolError) -> TakeError {
        TakeError::Pool(error)
    }
}
