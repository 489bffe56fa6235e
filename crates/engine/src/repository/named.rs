//! A map of values by name that is cheap to copy and to change: what a snapshot has many of.

use std::sync::Arc;

/// Values by name, in the order of the names' bytes.
///
/// Pairs lie in sorted chunks of at most [`CHUNK_MAX`]. A copy costs a pointer; a change copies the
/// list of chunks and one chunk of it, and shares all others with the copies.
#[derive(Clone)]
pub struct NamedMap<T> {
    chunks: Arc<Vec<Chunk<T>>>,
    length: usize,
}

type Chunk<T> = Arc<Vec<(Arc<str>, Arc<T>)>>;

const CHUNK_MAX: usize = 64;

impl<T> Default for NamedMap<T> {
    fn default() -> NamedMap<T> {
        NamedMap {
            chunks: Arc::default(),
            length: 0,
        }
    }
}

impl<T> NamedMap<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What is called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<T>> {
        let chunk = self.chunks.get(self.chunk_of(name)?)?;
        let at = chunk.binary_search_by(|(other, _)| (**other).cmp(name));
        chunk.get(at.ok()?).map(|(_, value)| value)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<T>)> {
        let pairs = self.chunks.iter().flat_map(|chunk| chunk.iter());
        pairs.map(|(name, value)| (name, value))
    }

    /// Those whose names are greater than `name`, in order; all where it is `None`.
    pub fn after<'a>(
        &'a self,
        name: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<T>)> {
        let first = name.and_then(|name| self.chunk_of(name)).unwrap_or(0);
        let chunks = self.chunks.get(first..).unwrap_or_default();
        let pairs = chunks.iter().flat_map(|chunk| chunk.iter());
        pairs
            .skip_while(move |(other, _)| name.is_some_and(|name| **other <= *name))
            .map(|(name, value)| (name, value))
    }

    /// Makes what is called `name` be `value`; `None` takes it away.
    pub fn set(&mut self, name: &Arc<str>, value: Option<Arc<T>>) {
        let Some(number) = self.chunk_of(name) else {
            if let Some(value) = value {
                let chunk = Arc::new(vec![(Arc::clone(name), value)]);
                Arc::make_mut(&mut self.chunks).insert(0, chunk);
                self.length += 1;
            }
            return;
        };
        let found = self.chunks[number].binary_search_by(|(other, _)| other.cmp(name));
        if found.is_err() && value.is_none() {
            return;
        }
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[number]);
        match (found, value) {
            (Ok(at), Some(value)) => chunk[at].1 = value,
            (Ok(at), None) => {
                chunk.remove(at);
                self.length -= 1;
            }
            (Err(at), Some(value)) => {
                chunk.insert(at, (Arc::clone(name), value));
                self.length += 1;
            }
            (Err(_), None) => {}
        }
        if chunk.is_empty() {
            chunks.remove(number);
        } else if chunk.len() > CHUNK_MAX {
            let behind = chunk.split_off(CHUNK_MAX / 2);
            chunks.insert(number + 1, Arc::new(behind));
        }
    }

    /// The chunk that has `name`, or that it belongs into; `None` where there is none at all, or
    /// the name is less than all others: then it begins the first.
    fn chunk_of(&self, name: &str) -> Option<usize> {
        let begins_behind = |chunk: &Chunk<T>| chunk.first().is_some_and(|(n, _)| **n <= *name);
        let behind = self.chunks.partition_point(begins_behind);
        match behind {
            0 if self.chunks.is_empty() => None,
            0 => Some(0),
            behind => Some(behind - 1),
        }
    }
}

impl<T> FromIterator<(Arc<str>, Arc<T>)> for NamedMap<T> {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<T>)>>(pairs: I) -> NamedMap<T> {
        let mut map = NamedMap::default();
        for (name, value) in pairs {
            map.set(&name, Some(value));
        }
        map
    }
}

impl<T: PartialEq> PartialEq for NamedMap<T> {
    fn eq(&self, other: &NamedMap<T>) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks)
            || (self.length == other.length && self.iter().eq(other.iter()))
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for NamedMap<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_map(steps in prop::collection::vec((0u32..300, any::<bool>()), 0..900)) {
            let (mut map, mut model) = (NamedMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (number, (name, put)) in steps.into_iter().enumerate() {
                let name: Arc<str> = format!("{name:x}").into();
                if number % 100 == 0 {
                    copies.push((map.clone(), model.clone()));
                }
                let value = put.then(|| Arc::new(number));
                map.set(&name, value.clone());
                match value {
                    Some(value) => model.insert(name.clone(), value),
                    None => model.remove(&name),
                };
                prop_assert_eq!(map.get(&name), model.get(&name));
                prop_assert_eq!(map.len(), model.len());
            }
            copies.push((map, model));
            for (map, model) in copies {
                prop_assert!(map.iter().eq(model.iter()));
                prop_assert!(map.after(Some("7")).eq(model.iter().filter(|(name, _)| ***name > *"7")));
                prop_assert!(map.after(None).eq(model.iter()));
            }
        }
    }
}
