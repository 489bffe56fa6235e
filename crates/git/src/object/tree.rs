//! Trees: directories as Git stores them, `<mode> <name>\0<id>` one after the other.

use std::cmp::Ordering;
use std::ops::Range;

use crate::{ObjectFormat, ObjectKind, oid};

use super::ParseError;

/// A directory.
pub const MODE_TREE: u32 = 0o040_000;
/// A file.
pub const MODE_FILE: u32 = 0o100_644;
/// A file that can be run.
pub const MODE_EXECUTABLE: u32 = 0o100_755;
/// A symbolic link.
pub const MODE_SYMLINK: u32 = 0o120_000;
/// A commit of another repository: a submodule.
pub const MODE_SUBMODULE: u32 = 0o160_000;

/// The bits of a mode that say what the entry is.
const MODE_KIND_MASK: u32 = 0o170_000;

/// One line of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeEntry<'a> {
    /// The mode as it stands there; old trees have others than the five of today.
    pub mode: u32,
    /// The name, never empty. Git does not ask for UTF-8.
    pub name: &'a [u8],
    /// What it names.
    pub id: &'a oid,
}

impl TreeEntry<'_> {
    /// A directory.
    pub fn is_tree(&self) -> bool {
        self.mode & MODE_KIND_MASK == MODE_TREE
    }

    /// A commit of another repository.
    pub fn is_submodule(&self) -> bool {
        canonical_mode(self.mode) == MODE_SUBMODULE
    }

    /// A symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & MODE_KIND_MASK == MODE_SYMLINK
    }

    /// What the entry names: submodules name commits, files and links blobs.
    pub fn kind(&self) -> ObjectKind {
        match canonical_mode(self.mode) {
            MODE_TREE => ObjectKind::Tree,
            MODE_SUBMODULE => ObjectKind::Commit,
            _ => ObjectKind::Blob,
        }
    }

    /// The canonical mode as six octal digits, as `git ls-tree` shows it.
    pub fn mode_text(&self) -> &'static str {
        match canonical_mode(self.mode) {
            MODE_TREE => "040000",
            MODE_SUBMODULE => "160000",
            MODE_SYMLINK => "120000",
            MODE_EXECUTABLE => "100755",
            _ => "100644",
        }
    }
}

/// The one of the five modes of today that Git takes `mode` for.
pub fn canonical_mode(mode: u32) -> u32 {
    match mode & MODE_KIND_MASK {
        0o100_000 if mode & 0o100 != 0 => MODE_EXECUTABLE,
        0o100_000 => MODE_FILE,
        MODE_SYMLINK => MODE_SYMLINK,
        MODE_TREE => MODE_TREE,
        _ => MODE_SUBMODULE,
    }
}

/// The entries of the tree in `data`, as they stand. After an error there is no other.
pub fn entries(data: &[u8], format: ObjectFormat) -> TreeEntries<'_> {
    TreeEntries {
        data,
        offset: 0,
        id_bytes: format.len_in_bytes(),
    }
}

/// Walks a tree; see [`entries`].
#[derive(Debug, Clone)]
pub struct TreeEntries<'a> {
    data: &'a [u8],
    offset: usize,
    id_bytes: usize,
}

impl TreeEntries<'_> {
    /// Where the next entry begins, in bytes from the start of the tree.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for TreeEntries<'a> {
    type Item = Result<TreeEntry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.data.get(self.offset..)?;
        if rest.is_empty() {
            return None;
        }
        Some(match decode(rest, self.id_bytes) {
            Ok((entry, length)) => {
                self.offset += length;
                Ok(entry)
            }
            Err(expected) => {
                let offset = self.offset;
                self.offset = self.data.len();
                Err(ParseError {
                    kind: ObjectKind::Tree,
                    offset,
                    expected,
                })
            }
        })
    }
}

/// The entry at the front of `data`, and how many bytes it takes; or what is missing.
#[inline]
pub(super) fn decode(data: &[u8], id_bytes: usize) -> Result<(TreeEntry<'_>, usize), &'static str> {
    let (mode, mode_length) = decode_mode(data).ok_or("octal digits and a space")?;
    let named = &data[mode_length..];
    let name_length = find_nul(named).ok_or("a NUL after the name")?;
    if name_length == 0 {
        return Err("a name");
    }
    let id = named
        .get(name_length + 1..name_length + 1 + id_bytes)
        .and_then(|bytes| oid::try_from_bytes(bytes).ok())
        .ok_or("an object id")?;
    let entry = TreeEntry {
        mode,
        name: &named[..name_length],
        id,
    };
    Ok((entry, mode_length + name_length + 1 + id_bytes))
}

/// The mode, and the length of its digits and space. Bits above the 32nd are lost, as in Git.
#[inline]
pub(super) fn decode_mode(data: &[u8]) -> Option<(u32, usize)> {
    let mut mode = 0u32;
    for (at, &byte) in data.iter().enumerate() {
        match byte {
            b'0'..=b'7' => mode = mode << 3 | u32::from(byte - b'0'),
            b' ' if at > 0 => return Some((mode, at + 1)),
            _ => return None,
        }
    }
    None
}

/// Where the first NUL is: eight bytes at a time, for names are short and there are many.
#[inline]
pub(super) fn find_nul(data: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, tail) = data.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest set bit marks the first zero byte; those above it may lie.
        let zeros = word.wrapping_sub(LOW) & !word & HIGH;
        if zeros != 0 {
            return Some(at * 8 + (zeros.trailing_zeros() / 8) as usize);
        }
    }
    let at = tail.iter().position(|&b| b == 0)?;
    Some(words.len() * 8 + at)
}

/// The entry called `name`, and the bytes of the tree that it takes. Stops where a sorted tree
/// could not have it any more, as Git does.
///
/// # Errors
/// [`ParseError`] when the tree is malformed before that.
pub fn find_entry<'a>(
    data: &'a [u8],
    format: ObjectFormat,
    name: &[u8],
) -> Result<Option<(TreeEntry<'a>, Range<usize>)>, ParseError> {
    let mut walk = entries(data, format);
    loop {
        let start = walk.offset();
        let Some(entry) = walk.next().transpose()? else {
            return Ok(None);
        };
        match entry.name.cmp(name) {
            Ordering::Equal => return Ok(Some((entry, start..walk.offset()))),
            // A directory `a` comes behind `a.b`, so names that begin with the one that is
            // looked for prove nothing.
            Ordering::Greater if !entry.name.starts_with(name) => return Ok(None),
            _ => {}
        }
    }
}

/// The order of names in a tree: by bytes, a directory as if its name ended in `/`. Two with the
/// same name, one of them a directory, are not equal.
pub fn compare_names(a: &[u8], a_is_tree: bool, b: &[u8], b_is_tree: bool) -> Ordering {
    let shared = a.len().min(b.len());
    let next = |name: &[u8], is_tree: bool| match name.get(shared) {
        Some(&byte) => byte,
        None if is_tree => b'/',
        None => 0,
    };
    a[..shared]
        .cmp(&b[..shared])
        .then_with(|| next(a, a_is_tree).cmp(&next(b, b_is_tree)))
}

/// Appends one entry to the tree in `out`.
pub fn write_entry(out: &mut Vec<u8>, mode: u32, name: &[u8], id: &oid) {
    use std::io::Write as _;
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{mode:o} ");
    out.extend_from_slice(name);
    out.push(0);
    out.extend_from_slice(id.as_bytes());
}
