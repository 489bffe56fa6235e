//! One file's difference as text, as `git diff --full-index --binary` prints it.

use bytes::Bytes;
use govc_git::ObjectId;
use govc_git::object::tree::MODE_SUBMODULE;
use govc_git::xdiff::{self, UnifiedOptions, XdiffError};

use super::binary;
use super::changes::{FileDiff, Status};
use super::quote::{quoted, quoted_behind};
use super::renames::{Blobs, is_binary};
use crate::pool::PoolError;
use crate::work::tree::Found;

/// How a file's lines are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchOptions {
    /// Lines around each change.
    pub context: u32,
    /// Lines that differ in white space alone are the same.
    pub ignore_whitespace: bool,
}

impl Default for PatchOptions {
    /// As `git diff`.
    fn default() -> PatchOptions {
        PatchOptions {
            context: 3,
            ignore_whitespace: false,
        }
    }
}

impl PatchOptions {
    fn lines(self) -> xdiff::DiffOptions {
        xdiff::DiffOptions {
            ignore_whitespace: self.ignore_whitespace,
            ..xdiff::DiffOptions::default()
        }
    }
}

/// How a file changed, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// What `git diff` prints; empty where only white space changed and that is not to be seen.
    pub text: Vec<u8>,
    /// One side is not text.
    pub is_binary: bool,
    /// Lines that came; 0 for what is not text.
    pub additions: u64,
    /// Lines that went; 0 for what is not text.
    pub deletions: u64,
}

/// So many pairs of texts may take too long to compare before no large ones are compared any
/// more: each costs seconds.
const EXPENSIVE_MAX: u32 = 2;
/// From this many bytes on a text is large.
const LARGE_BYTES: usize = 256 << 10;

/// Makes the patches of one comparison.
#[derive(Debug)]
pub struct PatchMaker {
    options: PatchOptions,
    expensive: u32,
}

impl PatchMaker {
    /// One that compares lines as `options` say.
    pub fn new(options: PatchOptions) -> PatchMaker {
        PatchMaker {
            options,
            expensive: 0,
        }
    }

    /// The patch of one file. Texts that take too long to compare are replaced as a whole: their
    /// patch is longer than git's, and applies as well.
    ///
    /// # Errors
    /// When a blob cannot be read.
    pub fn patch(&mut self, blobs: &dyn Blobs, file: &FileDiff) -> Result<Patch, PoolError> {
        let null = blobs.format().null();
        let old = content(blobs, file.old.as_ref())?;
        let new = match file.old.map(|old| old.id) == file.new.map(|new| new.id) {
            true => old.clone(),
            false => content(blobs, file.new.as_ref())?,
        };
        if file.status != Status::TypeChanged {
            return Ok(self.one(null, file, &old, &new));
        }
        // Two kinds of things are not compared: the one goes, the other comes.
        let gone = FileDiff {
            status: Status::Deleted,
            new: None,
            ..file.clone()
        };
        let come = FileDiff {
            status: Status::Added,
            old: None,
            ..file.clone()
        };
        let mut both = self.one(null, &gone, &old, &Bytes::new());
        let come = self.one(null, &come, &Bytes::new(), &new);
        both.text.extend_from_slice(&come.text);
        both.is_binary |= come.is_binary;
        (both.additions, both.deletions) = (0, 0);
        if !both.is_binary {
            let body = self.body(&old, &new);
            (both.additions, both.deletions) = count(&body);
        }
        Ok(both)
    }

    fn one(&mut self, null: ObjectId, file: &FileDiff, old: &[u8], new: &[u8]) -> Patch {
        let (mut text, is_always_shown) = header(null, file);
        let is_binary = is_binary(old) || is_binary(new);
        let mut patch = Patch {
            is_binary,
            ..Patch::default()
        };
        if old == new {
            if is_always_shown {
                patch.text = text;
            }
            return patch;
        }
        if is_binary {
            binary::write(&mut text, old, new);
            patch.text = text;
            return patch;
        }
        let body = self.body(old, new);
        (patch.additions, patch.deletions) = count(&body);
        if body.is_empty() {
            if is_always_shown {
                patch.text = text;
            }
            return patch;
        }
        let old_path = file.old_path.as_ref().unwrap_or(&file.path);
        let side = |sign: &[u8], prefix: &[u8], path: &[u8], found: Option<Found>| {
            let name = match found {
                Some(_) => quoted_behind(prefix, path),
                None => b"/dev/null".to_vec(),
            };
            // Without it `patch` would take the name to end at the space.
            let tab: &[u8] = if name.contains(&b' ') { b"\t" } else { b"" };
            [sign, &name, tab, b"\n"].concat()
        };
        text.extend_from_slice(&side(b"--- ", b"a/", old_path, file.old));
        text.extend_from_slice(&side(b"+++ ", b"b/", &file.path, file.new));
        text.extend_from_slice(&body);
        patch.text = text;
        patch
    }

    /// The hunks.
    fn body(&mut self, old: &[u8], new: &[u8]) -> Vec<u8> {
        if old == new {
            return Vec::new();
        }
        let is_large = old.len().min(new.len()) > LARGE_BYTES;
        if is_large && self.expensive >= EXPENSIVE_MAX {
            return replaced(old, new);
        }
        let around = UnifiedOptions {
            context: self.options.context,
            ..UnifiedOptions::default()
        };
        match xdiff::unified(old, new, &self.options.lines(), &around) {
            Ok(body) => body,
            Err(error) => {
                if error == XdiffError::TooExpensive {
                    self.expensive += 1;
                }
                replaced(old, new)
            }
        }
    }
}

/// What git takes for a file's content: of a submodule it is a line of text.
fn content(blobs: &dyn Blobs, found: Option<&Found>) -> Result<Bytes, PoolError> {
    match found {
        None => Ok(Bytes::new()),
        Some(found) if found.mode == MODE_SUBMODULE => {
            Ok(format!("Subproject commit {}\n", found.id).into())
        }
        Some(found) => blobs.content(&found.id),
    }
}

/// The lines in front of the hunks, and whether they are shown without any.
fn header(null: ObjectId, file: &FileDiff) -> (Vec<u8>, bool) {
    let id = |found: Option<Found>| found.map_or(null, |found: Found| found.id);
    let (old_id, new_id): (ObjectId, ObjectId) = (id(file.old), id(file.new));
    let old_path = file.old_path.as_ref().unwrap_or(&file.path);
    let mut text = b"diff --git ".to_vec();
    text.extend_from_slice(&quoted_behind(b"a/", old_path));
    text.push(b' ');
    text.extend_from_slice(&quoted_behind(b"b/", &file.path));
    text.push(b'\n');
    let mut is_always_shown = true;
    match (file.old, file.new) {
        (None, Some(new)) => {
            text.extend_from_slice(format!("new file mode {:06o}\n", new.mode).as_bytes());
        }
        (Some(old), None) => {
            text.extend_from_slice(format!("deleted file mode {:06o}\n", old.mode).as_bytes());
        }
        (Some(old), Some(new)) if old.mode != new.mode => {
            let modes = format!("old mode {:06o}\nnew mode {:06o}\n", old.mode, new.mode);
            text.extend_from_slice(modes.as_bytes());
        }
        _ => is_always_shown = false,
    }
    let word = match file.status {
        Status::Renamed => Some("rename"),
        Status::Copied => Some("copy"),
        _ => None,
    };
    if let Some(word) = word {
        is_always_shown = true;
        let similarity = format!("similarity index {}%\n", file.similarity());
        text.extend_from_slice(similarity.as_bytes());
        for (end, path) in [("from", old_path), ("to", &file.path)] {
            text.extend_from_slice(format!("{word} {end} ").as_bytes());
            text.extend_from_slice(&quoted(path));
            text.push(b'\n');
        }
    }
    if old_id != new_id {
        text.extend_from_slice(format!("index {old_id}..{new_id}").as_bytes());
        if let (Some(old), Some(new)) = (file.old, file.new)
            && old.mode == new.mode
        {
            text.extend_from_slice(format!(" {:06o}", new.mode).as_bytes());
        }
        text.push(b'\n');
    }
    (text, is_always_shown)
}

/// Lines that came and went in the hunks of `body`.
fn count(body: &[u8]) -> (u64, u64) {
    let (mut came, mut went) = (0, 0);
    for line in body.split(|byte| *byte == b'\n') {
        match line.first() {
            Some(b'+') => came += 1,
            Some(b'-') => went += 1,
            _ => {}
        }
    }
    (came, went)
}

/// One hunk that replaces a text by another.
fn replaced(old: &[u8], new: &[u8]) -> Vec<u8> {
    let lines = |text: &[u8]| text.split_inclusive(|byte| *byte == b'\n').count();
    let range = |text: &[u8]| match lines(text) {
        0 => "0,0".to_owned(),
        1 => "1".to_owned(),
        count => format!("1,{count}"),
    };
    let mut body = format!("@@ -{} +{} @@\n", range(old), range(new)).into_bytes();
    for (sign, text) in [(b'-', old), (b'+', new)] {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            body.push(sign);
            body.extend_from_slice(line);
        }
        if !text.is_empty() && !text.ends_with(b"\n") {
            body.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
    body
}
