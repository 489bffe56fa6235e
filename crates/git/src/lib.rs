//! Git's formats and wire protocol: bytes in, values out. No sockets, no files, no clock.

pub mod bundle;
pub mod checksum;
pub mod config;
pub mod encoding;
pub mod eol;
pub mod ignore;
pub mod message;
pub mod object;
pub mod object_id;
pub mod pack;
pub mod path;
pub mod pktline;
pub mod refname;
pub mod wire;
pub mod xdiff;

pub use object::{Object, ObjectKind};
pub use object_id::{Hasher, ObjectFormat, ObjectId, oid};
