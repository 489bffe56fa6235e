//! Git's wire protocols as state machines: bytes in, values out, values in, bytes out. No sockets:
//! HTTP, SSH, tests and the fuzzer drive the same code.
//!
//! [`advertise`] begins a conversation. Fetching in protocol version 2 is [`command`], which reads
//! a request, then [`ls_refs`] or [`fetch`]; in versions 0 and 1 it is [`upload`]. Pushing is [`receive`], whatever the version, and what
//! is signed of it a [`push_cert`].
//! [`sideband`] carries a pack, progress and errors in one stream.

pub mod advertise;
pub mod bundle_uri;
pub mod capabilities;
pub mod command;
pub mod depth;
pub mod fetch;
pub mod filter;
pub mod ls_refs;
pub mod object_info;
pub mod offers;
pub mod push_cert;
pub mod receive;
pub mod sideband;
pub mod upload;

use crate::{ObjectFormat, ObjectId};

/// What a client asks the server to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `git-upload-pack`: clone, fetch, ls-remote.
    UploadPack,
    /// `git-receive-pack`: push.
    ReceivePack,
}

impl Service {
    /// The service that `name` names.
    pub fn from_name(name: &str) -> Option<Service> {
        match name {
            "git-upload-pack" => Some(Service::UploadPack),
            "git-receive-pack" => Some(Service::ReceivePack),
            _ => None,
        }
    }

    /// `git-upload-pack` or `git-receive-pack`.
    pub fn name(self) -> &'static str {
        match self {
            Service::UploadPack => "git-upload-pack",
            Service::ReceivePack => "git-receive-pack",
        }
    }
}

/// Which version of the protocol a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum ProtocolVersion {
    /// The original one; what is spoken when nothing is asked for.
    #[default]
    V0,
    /// The original one with `version 1` in front.
    V1,
    /// Commands with their own arguments.
    V2,
}

impl ProtocolVersion {
    /// The greatest version that `value` asks for: keys separated by colons, unknown ones and
    /// unknown versions ignored (the `Git-Protocol` header, the `GIT_PROTOCOL` variable).
    pub fn from_header(value: &[u8]) -> ProtocolVersion {
        value
            .split(|&byte| byte == b':')
            .filter_map(|key| match key.trim_ascii() {
                b"version=1" => Some(ProtocolVersion::V1),
                b"version=2" => Some(ProtocolVersion::V2),
                _ => None,
            })
            .max()
            .unwrap_or_default()
    }
}

/// A ref as it is shown to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvertisedRef<'a> {
    /// Its full name.
    pub name: &'a [u8],
    /// The object that it names, through symbolic refs; `None` where that branch is unborn.
    pub id: Option<ObjectId>,
    /// The ref that it is a name for, where it is symbolic.
    pub symref_target: Option<&'a [u8]>,
    /// The object under the annotated tag, or tags, that it names.
    pub peeled: Option<ObjectId>,
}

/// Why a request is none. The sentence is for the person at the other end, who sees it behind
/// `fatal: remote error:`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// It is not made of pkt-lines.
    #[error(transparent)]
    Line(#[from] crate::pktline::Error),
    /// It ends in the middle.
    #[error("protocol error: the request ends in the middle")]
    Truncated,
    /// A line that has no place where it stands.
    #[error("unexpected line: '{}'", .0.escape_ascii())]
    UnexpectedLine(Vec<u8>),
    /// A flush, delimiter or response end that has no place where it stands.
    #[error("protocol error: unexpected {0}")]
    UnexpectedMark(&'static str),
    /// Not a command of version 2 that was advertised.
    #[error("invalid command '{}'", .0.escape_ascii())]
    UnknownCommand(Vec<u8>),
    /// A second command of version 2 in one request.
    #[error("command '{}' requested after already requesting command '{first}'", .second.escape_ascii())]
    SecondCommand {
        /// The one that came first.
        first: &'static str,
        /// The one behind it.
        second: Vec<u8>,
    },
    /// An argument that `object-info` does not have.
    #[error("object-info: unexpected line: '{}'", .0.escape_ascii())]
    ObjectInfoLine(Vec<u8>),
    /// Not an object id of the repository's hash, for `object-info`.
    #[error("object-info: protocol error, expected to get oid, not '{}'", .0.escape_ascii())]
    ObjectInfoId(Vec<u8>),
    /// An argument for `bundle-uri`, which has none.
    #[error("bundle-uri: unexpected argument: '{}'", .0.escape_ascii())]
    BundleUriArgument(Vec<u8>),
    /// Bytes that are no push certificate.
    #[error("malformed push certificate: {why}: '{}'", text.escape_ascii())]
    MalformedCertificate {
        /// What is wrong with it.
        why: &'static str,
        /// How it begins.
        text: Vec<u8>,
    },
    /// A certificate and refs that it does not name.
    #[error("protocol error: got both push certificate and unsigned commands")]
    UnsignedCommands,
    /// A filter that is none.
    #[error(transparent)]
    Filter(#[from] filter::FilterError),
    /// A second filter in one request.
    #[error("multiple filter-specs cannot be combined")]
    SecondFilter,
    /// A filter of a client of versions 0 and 1 that did not ask for the capability.
    #[error("git upload-pack: filtering capability not negotiated")]
    FilterNotAsked,
    /// Version 2 without a command.
    #[error("no command requested")]
    NoCommand,
    /// A capability that was not advertised.
    #[error("unknown capability '{}'", .0.escape_ascii())]
    UnknownCapability(Vec<u8>),
    /// Not a hash that anybody knows.
    #[error("unknown object format '{}'", .0.escape_ascii())]
    UnknownFormat(Vec<u8>),
    /// The client's hash is not the repository's.
    #[error("mismatched object format: server {server}; client {}", client.escape_ascii())]
    ObjectFormat {
        /// The repository's.
        server: ObjectFormat,
        /// The client's, as it spelled it.
        client: Vec<u8>,
    },
    /// Not a depth.
    #[error("Invalid deepen: {}", .0.escape_ascii())]
    InvalidDeepen(Vec<u8>),
    /// Not a time to cut a history at.
    #[error("Invalid deepen-since: {}", .0.escape_ascii())]
    InvalidDeepenSince(Vec<u8>),
    /// Not an object id of the repository's hash.
    #[error("invalid object id: '{}'", .0.escape_ascii())]
    InvalidId(Vec<u8>),
    /// More of something than the server takes.
    #[error("the request has too many {what}: at most {max} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        max: usize,
    },
    /// Something that this server does not do and did not advertise.
    #[error("{0} is not supported by this server")]
    NotSupported(&'static str),
}

/// Reads a full-length hexadecimal id of the repository's hash, alone.
pub(crate) fn parse_id(hex: &[u8], format: ObjectFormat) -> Result<ObjectId, ProtocolError> {
    let id = (hex.len() == format.len_in_hex())
        .then(|| ObjectId::from_hex(hex).ok())
        .flatten();
    id.ok_or_else(|| ProtocolError::InvalidId(hex[..hex.len().min(100)].to_vec()))
}

/// Appends the hexadecimal form of `id`.
pub(crate) fn push_hex(out: &mut Vec<u8>, id: &crate::oid) {
    let mut buffer = ObjectFormat::hex_buf();
    out.extend_from_slice(id.hex_to_buf(&mut buffer).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_among_other_keys() {
        for (header, expected) in [
            ("", ProtocolVersion::V0),
            ("version=2", ProtocolVersion::V2),
            ("foo=bar:version=2:baz", ProtocolVersion::V2),
            ("version=1:version=2", ProtocolVersion::V2),
            ("version=1", ProtocolVersion::V1),
            ("version=3", ProtocolVersion::V0),
            ("xversion=2", ProtocolVersion::V0),
        ] {
            assert_eq!(
                ProtocolVersion::from_header(header.as_bytes()),
                expected,
                "{header}"
            );
        }
    }
}
