//! Reads repositories and makes changes for them; cannot publish.
