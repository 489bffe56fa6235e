//! What is new in a tree that came as a delta of another.
//!
//! A history repeats its trees over and over, an entry or two changed in each. What was found
//! out about a tree holds for all that is copied from it, so only the entries that are new are
//! looked at, each run of them between its neighbours.

use std::collections::VecDeque;
use std::ops::Range;

use govc_git::ObjectFormat;
use govc_git::object::tree::{self, TreeEntry};
use govc_git::pack::VisitedObject;
use govc_git::pack::delta::{self, Op};

/// What is kept at most of where the entries of bases begin.
const KEPT_BYTES_MAX: usize = 4 << 20;
const SPARE_MAX: usize = 4;

/// Trees that were looked at, from a whole one to the delta that is resolved: each is the base of
/// the next. Packs are taken apart in this order.
pub(super) struct SoundTrees {
    format: ObjectFormat,
    chain: VecDeque<SoundTree>,
    kept_bytes: usize,
    spare: Vec<Vec<u32>>,
    fresh: Vec<Range<usize>>,
}

struct SoundTree {
    /// Which entry of the pack it is.
    number: u32,
    /// Where its entries begin, and where the last one ends.
    starts: Vec<u32>,
}

impl SoundTrees {
    pub(super) fn new(format: ObjectFormat) -> SoundTrees {
        SoundTrees {
            format,
            chain: VecDeque::new(),
            kept_bytes: 0,
            spare: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// Calls `look` with what is new in a tree, the entries beside it included: a run of whole
    /// entries, each of which is a tree by itself. `false` where that cannot be said, or `look`
    /// says that it is not enough: then all of the tree is to be looked at.
    ///
    /// The base must have been looked at before, and found sound.
    pub(super) fn look_at_new(
        &mut self,
        object: &VisitedObject<'_>,
        mut look: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        let Some(base) = object.base else {
            return false;
        };
        let Some(base_number) = base.number else {
            return false;
        };
        let Some(starts) = self.compare(base_number, base.data, base.delta, object.data) else {
            return false;
        };
        let enough = self.fresh.iter().all(|fresh| {
            let from = fresh.start.saturating_sub(1);
            let to = (fresh.end + 1).min(starts.len() - 1);
            let bytes = object.data.get(starts[from] as usize..starts[to] as usize);
            let new = object
                .data
                .get(starts[fresh.start] as usize..starts[fresh.end] as usize);
            let (Some(bytes), Some(new)) = (bytes, new) else {
                return false;
            };
            !self.may_repeat(bytes, new) && look(bytes)
        });
        self.push(object.number, starts);
        enough
    }

    /// Where the entries of `data` begin, which `delta` makes of `base`; which of them are new is
    /// left in `fresh`, as ranges of their numbers. An empty range is a seam: its two neighbours
    /// were not neighbours before.
    fn compare(&mut self, number: u32, base: &[u8], delta: &[u8], data: &[u8]) -> Option<Vec<u32>> {
        u32::try_from(data.len().max(base.len())).ok()?;
        self.hold(number, base)?;
        self.fresh.clear();
        let mut starts = self.spare.pop().unwrap_or_default();
        starts.clear();
        starts.push(0);
        let base_starts = &self.chain.back()?.starts[..];
        // Up to here entries are classified, from `fresh_from` on as new.
        let mut at = 0;
        let mut fresh_from = 0;
        // The entry of the base that is behind the last one that was copied.
        let mut base_next = Some(0);
        let mut op_end = 0;
        for op in delta::ops(delta).ok()? {
            let op = op.ok()?;
            let op_start = op_end;
            op_end += op.len();
            let Op::Copy { offset, .. } = op else {
                continue;
            };
            while at < op_end {
                if at >= op_start {
                    // The same place in the base, if an entry begins there, and how far entries
                    // of the base are whole in what is copied.
                    let here = u32::try_from(at - op_start + offset).ok()?;
                    if let Ok(first) = base_starts.binary_search(&here) {
                        let end = u32::try_from(op_end - op_start + offset).ok()?;
                        let after = base_starts.partition_point(|&start| start <= end);
                        let last = after.checked_sub(1)?;
                        if last > first {
                            let count = starts.len() - 1;
                            if fresh_from < count || base_next != Some(first) {
                                self.fresh.push(fresh_from..count);
                            }
                            let now = u32::try_from(at).ok()?;
                            let copied = &base_starts[first + 1..=last];
                            starts.extend(copied.iter().map(|&start| start - here + now));
                            at = *starts.last()? as usize;
                            fresh_from = starts.len() - 1;
                            base_next = Some(last);
                            continue;
                        }
                    }
                }
                at = self.step(data, at, &mut starts)?;
                base_next = None;
            }
        }
        while at < data.len() {
            at = self.step(data, at, &mut starts)?;
        }
        let count = starts.len() - 1;
        if fresh_from < count {
            self.fresh.push(fresh_from..count);
        }
        Some(starts)
    }

    /// Passes one new entry over; returns where the next one begins.
    fn step(&self, data: &[u8], at: usize, starts: &mut Vec<u32>) -> Option<usize> {
        let mut entries = tree::entries(data.get(at..)?, self.format);
        entries.next()?.ok()?;
        let next = at + entries.offset();
        starts.push(u32::try_from(next).ok()?);
        Some(next)
    }

    /// Whether a name among the `new` entries may be that of an entry outside `bytes`, too, once
    /// of a file and once of a directory: between `a` and `a/` there may be `a.b`, and more.
    fn may_repeat(&self, bytes: &[u8], new: &[u8]) -> bool {
        let mut all = tree::entries(bytes, self.format).map_while(Result::ok);
        let first = all.next();
        let last = all.last();
        let outer = [first, last];
        let between = |outer: &TreeEntry<'_>, entry: &TreeEntry<'_>| {
            let behind = outer.name.strip_prefix(entry.name);
            behind.is_some_and(|behind| behind.first().is_some_and(|&byte| byte < b'/'))
        };
        let mut new = tree::entries(new, self.format).map_while(Result::ok);
        new.any(|entry| outer.iter().flatten().any(|outer| between(outer, &entry)))
    }

    /// Makes the tree `number`, whose content is `data`, the last of the chain.
    fn hold(&mut self, number: u32, data: &[u8]) -> Option<()> {
        while let Some(last) = self.chain.back() {
            if last.number == number {
                return Some(());
            }
            let Some(done) = self.chain.pop_back() else {
                break;
            };
            self.give_back(done);
        }
        let mut starts = self.spare.pop().unwrap_or_default();
        starts.clear();
        starts.push(0);
        let mut at = 0;
        while at < data.len() {
            at = self.step(data, at, &mut starts)?;
        }
        self.push(number, starts);
        Some(())
    }

    fn push(&mut self, number: u32, starts: Vec<u32>) {
        self.kept_bytes += bytes_of(&starts);
        self.chain.push_back(SoundTree { number, starts });
        // The last one is always kept: it is used next.
        while self.kept_bytes > KEPT_BYTES_MAX && self.chain.len() > 1 {
            if let Some(oldest) = self.chain.pop_front() {
                self.give_back(oldest);
            }
        }
    }

    fn give_back(&mut self, tree: SoundTree) {
        self.kept_bytes -= bytes_of(&tree.starts);
        if self.spare.len() < SPARE_MAX {
            self.spare.push(tree.starts);
        }
    }
}

fn bytes_of(starts: &Vec<u32>) -> usize {
    4 * starts.capacity()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use govc_git::object::check;
    use govc_git::pack::DeltaBase;
    use govc_git::{ObjectId, ObjectKind};
    use proptest::prelude::*;

    use super::*;

    const FORMAT: ObjectFormat = ObjectFormat::Sha1;

    /// A mode, a name, and what each byte of the id is.
    type Line = (bool, &'static str, u8);

    fn tree_of(lines: &[Line]) -> Vec<u8> {
        let mut data = Vec::new();
        for (is_tree, name, id) in lines {
            let mode: &[u8] = if *is_tree { b"40000 " } else { b"100644 " };
            data.extend_from_slice(mode);
            data.extend_from_slice(name.as_bytes());
            data.push(0);
            data.extend_from_slice(&[*id; 20]);
        }
        data
    }

    fn sort(lines: &mut [Line]) {
        lines.sort_by(|a, b| tree::compare_names(a.1.as_bytes(), a.0, b.1.as_bytes(), b.0));
    }

    /// The delta that takes `pieces` of what it makes from the base wherever the base has them,
    /// from its `nth` place of them.
    fn delta_of(base: &[u8], data: &[u8], pieces: &[(usize, usize)]) -> Vec<u8> {
        let size = |mut size: usize, out: &mut Vec<u8>| {
            while size >= 0x80 {
                out.push(size as u8 | 0x80);
                size >>= 7;
            }
            out.push(size as u8);
        };
        let mut out = Vec::new();
        size(base.len(), &mut out);
        size(data.len(), &mut out);
        let (mut rest, mut pieces) = (data, pieces.iter().cycle());
        while !rest.is_empty() {
            let (length, nth) = pieces.next().unwrap();
            let (piece, behind) = rest.split_at((*length).clamp(1, rest.len().min(127)));
            rest = behind;
            let places: Vec<usize> = (0..base.len())
                .filter(|at| base[*at..].starts_with(piece))
                .collect();
            if places.is_empty() {
                out.push(piece.len() as u8);
                out.extend_from_slice(piece);
            } else {
                out.push(0x80 | 0x7f);
                out.extend_from_slice(&(places[nth % places.len()] as u32).to_le_bytes());
                out.extend_from_slice(&[piece.len() as u8, 0, 0]);
            }
        }
        assert_eq!(delta::apply(base, &out, 1 << 20).unwrap(), data);
        out
    }

    type Looked = (bool, BTreeSet<ObjectId>, BTreeSet<ObjectId>);

    /// Whether there was no finding; the ids and the special files that were met.
    fn look(data: &[u8]) -> Looked {
        let (mut sound, mut special) = (true, BTreeSet::new());
        check::check_object(
            ObjectKind::Tree,
            data,
            FORMAT,
            &mut |_| sound = false,
            &mut |_, id| {
                special.insert(id.to_owned());
            },
        );
        let entries = tree::entries(data, FORMAT).map_while(Result::ok);
        (
            sound,
            entries.map(|entry| entry.id.to_owned()).collect(),
            special,
        )
    }

    /// What is found by looking at what is new alone; `None` where that was not enough.
    fn look_at_new(
        trees: &mut SoundTrees,
        (number, base): (u32, &[u8]),
        data: &[u8],
        delta: &[u8],
    ) -> Option<(Looked, usize)> {
        let id = ObjectId::null(FORMAT);
        let object = VisitedObject {
            id: &id,
            kind: ObjectKind::Tree,
            data,
            number: number + 1,
            base: Some(DeltaBase {
                id: &id,
                number: Some(number),
                data: base,
                delta,
            }),
        };
        let (mut all, mut bytes) = ((true, BTreeSet::new(), BTreeSet::new()), 0);
        let enough = trees.look_at_new(&object, |entries| {
            let (sound, ids, special) = look(entries);
            bytes += entries.len();
            all.0 &= sound;
            all.1.extend(ids);
            all.2.extend(special);
            sound
        });
        enough.then_some((all, bytes))
    }

    #[test]
    fn of_a_changed_entry_only_its_neighbours_are_looked_at() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let lines = |changed: u8| -> Vec<Line> {
            let id = |at: usize| if at == 4 { changed } else { at as u8 };
            let lines = names.iter().enumerate();
            lines.map(|(at, name)| (false, *name, id(at))).collect()
        };
        let versions: Vec<Vec<u8>> = (10..14).map(|id| tree_of(&lines(id))).collect();
        let mut trees = SoundTrees::new(FORMAT);
        for (number, pair) in versions.windows(2).enumerate() {
            let delta = delta::between(&pair[0], &pair[1]);
            let base = (number as u32, &pair[0][..]);
            let (looked, bytes) = look_at_new(&mut trees, base, &pair[1], &delta).unwrap();
            assert_eq!(bytes, 3 * (7 + 2 + 20));
            assert!(
                looked
                    .1
                    .contains(&ObjectId::from_bytes_or_panic(&[11 + number as u8; 20]))
            );
        }
    }

    fn line() -> impl Strategy<Value = Line> {
        let names = [
            "a",
            "a-",
            "a.b",
            "a0",
            "aa",
            "b",
            "b.c",
            ".gitattributes",
            ".git",
        ];
        let name = prop::sample::select(names.to_vec());
        // An id that has the bytes of an entry's front in it could be taken for one.
        (
            any::<bool>(),
            name,
            prop::sample::select(vec![1u8, 2, b'1', b'a', 0]),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn nothing_is_missed_that_looking_at_all_of_it_finds(
            base in prop::collection::vec(line(), 0..8),
            changes in prop::collection::vec((any::<u8>(), any::<u8>(), line()), 0..4),
            sorted: bool,
            pieces in prop::collection::vec((1usize..90, any::<usize>()), 1..6),
            again in prop::collection::vec((1usize..90, any::<usize>()), 1..6),
        ) {
            let mut base = base;
            let mut names = BTreeSet::new();
            base.retain(|(_, name, id)| *name != ".git" && *id != 0 && names.insert(*name));
            sort(&mut base);
            let mut lines = base.clone();
            for (what, at, line) in changes {
                let at = usize::from(at) % (lines.len() + 1);
                match what % 3 {
                    0 => lines.insert(at, line),
                    1 if at < lines.len() => { lines.remove(at); }
                    _ if at < lines.len() => lines[at].2 = line.2,
                    _ => {}
                }
            }
            if sorted { sort(&mut lines); }
            let (base, data) = (tree_of(&base), tree_of(&lines));
            let before = look(&base);
            prop_assert!(before.0);
            let mut trees = SoundTrees::new(FORMAT);
            let found = look_at_new(&mut trees, (0, &base), &data, &delta_of(&base, &data, &pieces));
            let all = look(&data);
            let check = |found: Option<(Looked, usize)>| {
                let Some(((sound, ids, special), _)) = found else { return };
                assert!(sound && all.0);
                assert!(all.1.iter().all(|id| ids.contains(id) || before.1.contains(id)));
                assert!(all.2.iter().all(|id| special.contains(id) || before.2.contains(id)));
            };
            let was_sound = found.is_some();
            check(found);
            // And once more on top of what was made: where its entries begin is known by now.
            if was_sound {
                let next = delta_of(&data, &data, &again);
                let found = look_at_new(&mut trees, (1, &data), &data, &next);
                prop_assert!(found.is_none_or(|((sound, ..), _)| sound));
            }
        }
    }
}
