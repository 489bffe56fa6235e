//! What `.gitattributes` say of files on their way into an archive (gitattributes(5)):
//! `export-ignore` and `export-subst`, line endings and `ident`.

use bytes::Bytes;
use govc_git::ObjectKind;
use govc_git::eol::EolAction;
use govc_git::ignore::attributes::AttributeState;
use govc_git::ignore::{PatternList, Verdict};
use govc_git::object::tree::find_entry;

use crate::pool::{Pool, PoolError};

/// Files with more bytes are passed over, as a line of more bytes is by git.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Lines of one file that say something of archives.
const LINES_MAX: usize = 10_000;

/// The files of the folders that are open, the root's first.
#[derive(Default)]
pub(super) struct Attributes {
    files: Vec<AttributeFile>,
}

struct AttributeFile {
    /// The folder's path, with a slash at its end.
    folder: Vec<u8>,
    lines: Vec<Line>,
}

struct Line {
    pattern: PatternList,
    said: Said,
}

/// The attributes that matter, in the order of [`Said`].
const NAMES: [&[u8]; 6] = [
    b"export-ignore",
    b"export-subst",
    b"text",
    b"crlf",
    b"eol",
    b"ident",
];

/// What is said of each; `None` where nothing is.
type Said = [Option<AttributeState>; NAMES.len()];

/// What holds for one path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Export {
    pub(super) is_ignored: bool,
    pub(super) is_substituted: bool,
    /// `$Id$` says which blob it is.
    pub(super) is_identified: bool,
    /// Lines are to end with CR LF.
    pub(super) crlf: Option<EolAction>,
}

impl Attributes {
    /// Reads what the folder `tree` says of its files.
    pub(super) fn enter(
        &mut self,
        pool: &Pool,
        tree: &Bytes,
        folder: &[u8],
    ) -> Result<(), PoolError> {
        let found = find_entry(tree, pool.format(), b".gitattributes");
        let Ok(Some((entry, _))) = found else {
            return Ok(());
        };
        if entry.mode & 0o170_000 != 0o100_000 {
            return Ok(());
        }
        let data = pool.get_kind(entry.id, ObjectKind::Blob)?;
        if data.len() > FILE_BYTES_MAX {
            return Ok(());
        }
        let lines = data.split(|byte| *byte == b'\n');
        self.files.push(AttributeFile {
            folder: folder.to_vec(),
            lines: lines.filter_map(Line::parse).take(LINES_MAX).collect(),
        });
        Ok(())
    }

    /// Forgets what a folder said.
    pub(super) fn leave(&mut self, folder: &[u8]) {
        if self.files.last().is_some_and(|file| file.folder == folder) {
            self.files.pop();
        }
    }

    /// What holds for `path`: the last line of the innermost file that says so.
    pub(super) fn of(&self, path: &[u8], is_folder: bool) -> Export {
        let mut found = Said::default();
        let name_at = path
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |at| at + 1);
        // What a pattern may cost is bounded by its length times that of the path.
        let mut steps = 0;
        for file in self.files.iter().rev() {
            let Some(relative) = path.strip_prefix(&file.folder[..]) else {
                continue;
            };
            let name_at = name_at.saturating_sub(file.folder.len());
            for line in file.lines.iter().rev() {
                let mut both = line.said.iter().zip(&found);
                if both.all(|(said, found)| said.is_none() || found.is_some()) {
                    continue;
                }
                let verdict = line
                    .pattern
                    .verdict(relative, name_at, is_folder, &mut steps);
                if verdict == Some(Verdict::Matched) {
                    for (found, said) in found.iter_mut().zip(&line.said) {
                        if found.is_none() {
                            found.clone_from(said);
                        }
                    }
                }
            }
        }
        let [ignore, subst, text, crlf, eol, ident] = &found;
        let is_set = |state: &Option<AttributeState>| *state == Some(AttributeState::Set);
        let wants_crlf = matches!(eol, Some(AttributeState::Value(value)) if value == b"crlf");
        let action = EolAction::of(text.as_ref(), crlf.as_ref(), eol.as_ref());
        Export {
            is_ignored: is_set(ignore),
            is_substituted: is_set(subst),
            is_identified: is_set(ident),
            crlf: Some(action).filter(|action| wants_crlf && *action != EolAction::Nothing),
        }
    }
}

impl Line {
    /// A line that says something that matters to archives.
    fn parse(line: &[u8]) -> Option<Line> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
        let line = line.trim_ascii_start();
        if line.starts_with(b"#") || line.starts_with(b"[attr]") || line.starts_with(b"!") {
            return None;
        }
        let (pattern, rest) = match line.strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = line.iter().position(is_blank).unwrap_or(line.len());
                (line[..end].to_vec(), &line[end..])
            }
        };
        let mut said = Said::default();
        for word in rest.split(is_blank) {
            let (name, state) = match word {
                [b'-', name @ ..] => (name, AttributeState::Unset),
                [b'!', name @ ..] => (name, AttributeState::Unspecified),
                b"binary" => (&b"text"[..], AttributeState::Unset),
                name => match name.iter().position(|byte| *byte == b'=') {
                    Some(at) => (&name[..at], AttributeState::Value(name[at + 1..].to_vec())),
                    None => (name, AttributeState::Set),
                },
            };
            if let Some(at) = NAMES.iter().position(|known| *known == name) {
                said[at] = Some(state);
            }
        }
        if said.iter().all(Option::is_none) {
            return None;
        }
        // A space at its end would not be part of it.
        let pattern = match pattern.strip_suffix(b" ") {
            Some(front) => [front, b"\\ "].concat(),
            None => pattern,
        };
        Some(Line {
            pattern: PatternList::parse(&pattern).ok()?,
            said,
        })
    }
}

/// What is between quotes, as C has them, and what is behind.
fn unquoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            b'"' => return Some((out, &text[at..])),
            b'\\' => {
                let escaped = *text.get(at)?;
                at += 1;
                out.push(match escaped {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'"' | b'\\' => escaped,
                    b'0'..=b'3' => {
                        let digits = std::str::from_utf8(text.get(at - 1..at + 2)?).ok()?;
                        at += 2;
                        u8::from_str_radix(digits, 8).ok()?
                    }
                    _ => return None,
                });
            }
            other => out.push(other),
        }
    }
}
