//! Loose objects, which git makes and we do not: they are packed when they are met.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use govc_engine::journal::PackId;
use govc_engine::{NewObject, ObjectBody};
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

use crate::checkpoint::write_pack;
use crate::disk::{self, Disk, FileKind};
use crate::objects::Objects;

const OBJECT_BYTES_MAX: u64 = 2 << 30;
/// Objects are held in memory while they are packed: so many bytes of them go into one pack.
const PACK_BYTES: usize = 128 << 20;

/// What became of the loose objects of a repository.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// The packs that were made.
    pub(crate) packs: Vec<PackId>,
    /// The files that are in them, and may go once the packs are listed.
    files: Vec<PathBuf>,
    /// Files that are no objects, and stay.
    pub(crate) broken: Vec<String>,
}

/// Packs the loose objects in the repository's directory `dir`.
///
/// # Errors
/// Whatever the disk met.
pub(crate) fn pack(disk: &dyn Disk, dir: &Path, format: ObjectFormat) -> io::Result<Packed> {
    let mut packed = Packed::default();
    let mut objects = Objects::new(disk, dir, Vec::new());
    let mut bytes = 0;
    let is_hex = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    };
    for folder in disk.list(&dir.join("objects"))? {
        let Some(first) = folder.name.to_str().filter(|n| n.len() == 2 && is_hex(n)) else {
            continue;
        };
        if folder.kind != FileKind::Dir {
            continue;
        }
        let path = dir.join("objects").join(first);
        for file in disk.list(&path)? {
            let Some(rest) = file.name.to_str().filter(|name| is_hex(name)) else {
                continue;
            };
            let Ok(id) = ObjectId::from_hex(format!("{first}{rest}").as_bytes()) else {
                continue;
            };
            let path = path.join(rest);
            match read(disk, &path, id, format)? {
                Some(object) => {
                    bytes += object.body.len();
                    objects.add(&object);
                    packed.files.push(path);
                }
                None => packed.broken.push(path.display().to_string()),
            }
            if bytes >= PACK_BYTES {
                let made = write_pack(disk, dir, &objects, format)?;
                packed.packs.extend(made.map(|(id, _)| id));
                objects = Objects::new(disk, dir, Vec::new());
                bytes = 0;
            }
        }
    }
    let made = write_pack(disk, dir, &objects, format)?;
    packed.packs.extend(made.map(|(id, _)| id));
    Ok(packed)
}

impl Packed {
    /// Removes the files that are in packs which are listed now.
    ///
    /// # Errors
    /// Whatever the disk met.
    pub(crate) fn remove_files(&self, disk: &dyn Disk) -> io::Result<()> {
        self.files.iter().try_for_each(|file| disk.remove(file))
    }
}

/// A loose object: deflated, its header before its content. `None` where it is none.
fn read(
    disk: &dyn Disk,
    path: &Path,
    id: ObjectId,
    format: ObjectFormat,
) -> io::Result<Option<NewObject>> {
    const HEADER_BYTES_MAX: u64 = 64;
    let deflated = disk::read(disk, path, OBJECT_BYTES_MAX)?;
    let limit = OBJECT_BYTES_MAX + HEADER_BYTES_MAX;
    let mut content = Vec::new();
    let inflated = flate2::read::ZlibDecoder::new(&deflated[..])
        .take(limit)
        .read_to_end(&mut content);
    if inflated.is_err() {
        return Ok(None);
    }
    let content = Bytes::from(content);
    let Some(end) = content.iter().position(|byte| *byte == 0) else {
        return Ok(None);
    };
    let mut words = content[..end].splitn(2, |byte| *byte == b' ');
    let kind = words.next().and_then(ObjectKind::from_name);
    let data = content.slice(end + 1..);
    let size = words
        .next()
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let Some(kind) = kind.filter(|_| size == Some(data.len())) else {
        return Ok(None);
    };
    let is_it =
        id.kind() == format && hash_object(format, kind, &data).is_ok_and(|hash| hash == id);
    Ok(is_it.then_some(NewObject {
        id,
        kind,
        body: ObjectBody::Whole(data),
    }))
}
