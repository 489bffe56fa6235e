//! Patterns, and the lines that match them.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::Look;

use super::trigrams::{Need, Signature};

/// The memory that a compiled pattern may take, in bytes.
const PATTERN_MEMORY_MAX: usize = 8 << 20;
/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 16 << 10;
/// How deep the groups of a pattern may be in each other.
const NEST_MAX: u32 = 100;

/// How a pattern is meant. The default is a literal text of any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PatternOptions {
    /// It is a regular expression, as RE2 has them.
    pub is_regex: bool,
    /// Upper and lower case are different.
    pub is_case_sensitive: bool,
    /// It has to be a word of its own.
    pub is_word: bool,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It says nothing.
    #[error("a pattern has at least one character")]
    Empty,
    /// It says more than is taken.
    #[error("a pattern has at most {PATTERN_BYTES_MAX} bytes")]
    TooLong,
    /// Nothing is looked for across lines.
    #[error("a pattern is within one line")]
    NewLine,
    /// It is no regular expression, or too large a one.
    #[error("{0}")]
    Syntax(String),
}

/// A pattern that is ready to be looked for.
#[derive(Debug, Clone)]
pub struct Matcher {
    regex: Regex,
    need: Need,
    /// It asks for the ends of the text, and lines have them too: each is looked at alone.
    is_by_line: bool,
}

impl Matcher {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(pattern: &str, options: PatternOptions) -> Result<Matcher, PatternError> {
        if pattern.is_empty() {
            return Err(PatternError::Empty);
        }
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        if pattern.contains('\n') {
            return Err(PatternError::NewLine);
        }
        let syntax = |error: &dyn std::fmt::Display| PatternError::Syntax(error.to_string());
        let pattern = match options.is_regex {
            true => pattern.to_owned(),
            false => regex::escape(pattern),
        };
        let mut parser = regex_syntax::ParserBuilder::new();
        let parser = parser.multi_line(true).utf8(false).nest_limit(NEST_MAX);
        let hir = parser
            .build()
            .parse(&pattern)
            .map_err(|error| syntax(&error))?;
        let pattern = match options.is_word {
            true => format!(r"(?-u:\b{{start-half}})(?:{pattern})(?-u:\b{{end-half}})"),
            false => pattern,
        };
        let regex = RegexBuilder::new(&pattern)
            .multi_line(true)
            .case_insensitive(!options.is_case_sensitive)
            .size_limit(PATTERN_MEMORY_MAX)
            .dfa_size_limit(PATTERN_MEMORY_MAX)
            .nest_limit(NEST_MAX)
            .build()
            .map_err(|error| syntax(&error))?;
        let looks = hir.properties().look_set();
        Ok(Matcher {
            regex,
            need: Need::of(&hir, !options.is_case_sensitive),
            is_by_line: looks.contains(Look::Start) || looks.contains(Look::End),
        })
    }

    /// What a text must have to match.
    pub(super) fn need(&self) -> &Need {
        &self.need
    }

    /// Whether a text may match by its trigrams, which are looked at before it is.
    pub fn may_match(&self, text: &[u8]) -> bool {
        Signature::of(text, false).may_have(&self.need)
    }

    /// Whether a line, a path or the like matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// Whether one of the lines of `text` matches.
    pub fn matches_a_line(&self, text: &[u8]) -> bool {
        Lines::new(text).next_match(self).is_some()
    }

    /// What of a line matches, from left to right.
    pub fn ranges(&self, line: &[u8]) -> Vec<Range<usize>> {
        let found = self.regex.find_iter(line);
        found.map(|found| found.range()).take(RANGES_MAX).collect()
    }
}

/// So many matches in one line are told.
const RANGES_MAX: usize = 1000;

/// A line of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Which, from 1.
    pub(super) number: usize,
    /// Where it is, without its end.
    pub(super) range: Range<usize>,
}

/// Walks the lines of a text.
pub(super) struct Lines<'t> {
    text: &'t [u8],
    /// Where the next line begins.
    at: usize,
    /// How many are before it.
    before: usize,
    /// The match that was found last, while it is ahead.
    ahead: Option<Line>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t [u8]) -> Lines<'t> {
        Lines {
            text,
            at: 0,
            before: 0,
            ahead: None,
        }
    }

    /// The next line, whatever is in it.
    fn next_line(&mut self) -> Option<Line> {
        if self.at >= self.text.len() {
            return None;
        }
        let rest = &self.text[self.at..];
        let end = self.at + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.before += 1;
        let line = Line {
            number: self.before,
            range: self.at..end,
        };
        self.at = end + 1;
        Some(line)
    }

    /// The next line that matches.
    pub(super) fn next_match(&mut self, matcher: &Matcher) -> Option<Line> {
        loop {
            if !matcher.is_by_line && self.at < self.text.len() {
                // A match within a line is one within the text: no line before it has any.
                let found = matcher.regex.find_at(self.text, self.at)?;
                let skipped = &self.text[self.at..found.start().min(self.text.len())];
                if let Some(newline) = memchr::memrchr(b'\n', skipped) {
                    self.before += memchr::memchr_iter(b'\n', &skipped[..=newline]).count();
                    self.at += newline + 1;
                }
            }
            // But it may go on behind the line's end.
            let line = self.next_line()?;
            if matcher.matches(&self.text[line.range.clone()]) {
                return Some(line);
            }
        }
    }

    /// The next line that does not match.
    pub(super) fn next_other(&mut self, matcher: &Matcher) -> Option<Line> {
        loop {
            let line = self.next_line()?;
            if self
                .ahead
                .as_ref()
                .is_none_or(|ahead| ahead.number < line.number)
            {
                // From here on: which one matches next is looked for once, not for every line.
                let mut rest = Lines {
                    text: self.text,
                    at: line.range.start,
                    before: line.number - 1,
                    ahead: None,
                };
                let end = self.text.len();
                self.ahead = Some(rest.next_match(matcher).unwrap_or(Line {
                    number: usize::MAX,
                    range: end..end,
                }));
            }
            if self
                .ahead
                .as_ref()
                .is_none_or(|ahead| ahead.number != line.number)
            {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pattern: &str, options: PatternOptions, invert: bool, text: &str) -> Vec<usize> {
        let matcher = Matcher::new(pattern, options).unwrap();
        let mut lines = Lines::new(text.as_bytes());
        std::iter::from_fn(|| match invert {
            false => lines.next_match(&matcher),
            true => lines.next_other(&matcher),
        })
        .map(|line| line.number)
        .collect()
    }

    #[test]
    fn lines_are_looked_at_one_by_one() {
        let text = "one\ntwo words\n\nTWO\nthree";
        let regex = PatternOptions {
            is_regex: true,
            is_case_sensitive: true,
            is_word: false,
        };
        let literal = PatternOptions {
            is_regex: false,
            ..regex
        };
        let word = PatternOptions {
            is_word: true,
            ..literal
        };
        for (pattern, options, expected) in [
            ("two", literal, &[2][..]),
            ("two", PatternOptions::default(), &[2, 4]),
            ("^t", regex, &[2, 5]),
            ("e$", regex, &[1, 5]),
            ("^$", regex, &[3]),
            (r"\At", regex, &[2, 5]),
            (r"e\z", regex, &[1, 5]),
            // Not even negated sets reach beyond a line.
            (r"e[^x]t", regex, &[]),
            (r"e\s*t", regex, &[]),
            (r"[^x]*TWO", regex, &[4]),
            ("wor", word, &[]),
            ("words", word, &[2]),
            ("t.*e", literal, &[]),
        ] {
            assert_eq!(lines(pattern, options, false, text), expected, "{pattern}");
            let others: Vec<usize> = (1..=5).filter(|n| !expected.contains(n)).collect();
            assert_eq!(lines(pattern, options, true, text), others, "not {pattern}");
        }
        for wrong in ["", "a\nb"] {
            assert!(Matcher::new(wrong, literal).is_err());
        }
        for wrong in ["(", "a{1000000}", r"(a)\1", "(?=a)", &"(".repeat(200)] {
            assert!(
                matches!(Matcher::new(wrong, regex), Err(PatternError::Syntax(_))),
                "{wrong}"
            );
        }
    }
}
