//! Attributes of paths, as `.gitattributes` files have them (gitattributes(5)).

use super::{BYTES_MAX, PATTERNS_MAX, Pattern, TooManyPatterns};

/// What a file of attributes says, line by line.
#[derive(Debug, Clone, Default)]
pub struct AttributeList {
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    pattern: Pattern,
    states: Vec<(Vec<u8>, AttributeState)>,
}

/// What is said of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeState {
    /// `name`
    Set,
    /// `-name`
    Unset,
    /// `!name`: as if nothing had been said.
    Unspecified,
    /// `name=value`
    Value(Vec<u8>),
}

impl AttributeList {
    /// Reads a file of attributes. Lines that Git ignores are ignored. Macros other than `binary`
    /// are not known: nothing is said by their names.
    ///
    /// # Errors
    /// [`TooManyPatterns`].
    pub fn parse(file: &[u8]) -> Result<AttributeList, TooManyPatterns> {
        if file.len() > BYTES_MAX {
            return Err(TooManyPatterns);
        }
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let mut lines = Vec::new();
        for line in file.split(|&byte| byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' || line.starts_with(b"[attr]") {
                continue;
            }
            let Some((pattern, rest)) = pattern_of(line) else {
                continue;
            };
            // A pattern that excepts is forbidden here, and one for folders fits no file.
            if pattern.starts_with(b"!") || pattern.ends_with(b"/") {
                continue;
            }
            if lines.len() == PATTERNS_MAX {
                return Err(TooManyPatterns);
            }
            let mut states = Vec::new();
            for word in rest.split(u8::is_ascii_whitespace) {
                push_state(&mut states, word);
            }
            lines.push(Line {
                pattern: Pattern::parse(&pattern),
                states,
            });
        }
        Ok(AttributeList { lines })
    }

    /// What the list says of the attribute `name` of the file `path`, whose last part begins at
    /// `name_at`; `None` where it says nothing. `steps` counts what that cost, in bytes compared.
    pub fn state(
        &self,
        path: &[u8],
        name_at: usize,
        name: &[u8],
        steps: &mut u64,
    ) -> Option<&AttributeState> {
        let file = path.get(name_at..).unwrap_or_default();
        self.lines.iter().rev().find_map(|line| {
            let mut states = line.states.iter().rev();
            let (_, state) = states.find(|(said, _)| said == name)?;
            *steps += 1;
            let text = if line.pattern.only_name { file } else { path };
            line.pattern.fits(text, steps).then_some(state)
        })
    }
}

fn push_state(states: &mut Vec<(Vec<u8>, AttributeState)>, word: &[u8]) {
    let (name, state) = match word {
        [] => return,
        [b'-', name @ ..] => (name, AttributeState::Unset),
        [b'!', name @ ..] => (name, AttributeState::Unspecified),
        name => match name.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                let value = name[at + 1..].to_vec();
                (&name[..at], AttributeState::Value(value))
            }
            None => (name, AttributeState::Set),
        },
    };
    if name == b"binary" && state == AttributeState::Set {
        for part in [&b"diff"[..], b"merge", b"text"] {
            states.push((part.to_vec(), AttributeState::Unset));
        }
    }
    states.push((name.to_vec(), state));
}

/// The pattern that a line begins with, and the rest of the line. A pattern may be quoted as in C.
fn pattern_of(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = line.strip_prefix(b"\"") else {
        let end = line.iter().position(u8::is_ascii_whitespace);
        let (pattern, rest) = line.split_at(end.unwrap_or(line.len()));
        return Some((pattern.to_vec(), rest));
    };
    let mut pattern = Vec::new();
    let mut at = 0;
    loop {
        match *quoted.get(at)? {
            b'"' => return Some((pattern, &quoted[at + 1..])),
            b'\\' => {
                at += 1;
                let escaped = *quoted.get(at)?;
                pattern.push(match escaped {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'0'..=b'3' => {
                        let digits = quoted.get(at..at + 3)?;
                        at += 2;
                        let text = std::str::from_utf8(digits).ok()?;
                        u8::from_str_radix(text, 8).ok()?
                    }
                    other => other,
                });
            }
            byte => pattern.push(byte),
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_fits_and_speaks_of_it_decides() {
        let list = b"* text=auto\n*.bin binary\n*.sh text eol=lf\n\"a b\\t\" -text\n*.x !text\n\
            dir/ text\n!no text\n/top eol=crlf\n";
        let list = AttributeList::parse(list).unwrap();
        let check = |path: &str, name: &str, expected: Option<AttributeState>| {
            let at = path.rfind('/').map_or(0, |at| at + 1);
            let found = list.state(path.as_bytes(), at, name.as_bytes(), &mut 0);
            assert_eq!(found, expected.as_ref(), "{name} of {path}");
        };
        let value = |text: &str| Some(AttributeState::Value(text.into()));
        check("a", "text", value("auto"));
        check("x/a.bin", "text", Some(AttributeState::Unset));
        check("x/a.bin", "binary", Some(AttributeState::Set));
        check("a.sh", "text", Some(AttributeState::Set));
        check("a.sh", "eol", value("lf"));
        check("a b\t", "text", Some(AttributeState::Unset));
        check("a.x", "text", Some(AttributeState::Unspecified));
        check("top", "eol", value("crlf"));
        check("x/top", "eol", None);
        assert!(AttributeList::parse(&b"a b\n".repeat(PATTERNS_MAX + 1)).is_err());
        // None of these is a line.
        assert!(
            AttributeList::parse(b"\"\n\"\\\n\"\\7")
                .unwrap()
                .lines
                .is_empty()
        );
    }
}
