//! Binary patches, as `git diff --binary` writes and `git apply` reads them: deflated content, or a
//! deflated delta where that is smaller, in base 85; one for each direction.

use govc_git::pack::delta_as_git;
use govc_git::pack::zlib::{Deflater, deflate_as_git};

/// Deflated bytes in a line.
const LINE_BYTES: usize = 52;

const ALPHABET: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// Writes both directions between `old` and `new`.
pub fn write(out: &mut Vec<u8>, old: &[u8], new: &[u8]) {
    out.extend_from_slice(b"GIT binary patch\n");
    write_one(out, old, new);
    write_one(out, new, old);
}

/// How hard it is tried to make it small, as zlib counts: as in git, which is quick here.
const LEVEL: u8 = 1;

fn deflate(data: &[u8]) -> Vec<u8> {
    deflate_as_git(data).unwrap_or_else(|| {
        let mut out = Vec::new();
        Deflater::new(LEVEL).deflate(data, &mut out);
        out
    })
}

fn write_one(out: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    let whole = deflate(to);
    let mut step = Vec::new();
    let mut step_bytes = 0;
    if !from.is_empty()
        && !to.is_empty()
        && let Some(delta) = delta_as_git(from, to, whole.len())
    {
        step_bytes = delta.len();
        step = deflate(&delta);
    }
    let data = if !step.is_empty() && step.len() < whole.len() {
        out.extend_from_slice(format!("delta {step_bytes}\n").as_bytes());
        step
    } else {
        out.extend_from_slice(format!("literal {}\n", to.len()).as_bytes());
        whole
    };
    for line in data.chunks(LINE_BYTES) {
        let length = line.len() as u8;
        out.push(match length {
            1..=26 => b'A' + length - 1,
            _ => b'a' + length - 27,
        });
        for four in line.chunks(4) {
            let mut word = [0; 4];
            word[..four.len()].copy_from_slice(four);
            let mut number = u32::from_be_bytes(word);
            let mut digits = [0; 5];
            for digit in digits.iter_mut().rev() {
                *digit = ALPHABET[(number % 85) as usize];
                number /= 85;
            }
            out.extend_from_slice(&digits);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
}
