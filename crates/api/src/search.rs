//! Searches.

use std::ops::Range;

use govc_engine::work::search::Hit;
use govc_git::ObjectId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::{mode_text, type_name};
use crate::text::text;

/// What `/grep` looks for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grep {
    /// A text, or with `regex` a regular expression.
    #[schemars(extend("minLength" = 1))]
    pub pattern: String,
    /// Pathspecs; without any all files are searched.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub paths: Vec<String>,
    /// The revision whose files are searched; HEAD, where it is absent.
    #[schemars(extend("format" = "revision"))]
    pub r#ref: Option<String>,
    /// The pattern is a regular expression, as RE2 has them.
    #[serde(default)]
    pub regex: bool,
    /// Upper and lower case are different.
    #[serde(default = "yes")]
    pub case_sensitive: bool,
    /// The pattern has to be a word of its own.
    #[serde(default)]
    pub word: bool,
    /// The lines that do not match.
    #[serde(default)]
    pub invert: bool,
    /// Lines shown before each.
    #[serde(default)]
    #[schemars(extend("maximum" = 1000))]
    pub context_before: usize,
    /// Lines shown behind each.
    #[serde(default)]
    #[schemars(extend("maximum" = 1000))]
    pub context_after: usize,
    /// At most so many lines of a file.
    pub max_count: Option<usize>,
}

fn yes() -> bool {
    true
}

/// A line that was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FoundLine {
    /// Its file.
    pub path: String,
    /// The path exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// Which line, from 1.
    pub line: usize,
    /// Where the first match begins, in bytes of the line, from 1; 1 where there is none.
    pub column: usize,
    /// What matches, in bytes of the preview, from 0, the end not included.
    pub ranges: Vec<FoundRange>,
    /// The line, or the part of a very long one that has the first match.
    pub preview: String,
    /// The preview exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_base64: Option<String>,
    /// Lines before it, if any were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Vec<String>>,
    /// Lines behind it, if any were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FoundRange {
    /// Its first byte.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
}

/// The longest preview, in bytes.
const PREVIEW_BYTES_MAX: usize = 4096;
/// So much of a very long line is shown before its first match.
const PREVIEW_BYTES_BEFORE: usize = 1024;

impl FoundLine {
    /// The line, with the lines around it if any were asked for.
    pub fn new(hit: &Hit, with_before: bool, with_after: bool) -> FoundLine {
        let first = hit.ranges.first().map_or(0, |range| range.start);
        let part = part(&hit.text, first);
        let ranges = hit.ranges.iter().filter_map(|range| {
            let start = range.start.checked_sub(part.start)?;
            let end = range.end.min(part.end).checked_sub(part.start)?;
            (start <= end).then_some(FoundRange { start, end })
        });
        let lines = |lines: &[Vec<u8>]| lines.iter().map(|line| cut(line)).collect();
        let (path, path_base64) = text(&hit.path);
        let (preview, preview_base64) = text(&hit.text[part.clone()]);
        FoundLine {
            path,
            path_base64,
            line: hit.line,
            column: first + 1,
            ranges: ranges.collect(),
            preview,
            preview_base64,
            before: with_before.then(|| lines(&hit.before)),
            after: with_after.then(|| lines(&hit.after)),
        }
    }
}

fn cut(line: &[u8]) -> String {
    text(&line[part(line, 0)]).0
}

/// The part of a line that is shown: no character is cut in two.
fn part(line: &[u8], first: usize) -> Range<usize> {
    if line.len() <= PREVIEW_BYTES_MAX {
        return 0..line.len();
    }
    let is_inner = |at: usize| line.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let before = |at: usize| (at.saturating_sub(3)..=at).rev().find(|at| !is_inner(*at));
    let start = first.saturating_sub(PREVIEW_BYTES_BEFORE);
    let start = before(start).unwrap_or(start);
    let end = (start + PREVIEW_BYTES_MAX).min(line.len());
    start..before(end).unwrap_or(end).max(start)
}

/// A file that was found by its path.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FoundFile {
    /// Its path.
    pub path: String,
    /// The path exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// `blob`, `symlink` or `commit`.
    pub r#type: &'static str,
    /// Six octal digits.
    pub mode: String,
    /// The id of what is there.
    pub oid: String,
}

impl FoundFile {
    /// The file at `path`.
    pub fn new(path: &[u8], mode: u32, id: ObjectId) -> FoundFile {
        let (path, path_base64) = text(path);
        FoundFile {
            path,
            path_base64,
            r#type: type_name(mode),
            mode: mode_text(mode),
            oid: id.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_very_long_line_the_part_with_the_match_is_shown() {
        let text = ["é".repeat(5000), "here".to_owned(), "é".repeat(5000)].concat();
        let hit = Hit {
            path: b"f".to_vec(),
            line: 1,
            ranges: vec![10_000..10_004, 19_000..19_002],
            text: text.into_bytes(),
            before: Vec::new(),
            after: vec![vec![b'x'; 10_000]],
        };
        let line = FoundLine::new(&hit, false, true);
        assert_eq!((line.column, line.ranges.len()), (10_001, 1));
        let range = line.ranges[0];
        assert_eq!(&line.preview[range.start..range.end], "here");
        assert!(line.preview_base64.is_none() && line.preview.len() <= PREVIEW_BYTES_MAX);
        assert_eq!(line.after.unwrap()[0].len(), PREVIEW_BYTES_MAX);
    }
}
