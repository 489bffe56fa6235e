//! Inflating and deflating.
