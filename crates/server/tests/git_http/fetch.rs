//! Clones and fetches.
