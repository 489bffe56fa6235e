//! Whether a server is there, and what it is.

use schemars::JsonSchema;
use serde::Serialize;

/// How a server is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
}

/// What a server is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Version {
    /// `govc`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The version of the API.
    pub api: &'static str,
    /// What of Git it speaks.
    pub git: GitVersions,
}

/// Which Git a server speaks.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GitVersions {
    /// Hashes of objects.
    pub object_formats: [&'static str; 2],
    /// Versions of the wire protocol.
    pub protocol_versions: [u8; 3],
}
