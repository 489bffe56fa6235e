//! Hostile bytes for every parser.
//!
//! A [`Target`] feeds bytes to one parser and holds its answer against what must be true of it:
//! what was read and written again is the same, what arrives in pieces is what arrives whole, an
//! index finds what a look at every entry finds, and the memory taken is bounded by the length of
//! the input. `make fuzz` lets libFuzzer look for inputs; `make test` runs the same functions over
//! `corpus/` and over small changes of it.

pub mod corpus;

mod allocation;
mod heal;
mod http;
mod lines;
mod names;
mod object;
mod pack;
mod plant;
mod store;
mod wire;

pub use allocation::Counting;

/// Every allocation of the tests and the fuzzer is counted.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One parser, and what is held against it.
pub struct Target {
    /// Its name: the folder of its corpus, and what `make fuzz TARGET=` says.
    pub name: &'static str,
    /// What it is fed by. Panics where something that must be true is not.
    check: fn(&[u8]),
    /// How much memory it may take at once beside [`Target::bytes_each`].
    bytes: usize,
    /// How much memory each byte of the input may cost.
    bytes_each: usize,
}

impl Target {
    const fn new(name: &'static str, check: fn(&[u8])) -> Target {
        Target {
            name,
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

/// Every target, one for each parser.
pub const TARGETS: &[Target] = &[
    Target::new("pktline", wire::pktline),
    Target::new("command", wire::command),
    Target::new("fetch", wire::fetch),
    Target::new("ls_refs", wire::ls_refs),
    Target::new("object_info", wire::object_info),
    Target::new("filter", wire::filter),
    Target::new("upload", wire::upload),
    Target::new("receive", wire::receive),
    Target::new("capabilities", wire::capabilities),
    Target::new("pack", pack::pack).with_memory(8 << 20),
    Target::new("entry_header", pack::entry_header),
    Target::new("delta", pack::delta).with_memory(2 << 20),
    Target::new("pack_index", pack::index),
    Target::new("commit_graph", pack::commit_graph),
    Target::new("inflate", pack::inflate).with_memory(4 << 20),
    Target::new("commit", object::commit),
    Target::new("tag", object::tag),
    Target::new("tree", object::tree),
    Target::new("check", object::check),
    Target::new("gitmodules", object::gitmodules),
    Target::new("signature", object::signature),
    Target::new("message", object::message),
    Target::new("refname", names::refname),
    Target::new("path", names::path),
    Target::new("ignore", names::ignore),
    Target::new("log", store::log).with_memory(1 << 20),
    Target::new("entry", store::entry),
    Target::new("checkpoint", store::checkpoint),
    Target::new("lists", store::lists),
    Target::new("history", store::history).with_memory(1 << 20),
    Target::new("packed_refs", store::packed_refs),
    Target::new("range", http::range),
    Target::new("query", http::query),
    Target::new("url_path", http::url_path),
    Target::new("cursor", http::cursor),
    Target::new("etag", http::etag),
    Target::new("rfc3339", http::rfc3339),
    Target::new("lfs_json", http::lfs_json),
    Target::new("json", http::json),
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
