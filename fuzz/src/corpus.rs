//! The committed inputs, and small changes of them.

use std::io;
use std::path::{Path, PathBuf};

/// Where the corpus of a target is.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

/// The inputs of a target, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn inputs(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder(target))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        inputs.push((name, std::fs::read(entry.path())?));
    }
    inputs.sort();
    Ok(inputs)
}

/// Makes changes of inputs that are the same in every run.
pub struct Mutator(u64);

impl Mutator {
    /// Begins with `seed`.
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    /// `input`, changed in up to four places; `other` is what is spliced in.
    pub fn change(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut data = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(data.len());
            let end = at + self.below((data.len() - at).min(16));
            match self.below(7) {
                _ if data.is_empty() => data.extend_from_slice(other),
                0 => data[at] ^= 1 << self.below(8),
                1 => data[at] = [0, 1, b' ', b'\n', 0x7f, 0x80, 0xff][self.below(7)],
                2 => data.truncate(at),
                3 => drop(data.drain(at..end)),
                4 => data.insert(at, self.below(256) as u8),
                5 => {
                    let copy = data[at..end].to_vec();
                    data.splice(at..at, copy);
                }
                _ => {
                    let from = self.below(other.len());
                    let until = from + self.below(other.len() - from);
                    data.splice(at..end, other[from..until].iter().copied());
                }
            }
        }
        data
    }
}
