//! What the stories under `tests/` are told with: the real `govc` program, the real `git`, plain
//! HTTP, histories out of a seed, and scripts.
//!
//! ```ignore
//! let server = TestServer::start();
//! server.create("hello");
//! let git = Git::new();
//! git.run(&format!("clone -q {} ada", server.git_url("hello")));
//! ```

mod git;
mod history;
mod http;
mod script;
mod server;
mod wire;
mod words;

pub use git::{Git, Ran};
pub use history::History;
pub use http::{Answer, Http};
pub use script::play;
pub use server::{Options, TestServer, ends_before_it_listens, program};
pub use wire::{EMPTY_PACK, Report, packet, push_by_hand};
pub use words::split_words;

/// Numbers that look random and are the same in every run.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number: splitmix64.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    /// One of `of`, which is not empty.
    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// `length` bytes that do not deflate.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.roll().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}
