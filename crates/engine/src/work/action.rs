//! What a commit without a workspace is asked to do to files.

use bytes::Bytes;
use govc_git::ObjectId;
use memchr::memmem;

/// One thing to do to the files of a branch. Paths are relative to the root, `/` between parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Makes a file, or replaces one.
    Put {
        /// Where.
        path: Vec<u8>,
        /// What is in it.
        content: Content,
        /// Its mode; `None` keeps the one there is, and is an ordinary file where there is none.
        mode: Option<FileMode>,
    },
    /// Replaces texts in a file.
    Edit {
        /// Which.
        path: Vec<u8>,
        /// One after the other.
        edits: Vec<TextEdit>,
    },
    /// Removes a file or a whole folder.
    Delete {
        /// Which.
        path: Vec<u8>,
    },
    /// Moves a file or a whole folder to where nothing is.
    Move {
        /// From where.
        from: Vec<u8>,
        /// To where.
        path: Vec<u8>,
    },
    /// Changes the mode of a file.
    Chmod {
        /// Which.
        path: Vec<u8>,
        /// The mode it gets.
        mode: FileMode,
    },
}

/// What is put into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// A blob that the repository has, or for [`FileMode::Submodule`] a commit of another one.
    Object(ObjectId),
}

/// One text for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEdit {
    /// What is there; not empty.
    pub old: Bytes,
    /// What is there afterwards.
    pub new: Bytes,
    /// How often `old` must occur, without overlaps, from the front: not once more or less.
    pub count: u64,
}

/// The modes that a file can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileMode {
    /// `100644`
    File,
    /// `100755`
    Executable,
    /// `120000`: the content is the link's target.
    Symlink,
    /// `160000`: a commit of another repository.
    Submodule,
}

impl FileMode {
    /// The mode that `text` names: six octal digits, as `git ls-tree` prints them.
    pub fn parse(text: &str) -> Option<FileMode> {
        match text {
            "100644" => Some(FileMode::File),
            "100755" => Some(FileMode::Executable),
            "120000" => Some(FileMode::Symlink),
            "160000" => Some(FileMode::Submodule),
            _ => None,
        }
    }

    /// The number in trees.
    pub fn bits(self) -> u32 {
        match self {
            FileMode::File => 0o100_644,
            FileMode::Executable => 0o100_755,
            FileMode::Symlink => 0o120_000,
            FileMode::Submodule => 0o160_000,
        }
    }
}

impl TextEdit {
    /// How many bytes `text` has once the edit is applied.
    ///
    /// # Errors
    /// How often `old` was found, when that is not `count`.
    pub fn size_after(&self, text: &[u8]) -> Result<u64, u64> {
        let found = memmem::find_iter(text, &self.old).count() as u64;
        if found != self.count {
            return Err(found);
        }
        let kept = text.len() as u64 - found * self.old.len() as u64;
        Ok(kept.saturating_add(found.saturating_mul(self.new.len() as u64)))
    }

    /// `text` with all `old` replaced; see [`TextEdit::size_after`] before.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut result = Vec::with_capacity(text.len());
        let mut done = 0;
        for place in memmem::find_iter(text, &self.old) {
            result.extend_from_slice(&text[done..place]);
            result.extend_from_slice(&self.new);
            done = place + self.old.len();
        }
        result.extend_from_slice(&text[done..]);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, old: &str, new: &str, count: u64, expected: Result<&str, u64>) {
        let edit = TextEdit {
            old: Bytes::copy_from_slice(old.as_bytes()),
            new: Bytes::copy_from_slice(new.as_bytes()),
            count,
        };
        let size = edit.size_after(text.as_bytes());
        assert_eq!(
            size,
            expected.map(|text| text.len() as u64),
            "{old:?} in {text:?}"
        );
        if let Ok(expected) = expected {
            assert_eq!(
                edit.apply(text.as_bytes()),
                expected.as_bytes(),
                "{old:?} in {text:?}"
            );
        }
    }

    #[test]
    fn a_text_edit_replaces_exactly_as_often_as_it_says() {
        check("one two", "two", "three", 1, Ok("one three"));
        check("one one", "one", "two", 1, Err(2));
        check("one one", "one", "", 2, Ok(" "));
        check("aaa", "aa", "b", 1, Ok("ba"));
        check("none", "some", "any", 1, Err(0));
        check("none", "some", "any", 0, Ok("none"));
        check("", "x", "y", 1, Err(0));
    }
}
