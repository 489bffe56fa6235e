//! The refs as git finds them in the directory: `packed-refs`, `HEAD`, and symbolic refs.
//!
//! They are a projection of the checkpoint, never the truth. Their digests tell whether somebody
//! else has changed them.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use govc_engine::{RefName, Refs, Target};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

use crate::disk::{self, Disk, FileKind, Open};

const PACKED_REFS: &str = "packed-refs";
const HEADER: &[u8] = b"# pack-refs with: peeled fully-peeled sorted \n";
const PACKED_REFS_BYTES_MAX: u64 = 4 << 30;
const REF_BYTES_MAX: u64 = 64 << 10;
const DEPTH_MAX: usize = 64;

/// SHA-256 of something on the disk.
pub(crate) type Digest = [u8; 32];

/// The digest of `bytes`; of nothing at all where there is no such file.
pub(crate) fn digest(bytes: Option<&[u8]>) -> Digest {
    let Some(bytes) = bytes else { return [0; 32] };
    // SHA-256 as git uses it for a blob: the one in reach, and only compared with itself.
    let id = govc_git::object_id::hash_object(ObjectFormat::Sha256, ObjectKind::Blob, bytes);
    let id = id.as_ref().map(|id| id.as_slice()).unwrap_or_default();
    <[u8; 32]>::try_from(id).unwrap_or_default()
}

/// What the files are to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Projection {
    /// `packed-refs`.
    pub(crate) packed: Vec<u8>,
    /// Symbolic refs, and HEAD, whatever it is: what git keeps in a file of its own.
    pub(crate) loose: BTreeMap<RefName, Vec<u8>>,
}

impl Projection {
    /// What `refs` look like; `peeled` knows what annotated tags lead to.
    pub(crate) fn of(refs: &Refs, peeled: &dyn Fn(&ObjectId) -> Option<ObjectId>) -> Projection {
        let mut packed = HEADER.to_vec();
        let mut loose = BTreeMap::new();
        for (name, target) in refs.iter() {
            match target {
                Target::Gone => {}
                Target::Symbolic(to) => {
                    let content = [b"ref: ", to.as_bytes(), b"\n"].concat();
                    loose.insert(name.clone(), content);
                }
                Target::At(id) if name.as_bytes() == b"HEAD" => {
                    loose.insert(name.clone(), format!("{id}\n").into_bytes());
                }
                Target::At(id) => {
                    packed.extend_from_slice(id.to_string().as_bytes());
                    packed.push(b' ');
                    packed.extend_from_slice(name.as_bytes());
                    packed.push(b'\n');
                    if let Some(peeled) = peeled(id) {
                        packed.extend_from_slice(format!("^{peeled}\n").as_bytes());
                    }
                }
            }
        }
        Projection { packed, loose }
    }

    /// Whether `packed-refs` has a ref of this name.
    fn has_packed(&self, name: &RefName) -> bool {
        let mut lines = packed_lines(&self.packed);
        lines.any(|line| line.splitn(2, |b| *b == b' ').nth(1) == Some(name.as_bytes()))
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            packed: digest(Some(&self.packed)),
            loose: self.loose.clone(),
        }
    }
}

/// What the files hold, as far as is needed to tell whether somebody else has changed them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// The digest of `packed-refs`.
    pub(crate) packed: Digest,
    /// HEAD and whatever has a file of its own. They change one after the other, so a crash may
    /// leave any mixture.
    pub(crate) loose: BTreeMap<RefName, Vec<u8>>,
}

impl Seen {
    /// Whether all that is seen is what `ours`, two states, have: nobody else was here.
    pub(crate) fn is_mixture_of(&self, ours: [&Seen; 2]) -> bool {
        let names = ours.iter().flat_map(|seen| seen.loose.keys());
        let mut names = names.chain(self.loose.keys());
        let known = |name: &RefName| {
            let there = self.loose.get(name);
            ours.iter().any(|seen| seen.loose.get(name) == there)
        };
        ours.iter().any(|seen| seen.packed == self.packed) && names.all(known)
    }
}

/// The refs as the files have them.
#[derive(Debug, Default)]
pub(crate) struct OnDisk {
    packed: Option<Vec<u8>>,
    loose: BTreeMap<RefName, Vec<u8>>,
    /// What is not a ref though it lies where refs do.
    pub(crate) broken: Vec<String>,
}

/// How git begins `packed-refs`.
const PACKED_REFS_HEAD: &[u8] = b"# pack-refs with:";

/// The lines of `packed-refs` that name refs.
fn packed_lines(packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = packed.split(|b| *b == b'\n');
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#") && !line.starts_with(b"^"))
}

/// What a line of `packed-refs` says.
fn parse_packed(line: &[u8], format: ObjectFormat) -> Option<(ObjectId, &[u8])> {
    let (hex, rest) = line.split_at_checked(format.len_in_hex())?;
    let name = rest.strip_prefix(b" ")?;
    govc_git::refname::check(name).ok()?;
    Some((parse_id(hex, format)?, name))
}

impl OnDisk {
    /// Reads the files in the repository's directory `dir`.
    ///
    /// # Errors
    /// Whatever the disk met.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<OnDisk> {
        let packed = disk::read_if_any(disk, &dir.join(PACKED_REFS), PACKED_REFS_BYTES_MAX)?;
        let mut found = OnDisk::default();
        if let Some(head) = disk::read_if_any(disk, &dir.join("HEAD"), REF_BYTES_MAX)? {
            found.loose.insert(RefName::head(), head);
        }
        found.read_folder(disk, dir, Path::new("refs"), 0)?;
        found.packed = packed;
        Ok(found)
    }

    fn read_folder(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        folder: &Path,
        depth: usize,
    ) -> io::Result<()> {
        let entries = match disk.list(&dir.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = folder.join(&entry.name);
            match entry.kind {
                FileKind::Dir if depth < DEPTH_MAX => {
                    self.read_folder(disk, dir, &path, depth + 1)?;
                }
                FileKind::File => {
                    let name = path.as_os_str().as_bytes();
                    if name.ends_with(b".lock") {
                        continue;
                    }
                    if govc_git::refname::check(name).is_err() {
                        self.broken.push(path.display().to_string());
                        continue;
                    }
                    let content = disk::read(disk, &dir.join(&path), REF_BYTES_MAX)?;
                    self.loose.insert(RefName::new(name), content);
                }
                _ => self.broken.push(path.display().to_string()),
            }
        }
        Ok(())
    }

    /// The first line of `packed-refs` that says nothing which is understood here.
    pub(crate) fn unreadable_line(&self, format: ObjectFormat) -> Option<String> {
        let mut lines = self.packed.iter().flat_map(|packed| packed_lines(packed));
        let line = lines.find(|line| parse_packed(line, format).is_none())?;
        Some(String::from_utf8_lossy(line).into_owned())
    }

    /// The refs, HEAD included. Notes in `broken` what is none.
    pub(crate) fn refs(&mut self, format: ObjectFormat) -> Refs {
        let mut refs = BTreeMap::new();
        for line in self.packed.iter().flat_map(|packed| packed_lines(packed)) {
            match parse_packed(line, format) {
                Some((id, name)) => {
                    refs.insert(RefName::new(name), Target::At(id));
                }
                None => self.broken.push(String::from_utf8_lossy(line).into_owned()),
            }
        }
        for (name, content) in &self.loose {
            match parse_loose(content, format) {
                Some(target) => {
                    refs.insert(name.clone(), target);
                }
                None => self.broken.push(name.to_text()),
            }
        }
        Refs::from_entries(refs)
    }

    /// Why the files are not what git leaves, whatever it was told to do: cut off, overwritten,
    /// gone. Then they are damaged, and say nothing about what anybody wanted.
    pub(crate) fn damage(&self, format: ObjectFormat) -> Option<String> {
        let head = self.loose.get(b"HEAD".as_slice());
        let names = match head.and_then(|head| parse_loose(head, format)) {
            Some(Target::Symbolic(branch)) => branch.as_bytes().starts_with(b"refs/heads/"),
            Some(Target::At(_)) => true,
            Some(Target::Gone) | None => false,
        };
        if !names {
            return Some("HEAD names no branch and no commit".to_owned());
        }
        let Some(packed) = &self.packed else {
            return Some(format!("{PACKED_REFS} is gone"));
        };
        if !packed.starts_with(PACKED_REFS_HEAD) || !packed.ends_with(b"\n") {
            return Some(format!("{PACKED_REFS} is cut off"));
        }
        for line in packed_lines(packed) {
            let name = parse_packed(line, format).map(|(_, name)| name);
            if !name.is_some_and(|name| name.starts_with(b"refs/")) {
                let line = String::from_utf8_lossy(line);
                return Some(format!("in {PACKED_REFS} \"{line}\" is no ref"));
            }
        }
        None
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            packed: digest(self.packed.as_deref()),
            loose: self.loose.clone(),
        }
    }
}

fn parse_id(hex: &[u8], format: ObjectFormat) -> Option<ObjectId> {
    let id = ObjectId::from_hex(hex).ok()?;
    (id.kind() == format && !id.is_null()).then_some(id)
}

/// Whether a file's content is that of a loose ref, whatever the objects are named by.
fn is_ref(content: &[u8]) -> bool {
    let formats = [ObjectFormat::Sha1, ObjectFormat::Sha256];
    (formats.into_iter()).any(|format| parse_loose(content, format).is_some())
}

/// A loose ref: an id, or `ref: ` and a name.
fn parse_loose(content: &[u8], format: ObjectFormat) -> Option<Target> {
    let content = content.trim_ascii_end();
    if let Some(name) = content.strip_prefix(b"ref:") {
        let name = name.trim_ascii();
        govc_git::refname::check(name).ok()?;
        return Some(Target::Symbolic(RefName::new(name)));
    }
    let hex = content.get(..format.len_in_hex())?;
    parse_id(hex, format).map(Target::At)
}

/// Writes the files of `wanted` where they differ from what is there, each as git does: into a
/// lock, synced, renamed. Loose refs that `wanted` does not have go; the folders that they leave
/// empty stay: git does not mind.
///
/// With `anew` what does not differ is written too: writing it failed before, and what is there to
/// be read need not be durable.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when another process holds a lock; whatever the disk met.
pub(crate) fn write(
    disk: &dyn Disk,
    dir: &Path,
    wanted: &Projection,
    anew: bool,
) -> io::Result<()> {
    let there = OnDisk::read(disk, dir)?;
    if anew || there.packed.as_deref() != Some(&wanted.packed) {
        write_locked(disk, &dir.join(PACKED_REFS), &wanted.packed)?;
        disk.sync_dir(dir)?;
    }
    for (name, content) in &wanted.loose {
        if anew || there.loose.get(name) != Some(content) {
            let path = dir.join(path_of(name));
            let above = path.parent().unwrap_or(dir);
            disk::create_dirs(disk, above)?;
            write_locked(disk, &path, content)?;
            disk.sync_dir(above)?;
        }
    }
    for (name, content) in &there.loose {
        // What is no ref and stands for none of ours is not ours to remove.
        let is_ours = name.as_bytes() == b"HEAD" || wanted.has_packed(name);
        let may_go = is_ours || is_ref(content);
        if may_go && !wanted.loose.contains_key(name) {
            let path = dir.join(path_of(name));
            let lock = locked(&path);
            drop(disk.open(&lock, Open::New)?);
            let removed = disk.remove(&path);
            disk.remove(&lock)?;
            removed?;
            disk.sync_dir(path.parent().unwrap_or(dir))?;
        }
    }
    if anew {
        // A loose ref may have gone, and not durably.
        sync_folders(disk, &dir.join("refs"), 0)?;
    }
    Ok(())
}

fn sync_folders(disk: &dyn Disk, folder: &Path, depth: usize) -> io::Result<()> {
    for entry in disk.list(folder)? {
        if entry.kind == FileKind::Dir && depth < DEPTH_MAX {
            sync_folders(disk, &folder.join(&entry.name), depth + 1)?;
        }
    }
    disk.sync_dir(folder)
}

fn path_of(name: &RefName) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()))
}

fn locked(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    PathBuf::from(lock)
}

fn write_locked(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let lock = locked(path);
    let file = disk.open(&lock, Open::New)?;
    let written = file
        .write_at(0, content)
        .and_then(|()| file.sync())
        .and_then(|()| disk.rename(&lock, path));
    if written.is_err() {
        let _ = disk.remove(&lock);
    }
    written
}

/// Removes the locks that we held when we died: nobody else writes while the server has the
/// directory.
///
/// # Errors
/// Whatever the disk met.
pub(crate) fn remove_locks(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for name in [PACKED_REFS, "HEAD"] {
        let lock = locked(&dir.join(name));
        if disk.kind(&lock)?.is_some() {
            disk.remove(&lock)?;
        }
    }
    Ok(())
}
