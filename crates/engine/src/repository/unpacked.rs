//! Which objects of a repository no pack of its own has yet.

use govc_git::ObjectId;

use crate::Place;

/// A part is not made longer than this: what grows for long is not copied again and again.
const PART_BYTES_MAX: usize = 16 << 10;

/// Ids of the inline objects that entries brought, with where the entries are.
#[derive(Debug, Clone, Default)]
pub struct Unpacked {
    parts: Vec<Part>,
}

/// Ids of one hash, as bytes.
#[derive(Debug, Clone)]
struct Part {
    id_bytes: usize,
    ids: Vec<u8>,
    /// Changes, and where in `ids` the ids of each end.
    changes: Vec<(Place, u32)>,
}

impl Unpacked {
    /// Adds what the change `place` brought.
    pub fn add(&mut self, place: Place, ids: impl IntoIterator<Item = ObjectId>) {
        for id in ids {
            let bytes = id.as_slice();
            let part = match self.parts.last_mut() {
                Some(part) if part.id_bytes == bytes.len() && part.ids.len() < PART_BYTES_MAX => {
                    part
                }
                _ => {
                    self.parts.push(Part {
                        id_bytes: bytes.len(),
                        ids: Vec::new(),
                        changes: Vec::new(),
                    });
                    let last = self.parts.len() - 1;
                    &mut self.parts[last]
                }
            };
            part.ids.extend_from_slice(bytes);
            let end = part.ids.len() as u32;
            match part.changes.last_mut() {
                Some((same, there)) if *same == place => *there = end,
                _ => part.changes.push((place, end)),
            }
        }
    }

    /// Takes out what changes up to `place` brought.
    #[must_use = "they are listed here no more"]
    pub fn take_until(&mut self, place: Place) -> Vec<ObjectId> {
        let mut taken = Vec::new();
        let mut left = Unpacked::default();
        for (of, id) in std::mem::take(self).iter() {
            if of <= place {
                taken.push(id);
            } else {
                left.add(of, [id]);
            }
        }
        *self = left;
        taken
    }

    /// The same objects, all of them brought by one change.
    #[must_use]
    pub fn brought_by(&self, place: Place) -> Unpacked {
        let mut all = Unpacked::default();
        all.add(place, self.iter().map(|(_, id)| id));
        all
    }

    /// Each id, with the number of its change.
    pub fn iter(&self) -> impl Iterator<Item = (Place, ObjectId)> + '_ {
        self.parts.iter().flat_map(|part| {
            let mut start = 0;
            part.changes.iter().flat_map(move |(place, end)| {
                let ids = &part.ids[start..*end as usize];
                start = *end as usize;
                let id = |bytes| (*place, ObjectId::from_bytes_or_panic(bytes));
                ids.chunks_exact(part.id_bytes).map(id)
            })
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl FromIterator<(Place, ObjectId)> for Unpacked {
    fn from_iter<T: IntoIterator<Item = (Place, ObjectId)>>(ids: T) -> Unpacked {
        let mut all = Unpacked::default();
        ids.into_iter().for_each(|(place, id)| all.add(place, [id]));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seq;

    #[test]
    fn what_older_changes_brought_is_taken_out() {
        let id = |n: u32| {
            let mut bytes = [0; 20];
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            ObjectId::from_bytes_or_panic(&bytes)
        };
        // Steps of staging are told apart.
        let of = |n: u32| (u64::from(n) / 6, n / 3 % 2);
        let all: Vec<(Place, ObjectId)> = (0..5_000).map(|n| (of(n), id(n))).collect();
        let mut unpacked: Unpacked = all.iter().copied().collect();
        assert!(unpacked.parts.len() > 2);
        assert!(unpacked.iter().eq(all.iter().copied()));
        let taken = unpacked.take_until((499, 1));
        assert!(taken.iter().eq(all[..3_000].iter().map(|(_, id)| id)));
        assert!(unpacked.iter().eq(all[3_000..].iter().copied()));
        assert!(
            unpacked
                .brought_by((0, 0))
                .iter()
                .all(|(of, _)| of == (0, 0))
        );
        assert_eq!(unpacked.brought_by((0, 0)).iter().count(), 2_000);
        assert_eq!(unpacked.take_until((Seq::MAX, 0)).len(), 2_000);
        assert!(unpacked.is_empty());
    }
}
