//! The manners that every route shares: problem documents, bodies, queries, paths, who is asking,
//! conditions, pages, limits.

pub mod accept;
pub mod ask;
pub mod caller;
pub mod etag;
pub mod idempotency;
pub mod json;
pub mod layers;
pub mod page;
pub mod path;
pub mod problem;
pub mod query;
pub mod range;
pub mod reply;
