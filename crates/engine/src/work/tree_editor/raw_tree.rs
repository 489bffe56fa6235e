//! A tree's bytes, and what makes it cheap to find and to change an entry of a long one.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use govc_git::object::ParseError;
use govc_git::object::tree::{TreeEntry, compare_names, entries, write_entry};
use govc_git::object_id::{Collision, Hasher, hash_object, object_hasher};
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};

use crate::work::splice::splice;

/// The mode of a folder in a tree.
pub(super) const MODE_TREE: u32 = 0o040_000;
/// The bits of a mode that say what kind of thing it is.
const MODE_KIND: u32 = 0o170_000;

/// What a name in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) id: ObjectId,
}

impl Entry {
    pub(super) fn of(entry: &TreeEntry<'_>) -> Entry {
        Entry {
            mode: entry.mode,
            id: entry.id.to_owned(),
        }
    }

    pub(super) fn is_folder(self) -> bool {
        self.mode & MODE_KIND == MODE_TREE
    }
}

/// A tree's bytes.
///
/// Of a long one it knows where some entries begin, so that a name is looked for near its place,
/// and states of the hash on the way, so that a change that leaves the length alone is hashed from
/// the last state before it.
#[derive(Default)]
pub(super) struct RawTree {
    bytes: Vec<u8>,
    /// Where entries begin, about [`LANDMARK_BYTES`] apart; the first is at 0. `None`: nobody
    /// looked since an entry moved. Empty: there is no use in them.
    landmarks: Option<Vec<usize>>,
    /// The hash of the header and the bytes up to [`RawTree::state_end`] of each.
    states: Vec<Hasher>,
}

const LANDMARK_BYTES: usize = 1024;
/// A shorter tree is walked from its front.
const LANDMARKS_FROM_BYTES: usize = 4 * LANDMARK_BYTES;
/// How many states of the hash are kept of a tree, if it is long enough.
const STATES: usize = 16;
/// States are not closer to each other than this; a whole number of the hash's blocks.
const STATE_BYTES_MIN: usize = 2 * HASH_BLOCK_BYTES;
const HASH_BLOCK_BYTES: usize = 64;
/// A shorter tree is hashed in one piece.
const STATES_FROM_BYTES: usize = 2 * STATE_BYTES_MIN;

impl fmt::Debug for RawTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawTree").field(&self.bytes).finish()
    }
}

impl RawTree {
    pub(super) fn new(bytes: Vec<u8>) -> RawTree {
        RawTree {
            bytes,
            landmarks: None,
            states: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        let landmarks = self.landmarks.as_ref().map_or(0, Vec::len);
        self.bytes.len() + landmarks * size_of::<usize>() + self.states.len() * size_of::<Hasher>()
    }

    /// The entry at `place`, if it is `name`'s. The place must be one of an entry.
    pub(super) fn at_place(
        &self,
        place: Option<Range<usize>>,
        name: &[u8],
        format: ObjectFormat,
    ) -> Option<(Range<usize>, Entry)> {
        let place = place?;
        let entry = entries(self.bytes.get(place.clone())?, format)
            .next()?
            .ok()?;
        (entry.name == name).then(|| (place, Entry::of(&entry)))
    }

    /// The entry of `name`, and where it is.
    pub(super) fn find(
        &mut self,
        name: &[u8],
        format: ObjectFormat,
    ) -> Result<Option<(Range<usize>, Entry)>, ParseError> {
        Ok(self.search(name, false, format)?.0)
    }

    /// The entry of `name` and where it is; where one of this kind is to be put if there is none.
    #[expect(clippy::type_complexity, reason = "two answers, for one caller each")]
    pub(super) fn search(
        &mut self,
        name: &[u8],
        is_folder: bool,
        format: ObjectFormat,
    ) -> Result<(Option<(Range<usize>, Entry)>, usize), ParseError> {
        let range = self.neighbourhood(name, format)?;
        let (from, end) = (range.start, range.end);
        let mut insert_at = None;
        let mut walk = entries(&self.bytes[range], format);
        loop {
            let start = from + walk.offset();
            let Some(here) = walk.next().transpose()? else {
                return Ok((None, insert_at.unwrap_or(end)));
            };
            if here.name == name {
                let place = start..from + walk.offset();
                return Ok((Some((place, Entry::of(&here))), start));
            }
            if insert_at.is_none() && order((here.name, here.is_tree()), (name, is_folder)).is_gt()
            {
                insert_at = Some(start);
            }
        }
    }

    /// From where to where `name` can be, as a file or as a folder.
    fn neighbourhood(
        &mut self,
        name: &[u8],
        format: ObjectFormat,
    ) -> Result<Range<usize>, ParseError> {
        let whole = 0..self.bytes.len();
        if whole.end < LANDMARKS_FROM_BYTES {
            return Ok(whole);
        }
        let landmarks = match &mut self.landmarks {
            Some(landmarks) => landmarks,
            none => none.insert(landmarks_of(&self.bytes, format)?),
        };
        let at = |offset: &usize| {
            let here = self.bytes.get(*offset..).unwrap_or_default();
            entries(here, format).next().and_then(Result::ok)
        };
        let compare = |offset: &usize, is_folder: bool| {
            at(offset).map_or(Ordering::Less, |here| {
                order((here.name, here.is_tree()), (name, is_folder))
            })
        };
        let first = landmarks.partition_point(|offset| compare(offset, false).is_le());
        let beyond = landmarks.partition_point(|offset| compare(offset, true).is_le());
        let start = first.checked_sub(1).and_then(|at| landmarks.get(at));
        let end = landmarks.get(beyond);
        Ok(start.copied().unwrap_or(0)..end.copied().unwrap_or(whole.end))
    }

    /// Replaces `range`, which begins where an entry does or is the id of one, with `new`;
    /// answers the delta that does it.
    pub(super) fn splice(&mut self, range: Range<usize>, new: &[u8]) -> Bytes {
        if range.len() == new.len() {
            let header = self.header_bytes();
            let step = self.state_step();
            let good = (1..=self.states.len())
                .take_while(|n| n * step <= range.start + header)
                .count();
            self.states.truncate(good);
        } else {
            self.states.clear();
            self.landmarks = None;
        }
        splice(&mut self.bytes, range, new)
    }

    /// The tree's id.
    pub(super) fn hash(&mut self, format: ObjectFormat) -> Result<ObjectId, Collision> {
        let len = self.bytes.len();
        if len < STATES_FROM_BYTES {
            return hash_object(format, ObjectKind::Tree, &self.bytes);
        }
        let (header, step) = (self.header_bytes(), self.state_step());
        let (mut hasher, mut at) = match self.states.last() {
            Some(state) => (state.clone(), self.states.len() * step - header),
            None => (object_hasher(format, ObjectKind::Tree, len as u64), 0),
        };
        loop {
            let next = (self.states.len() + 1) * step - header;
            if next >= len {
                break;
            }
            hasher.update(&self.bytes[at..next]);
            self.states.push(hasher.clone());
            at = next;
        }
        hasher.update(&self.bytes[at..]);
        hasher.try_finalize().map_err(|_| Collision)
    }

    /// How far apart states of the hash are, the header included: they end with its blocks.
    fn state_step(&self) -> usize {
        let step = self.bytes.len().div_ceil(STATES);
        step.next_multiple_of(HASH_BLOCK_BYTES).max(STATE_BYTES_MIN)
    }

    /// How long what is hashed before the content is: `tree <length>\0`.
    fn header_bytes(&self) -> usize {
        let digits = self.bytes.len().checked_ilog10().unwrap_or(0) as usize + 1;
        b"tree ".len() + digits + 1
    }
}

/// Where some entries begin; none where the tree is not in order, and a name may be anywhere.
fn landmarks_of(bytes: &[u8], format: ObjectFormat) -> Result<Vec<usize>, ParseError> {
    let mut landmarks = vec![0];
    let mut next = LANDMARK_BYTES;
    let mut before: Option<TreeEntry<'_>> = None;
    let mut walk = entries(bytes, format);
    loop {
        let start = walk.offset();
        let Some(here) = walk.next().transpose()? else {
            return Ok(landmarks);
        };
        let is_in_order = before.is_none_or(|before| {
            order((before.name, before.is_tree()), (here.name, here.is_tree())).is_lt()
        });
        if !is_in_order {
            return Ok(Vec::new());
        }
        if start >= next {
            landmarks.push(start);
            next = start + LANDMARK_BYTES;
        }
        before = Some(here);
    }
}

/// Compares two names as trees are sorted: folders as if their names ended in a slash.
pub(super) fn order(a: (&[u8], bool), b: (&[u8], bool)) -> Ordering {
    compare_names(a.0, a.1, b.0, b.1)
}

/// An entry as it is in a tree's bytes.
pub(super) fn encode(name: &[u8], mode: u32, id: &oid) -> Vec<u8> {
    const ENTRY_BYTES_ROUGHLY: usize = 48;
    let mut bytes = Vec::with_capacity(ENTRY_BYTES_ROUGHLY + name.len());
    write_entry(&mut bytes, mode, name, id);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMAT: ObjectFormat = ObjectFormat::Sha1;

    fn id(n: usize) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[n as u8; 20])
    }

    /// Names of which some are the front of others, folders and files mixed, in order.
    fn tree_of(count: usize) -> Vec<(Vec<u8>, Entry)> {
        let mut names: Vec<(Vec<u8>, Entry)> = (0..count)
            .map(|n| {
                let name = match n % 4 {
                    0 => format!("name{}", n / 4),
                    1 => format!("name{}-x", n / 4),
                    2 => format!("name{}.x", n / 4),
                    _ => format!("name{}0x", n / 4),
                };
                let mode = if n % 3 == 0 { MODE_TREE } else { 0o100_644 };
                (name.into_bytes(), Entry { mode, id: id(n) })
            })
            .collect();
        names.sort_by(|(a, x), (b, y)| order((a, x.is_folder()), (b, y.is_folder())));
        names
    }

    fn bytes_of(tree: &[(Vec<u8>, Entry)]) -> Vec<u8> {
        let bytes = tree
            .iter()
            .map(|(name, entry)| encode(name, entry.mode, &entry.id));
        bytes.collect::<Vec<_>>().concat()
    }

    proptest! {
        #[test]
        fn a_long_tree_is_what_it_would_be_without_shortcuts(
            count in prop_oneof![1usize..12, 150usize..700],
            edits in prop::collection::vec((any::<usize>(), 0u8..4, any::<u8>()), 1..12),
        ) {
            let mut model = tree_of(count);
            let mut tree = RawTree::new(bytes_of(&model));
            for (which, what, byte) in edits {
                let which = which % model.len();
                let (name, entry) = model[which].clone();
                let (found, _) = tree.search(&name, entry.is_folder(), FORMAT).expect("a tree");
                let (place, there) = found.expect("it is there");
                prop_assert_eq!(there, entry);
                match what {
                    // Its content changes.
                    0 | 1 => {
                        model[which].1.id = id(byte.into());
                        tree.splice(place.end - 20..place.end, &[byte; 20]);
                    }
                    // It goes.
                    2 if model.len() > 1 => {
                        model.remove(which);
                        tree.splice(place, &[]);
                    }
                    // Another comes beside it.
                    _ => {
                        let name = [&name[..], b"!"].concat();
                        let (found, at) = tree.search(&name, false, FORMAT).expect("a tree");
                        if found.is_some() {
                            continue;
                        }
                        let entry = Entry { mode: 0o100_644, id: id(byte.into()) };
                        tree.splice(at..at, &encode(&name, entry.mode, &entry.id));
                        model.push((name, entry));
                        model.sort_by(|(a, x), (b, y)| {
                            order((a, x.is_folder()), (b, y.is_folder()))
                        });
                    }
                }
                let expected = bytes_of(&model);
                prop_assert_eq!(tree.bytes(), &expected[..]);
                let plain = hash_object(FORMAT, ObjectKind::Tree, &expected).expect("no collision");
                prop_assert_eq!(tree.hash(FORMAT).expect("no collision"), plain);
            }
            prop_assert_eq!(tree.find(b"absent", FORMAT).expect("a tree"), None);
        }
    }

    #[test]
    fn in_a_tree_out_of_order_a_name_is_found_wherever_it_is() {
        let mut model = tree_of(400);
        model.reverse();
        let mut tree = RawTree::new(bytes_of(&model));
        for (name, entry) in &model {
            let found = tree.find(name, FORMAT).expect("a tree");
            assert_eq!(found.map(|(_, entry)| entry), Some(*entry));
        }
    }
}
