//! Packs: many objects in one stream of bytes, many of them as deltas of others.
