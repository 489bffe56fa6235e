//! All files of a commit in one file: `git archive`.
//!
//! What `export-ignore` names is left out, and what `export-subst` names is filled in, as the
//! `.gitattributes` of the commit's own tree say; `ident` and line endings are what a checkout has.

mod attributes;
mod subst;
mod tar;
mod zip;

use std::borrow::Cow;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use govc_git::encoding::commit_in_utf8;
use govc_git::object::CommitRef;
use govc_git::object::tree::{MODE_SUBMODULE, MODE_TREE, canonical_mode, entries};
use govc_git::{ObjectId, ObjectKind};
use smallvec::SmallVec;

use super::diff::changes::DEPTH_MAX;
use super::tree::{damaged, read};
use crate::Refs;
use crate::pool::{Pool, PoolError};
use attributes::{Attributes, Export};
use subst::Substitution;

/// How an archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// As `git archive --format=tar`, byte for byte.
    Tar,
    /// The same, compressed.
    TarGz,
    /// As zip files are.
    Zip,
}

/// A file of an archive.
struct ArchiveEntry<'a> {
    path: &'a [u8],
    mode: u32,
    id: ObjectId,
    /// Nothing for folders and submodules.
    content: &'a [u8],
}

/// A folder that is being read.
struct Level {
    id: ObjectId,
    data: Bytes,
    at: usize,
    /// Its path, with a slash at its end.
    prefix: Vec<u8>,
    mode: u32,
    is_written: bool,
}

#[allow(clippy::large_enum_variant, reason = "one value for each archive")]
enum Writer {
    Tar(tar::TarWriter),
    TarGz(tar::TarWriter, GzEncoder<Vec<u8>>),
    Zip(zip::ZipWriter),
}

/// An archive that is being made, piece by piece.
pub struct Archive {
    levels: Vec<Level>,
    attributes: Attributes,
    substitution: Substitution,
    writer: Writer,
    is_begun: bool,
    is_done: bool,
}

/// Deflated as `git archive` does.
const LEVEL: u32 = 6;
/// Pieces are about so large, and larger only where a file is.
const PIECE_BYTES: usize = 256 << 10;

impl Archive {
    /// The archive of a commit; files may say which of `refs` point at it.
    ///
    /// # Errors
    /// When the commit or its tree cannot be read.
    pub fn new(
        pool: &Pool,
        refs: &Refs,
        commit: ObjectId,
        format: ArchiveFormat,
    ) -> Result<Archive, PoolError> {
        let data = pool.get_kind(&commit, ObjectKind::Commit)?;
        let data = commit_in_utf8(&data);
        let parsed = CommitRef::parse(&data, pool.format());
        let parsed = parsed.map_err(|error| damaged(commit, &error))?;
        let root = read(pool, &parsed.tree)?;
        let number = pool.graph().number(&commit);
        let time = match number {
            Some(number) => pool.graph().time(number),
            None => parsed.committer.time().map_or(0, |time| time.seconds),
        };
        let time = u64::try_from(time).unwrap_or(0);
        let writer = match format {
            ArchiveFormat::Tar => Writer::Tar(tar::TarWriter::new(commit, time)),
            ArchiveFormat::TarGz => {
                let encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
                Writer::TarGz(tar::TarWriter::new(commit, time), encoder)
            }
            ArchiveFormat::Zip => Writer::Zip(zip::ZipWriter::new(commit, time)),
        };
        let mut attributes = Attributes::default();
        attributes.enter(pool, &root, b"")?;
        Ok(Archive {
            substitution: Substitution::of(pool, refs, commit, &parsed),
            levels: vec![Level {
                id: parsed.tree,
                data: root,
                at: 0,
                prefix: Vec::new(),
                mode: MODE_TREE,
                is_written: true,
            }],
            attributes,
            writer,
            is_begun: false,
            is_done: false,
        })
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn piece(&mut self, pool: &Pool) -> Result<Option<Bytes>, PoolError> {
        let mut out = Vec::new();
        if !self.is_begun {
            self.is_begun = true;
            self.writer.begin(&mut out);
        }
        while !self.is_done && out.len() < PIECE_BYTES {
            if !self.step(pool, &mut out)? {
                self.is_done = true;
                self.writer.end(&mut out);
            }
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }

    /// Writes the next entry; `false` where there is none.
    fn step(&mut self, pool: &Pool, out: &mut Vec<u8>) -> Result<bool, PoolError> {
        let format = pool.format();
        let Some(level) = self.levels.last_mut() else {
            return Ok(false);
        };
        let mut rest = entries(&level.data[level.at..], format);
        let Some(entry) = rest.next() else {
            self.attributes.leave(&level.prefix);
            self.levels.pop();
            return Ok(true);
        };
        let entry = entry.map_err(|error| damaged(level.id, &error))?;
        level.at += rest.offset();
        let (mode, id) = (canonical_mode(entry.mode), entry.id.to_owned());
        let mut path = [&level.prefix[..], entry.name].concat();
        let attributes = self.attributes.of(&path, mode == MODE_TREE);
        if mode == MODE_TREE {
            if attributes.is_ignored {
                return Ok(true);
            }
            if self.levels.len() >= DEPTH_MAX {
                return Err(PoolError::TooDeep { id, max: DEPTH_MAX });
            }
            path.push(b'/');
            let data = read(pool, &id)?;
            self.attributes.enter(pool, &data, &path)?;
            self.levels.push(Level {
                id,
                data,
                at: 0,
                prefix: path,
                mode,
                is_written: false,
            });
            return Ok(true);
        }
        // As in git a folder is written for the sake of its first file, left out or not.
        for level in self.levels.iter_mut().filter(|level| !level.is_written) {
            level.is_written = true;
            self.writer.write(
                out,
                &ArchiveEntry {
                    path: &level.prefix,
                    mode: level.mode,
                    id: level.id,
                    content: b"",
                },
            );
        }
        if attributes.is_ignored {
            return Ok(true);
        }
        let mut content = Bytes::new();
        if mode == MODE_SUBMODULE {
            path.push(b'/');
        } else {
            content = pool.get_kind(&id, ObjectKind::Blob)?;
            if mode & 0o170_000 == 0o100_000 {
                content = converted(content, id, &attributes);
                if attributes.is_substituted {
                    content = self.substitution.fill(pool, content);
                }
            }
        }
        let entry = ArchiveEntry {
            path: &path,
            mode,
            id,
            content: &content,
        };
        self.writer.write(out, &entry);
        Ok(true)
    }
}

/// A file as a checkout would write it: with its id, where it asks for that, and with its line
/// endings.
fn converted(content: Bytes, id: ObjectId, attributes: &Export) -> Bytes {
    let content = match attributes.is_identified {
        true => identified(content, id),
        false => content,
    };
    match attributes.crlf.map(|action| action.with_crlf(&content)) {
        Some(Cow::Owned(converted)) => converted.into(),
        _ => content,
    }
}

/// `$Id$` and `$Id: … $` filled in with the blob's id (gitattributes(5), `ident`).
fn identified(content: Bytes, id: ObjectId) -> Bytes {
    const BEGIN: &[u8] = b"$Id";
    let mut out = Vec::new();
    let mut done = 0;
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&content[at..], BEGIN) {
        at += found + BEGIN.len();
        let rest = &content[at..];
        let end = match rest.first() {
            Some(b'$') => 1,
            Some(b':') => match memchr::memchr2(b'$', b'\n', rest) {
                Some(end) if rest[end] == b'$' && !is_foreign(&rest[1..end]) => end + 1,
                _ => continue,
            },
            _ => continue,
        };
        out.extend_from_slice(&content[done..at]);
        out.extend_from_slice(format!(": {id} $").as_bytes());
        at += end;
        done = at;
    }
    if done == 0 {
        return content;
    }
    out.extend_from_slice(&content[done..]);
    out.into()
}

/// What is between `$Id:` and `$` was written by another system: it has a space in its middle.
fn is_foreign(text: &[u8]) -> bool {
    let behind = text.get(1..).unwrap_or_default();
    memchr::memchr(b' ', behind).is_some_and(|space| space + 1 < behind.len())
}

impl Writer {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.with_tar(out, |tar, out| tar.begin(out));
    }

    fn write(&mut self, out: &mut Vec<u8>, entry: &ArchiveEntry<'_>) {
        if let Writer::Zip(zip) = self {
            zip.write(out, entry);
        }
        self.with_tar(out, |tar, out| tar.write(out, entry));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Writer::Zip(zip) = self {
            zip.end(out);
        }
        self.with_tar(out, |tar, out| tar.end(out));
        if let Writer::TarGz(_, encoder) = self {
            // Writing into a Vec cannot fail.
            let _ = encoder.try_finish();
            out.append(encoder.get_mut());
        }
    }

    fn with_tar(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut tar::TarWriter, &mut Vec<u8>),
    ) {
        match self {
            Writer::Zip(_) => {}
            Writer::Tar(tar) => write(tar, out),
            Writer::TarGz(tar, encoder) => {
                let mut plain = Vec::new();
                write(tar, &mut plain);
                // As above.
                let _ = encoder.write_all(&plain);
                out.append(encoder.get_mut());
            }
        }
    }
}

/// A number in decimal digits.
type Digits = SmallVec<[u8; 20]>;

fn digits(number: usize) -> Digits {
    Digits::from_slice(number.to_string().as_bytes())
}
