//! Git LFS: the large files that a repository references, and its locks.
//!
//! The contents themselves are kept beside the packs (`journal::contents`), once for the whole
//! node. Here is what makes one visible: that a repository says it has it. References are only
//! ever added; a fork begins with those that its parent had.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{Entry, EntryEdit, Seq, Time};

/// Names a large file: the SHA-256 of its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LfsOid(pub [u8; 32]);

/// A large file that a repository references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LfsObject {
    /// What names its content.
    pub oid: LfsOid,
    /// Bytes of its content.
    pub size: u64,
}

/// A path that somebody asks others not to change. It holds for all branches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LfsLock {
    /// What names the lock; never given twice.
    pub id: Arc<str>,
    /// The path of the file, from the root of the repository.
    pub path: Arc<str>,
    /// Whose lock it is.
    pub owner: Arc<str>,
    /// When it was taken.
    pub locked_at: Time,
}

/// What a repository has of Git LFS at one moment. Nothing at all costs nothing; a copy costs a
/// pointer.
#[derive(Clone, Default)]
pub struct Lfs(Option<Arc<Inner>>);

#[derive(Clone, Default)]
struct Inner {
    objects: Objects,
    /// Bytes of all objects.
    bytes: u64,
    /// By path. There are few: a change copies them.
    locks: Arc<BTreeMap<Arc<str>, Arc<LfsLock>>>,
}

/// Referenced objects: a shared base and what came since, both sorted. A change copies the
/// second, which becomes part of the first once it is larger than its square root.
#[derive(Clone, Default)]
struct Objects {
    base: Arc<Vec<(LfsOid, Referenced)>>,
    overlay: Arc<Vec<(LfsOid, Referenced)>>,
}

/// How large an object is, and since when it is referenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Referenced {
    /// Bytes of its content.
    pub size: u64,
    /// The number and the step of the entry that referenced it.
    pub since: (Seq, u32),
}

/// Below this many objects an overlay is not worth merging.
const OVERLAY_MIN: usize = 64;

impl LfsOid {
    /// Reads 64 lower-case hexadecimal digits: the specification has no other spelling.
    pub fn parse(text: &str) -> Option<LfsOid> {
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut oid = [0; 32];
        for (byte, pair) in oid.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(LfsOid(oid))
    }
}

impl fmt::Display for LfsOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LfsOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LfsOid({self})")
    }
}

impl Objects {
    fn get(&self, oid: &LfsOid) -> Option<&Referenced> {
        [&self.overlay, &self.base].into_iter().find_map(|list| {
            let at = list.binary_search_by(|(other, _)| other.cmp(oid)).ok()?;
            Some(&list[at].1)
        })
    }

    /// Takes objects that are not there yet, sorted.
    fn extend(&mut self, new: Vec<(LfsOid, Referenced)>) {
        let overlay = merge(&self.overlay, &new);
        if overlay.len() > OVERLAY_MIN.max(2 * self.base.len().isqrt()) {
            self.base = Arc::new(merge(&self.base, &overlay));
            self.overlay = Arc::default();
        } else {
            self.overlay = Arc::new(overlay);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &(LfsOid, Referenced)> {
        let (mut base, mut overlay) = (self.base.iter().peekable(), self.overlay.iter().peekable());
        std::iter::from_fn(move || match (base.peek(), overlay.peek()) {
            (Some(a), Some(b)) if a.0 < b.0 => base.next(),
            (_, Some(_)) => overlay.next(),
            (_, None) => base.next(),
        })
    }
}

/// Two sorted lists as one.
fn merge(a: &[(LfsOid, Referenced)], b: &[(LfsOid, Referenced)]) -> Vec<(LfsOid, Referenced)> {
    let mut all = [a, b].concat();
    // Two runs: a merge is all that sorting them is.
    all.sort_by_key(|(oid, _)| *oid);
    all
}

impl Lfs {
    /// What was there: objects since when, and locks.
    pub fn from_parts(
        objects: impl IntoIterator<Item = (LfsOid, Referenced)>,
        locks: impl IntoIterator<Item = LfsLock>,
    ) -> Lfs {
        let mut base: Vec<_> = objects.into_iter().collect();
        base.sort_by_key(|(oid, _)| *oid);
        base.dedup_by_key(|(oid, _)| *oid);
        let locks: BTreeMap<_, _> = locks
            .into_iter()
            .map(|lock| (Arc::clone(&lock.path), Arc::new(lock)))
            .collect();
        if base.is_empty() && locks.is_empty() {
            return Lfs::default();
        }
        Lfs(Some(Arc::new(Inner {
            bytes: base.iter().map(|(_, object)| object.size).sum(),
            objects: Objects {
                base: Arc::new(base),
                overlay: Arc::default(),
            },
            locks: Arc::new(locks),
        })))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// An object that is referenced.
    pub fn object(&self, oid: &LfsOid) -> Option<Referenced> {
        self.0.as_ref()?.objects.get(oid).copied()
    }

    /// All objects that are referenced, in the order of their names.
    pub fn objects(&self) -> impl Iterator<Item = (LfsOid, Referenced)> + '_ {
        self.0
            .iter()
            .flat_map(|inner| inner.objects.iter().copied())
    }

    /// Those that were referenced when change `seq` was made: what was uploaded after it belongs to
    /// a later one.
    pub fn objects_at(&self, seq: Seq) -> impl Iterator<Item = LfsObject> + '_ {
        self.objects()
            .filter(move |(_, referenced)| referenced.since <= (seq, 0))
            .map(|(oid, Referenced { size, .. })| LfsObject { oid, size })
    }

    /// Bytes of all objects that are referenced.
    pub fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.bytes)
    }

    /// The lock on a path.
    pub fn lock(&self, path: &str) -> Option<&Arc<LfsLock>> {
        self.0.as_ref()?.locks.get(path)
    }

    /// The lock with this id.
    pub fn lock_by_id(&self, id: &str) -> Option<&Arc<LfsLock>> {
        self.locks_after(None).find(|lock| *lock.id == *id)
    }

    /// Locks in the order of their paths, those after `path`.
    pub fn locks_after(&self, path: Option<&str>) -> impl Iterator<Item = &Arc<LfsLock>> {
        use std::ops::Bound;
        let start = path.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.iter().flat_map(move |inner| {
            inner
                .locks
                .range::<str, _>((start, Bound::Unbounded))
                .map(|(_, lock)| lock)
        })
    }

    /// How many locks there are.
    pub fn lock_count(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.locks.len())
    }

    /// Becomes what it is after `entry`.
    pub fn apply(&mut self, entry: &Entry) {
        for edit in &entry.edits {
            match edit {
                EntryEdit::LfsObjects(objects) => self.reference(objects, (entry.seq, entry.step)),
                EntryEdit::LfsLock { path, after, .. } => {
                    let inner = Arc::make_mut(self.0.get_or_insert_default());
                    let locks = Arc::make_mut(&mut inner.locks);
                    match after {
                        Some(lock) => locks.insert(Arc::clone(path), Arc::clone(lock)),
                        None => locks.remove::<str>(Arc::borrow(path)),
                    };
                }
                _ => {}
            }
        }
    }

    fn reference(&mut self, objects: &[LfsObject], since: (Seq, u32)) {
        let mut new: Vec<_> = objects
            .iter()
            .filter(|object| self.object(&object.oid).is_none())
            .map(|object| {
                let size = object.size;
                (object.oid, Referenced { size, since })
            })
            .collect();
        new.sort_by_key(|(oid, _)| *oid);
        new.dedup_by_key(|(oid, _)| *oid);
        if new.is_empty() {
            return;
        }
        let inner = Arc::make_mut(self.0.get_or_insert_default());
        inner.bytes += new.iter().map(|(_, object)| object.size).sum::<u64>();
        inner.objects.extend(new);
    }
}

impl fmt::Debug for Lfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lfs")
            .field("objects", &self.objects().count())
            .field("locks", &self.locks_after(None).collect::<Vec<_>>())
            .finish()
    }
}

impl PartialEq for Lfs {
    fn eq(&self, other: &Lfs) -> bool {
        self.objects().eq(other.objects()) && self.locks_after(None).eq(other.locks_after(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, CauseKind, NewObjects, RepoKey, Via};

    fn entry(seq: Seq, step: u32, edits: Vec<EntryEdit>) -> Entry {
        Entry {
            repo: RepoKey([1; 16]),
            host: None,
            seq,
            step,
            time: Time(0),
            cause: Cause {
                kind: CauseKind::LfsUploaded,
                actor: "".into(),
                via: Via::Git,
                request_id: "".into(),
                reason: None,
                idempotency: None,
            },
            edits,
            objects: NewObjects::default(),
        }
    }

    fn oid(n: u32) -> LfsOid {
        let mut oid = [0; 32];
        // Not in order: the first digits decide where it goes.
        oid[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
        LfsOid(oid)
    }

    #[test]
    fn oids_are_64_lower_case_digits_and_nothing_else() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(LfsOid::parse(&good).unwrap().to_string(), good);
        for bad in [
            "",
            &good[1..],
            &format!("{good}0"),
            &good.to_uppercase(),
            &good.replace('0', "g"),
            &good.replacen("01", "..", 1),
            &good.replacen("012", "../", 1),
            &good.replacen("01", "é", 1),
        ] {
            assert_eq!(LfsOid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn references_grow_and_are_those_of_their_moment() {
        let mut lfs = Lfs::default();
        let mut before = Vec::new();
        for n in 0..1000 {
            let size = u64::from(n);
            let object = LfsObject { oid: oid(n), size };
            let again = LfsObject {
                oid: oid(n / 2),
                size: u64::from(n / 2),
            };
            before.push(lfs.clone());
            let edit = EntryEdit::LfsObjects([object, again].into());
            lfs.apply(&entry(Seq::from(n / 10), n % 10 + 1, vec![edit]));
        }
        assert_eq!(lfs.objects().count(), 1000);
        assert_eq!(lfs.bytes(), 999 * 1000 / 2);
        let sorted: Vec<_> = lfs.objects().map(|(oid, _)| oid).collect();
        assert!(sorted.is_sorted());
        assert_eq!(lfs.object(&oid(777)).unwrap().since, (77, 8));
        assert_eq!(lfs.object(&oid(1000)), None);
        // Older copies stay what they were.
        assert_eq!(before[500].objects().count(), 500);
        assert_eq!(before[500].object(&oid(500)), None);
        // Uploads after change 50 are not of its moment.
        assert_eq!(lfs.objects_at(50).count(), 500);
        let same = Lfs::from_parts(lfs.objects(), []);
        assert_eq!(same, lfs);
        assert_eq!(same.bytes(), lfs.bytes());
    }

    #[test]
    fn locks_come_and_go() {
        let lock = |path: &str| {
            Arc::new(LfsLock {
                id: format!("id-{path}").into(),
                path: path.into(),
                owner: "ada".into(),
                locked_at: Time(7),
            })
        };
        let set = |path: &str, after: Option<Arc<LfsLock>>| EntryEdit::LfsLock {
            path: path.into(),
            before: None,
            after,
        };
        let mut lfs = Lfs::default();
        assert!(lfs.is_empty());
        for path in ["b", "a", "c"] {
            lfs.apply(&entry(1, 0, vec![set(path, Some(lock(path)))]));
        }
        let paths = |lfs: &Lfs, after| {
            let locks = lfs.locks_after(after);
            locks.map(|lock| lock.path.to_string()).collect::<String>()
        };
        assert_eq!(paths(&lfs, None), "abc");
        assert_eq!(paths(&lfs, Some("a")), "bc");
        assert_eq!(lfs.lock_by_id("id-c"), Some(&lock("c")));
        lfs.apply(&entry(2, 0, vec![set("b", None)]));
        assert_eq!(paths(&lfs, None), "ac");
        assert_eq!(lfs.lock("b"), None);
    }
}
