//! Pattern files: lists of patterns as `.gitignore` and sparse checkouts have them
//! (gitignore(5), "PATTERN FORMAT").
//!
//! Patterns come from strangers and are matched against every path of a history, so matching is
//! in time proportional to pattern times path, whatever the pattern.

pub mod attributes;
mod glob;

use glob::Glob;

/// What a list of patterns says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The last pattern that fits names it.
    Matched,
    /// The last pattern that fits begins with `!`.
    Excepted,
}

/// The patterns of a file.
#[derive(Debug, Clone, Default)]
pub struct PatternList {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    /// It began with `!`.
    excepts: bool,
    /// It ended with `/`.
    only_folders: bool,
    /// It has no other slash: it is about the last part of a path.
    only_name: bool,
    /// What it begins with, up to the first character that means something.
    literal: Vec<u8>,
    /// What follows.
    rest: Glob,
}

/// Lists with more patterns than this are refused.
pub const PATTERNS_MAX: usize = 10_000;
/// And files that are larger.
pub const BYTES_MAX: usize = 1 << 20;

/// A list of patterns that is too long to be matched against a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {PATTERNS_MAX} patterns, or {BYTES_MAX} bytes of them")]
pub struct TooManyPatterns;

impl PatternList {
    /// Reads a file of patterns, one a line.
    ///
    /// # Errors
    /// [`TooManyPatterns`].
    pub fn parse(file: &[u8]) -> Result<PatternList, TooManyPatterns> {
        if file.len() > BYTES_MAX {
            return Err(TooManyPatterns);
        }
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let mut patterns = Vec::new();
        for line in file.split(|&byte| byte == b'\n') {
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            if patterns.len() == PATTERNS_MAX {
                return Err(TooManyPatterns);
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
            patterns.push(Pattern::parse(without_trailing_spaces(line)));
        }
        Ok(PatternList { patterns })
    }

    /// What the list says about `path`, whose last part begins at `name_at`; `None` where no
    /// pattern fits it. `steps` counts what that cost, in bytes compared.
    pub fn verdict(
        &self,
        path: &[u8],
        name_at: usize,
        is_folder: bool,
        steps: &mut u64,
    ) -> Option<Verdict> {
        let name = path.get(name_at..).unwrap_or_default();
        let found = self.patterns.iter().rev().find(|pattern| {
            *steps += 1;
            let text = if pattern.only_name { name } else { path };
            (is_folder || !pattern.only_folders) && pattern.fits(text, steps)
        })?;
        Some(match found.excepts {
            true => Verdict::Excepted,
            false => Verdict::Matched,
        })
    }
}

impl Pattern {
    fn parse(text: &[u8]) -> Pattern {
        let (excepts, text) = match text.strip_prefix(b"!") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (only_folders, text) = match text.strip_suffix(b"/") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let only_name = !text.contains(&b'/');
        let text = text.strip_prefix(b"/").unwrap_or(text);
        let is_special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
        let literal_len = text.iter().position(is_special).unwrap_or(text.len());
        let (literal, rest) = text.split_at(literal_len);
        Pattern {
            excepts,
            only_folders,
            only_name,
            literal: literal.to_vec(),
            rest: Glob::parse(rest),
        }
    }

    fn fits(&self, text: &[u8], steps: &mut u64) -> bool {
        let rest = text.strip_prefix(&self.literal[..]);
        rest.is_some_and(|rest| self.rest.matches(rest, steps))
    }
}

/// Spaces at the end are nothing, unless a backslash stands before them.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b' ' => at += 1,
            b'\\' => {
                at = line.len().min(at + 2);
                end = at;
            }
            _ => {
                at += 1;
                end = at;
            }
        }
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(list: &str, path: &str) -> Option<Verdict> {
        let list = PatternList::parse(list.as_bytes()).unwrap();
        let (path, is_folder) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let name_at = path.rfind('/').map_or(0, |at| at + 1);
        list.verdict(path.as_bytes(), name_at, is_folder, &mut 0)
    }

    #[test]
    fn the_last_pattern_that_fits_decides() {
        use Verdict::*;
        for (list, path, expected) in [
            ("/*\n!/*/\n/a/\n", "top", Some(Matched)),
            ("/*\n!/*/\n/a/\n", "a/", Some(Matched)),
            ("/*\n!/*/\n/a/\n", "b/", Some(Excepted)),
            ("/*\n!/*/\n/a/\n", "b/c", None),
            ("*.c", "x/y.c", Some(Matched)),
            ("x/*.c", "x/y.c", Some(Matched)),
            ("x/*.c", "x/y/z.c", None),
            ("x/**/z.c", "x/z.c", Some(Matched)),
            ("x/**/z.c", "x/y/w/z.c", Some(Matched)),
            ("**/z", "z", Some(Matched)),
            ("**/z", "yz", None),
            ("**/z", "x/yz", None),
            ("x/**/z", "x/yz", None),
            ("x/**/**/z", "x/z", Some(Matched)),
            ("x/**", "x/y/z", Some(Matched)),
            ("x/**", "x/", None),
            ("dir/", "a/dir", None),
            ("dir/", "a/dir/", Some(Matched)),
            ("# x\n\\#x", "#x", Some(Matched)),
            ("\\!x  \n", "!x", Some(Matched)),
            ("x\\ ", "x ", Some(Matched)),
            ("x\r\n", "x", Some(Matched)),
            ("/*", "", Some(Matched)),
            ("/", "/", Some(Matched)),
            ("[a-c]?[!x]", "bzz", Some(Matched)),
            ("[a-c]?[!x]", "bzx", None),
        ] {
            assert_eq!(verdict(list, path), expected, "{list:?} and {path:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let many = "a\n".repeat(PATTERNS_MAX + 1);
        assert!(PatternList::parse(many.as_bytes()).is_err());
        assert!(PatternList::parse(&vec![b'a'; BYTES_MAX + 1]).is_err());
    }
}
