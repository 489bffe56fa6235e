//! Which paths are meant: pathspecs as gitglossary(7) has them, without attributes.

use regex::bytes::{Regex, RegexBuilder};

/// So many one search may have.
const PATHSPECS_MAX: usize = 1000;
/// The memory that one of them may take when it is compiled, in bytes.
const MEMORY_MAX: usize = 1 << 20;

/// Why a text is no pathspec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathspecError {
    /// Too many of them.
    #[error("at most {PATHSPECS_MAX} paths")]
    TooMany,
    /// A word in `:(…)` is not known here.
    #[error("{spec:?}: the magic {word:?} is not known: top, literal, icase, glob and exclude are")]
    Magic {
        /// The pathspec.
        spec: String,
        /// The word.
        word: String,
    },
    /// It leads out of the repository, or cannot be read.
    #[error("{spec:?}: {why}")]
    Invalid {
        /// The pathspec.
        spec: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// A list of them. The empty list means every path.
#[derive(Debug, Clone, Default)]
pub struct Pathspecs {
    wanted: Vec<Pathspec>,
    excluded: Vec<Pathspec>,
}

#[derive(Debug, Clone)]
struct Pathspec {
    /// The path, or the folder, that it names where it is taken literally.
    path: Vec<u8>,
    /// It names what is below, not the thing itself.
    is_folder: bool,
    any_case: bool,
    pattern: Option<Regex>,
}

impl Pathspecs {
    /// Reads them.
    ///
    /// # Errors
    /// [`PathspecError`].
    pub fn parse<'s>(specs: impl IntoIterator<Item = &'s str>) -> Result<Pathspecs, PathspecError> {
        let mut all = Pathspecs::default();
        for (count, spec) in specs.into_iter().enumerate() {
            if count == PATHSPECS_MAX {
                return Err(PathspecError::TooMany);
            }
            let (excludes, spec) = Pathspec::parse(spec)?;
            match excludes {
                true => all.excluded.push(spec),
                false => all.wanted.push(spec),
            }
        }
        Ok(all)
    }

    /// Whether a file at `path` is meant.
    pub fn take(&self, path: &[u8]) -> bool {
        (self.wanted.is_empty() || self.wanted.iter().any(|spec| spec.takes(path)))
            && !self.excluded.iter().any(|spec| spec.takes(path))
    }
}

impl Pathspec {
    /// Reads one; whether it excludes what it names.
    fn parse(text: &str) -> Result<(bool, Pathspec), PathspecError> {
        let (mut excludes, mut is_literal, mut any_case, mut is_glob) =
            (false, false, false, false);
        let mut rest = text;
        let invalid = |why| PathspecError::Invalid {
            spec: text.to_owned(),
            why,
        };
        if let Some(long) = text.strip_prefix(":(") {
            let (words, path) = long
                .split_once(')')
                .ok_or_else(|| invalid("the ) is missing"))?;
            for word in words.split(',').filter(|word| !word.is_empty()) {
                match word {
                    "top" => {}
                    "literal" => is_literal = true,
                    "icase" => any_case = true,
                    "glob" => is_glob = true,
                    "exclude" => excludes = true,
                    _ => {
                        return Err(PathspecError::Magic {
                            spec: text.to_owned(),
                            word: word.to_owned(),
                        });
                    }
                }
            }
            if is_literal && is_glob {
                return Err(invalid("either literal or glob"));
            }
            rest = path;
        } else if let Some(short) = text.strip_prefix(':') {
            let signs = short
                .chars()
                .take_while(|sign| matches!(sign, '/' | '!' | '^'));
            let signs = signs.count();
            excludes = short[..signs].contains(['!', '^']);
            rest = &short[signs..];
            match rest.strip_prefix(':') {
                Some(path) => rest = path,
                None if rest
                    .starts_with(|c: char| c.is_ascii_punctuation() && !"*?[\\._-".contains(c)) =>
                {
                    return Err(PathspecError::Magic {
                        spec: text.to_owned(),
                        word: rest.chars().take(1).collect(),
                    });
                }
                None => {}
            }
        } else if text.is_empty() {
            return Err(invalid("a path is not empty; . is everything"));
        }
        let is_folder = rest.ends_with('/');
        let mut parts = Vec::new();
        for part in rest.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(invalid("it leads out of the repository")),
                part => parts.push(part),
            }
        }
        let path = parts.join("/");
        let pattern = match !is_literal && path.contains(['*', '?', '[', '\\']) {
            false => None,
            true => {
                let regex = RegexBuilder::new(&regex_of(&path, is_glob))
                    .unicode(false)
                    .case_insensitive(any_case)
                    .dot_matches_new_line(true)
                    .size_limit(MEMORY_MAX)
                    .build();
                Some(regex.map_err(|_| invalid("it is too large a pattern"))?)
            }
        };
        let spec = Pathspec {
            path: path.into_bytes(),
            is_folder,
            any_case,
            pattern,
        };
        Ok((excludes, spec))
    }

    fn takes(&self, path: &[u8]) -> bool {
        if self.path.is_empty() {
            return true;
        }
        let same = |a: &[u8], b: &[u8]| match self.any_case {
            true => a.eq_ignore_ascii_case(b),
            false => a == b,
        };
        let is_below = path.len() > self.path.len()
            && path[self.path.len()] == b'/'
            && same(&path[..self.path.len()], &self.path);
        is_below
            || !self.is_folder && same(path, &self.path)
            || !self.is_folder
                && self
                    .pattern
                    .as_ref()
                    .is_some_and(|pattern| pattern.is_match(path))
    }
}

/// The pattern as a regular expression: with `is_glob` a star stays within a part of the path, as
/// in `.gitignore`; else it does not.
fn regex_of(pattern: &str, is_glob: bool) -> String {
    let mut out = r"\A".to_owned();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let at_part =
            rest.len() == pattern.len() || pattern[..pattern.len() - rest.len()].ends_with('/');
        let step = match first {
            '*' => {
                let stars = rest.bytes().take_while(|byte| *byte == b'*').count();
                let behind = &rest[stars..];
                match (is_glob, stars >= 2 && at_part) {
                    (false, _) => out.push_str(".*"),
                    (true, true) if behind.is_empty() => out.push_str(".*"),
                    (true, true) if behind.starts_with('/') => {
                        out.push_str("(?:.*/)?");
                        rest = &behind[1..];
                        continue;
                    }
                    _ => out.push_str("[^/]*"),
                }
                stars
            }
            '?' => {
                out.push_str(if is_glob { "[^/]" } else { "." });
                1
            }
            '\\' => match rest[1..].chars().next() {
                Some(next) => {
                    out.push_str(&byte_literals(next));
                    1 + next.len_utf8()
                }
                None => {
                    // A lone one at the end matches nothing.
                    out.push_str("[^\\x00-\\xff]");
                    1
                }
            },
            '[' => match set_of(&rest[1..], is_glob) {
                Some((set, length)) => {
                    out.push_str(&set);
                    1 + length
                }
                None => {
                    out.push_str("[^\\x00-\\xff]");
                    rest.len()
                }
            },
            other => {
                out.push_str(&byte_literals(other));
                other.len_utf8()
            }
        };
        rest = &rest[step..];
    }
    out.push_str(r"\z");
    out
}

fn byte_literals(c: char) -> String {
    let mut bytes = [0; 4];
    let bytes = c.encode_utf8(&mut bytes).bytes();
    bytes.map(|byte| format!("(?-u:\\x{byte:02x})")).collect()
}

/// A set of bytes behind its `[`, and how many bytes it takes; `None` for one without an end.
fn set_of(text: &str, is_glob: bool) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let is_negated = matches!(bytes.first(), Some(b'!' | b'^'));
    at += usize::from(is_negated);
    let start = at;
    let mut takes = [false; 256];
    loop {
        let mut from = *bytes.get(at)?;
        if from == b']' && at > start {
            break;
        }
        if bytes[at..].starts_with(b"[:") {
            let end = text.get(at + 2..)?.find(":]")? + at + 2;
            let class: fn(&u8) -> bool = match &text[at + 2..end] {
                "alnum" => u8::is_ascii_alphanumeric,
                "alpha" => u8::is_ascii_alphabetic,
                "digit" => u8::is_ascii_digit,
                "lower" => u8::is_ascii_lowercase,
                "upper" => u8::is_ascii_uppercase,
                "space" => u8::is_ascii_whitespace,
                "punct" => u8::is_ascii_punctuation,
                "xdigit" => u8::is_ascii_hexdigit,
                _ => return None,
            };
            for byte in 0..=255u8 {
                takes[usize::from(byte)] |= class(&byte);
            }
            at = end + 2;
            continue;
        }
        if from == b'\\' {
            at += 1;
            from = *bytes.get(at)?;
        }
        at += 1;
        let mut to = from;
        if bytes.get(at) == Some(&b'-') && bytes.get(at + 1).is_some_and(|byte| *byte != b']') {
            at += 1;
            if bytes.get(at) == Some(&b'\\') {
                at += 1;
            }
            to = *bytes.get(at)?;
            at += 1;
        }
        for byte in from..=to {
            takes[usize::from(byte)] = true;
        }
    }
    let mut set = "(?-u:[".to_owned();
    let mut is_empty = true;
    for byte in 0..=255u8 {
        if takes[usize::from(byte)] != is_negated && !(is_glob && byte == b'/') {
            set.push_str(&format!("\\x{byte:02x}"));
            is_empty = false;
        }
    }
    set.push_str("])");
    if is_empty {
        set = "(?-u:[^\\x00-\\xff])".to_owned();
    }
    Some((set, at + 1))
}
