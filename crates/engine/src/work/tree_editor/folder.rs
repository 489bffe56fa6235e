//! A folder that is being edited.

use std::ops::Range;

use bytes::Bytes;
use govc_git::object::ParseError;
use govc_git::object::tree::entries;
use govc_git::{ObjectFormat, ObjectId};
use hashbrown::HashMap;
use smallvec::{SmallVec, smallvec};

use super::raw_tree::{Entry, RawTree, encode, order};
use super::{FolderIndex, Name, TreeEditError};
use crate::work::splice::Splicer;

type Names<V> = HashMap<Name, V, foldhash::fast::RandomState>;

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) parent: FolderIndex,
    pub(super) name: Name,
    /// The tree as it was loaded or last written.
    pub(super) id: ObjectId,
    /// Its bytes.
    pub(super) tree: RawTree,
    /// Subfolders that are loaded: what they hold is newer than what `tree` says of them.
    pub(super) children: Names<FolderIndex>,
    /// Names whose entry in `tree` no longer holds, and what does. Never one of `children`.
    pub(super) changes: Names<Option<Entry>>,
    /// Which of `children` may differ from what `tree` says of them.
    pub(super) dirty_children: Vec<FolderIndex>,
    pub(super) dirty: bool,
    /// How many names there are, once somebody had to know.
    pub(super) live: Option<usize>,
    pub(super) round: u32,
    /// Counts how often entries of `tree` got other places.
    pub(super) layout: u32,
    /// The entry of `tree` that was found last.
    pub(super) found: Option<Range<usize>>,
    /// The folder's entry in its parent's tree, and the layout in which it is there.
    pub(super) place: Option<(Range<usize>, u32)>,
    /// How many trees were made as deltas since the last that was not.
    pub(super) deltas: u8,
}

/// What a name in a folder leads to.
pub(super) enum Child {
    Nothing,
    File(Entry),
    /// A folder that is not loaded.
    Tree(Entry),
    /// A folder that is.
    Loaded(FolderIndex),
}

/// Names, and what they become.
pub(super) type Edits = SmallVec<[(Name, Option<Entry>); 1]>;

impl Folder {
    pub(super) fn new(parent: FolderIndex, name: Name, id: ObjectId, tree: RawTree) -> Folder {
        Folder {
            parent,
            name,
            id,
            tree,
            children: Names::default(),
            changes: Names::default(),
            dirty_children: Vec::new(),
            dirty: false,
            live: None,
            round: 0,
            layout: 0,
            found: None,
            place: None,
            deltas: 0,
        }
    }

    pub(super) fn child(
        &mut self,
        name: &[u8],
        format: ObjectFormat,
    ) -> Result<Child, TreeEditError> {
        if let Some(&child) = self.children.get(name) {
            return Ok(Child::Loaded(child));
        }
        let entry = match self.changes.get(name) {
            Some(entry) => *entry,
            None => self.stored(name, format)?,
        };
        Ok(match entry {
            None => Child::Nothing,
            Some(entry) if entry.is_folder() => Child::Tree(entry),
            Some(entry) => Child::File(entry),
        })
    }

    /// What the stored tree says of `name`.
    fn stored(
        &mut self,
        name: &[u8],
        format: ObjectFormat,
    ) -> Result<Option<Entry>, TreeEditError> {
        let found = self.tree.find(name, format);
        let found = found.map_err(|_| TreeEditError::Malformed(self.id))?;
        Ok(found.map(|(place, entry)| {
            self.found = Some(place);
            entry
        }))
    }

    pub(super) fn set(&mut self, name: &[u8], entry: Option<Entry>, is_new: bool) {
        match self.changes.get_mut(name) {
            Some(change) => *change = entry,
            None => {
                self.changes.insert(name.into(), entry);
            }
        }
        if let (true, Some(live)) = (is_new, &mut self.live) {
            *live += 1;
        }
    }

    /// How many names there are, one of which is `leaving`, though it may have left `children`.
    pub(super) fn live_with(
        &self,
        leaving: &[u8],
        format: ObjectFormat,
    ) -> Result<usize, TreeEditError> {
        if let Some(live) = self.live {
            return Ok(live);
        }
        let mut live = self.changes.values().flatten().count() + self.children.len();
        for entry in entries(self.tree.bytes(), format) {
            let name = entry.map_err(|_| TreeEditError::Malformed(self.id))?.name;
            let is_overridden = self.changes.contains_key(name) || self.children.contains_key(name);
            live += usize::from(!is_overridden && name != leaving);
        }
        let is_counted = self.children.contains_key(leaving)
            || matches!(self.changes.get(leaving), Some(Some(_)));
        Ok(live + usize::from(!is_counted))
    }

    /// Applies one edit to the tree's bytes; answers the delta, or `None` when nothing changed.
    /// `place` is where the entry was seen last, if that still holds.
    pub(super) fn splice(
        &mut self,
        name: &[u8],
        entry: Option<Entry>,
        place: Option<Range<usize>>,
        format: ObjectFormat,
    ) -> Result<Option<Bytes>, ParseError> {
        let (found, insert_at) = match self.tree.at_place(place, name, format) {
            Some((place, old)) => (Some((place, old)), 0),
            None => {
                let is_folder = entry.is_some_and(Entry::is_folder);
                self.tree.search(name, is_folder, format)?
            }
        };
        let length = self.tree.len();
        let change = match (found, entry) {
            (None, None) => return Ok(None),
            (Some((_, old)), Some(new)) if old == new => return Ok(None),
            (Some((place, old)), Some(new)) if old.mode == new.mode => {
                let id_start = place.end - format.len_in_bytes();
                self.found = Some(place.clone());
                self.tree.splice(id_start..place.end, new.id.as_slice())
            }
            (Some((place, old)), Some(new)) if old.is_folder() == new.is_folder() => {
                let new = encode(name, new.mode, &new.id);
                self.tree.splice(place, &new)
            }
            (Some(_), Some(new)) => {
                let edits = smallvec![(name.into(), Some(new))];
                return self.merge(edits, format);
            }
            (Some((place, _)), None) => self.tree.splice(place, &[]),
            (None, Some(new)) => {
                let new = encode(name, new.mode, &new.id);
                self.tree.splice(insert_at..insert_at, &new)
            }
        };
        if self.tree.len() != length {
            self.layout = self.layout.wrapping_add(1);
        }
        Ok(Some(change))
    }

    /// Applies many edits to the tree's bytes in one pass; answers the delta, or `None` when
    /// nothing changed.
    pub(super) fn merge(
        &mut self,
        mut edits: Edits,
        format: ObjectFormat,
    ) -> Result<Option<Bytes>, ParseError> {
        let edited: Names<Option<Entry>> = edits.iter().cloned().collect();
        edits.retain(|(_, entry)| entry.is_some());
        edits.sort_by(|(a, entry_a), (b, entry_b)| {
            let is_folder = |entry: &Option<Entry>| entry.is_some_and(Entry::is_folder);
            order((a, is_folder(entry_a)), (b, is_folder(entry_b)))
        });
        let mut waiting = edits.into_iter().peekable();
        let mut splicer = Splicer::new(self.tree.bytes());
        let mut is_changed = false;
        let mut walk = entries(self.tree.bytes(), format);
        loop {
            let start = walk.offset();
            let Some(here) = walk.next().transpose()? else {
                break;
            };
            let old = Entry::of(&here);
            let here_order = (here.name, old.is_folder());
            while let Some((name, entry)) = waiting.peek() {
                let Some(entry) = *entry else { break };
                if order((name, entry.is_folder()), here_order).is_ge() {
                    break;
                }
                splicer.replace(start..start, &encode(name, entry.mode, &entry.id));
                is_changed = true;
                waiting.next();
            }
            let Some(edit) = edited.get(here.name) else {
                continue;
            };
            // In its place only if it is of the same kind: folders are sorted otherwise.
            let is_replaced = waiting.next_if(|(name, new)| {
                **name == *here.name && new.is_some_and(Entry::is_folder) == old.is_folder()
            });
            match (is_replaced, edit) {
                (Some(_), Some(new)) if *new == old => {}
                (Some((name, Some(new))), _) => {
                    splicer.replace(start..walk.offset(), &encode(&name, new.mode, &new.id));
                    is_changed = true;
                }
                _ => {
                    splicer.replace(start..walk.offset(), &[]);
                    is_changed = true;
                }
            }
        }
        let end = self.tree.len();
        for (name, entry) in waiting {
            if let Some(entry) = entry {
                splicer.replace(end..end, &encode(&name, entry.mode, &entry.id));
                is_changed = true;
            }
        }
        if !is_changed {
            return Ok(None);
        }
        let (tree, change) = splicer.finish();
        self.tree = RawTree::new(tree);
        self.layout = self.layout.wrapping_add(1);
        self.found = None;
        Ok(Some(change))
    }
}
