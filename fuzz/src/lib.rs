//! Hostile bytes for every parser.
//!
//! A [`Target`] feeds bytes to one parser and holds its answer against what must be true of it:
//! what was read and written again is the same, what arrives in pieces is what arrives whole, an
//! index finds what a look at every entry finds, and the memory taken is bounded by the length of
//! the input. `make fuzz` lets libFuzzer look for inputs; `make test` runs the same functions over
//! `corpus/` and over small changes of it. [`plants`] are bugs that are put into the parsers to see that
//! each target finds such ones.

pub mod corpus;
pub mod plants;
pub mod seeds;

mod allocation;
mod archive;
mod config;
mod engine;
mod gzip;
mod heal;
mod http;
mod json;
mod lines;
mod names;
mod object;
mod orders;
mod pack;
mod settings;
mod store;
mod targets;
mod text;
mod webhooks;
mod wire;

pub use allocation::Counting;
pub use targets::{TARGETS, target};

/// Every allocation of the tests and the fuzzer is counted.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One parser, and what is held against it.
pub struct Target {
    /// Its name: the folder of its corpus, and what `make fuzz TARGET=` says.
    pub name: &'static str,
    /// The files of its parser, below `crates/`: so much of them its corpus reaches.
    pub parser: &'static [&'static str],
    /// What it is fed by. Panics where something that must be true is not.
    check: fn(&[u8]),
    /// How much memory it may take at once beside [`Target::bytes_each`].
    bytes: usize,
    /// How much memory each byte of the input may cost.
    bytes_each: usize,
}

impl Target {
    const fn new(name: &'static str, check: fn(&[u8]), parser: &'static [&'static str]) -> Target {
        Target {
            name,
            parser,
            check,
            bytes: 256 << 10,
            bytes_each: 128,
        }
    }

    /// A target whose parser has a limit of its own, which it may use up for any input.
    const fn with_memory(self, bytes: usize) -> Target {
        Target { bytes, ..self }
    }

    /// Feeds `data` to the parser.
    ///
    /// # Panics
    /// When the parser panics, gives what cannot be true, or takes more memory than such an input
    /// is worth.
    pub fn feed(&self, data: &[u8]) {
        let peak = allocation::peak_during(|| (self.check)(data));
        let allowed = self.bytes + self.bytes_each * data.len();
        assert!(
            peak <= allowed,
            "{}: {} bytes of input took {peak} bytes of memory at once, {allowed} are allowed",
            self.name,
            data.len(),
        );
    }
}
