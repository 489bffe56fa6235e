//! An ordered map that is cheap to copy and to change.

use std::sync::Arc;

/// Pairs in the order of their keys, in sorted chunks of at most [`CHUNK_MAX`].
///
/// A copy costs a pointer; a change copies the list of chunks and one chunk of it, and shares all
/// others with the copies.
#[derive(Debug, Clone)]
pub struct SharedMap<K, V> {
    chunks: Arc<Vec<Chunk<K, V>>>,
    length: usize,
}

type Chunk<K, V> = Arc<Vec<(K, V)>>;

const CHUNK_MAX: usize = 128;

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> SharedMap<K, V> {
        SharedMap {
            chunks: Arc::default(),
            length: 0,
        }
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let at = chunk.binary_search_by(|(other, _)| other.cmp(key));
        chunk.get(at.ok()?).map(|(_, value)| value)
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let pairs = self.chunks.iter().flat_map(|chunk| chunk.iter());
        pairs.map(|(key, value)| (key, value))
    }

    /// The pairs whose keys are not less than `key`, in order. Costs what it yields.
    pub fn from<'a>(&'a self, key: &K) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        let first = self.chunk_of(key).unwrap_or(0);
        let start = self
            .chunks
            .get(first)
            .map_or(0, |chunk| chunk.partition_point(|(other, _)| other < key));
        let chunks = self.chunks.get(first..).unwrap_or_default();
        let pairs = chunks.iter().flat_map(|chunk| chunk.iter()).skip(start);
        pairs.map(|(key, value)| (key, value))
    }

    /// Makes `value` the value of `key`.
    pub fn insert(&mut self, key: K, value: V) {
        let number = self.chunk_of(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(number) = number else {
            chunks.push(Arc::new(vec![(key, value)]));
            self.length += 1;
            return;
        };
        let last = number + 1 == chunks.len();
        let chunk = Arc::make_mut(&mut chunks[number]);
        match chunk.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => chunk[at].1 = value,
            // What comes in order fills its chunks.
            Err(at) if last && at == CHUNK_MAX => {
                chunks.push(Arc::new(vec![(key, value)]));
                self.length += 1;
            }
            Err(at) => {
                chunk.insert(at, (key, value));
                self.length += 1;
                if chunk.len() > CHUNK_MAX {
                    let behind = chunk.split_off(CHUNK_MAX / 2);
                    chunks.insert(number + 1, Arc::new(behind));
                }
            }
        }
    }

    /// Takes the pair of `key` out.
    pub fn remove(&mut self, key: &K) {
        let Some(number) = self.chunk_of(key) else {
            return;
        };
        let Ok(at) = self.chunks[number].binary_search_by(|(other, _)| other.cmp(key)) else {
            return;
        };
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[number]);
        chunk.remove(at);
        self.length -= 1;
        if chunk.is_empty() {
            chunks.remove(number);
        }
    }

    /// The chunk that has `key`, or that it belongs into; `None` where there is none at all.
    fn chunk_of(&self, key: &K) -> Option<usize> {
        let begins_before = |chunk: &Chunk<K, V>| chunk.first().is_some_and(|(k, _)| k <= key);
        match self.chunks.partition_point(begins_before) {
            0 if self.chunks.is_empty() => None,
            0 => Some(0),
            behind => Some(behind - 1),
        }
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &SharedMap<K, V>) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks)
            || (self.length == other.length && self.iter().eq(other.iter()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_map(steps in prop::collection::vec((0u32..600, any::<bool>()), 0..1500)) {
            let (mut map, mut model) = (SharedMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (number, (key, put)) in steps.into_iter().enumerate() {
                if number % 200 == 0 {
                    copies.push((map.clone(), model.clone()));
                }
                if put {
                    map.insert(key, number);
                    model.insert(key, number);
                } else {
                    map.remove(&key);
                    model.remove(&key);
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.len(), model.len());
            }
            copies.push((map, model));
            for (map, model) in copies {
                prop_assert!(map.iter().eq(model.iter()));
                prop_assert!(map.from(&311).eq(model.range(311..)));
            }
        }
    }
}
