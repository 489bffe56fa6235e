//! Shell-style patterns as git matches them against paths: `?`, `[…]`, `\`, `*` within a part of
//! the path and `**` across parts.
//!
//! All ways to match are followed at once, one byte of text after the other, so that no pattern
//! takes more than its length times the text's.

use smallvec::SmallVec;

/// A pattern.
#[derive(Debug, Clone, Default)]
pub(super) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone)]
enum Token {
    /// This byte.
    Byte(u8),
    /// `?`: any byte but a slash.
    Any,
    /// `[…]`: one of these bytes, of which none is a slash.
    OneOf(Box<[u64; 4]>),
    /// `*`: bytes that are no slashes.
    Star,
    /// `**` at the end of a pattern, or before a slash: any bytes.
    Deep,
    /// `**/`: any bytes up to a slash, which are the next two tokens, or nothing at all.
    Folders,
    /// A set without end, a lone backslash at the end: matches nothing.
    Never,
}

impl Glob {
    pub(super) fn parse(text: &[u8]) -> Glob {
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            at += 1;
            match byte {
                b'?' => tokens.push(Token::Any),
                b'\\' => {
                    tokens.push(text.get(at).map_or(Token::Never, |&byte| Token::Byte(byte)));
                    at += 1;
                }
                b'*' => {
                    let before = (at - 1).checked_sub(1).and_then(|at| text.get(at));
                    let begins_part = before.is_none_or(|&byte| byte == b'/');
                    let stars = text[at..].iter().take_while(|&&byte| byte == b'*').count();
                    at += stars;
                    let token = match &text[at..] {
                        _ if stars == 0 || !begins_part => Token::Star,
                        [b'/', ..] => {
                            tokens.push(Token::Folders);
                            Token::Deep
                        }
                        [] | [b'\\', b'/', ..] => Token::Deep,
                        _ => Token::Star,
                    };
                    tokens.push(token);
                }
                b'[' => match parse_set(text, at) {
                    Some((set, behind)) => {
                        tokens.push(Token::OneOf(Box::new(set)));
                        at = behind;
                    }
                    None => {
                        tokens.push(Token::Never);
                        break;
                    }
                },
                byte => tokens.push(Token::Byte(byte)),
            }
        }
        Glob { tokens }
    }

    /// Whether the pattern matches all of `text`. `steps` counts what that cost.
    pub(super) fn matches(&self, text: &[u8], steps: &mut u64) -> bool {
        // The common ends of patterns need no search.
        match &self.tokens[..] {
            [] => return text.is_empty(),
            [Token::Deep] => return true,
            [Token::Star] => return !text.contains(&b'/'),
            _ => {}
        }
        let places = self.tokens.len() + 1;
        let mut here: SmallVec<[bool; 128]> = SmallVec::from_elem(false, places);
        let mut next = here.clone();
        here[0] = true;
        self.pass_over(&mut here);
        for &byte in text {
            *steps += places as u64;
            next.fill(false);
            let mut any = false;
            for (place, token) in self.tokens.iter().enumerate() {
                if !here[place] {
                    continue;
                }
                let (stays, goes_on) = match token {
                    Token::Byte(wanted) => (false, byte == *wanted),
                    Token::Any => (false, byte != b'/'),
                    Token::OneOf(set) => (false, byte != b'/' && has(set, byte)),
                    Token::Star => (byte != b'/', false),
                    Token::Deep => (true, false),
                    Token::Folders | Token::Never => (false, false),
                };
                next[place] |= stays;
                next[place + 1] |= goes_on;
                any |= stays || goes_on;
            }
            if !any {
                return false;
            }
            self.pass_over(&mut next);
            std::mem::swap(&mut here, &mut next);
        }
        here[self.tokens.len()]
    }

    /// Marks the places that are reached without taking a byte.
    fn pass_over(&self, places: &mut [bool]) {
        for (place, token) in self.tokens.iter().enumerate() {
            if !places[place] {
                continue;
            }
            match token {
                Token::Star | Token::Deep => places[place + 1] = true,
                // What is passed over when it begins is not once it has begun: `**/c` is `c` and
                // `b/c`, and not `bc`.
                Token::Folders => {
                    places[place + 1] = true;
                    places[place + 3] = true;
                }
                _ => {}
            }
        }
    }
}

fn has(set: &[u64; 4], byte: u8) -> bool {
    set[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
}

/// Reads the set that begins behind the bracket at `at - 1`; gives it and where it ended. `None`
/// for one without end, or with a class that nobody knows.
fn parse_set(text: &[u8], at: usize) -> Option<([u64; 4], usize)> {
    let mut at = at;
    let negated = matches!(text.get(at), Some(b'!' | b'^'));
    at += usize::from(negated);
    let mut set = [0u64; 4];
    let mut add = |byte: u8| set[usize::from(byte / 64)] |= 1 << (byte % 64);
    // What a range would begin with.
    let mut before: Option<u8> = None;
    let first = at;
    loop {
        let byte = *text.get(at)?;
        match byte {
            b']' if at > first => break,
            b'\\' => {
                at += 1;
                let byte = *text.get(at)?;
                add(byte);
                before = Some(byte);
            }
            b'-' if before.is_some() && text.get(at + 1).is_some_and(|&next| next != b']') => {
                at += 1;
                if text.get(at) == Some(&b'\\') {
                    at += 1;
                }
                let to = *text.get(at)?;
                (before.take()?..=to).for_each(&mut add);
            }
            b'[' if text.get(at + 1) == Some(&b':') => {
                let name_at = at + 2;
                let end = name_at + text.get(name_at..)?.iter().position(|&b| b == b']')?;
                match text.get(name_at..end)?.strip_suffix(b":") {
                    // No class: a bracket, and what follows it.
                    None => {
                        add(b'[');
                        before = Some(b'[');
                    }
                    Some(name) => {
                        let class = class(name)?;
                        (0..=0x7f).filter(class).for_each(&mut add);
                        at = end;
                        before = None;
                    }
                }
            }
            byte => {
                add(byte);
                before = Some(byte);
            }
        }
        at += 1;
    }
    if negated {
        set.iter_mut().for_each(|word| *word = !*word);
    }
    Some((set, at + 1))
}

/// The bytes of `[:name:]`.
fn class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_pattern_takes_long() {
        let pattern = Glob::parse("*a".repeat(500).as_bytes());
        let text = vec![b'a'; 499];
        let mut steps = 0;
        assert!(!pattern.matches(&text, &mut steps));
        assert!(steps <= 499 * 1001);
    }

    #[test]
    fn sets_are_read_as_git_reads_them() {
        for (pattern, text, expected) in [
            ("[]]", "]", true),
            ("[]-]", "-", true),
            ("[!]]", "a", true),
            ("[^a]", "a", false),
            ("[a-c-e]", "d", false),
            ("[a-c-e]", "-", true),
            ("[\\]]", "]", true),
            ("[\\-a]", "-", true),
            ("[[:digit:]x]", "7", true),
            ("[[:digit:]-z]", "-", true),
            ("[[:nothing:]]", "a", false),
            ("[[:x]", ":", true),
            ("[a", "a", false),
            ("[/]", "/", false),
            ("[!a]", "/", false),
            ("a\\", "a", false),
        ] {
            let glob = Glob::parse(pattern.as_bytes());
            assert_eq!(
                glob.matches(text.as_bytes(), &mut 0),
                expected,
                "{pattern} and {text}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(pattern in prop::collection::vec(prop_oneof![
            Just(b'*'), Just(b'['), Just(b']'), Just(b'\\'), Just(b':'), Just(b'-'), Just(b'/'), any::<u8>(),
        ], 0..24), text in prop::collection::vec(any::<u8>(), 0..24)) {
            let mut steps = 0;
            Glob::parse(&pattern).matches(&text, &mut steps);
        }
    }
}
