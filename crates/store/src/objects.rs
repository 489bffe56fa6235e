//! Objects as a checkpoint needs them: those that are in no pack yet, and those in packs.

use std::cell::RefCell;
use std::collections::{HashMap, hash_map};
use std::io;
use std::path::{Path, PathBuf};

use govc_engine::journal::PackId;
use govc_engine::{NewObject, ObjectBody};
use govc_git::pack::{NoCache, Pack, PackIndex};
use govc_git::{Object, ObjectId, ObjectKind, oid};

use crate::directory;
use crate::disk::{Disk, Open};

const OBJECT_BYTES_MAX: u64 = 2 << 30;
/// So many bytes of objects that were made from deltas are kept: more will be made from them.
const MADE_BYTES_MAX: usize = 32 << 20;

/// The objects of one repository.
pub(crate) struct Objects<'a> {
    disk: &'a dyn Disk,
    dir: PathBuf,
    /// Each with its place in `order`.
    pending: HashMap<ObjectId, (usize, NewObject)>,
    /// The ids of `pending`, in the order in which they came.
    order: Vec<ObjectId>,
    /// Oldest first; opened from the newest on, as far as was needed.
    packs: Vec<PackId>,
    opened: RefCell<Vec<Pack>>,
    made: RefCell<Made>,
}

/// Objects that were made from deltas.
#[derive(Default)]
struct Made {
    objects: HashMap<ObjectId, Object>,
    bytes: usize,
}

impl Made {
    fn keep(&mut self, id: ObjectId, object: &Object) {
        if object.data.len() > MADE_BYTES_MAX / 8 {
            return;
        }
        if self.bytes + object.data.len() > MADE_BYTES_MAX {
            *self = Made::default();
        }
        if self.objects.insert(id, object.clone()).is_none() {
            self.bytes += object.data.len();
        }
    }
}

impl<'a> Objects<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, dir: &Path, packs: Vec<PackId>) -> Objects<'a> {
        Objects {
            disk,
            dir: dir.to_owned(),
            pending: HashMap::new(),
            order: Vec::new(),
            packs,
            opened: RefCell::default(),
            made: RefCell::default(),
        }
    }

    /// Takes an object that is in no pack. What is elsewhere is not taken. Of one that comes more
    /// than once the first is kept: a later one may be a delta of what was made of the first.
    pub(crate) fn add(&mut self, object: &NewObject) {
        if object.body == ObjectBody::Elsewhere {
            return;
        }
        match self.pending.entry(object.id) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert((self.order.len(), object.clone()));
                self.order.push(object.id);
            }
            hash_map::Entry::Occupied(mut occupied) => {
                let (_, there) = occupied.get_mut();
                if matches!(object.body, ObjectBody::Whole(_)) {
                    there.body = object.body.clone();
                }
            }
        }
    }

    /// Those that are in no pack, in the order in which they came.
    pub(crate) fn pending(&self) -> impl ExactSizeIterator<Item = &NewObject> {
        self.order.iter().map(|id| &self.pending[id].1)
    }

    /// Runs `look` on the packs, newest first, until it finds something.
    fn in_packs<T>(&self, look: impl Fn(&Pack) -> io::Result<Option<T>>) -> io::Result<Option<T>> {
        let mut opened = self.opened.borrow_mut();
        for at in 0..self.packs.len() {
            if opened.len() == at {
                let id = self.packs[self.packs.len() - 1 - at];
                opened.push(open_pack(self.disk, &self.dir, id)?);
            }
            if let Some(found) = look(&opened[at])? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The object `id`, whole.
    ///
    /// A delta's base came before it, or is in a pack: one that comes again after what was made of
    /// its older self, as a delta of that, is not what that was made of. So chains end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where it is damaged; whatever reading met.
    pub(crate) fn find(&self, id: &oid) -> io::Result<Option<Object>> {
        let mut deltas = Vec::new();
        let mut at = id.to_owned();
        let mut before = usize::MAX;
        let mut object = loop {
            if let Some(object) = self.made.borrow().objects.get(&at) {
                break object.clone();
            }
            match self.pending.get(&at) {
                Some((_, object)) if let ObjectBody::Whole(data) = &object.body => {
                    break Object {
                        kind: object.kind,
                        data: data.clone(),
                    };
                }
                Some((place, object))
                    if *place < before
                        && let ObjectBody::Delta { base, delta } = &object.body =>
                {
                    deltas.push(delta.clone());
                    (at, before) = (*base, *place);
                }
                _ => match self.find_packed(&at)? {
                    Some(object) => break object,
                    None if deltas.is_empty() => return Ok(None),
                    None => return Err(damaged(format!("the base {at} of {id} is missing"))),
                },
            }
        };
        for delta in deltas.iter().rev() {
            let data = govc_git::pack::delta::apply(&object.data, delta, OBJECT_BYTES_MAX)
                .map_err(|error| damaged(format!("{id}: {error}")))?;
            object.data = data.into();
        }
        if !deltas.is_empty() {
            self.made.borrow_mut().keep(id.to_owned(), &object);
        }
        Ok(Some(object))
    }

    fn find_packed(&self, id: &oid) -> io::Result<Option<Object>> {
        self.in_packs(|pack| {
            pack.find(id, &|_| None, &NoCache)
                .map_err(|error| damaged(format!("pack {}: {error}", pack.id())))
        })
    }

    /// What `id` is, if it is here.
    ///
    /// # Errors
    /// As [`Objects::find`].
    pub(crate) fn kind(&self, id: &oid) -> io::Result<Option<ObjectKind>> {
        if let Some((_, object)) = self.pending.get(id) {
            return Ok(Some(object.kind));
        }
        self.in_packs(|pack| {
            let header = pack.header(id, &|_| None);
            header
                .map(|found| found.map(|(kind, _)| kind))
                .map_err(|error| damaged(format!("pack {}: {error}", pack.id())))
        })
    }

    /// What the annotated tag `id` leads to in the end; `None` where it is no tag.
    ///
    /// # Errors
    /// As [`Objects::find`].
    pub(crate) fn peel(&self, id: &oid) -> io::Result<Option<ObjectId>> {
        const TAGS_MAX: usize = 64;
        let mut at = id.to_owned();
        for depth in 0..TAGS_MAX {
            match self.kind(&at)? {
                Some(ObjectKind::Tag) => {}
                // What is missing is nobody's peeled value.
                None => return Ok(None),
                Some(_) => return Ok((depth > 0).then_some(at)),
            }
            let Some(tag) = self.find(&at)? else {
                return Ok(None);
            };
            let target = tag
                .data
                .strip_prefix(b"object ")
                .and_then(|rest| rest.split(|byte| *byte == b'\n').next())
                .and_then(|hex| ObjectId::from_hex(hex).ok());
            match target {
                Some(target) => at = target,
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn damaged(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

pub(crate) fn pack_path(dir: &Path, id: PackId, extension: &str) -> PathBuf {
    dir.join(directory::PACKS)
        .join(format!("pack-{}.{extension}", id.0))
}

/// Opens a pack in the repository's directory `dir`.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] where pack or index are damaged; whatever reading met.
pub(crate) fn open_pack(disk: &dyn Disk, dir: &Path, id: PackId) -> io::Result<Pack> {
    let map = |extension| disk.open(&pack_path(dir, id, extension), Open::Read)?.map();
    let index = PackIndex::parse(map("idx")?, id.0.kind())
        .map_err(|error| damaged(format!("index of pack {}: {error}", id.0)))?;
    Pack::new(id.0, map("pack")?, index).map_err(|error| damaged(format!("pack {}: {error}", id.0)))
}
