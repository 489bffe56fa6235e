//! Paths inside a tree: which of them are safe to check out anywhere.
//!
//! Two file systems see other names than the bytes say. HFS+ ignores some code points and letter
//! case; NTFS ignores case, trailing dots and spaces, and what follows a colon, and gives long
//! names a short one (`git~1`). What either takes for `.git` must never be in a tree.

/// The longest path that is taken, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;

/// Why a path is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing.
    #[error("a path is not empty")]
    Empty,
    /// `/a`.
    #[error("a path is relative to the root of the tree: no slash at its front")]
    Absolute,
    /// `a//b`, `a/`.
    #[error("a path has no empty part: no slash at its end, no two in a row")]
    EmptyPart,
    /// `.` or `..`.
    #[error("a path has no part \".\" or \"..\"")]
    Dot,
    /// `.git`, or what a file system takes for it.
    #[error("no part of a path is \".git\", or what HFS+ or NTFS take for it")]
    DotGit,
    /// A NUL.
    #[error("a path has no NUL")]
    Nul,
    /// Longer than [`PATH_BYTES_MAX`].
    #[error("a path has at most {PATH_BYTES_MAX} bytes, this one has {length}")]
    TooLong {
        /// How long it is.
        length: usize,
    },
}

/// Whether a file may be at `path`.
///
/// # Errors
/// [`PathError`] says which rule it breaks.
pub fn check(path: impl AsRef<[u8]>) -> Result<(), PathError> {
    let path = path.as_ref();
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong { length: path.len() });
    }
    if path.starts_with(b"/") {
        return Err(PathError::Absolute);
    }
    path.split(|&b| b == b'/').try_for_each(check_name)
}

/// Whether an entry of a tree may be called `name`: the rules of [`check`] for one part.
///
/// # Errors
/// [`PathError`] says which rule it breaks.
pub fn check_name(name: &[u8]) -> Result<(), PathError> {
    match name {
        b"" => Err(PathError::EmptyPart),
        b"." | b".." => Err(PathError::Dot),
        _ if name.contains(&0) => Err(PathError::Nul),
        _ if is_dot_git(name) => Err(PathError::DotGit),
        _ => Ok(()),
    }
}

/// Whether a file system takes `name` for `.git`, behind a backslash too.
pub fn is_dot_git(name: &[u8]) -> bool {
    hfs_is(name, b"git") || name.split(|&b| b == b'\\').any(ntfs_is_dot_git)
}

/// Whether a file system takes `name` for `.gitmodules`, which must never be a symbolic link.
pub fn is_dot_gitmodules(name: &[u8]) -> bool {
    GITMODULES.is(name)
        || name
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'\\')
            .any(|(at, _)| GITMODULES.ntfs_is(&name[at + 1..]))
}

/// A name beginning with a dot that Git reads itself, and the start of its short name where the
/// six letters that it shares with others are taken (NTFS makes it from a hash).
#[derive(Debug, Clone, Copy)]
pub(crate) struct DotFile {
    /// Without the dot, in lower case.
    name: &'static [u8],
    short: &'static [u8; 6],
}

pub(crate) const GITMODULES: DotFile = DotFile {
    name: b"gitmodules",
    short: b"gi7eba",
};
pub(crate) const GITATTRIBUTES: DotFile = DotFile {
    name: b"gitattributes",
    short: b"gi7d29",
};
pub(crate) const GITIGNORE: DotFile = DotFile {
    name: b"gitignore",
    short: b"gi250a",
};
pub(crate) const MAILMAP: DotFile = DotFile {
    name: b"mailmap",
    short: b"maba30",
};

impl DotFile {
    /// Whether a file system takes `name` for this file.
    pub(crate) fn is(self, name: &[u8]) -> bool {
        hfs_is(name, self.name) || self.ntfs_is(name)
    }

    /// Whether NTFS takes `name` for this file.
    pub(crate) fn ntfs_is(self, name: &[u8]) -> bool {
        let at = |i: usize| name.get(i).copied().unwrap_or(0);
        let starts = |from: usize, text: &[u8]| {
            name.get(from..from + text.len())
                .is_some_and(|part| part.eq_ignore_ascii_case(text))
        };
        let long = 1 + self.name.len();
        if at(0) == b'.' && starts(1, self.name) {
            return only_dots_and_spaces(&name[long..]);
        }
        if starts(0, &self.name[..6]) && at(6) == b'~' && (b'1'..=b'4').contains(&at(7)) {
            return only_dots_and_spaces(&name[8..]);
        }
        // The form that is used when ~1 to ~4 are taken: up to six letters from a hash, a tilde
        // and a number, eight characters together.
        let mut i = 0;
        let mut saw_tilde = false;
        while i < 8 {
            let byte = at(i);
            if saw_tilde {
                if !byte.is_ascii_digit() {
                    return false;
                }
            } else if byte == b'~' {
                i += 1;
                if !(b'1'..=b'9').contains(&at(i)) {
                    return false;
                }
                saw_tilde = true;
            } else if i >= 6 || byte.to_ascii_lowercase() != self.short[i] {
                return false;
            }
            i += 1;
        }
        only_dots_and_spaces(&name[i..])
    }
}

/// What NTFS drops from the end of a name: dots and spaces, and all from a colon on.
fn only_dots_and_spaces(rest: &[u8]) -> bool {
    match rest.iter().find(|&&b| b != b'.' && b != b' ') {
        None | Some(0 | b':') => true,
        Some(_) => false,
    }
}

/// Whether NTFS takes `name` for `.git`: `.GIT`, `git~1`, `.git . .`, `.git::$INDEX_ALLOCATION`.
pub(crate) fn ntfs_is_dot_git(name: &[u8]) -> bool {
    let starts = |text: &[u8]| {
        name.get(..text.len())
            .is_some_and(|part| part.eq_ignore_ascii_case(text))
    };
    let rest = if starts(b".git") {
        &name[4..]
    } else if starts(b"git~1") {
        &name[5..]
    } else {
        return false;
    };
    match rest.iter().find(|&&b| b != b'.' && b != b' ') {
        None | Some(0 | b':' | b'/' | b'\\') => true,
        Some(_) => false,
    }
}

/// Whether HFS+ takes `name` for a dot and `needle`. Malformed UTF-8 ends the name, as in Git.
pub(crate) fn hfs_is(name: &[u8], needle: &[u8]) -> bool {
    let mut chars = HfsChars(name);
    if chars.next() != u32::from(b'.') {
        return false;
    }
    for &letter in needle {
        let Some(found) = u8::try_from(chars.next()).ok().filter(u8::is_ascii) else {
            return false;
        };
        if found.to_ascii_lowercase() != letter {
            return false;
        }
    }
    let end = chars.next();
    end == 0 || end == u32::from(b'/')
}

/// The code points of a name that HFS+ looks at; 0 at its end.
struct HfsChars<'a>(&'a [u8]);

impl HfsChars<'_> {
    fn next(&mut self) -> u32 {
        loop {
            let (code, length) = decode_utf8(self.0);
            self.0 = &self.0[length..];
            match code {
                0x200c..=0x200f | 0x202a..=0x202e | 0x206a..=0x206f | 0xfeff => {}
                _ => return code,
            }
        }
    }
}

/// The code point at the front and its length; 0 and nothing where there is none.
fn decode_utf8(bytes: &[u8]) -> (u32, usize) {
    let length = match bytes.first() {
        None => return (0, 0),
        Some(0..=0x7f) => 1,
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(_) => 4,
    };
    let code = bytes
        .get(..length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| text.chars().next())
        .map(u32::from)
        // Git takes these two for malformed; str does not.
        .filter(|code| !matches!(code, 0xfffe | 0xffff));
    match code {
        Some(0) | None => (0, 0),
        Some(code) => (code, length),
    }
}
