//! The rules for trees. 150 million entries in one push of git's own history: no allocation and
//! as few looks as possible for each.

use smallvec::SmallVec;

use crate::object::tree::{
    MODE_EXECUTABLE, MODE_FILE, MODE_SUBMODULE, MODE_SYMLINK, MODE_TREE, TreeEntry,
};
use crate::path::{self, GITATTRIBUTES, GITIGNORE, GITMODULES, MAILMAP};
use crate::{ObjectFormat, oid};

use super::{Finding, SpecialFile};

/// What is said once for a tree, however often it occurs in it: in the order in which it is said.
const NULL_ID: u16 = 1 << 0;
const FULL_PATHNAME: u16 = 1 << 1;
const DOT: u16 = 1 << 2;
const DOTDOT: u16 = 1 << 3;
const DOTGIT: u16 = 1 << 4;
const ZERO_PADDED: u16 = 1 << 5;
const BAD_MODE: u16 = 1 << 6;
const DUPLICATE: u16 = 1 << 7;
const NOT_SORTED: u16 = 1 << 8;

pub(super) fn check(
    data: &[u8],
    format: ObjectFormat,
    on_finding: &mut dyn FnMut(Finding),
    on_special: &mut dyn FnMut(SpecialFile, &oid),
) {
    let id_bytes = format.len_in_bytes();
    if data.is_empty() {
        return;
    }
    let unreadable = || Finding::error("badTree", "cannot be parsed as a tree");
    // The last entry's NUL is looked for before anything else, so that what follows stays inside.
    let ends_well = data.len().checked_sub(id_bytes + 1).map(|at| data[at]) == Some(0);
    let first = Line::decode(data, id_bytes).filter(|_| ends_well);
    let Some((mut line, mut rest)) = first else {
        return on_finding(unreadable());
    };

    let null = format.null();
    let mut seen = 0u16;
    let mut order = Order::default();
    let mut previous: Option<(&[u8], bool)> = None;
    loop {
        let entry = &line.entry;
        // An id that is null is rare, and its first byte says so most of the time.
        if entry.id.first_byte() == 0 && *entry.id == *null {
            seen |= NULL_ID;
        }
        if line.has_slash {
            seen |= FULL_PATHNAME;
        }
        if line.zero_padded {
            seen |= ZERO_PADDED;
        }
        if may_be_special(entry.name, line.has_backslash) {
            seen |= check_name(entry, line.has_backslash, on_finding, on_special);
        }
        let is_tree = entry.is_tree();
        let (mode, name) = (entry.mode, entry.name);

        let next = if rest.is_empty() {
            None
        } else {
            let Some(next) = Line::decode(rest, id_bytes) else {
                on_finding(unreadable());
                break;
            };
            Some(next)
        };
        if !matches!(
            mode,
            MODE_FILE | MODE_TREE | MODE_EXECUTABLE | MODE_SYMLINK | MODE_SUBMODULE
        ) {
            seen |= BAD_MODE;
        }
        if let Some((previous, previous_is_tree)) = previous {
            seen |= order.check(previous, previous_is_tree, name, is_tree);
        }
        previous = Some((name, is_tree));
        match next {
            Some(next) => (line, rest) = next,
            None => break,
        }
    }
    say(seen, on_finding);
}

fn say(seen: u16, on_finding: &mut dyn FnMut(Finding)) {
    const TEXTS: &[(u16, &str, &str)] = &[
        (
            NULL_ID,
            "nullSha1",
            "contains entries pointing to null sha1",
        ),
        (FULL_PATHNAME, "fullPathname", "contains full pathnames"),
        (DOT, "hasDot", "contains '.'"),
        (DOTDOT, "hasDotdot", "contains '..'"),
        (DOTGIT, "hasDotgit", "contains '.git'"),
        (
            ZERO_PADDED,
            "zeroPaddedFilemode",
            "contains zero-padded file modes",
        ),
        (BAD_MODE, "badFilemode", "contains bad file modes"),
        (
            DUPLICATE,
            "duplicateEntries",
            "contains duplicate file entries",
        ),
        (NOT_SORTED, "treeNotSorted", "not properly sorted"),
    ];
    if seen == 0 {
        return;
    }
    for &(bit, id, text) in TEXTS {
        if seen & bit == 0 {
            continue;
        }
        on_finding(if bit == BAD_MODE {
            Finding::warn(id, text)
        } else {
            Finding::error(id, text)
        });
    }
}

/// An entry, and what was seen while its bytes went by.
struct Line<'a> {
    entry: TreeEntry<'a>,
    zero_padded: bool,
    has_slash: bool,
    has_backslash: bool,
}

impl<'a> Line<'a> {
    /// The entry at the front of `data`, and what is behind it.
    #[inline]
    fn decode(data: &'a [u8], id_bytes: usize) -> Option<(Line<'a>, &'a [u8])> {
        // A mode of one digit, its space, a name of one byte less than Git's own bound asks for.
        if data.len() < id_bytes + 3 {
            return None;
        }
        let (mode, named) = decode_mode(data)?;
        let name = scan_name(named)?;
        if name.length == 0 {
            return None;
        }
        let (text, behind) = named.split_at_checked(name.length)?;
        let (id, rest) = behind.get(1..)?.split_at_checked(id_bytes)?;
        let line = Line {
            entry: TreeEntry {
                mode,
                name: text,
                id: oid::try_from_bytes(id).ok()?,
            },
            zero_padded: data[0] == b'0',
            has_slash: name.has_slash,
            has_backslash: name.has_backslash,
        };
        Some((line, rest))
    }
}

/// The mode at the front of `data`, and what is behind its space. Git's checker keeps 16 bits.
#[inline]
fn decode_mode(data: &[u8]) -> Option<(u32, &[u8])> {
    if let Some(rest) = data.strip_prefix(b"100644 ") {
        return Some((MODE_FILE, rest));
    }
    if let Some(rest) = data.strip_prefix(b"40000 ") {
        return Some((MODE_TREE, rest));
    }
    let (mode, length) = crate::object::tree::decode_mode(data)?;
    Some((mode & 0xffff, &data[length..]))
}

struct ScannedName {
    length: usize,
    has_slash: bool,
    has_backslash: bool,
}

/// Looks for the NUL behind a name, and on the way for slashes: eight bytes at a time.
#[inline]
fn scan_name(data: &[u8]) -> Option<ScannedName> {
    let mut slashes = 0u64;
    let mut backslashes = 0u64;
    let (words, tail) = data.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let nul = zero_bytes(word);
        // The bits of the bytes before the first NUL: all, where there is none.
        let before = (nul & nul.wrapping_neg()).wrapping_sub(1);
        slashes |= zero_bytes(word ^ repeat(b'/')) & before;
        backslashes |= zero_bytes(word ^ repeat(b'\\')) & before;
        if nul != 0 {
            return Some(ScannedName {
                length: at * 8 + (nul.trailing_zeros() / 8) as usize,
                has_slash: slashes != 0,
                has_backslash: backslashes != 0,
            });
        }
    }
    let end = tail.iter().position(|&b| b == 0)?;
    Some(ScannedName {
        length: words.len() * 8 + end,
        has_slash: slashes != 0 || tail[..end].contains(&b'/'),
        has_backslash: backslashes != 0 || tail[..end].contains(&b'\\'),
    })
}

/// The top bit of each byte that is zero, exactly.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    !(((word & LOW_SEVEN) + LOW_SEVEN) | word | LOW_SEVEN)
}

/// A word of eight equal bytes.
const fn repeat(byte: u8) -> u64 {
    byte as u64 * 0x0101_0101_0101_0101
}

/// Whether [`check_name`] could find anything: by the first byte, nearly always not.
#[inline]
fn may_be_special(name: &[u8], has_backslash: bool) -> bool {
    match name[0] {
        // `.git`, `.`, `..`; short names of NTFS that are a number alone; what HFS+ ignores
        // begins with one of two bytes.
        b'.' | b'~' | 0xe2 | 0xef => true,
        // Short names of NTFS.
        b'g' | b'G' | b'm' | b'M' => has_backslash || name.contains(&b'~'),
        _ => has_backslash,
    }
}

/// The rules about names, for the names that have a chance to break them.
#[cold]
fn check_name(
    entry: &TreeEntry<'_>,
    has_backslash: bool,
    on_finding: &mut dyn FnMut(Finding),
    on_special: &mut dyn FnMut(SpecialFile, &oid),
) -> u16 {
    let name = entry.name;
    let gitmodules = |on_finding: &mut dyn FnMut(Finding),
                      special: &mut dyn FnMut(SpecialFile, &oid)| {
        if entry.is_symlink() {
            on_finding(Finding::error(
                "gitmodulesSymlink",
                ".gitmodules is a symbolic link",
            ));
        } else {
            special(SpecialFile::Gitmodules, entry.id);
        }
    };
    let mut seen = match name {
        b"." => DOT,
        b".." => DOTDOT,
        _ if path::is_dot_git(name) => DOTGIT,
        _ => 0,
    };
    if GITMODULES.is(name) {
        gitmodules(on_finding, on_special);
    }
    if GITATTRIBUTES.is(name) {
        if entry.is_symlink() {
            on_finding(Finding::warn(
                "gitattributesSymlink",
                ".gitattributes is a symlink",
            ));
        } else {
            on_special(SpecialFile::Gitattributes, entry.id);
        }
    }
    if entry.is_symlink() {
        if GITIGNORE.is(name) {
            on_finding(Finding::warn("gitignoreSymlink", ".gitignore is a symlink"));
        }
        if MAILMAP.is(name) {
            on_finding(Finding::warn("mailmapSymlink", ".mailmap is a symlink"));
        }
    }
    if has_backslash {
        for (at, _) in name.iter().enumerate().filter(|(_, b)| **b == b'\\') {
            let behind = &name[at + 1..];
            if path::ntfs_is_dot_git(behind) {
                seen |= DOTGIT;
            }
            if GITMODULES.ntfs_is(behind) {
                gitmodules(on_finding, on_special);
            }
        }
    }
    seen
}

/// The order of a tree, and the names in it that come twice.
///
/// A file and a directory of one name need not be neighbours: `foo`, `foo.bar`, `foo/`. Names of
/// files that a directory could still repeat wait on a stack.
#[derive(Default)]
struct Order<'a> {
    waiting: SmallVec<[&'a [u8]; 8]>,
}

impl<'a> Order<'a> {
    #[inline]
    fn check(&mut self, a: &'a [u8], a_is_tree: bool, b: &'a [u8], b_is_tree: bool) -> u16 {
        // Names are not empty, and of two neighbours the first bytes often say all.
        if a[0] != b[0] {
            return if a[0] < b[0] { 0 } else { NOT_SORTED };
        }
        let shared = a.len().min(b.len());
        match a[..shared].cmp(&b[..shared]) {
            std::cmp::Ordering::Less => return 0,
            std::cmp::Ordering::Greater => return NOT_SORTED,
            std::cmp::Ordering::Equal => {}
        }
        let (mut a_next, mut b_next) = match (a.get(shared), b.get(shared)) {
            (None, None) => return DUPLICATE,
            (a, b) => (a.copied().unwrap_or(0), b.copied().unwrap_or(0)),
        };
        if a_next == 0 && a_is_tree {
            a_next = b'/';
        }
        if b_next == 0 && b_is_tree {
            b_next = b'/';
        }
        let before_slash = |byte: u8| 0 < byte && byte < b'/';
        if a_next == 0 && before_slash(b_next) {
            self.waiting.push(a);
        } else if b_next == b'/' && before_slash(a_next) {
            while let Some(file) = self.waiting.pop() {
                let Some(behind) = b.strip_prefix(file) else {
                    continue;
                };
                match behind.first() {
                    None => return DUPLICATE,
                    Some(&byte) if before_slash(byte) => {
                        self.waiting.push(file);
                        break;
                    }
                    Some(_) => {}
                }
            }
        }
        if a_next < b_next { 0 } else { NOT_SORTED }
    }
}
