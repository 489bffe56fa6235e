//! What `.gitignore` and `.gitattributes` of a working copy say about its paths.

use bytes::Bytes;
use govc_git::eol::EolAction;
use govc_git::ignore::attributes::{AttributeList, AttributeState};
use govc_git::ignore::{PatternList, Verdict};
use govc_git::object::tree::canonical_mode;
use govc_git::{ObjectId, ObjectKind};
use hashbrown::HashMap;

use crate::pool::{Pool, PoolError};
use crate::work::tree;

/// The rules in the files of one tree, read when a path first asks for them.
///
/// A file of rules that is too long to be matched against many paths says nothing.
pub struct Rules<'p> {
    pool: &'p Pool,
    /// The working copy.
    files: ObjectId,
    ignored: HashMap<Vec<u8>, Option<PatternList>>,
    attributes: HashMap<Vec<u8>, Option<AttributeList>>,
    steps: u64,
}

const FILE_MODE: u32 = 0o100_644;
const EXECUTABLE_MODE: u32 = 0o100_755;

impl<'p> Rules<'p> {
    /// The rules of the working copy `files`.
    pub fn of(pool: &'p Pool, files: ObjectId) -> Rules<'p> {
        Rules {
            pool,
            files,
            ignored: HashMap::new(),
            attributes: HashMap::new(),
            steps: 0,
        }
    }

    /// Whether the file `path` is ignored where it is not tracked: it, or a folder that it is in.
    ///
    /// # Errors
    /// When a file of patterns cannot be read.
    pub fn is_ignored(&mut self, path: &[u8]) -> Result<bool, PoolError> {
        let slashes = memchr::memchr_iter(b'/', path);
        for end in slashes {
            if self.excludes(&path[..end], true)? {
                return Ok(true);
            }
        }
        self.excludes(path, false)
    }

    /// What the patterns say of exactly this path; the innermost file that speaks of it decides.
    fn excludes(&mut self, path: &[u8], is_folder: bool) -> Result<bool, PoolError> {
        let mut folder = parent(path);
        loop {
            if !self.ignored.contains_key(folder) {
                let data = self.rules_file(folder, b".gitignore")?;
                let list = data.and_then(|data| PatternList::parse(&data).ok());
                self.ignored.insert(folder.to_vec(), list);
            }
            if let Some(Some(list)) = self.ignored.get(folder) {
                let (relative, name_at) = relative(path, folder);
                if let Some(verdict) = list.verdict(relative, name_at, is_folder, &mut self.steps) {
                    return Ok(verdict == Verdict::Matched);
                }
            }
            if folder.is_empty() {
                return Ok(false);
            }
            folder = parent(folder);
        }
    }

    /// What is to be done about the line endings of the file `path`.
    ///
    /// # Errors
    /// When a file of attributes cannot be read.
    pub fn eol(&mut self, path: &[u8]) -> Result<EolAction, PoolError> {
        let text = self.attribute(path, b"text")?;
        let crlf = self.attribute(path, b"crlf")?;
        let eol = self.attribute(path, b"eol")?;
        Ok(EolAction::of(text.as_ref(), crlf.as_ref(), eol.as_ref()))
    }

    fn attribute(&mut self, path: &[u8], name: &[u8]) -> Result<Option<AttributeState>, PoolError> {
        let mut folder = parent(path);
        loop {
            if !self.attributes.contains_key(folder) {
                let data = self.rules_file(folder, b".gitattributes")?;
                let list = data.and_then(|data| AttributeList::parse(&data).ok());
                self.attributes.insert(folder.to_vec(), list);
            }
            if let Some(Some(list)) = self.attributes.get(folder) {
                let (relative, name_at) = relative(path, folder);
                if let Some(state) = list.state(relative, name_at, name, &mut self.steps) {
                    return Ok(Some(state.clone()));
                }
            }
            if folder.is_empty() {
                return Ok(None);
            }
            folder = parent(folder);
        }
    }

    /// The content of the file `name` in a folder of the working copy. Symbolic links are not
    /// followed.
    fn rules_file(&self, folder: &[u8], name: &[u8]) -> Result<Option<Bytes>, PoolError> {
        let path = match folder.is_empty() {
            true => name.to_vec(),
            false => [folder, b"/", name].concat(),
        };
        let found = tree::lookup(self.pool, &self.files, &path)?;
        match found.filter(|f| matches!(canonical_mode(f.mode), FILE_MODE | EXECUTABLE_MODE)) {
            Some(found) => self.pool.get_kind(&found.id, ObjectKind::Blob).map(Some),
            None => Ok(None),
        }
    }
}

/// The folder that a path is in; empty for the root.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(&[], |at| &path[..at])
}

/// `path` as seen from `folder`, which it is in, and where its last part begins.
fn relative<'a>(path: &'a [u8], folder: &[u8]) -> (&'a [u8], usize) {
    let start = if folder.is_empty() {
        0
    } else {
        folder.len() + 1
    };
    let relative = path.get(start..).unwrap_or_default();
    let name_at = memchr::memrchr(b'/', relative).map_or(0, |at| at + 1);
    (relative, name_at)
}
