//! Refs: names, what they point at, and the map of all of them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use govc_git::ObjectId;

/// A full ref name (`refs/heads/main`, `HEAD`), as bytes: Git does not ask for UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(Arc<[u8]>);

/// What a ref points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An object.
    At(ObjectId),
    /// Another ref, which need not exist.
    Symbolic(RefName),
    /// Nothing: it does not exist.
    Gone,
}

impl RefName {
    /// `name` as it is. The door refuses what Git refuses; this does not look.
    pub fn new(name: impl AsRef<[u8]>) -> RefName {
        RefName(name.as_ref().into())
    }

    /// The name `HEAD`.
    pub fn head() -> RefName {
        RefName::new("HEAD")
    }

    /// The full name of a branch.
    pub fn branch(short: impl AsRef<[u8]>) -> RefName {
        RefName([b"refs/heads/", short.as_ref()].concat().into())
    }

    /// The full name of a tag.
    pub fn tag(short: impl AsRef<[u8]>) -> RefName {
        RefName([b"refs/tags/", short.as_ref()].concat().into())
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name for people: U+FFFD where it is not UTF-8.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The part after `refs/heads/`, if it is a branch.
    pub fn branch_name(&self) -> Option<&[u8]> {
        self.0.strip_prefix(b"refs/heads/")
    }
}

impl Borrow<[u8]> for RefName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// All refs of a repository at one moment, HEAD included, in the order of their names' bytes.
///
/// A shared base and a small overlay of what was changed since: a copy costs two pointers, a
/// change costs the overlay, and once it has grown beyond the square root of the base the two
/// become a new base. Forks and realities share bases.
#[derive(Clone, Default)]
pub struct Refs {
    base: Arc<Vec<(RefName, Target)>>,
    /// Sorted by name; [`Target::Gone`] hides what the base has.
    overlay: Arc<Vec<(RefName, Target)>>,
    /// How many refs there are, HEAD included.
    length: usize,
}

/// Below this many entries an overlay is not worth merging.
const OVERLAY_MIN: usize = 64;

impl Refs {
    /// The refs in `entries`, which may be in any order; of two with one name the last counts.
    pub fn from_entries(entries: impl IntoIterator<Item = (RefName, Target)>) -> Refs {
        let mut refs = Refs::default();
        let mut base: Vec<_> = entries.into_iter().collect();
        base.sort_by(|a, b| a.0.cmp(&b.0));
        base.reverse();
        base.dedup_by(|a, b| a.0 == b.0);
        base.reverse();
        base.retain(|(_, target)| *target != Target::Gone);
        refs.length = base.len();
        refs.base = Arc::new(base);
        refs
    }

    /// What `name` points at itself: symbolic refs are not followed.
    pub fn get(&self, name: &[u8]) -> Option<&Target> {
        let found = match find(&self.overlay, name) {
            Ok(at) => Some(&self.overlay[at].1),
            Err(_) => find(&self.base, name).ok().map(|at| &self.base[at].1),
        };
        found.filter(|target| **target != Target::Gone)
    }

    /// The object that `name` points at, through at most five symbolic refs, as Git follows them.
    pub fn resolve(&self, name: &[u8]) -> Option<ObjectId> {
        const SYMREF_DEPTH_MAX: usize = 5;
        let mut target = self.get(name)?;
        for _ in 0..SYMREF_DEPTH_MAX {
            match target {
                Target::At(id) => return Some(*id),
                Target::Symbolic(next) => target = self.get(next.as_bytes())?,
                Target::Gone => return None,
            }
        }
        None
    }

    /// The branch that HEAD names; `None` when HEAD is detached.
    pub fn head_branch(&self) -> Option<&RefName> {
        match self.get(b"HEAD") {
            Some(Target::Symbolic(name)) => Some(name),
            _ => None,
        }
    }

    /// How many there are, HEAD included.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none, not even HEAD.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&RefName, &Target)> + '_ {
        Merge {
            base: &self.base,
            overlay: &self.overlay,
        }
    }

    /// The objects that refs point at directly, in the order of the refs' names.
    pub fn objects(&self) -> Vec<ObjectId> {
        let direct = |(_, target): (_, &Target)| match target {
            Target::At(id) => Some(*id),
            Target::Symbolic(_) | Target::Gone => None,
        };
        self.iter().filter_map(direct).collect()
    }

    /// Those whose names begin with `prefix`, sorted by name. Costs what it yields.
    pub fn with_prefix<'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a RefName, &'a Target)> + 'a {
        self.iter_from(prefix)
            .take_while(move |(name, _)| name.as_bytes().starts_with(prefix))
    }

    /// Those whose names are not before `start`, sorted by name.
    pub fn iter_from<'a>(
        &'a self,
        start: &[u8],
    ) -> impl Iterator<Item = (&'a RefName, &'a Target)> + 'a {
        let from = |list: &'a [(RefName, Target)]| {
            let at = find(list, start).unwrap_or_else(|at| at);
            &list[at..]
        };
        Merge {
            base: from(&self.base),
            overlay: from(&self.overlay),
        }
    }

    /// Points `name` at `target`, or removes it where that is [`Target::Gone`].
    pub fn set(&mut self, name: RefName, target: Target) {
        let was = self.get(name.as_bytes()).is_some();
        let is = target != Target::Gone;
        self.length = self.length + usize::from(is) - usize::from(was);
        let overlay = Arc::make_mut(&mut self.overlay);
        match find(overlay, name.as_bytes()) {
            Ok(at) => overlay[at].1 = target,
            Err(at) => overlay.insert(at, (name, target)),
        }
        if overlay.len() > OVERLAY_MIN.max(2 * self.base.len().isqrt()) {
            self.rebase();
        }
    }

    /// Makes overlay and base one.
    fn rebase(&mut self) {
        let all = self
            .iter()
            .map(|(name, target)| (name.clone(), target.clone()))
            .collect();
        self.base = Arc::new(all);
        self.overlay = Arc::default();
    }
}

impl fmt::Debug for Refs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Refs {
    fn eq(&self, other: &Refs) -> bool {
        self.length == other.length && self.iter().eq(other.iter())
    }
}

fn find(list: &[(RefName, Target)], name: &[u8]) -> Result<usize, usize> {
    list.binary_search_by(|(other, _)| other.as_bytes().cmp(name))
}

/// Walks base and overlay side by side.
struct Merge<'a> {
    base: &'a [(RefName, Target)],
    overlay: &'a [(RefName, Target)],
}

impl<'a> Iterator for Merge<'a> {
    type Item = (&'a RefName, &'a Target);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let from_overlay = match (self.base.first(), self.overlay.first()) {
                (None, None) => return None,
                (Some(base), Some(over)) if base.0 == over.0 => {
                    self.base = &self.base[1..];
                    true
                }
                (Some(base), Some(over)) => over.0 < base.0,
                (None, Some(_)) => true,
                (Some(_), None) => false,
            };
            let list = if from_overlay {
                &mut self.overlay
            } else {
                &mut self.base
            };
            let (name, target) = &list[0];
            *list = &list[1..];
            if *target != Target::Gone {
                return Some((name, target));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[n; 20])
    }

    #[test]
    fn head_is_followed_and_a_ring_ends() {
        let mut refs = Refs::default();
        refs.set(RefName::head(), Target::Symbolic(RefName::branch("main")));
        assert_eq!(refs.resolve(b"HEAD"), None);
        refs.set(RefName::branch("main"), Target::At(id(1)));
        assert_eq!(refs.resolve(b"HEAD"), Some(id(1)));
        refs.set(RefName::branch("main"), Target::Symbolic(RefName::head()));
        assert_eq!(refs.resolve(b"HEAD"), None);
    }

    proptest! {
        #[test]
        fn refs_agree_with_a_plain_map(edits in prop::collection::vec((0u16..400, prop::option::of(any::<u8>())), 0..900)) {
            let mut refs = Refs::default();
            let mut model = BTreeMap::new();
            for (name, target) in edits {
                let name = RefName::branch(name.to_string());
                match target {
                    Some(n) => { model.insert(name.clone(), Target::At(id(n))); }
                    None => { model.remove(&name); }
                }
                refs.set(name, target.map_or(Target::Gone, |n| Target::At(id(n))));
            }
            prop_assert_eq!(refs.len(), model.len());
            prop_assert!(refs.iter().eq(model.iter()));
            prop_assert!(refs.with_prefix(b"refs/heads/1").eq(
                model.iter().filter(|(name, _)| name.as_bytes().starts_with(b"refs/heads/1"))));
            for (name, target) in &model {
                prop_assert_eq!(refs.get(name.as_bytes()), Some(target));
            }
        }
    }
}
