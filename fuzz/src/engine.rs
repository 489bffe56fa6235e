//! What strangers write that is read beside a repository: revisions, and pattern files of sparse
//! clones.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use govc_engine::pool::{ObjectFilter, Pool, PoolLimits};
use govc_engine::work::{View, revision};
use govc_engine::{NewObject, ObjectBody, RefName, Refs, Target, Time};
use govc_git::ignore::{PatternList, Verdict};
use govc_git::object::tree::{self, MODE_FILE, MODE_SUBMODULE, MODE_TREE};
use govc_git::object::{CommitRef, GitTime, NewCommit, NewTag, Signature};
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

const FORMAT: ObjectFormat = ObjectFormat::Sha1;

/// A small repository: three commits, of which one is a merge, a tag and a tag of it, a submodule,
/// and the same content at several paths.
struct Fixture {
    view: View,
    tip: ObjectId,
    submodule: ObjectId,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(Fixture::new);

struct Maker(Vec<NewObject>);

impl Maker {
    fn add(&mut self, kind: ObjectKind, data: Vec<u8>) -> ObjectId {
        let id = hash_object(FORMAT, kind, &data).expect("no collision");
        let body = ObjectBody::Whole(Bytes::from(data));
        self.0.push(NewObject { id, kind, body });
        id
    }

    fn blob(&mut self, content: &str) -> (u32, ObjectId) {
        (MODE_FILE, self.add(ObjectKind::Blob, content.into()))
    }

    /// A tree of entries in their order.
    fn tree(&mut self, entries: &[(&str, (u32, ObjectId))]) -> (u32, ObjectId) {
        let mut data = Vec::new();
        for (name, (mode, id)) in entries {
            tree::write_entry(&mut data, *mode, name.as_bytes(), id);
        }
        (MODE_TREE, self.add(ObjectKind::Tree, data))
    }

    fn commit(&mut self, tree: ObjectId, parents: &[ObjectId], message: &str) -> ObjectId {
        let who = who();
        let commit = NewCommit {
            tree,
            parents,
            author: &who,
            committer: &who,
            encoding: None,
            message: message.as_bytes(),
        };
        self.add(ObjectKind::Commit, commit.encode())
    }

    fn tag(&mut self, target: ObjectId, target_kind: ObjectKind, name: &str) -> ObjectId {
        let tag = NewTag {
            target,
            target_kind,
            name: name.as_bytes(),
            tagger: &who(),
            message: b"a tag\n",
        };
        self.add(ObjectKind::Tag, tag.encode())
    }
}

fn who() -> Signature {
    let time = GitTime::utc(1_700_000_000);
    Signature::new(b"Ada", b"ada@example.org", time).expect("a name")
}

impl Fixture {
    fn new() -> Fixture {
        let mut maker = Maker(Vec::new());
        let (one, two, three) = (maker.blob("one\n"), maker.blob("two\n"), maker.blob("3\n"));
        let submodule = ObjectId::from_hex(&[b'5'; 40]).expect("an id");
        let lib = maker.tree(&[("util.c", one), ("util.h", two)]);
        let src = maker.tree(&[("lib", lib), ("main.c", three)]);
        let docs = maker.tree(&[
            ("a.md", one),
            ("lib", lib),
            ("s", (MODE_SUBMODULE, submodule)),
        ]);
        let first = maker.tree(&[("README", two), ("src", src)]);
        let second = maker.tree(&[("README", three), ("a.b", one), ("src", lib)]);
        let third = maker.tree(&[
            ("README", two),
            ("docs", docs),
            ("src", src),
            ("top.c", three),
        ]);
        let root = maker.commit(first.1, &[], "first: it\n");
        let side = maker.commit(second.1, &[root], "side\n");
        let tip = maker.commit(third.1, &[root, side], "merge\n\nof two\n");
        let tag = maker.tag(tip, ObjectKind::Commit, "v1");
        let outer = maker.tag(tag, ObjectKind::Tag, "v2");
        let pool = Pool::new(FORMAT, PoolLimits::default());
        pool.insert(&maker.0).expect("objects that fit together");
        let head = (RefName::head(), Target::Symbolic(RefName::branch("main")));
        let refs = [
            ("refs/heads/main", tip),
            ("refs/heads/side", side),
            ("refs/remotes/origin/HEAD", root),
            ("refs/tags/v1", tag),
            ("refs/tags/v2", outer),
        ];
        let refs = refs.map(|(name, id)| (RefName::new(name), Target::At(id)));
        let refs = Refs::from_entries(refs.into_iter().chain([head]));
        let view = View::of_refs(pool, refs, 1, Time(0));
        Fixture {
            view,
            tip,
            submodule,
        }
    }
}

/// Revisions: what is named is seen, and its id names it too.
pub(crate) fn revision(data: &[u8]) {
    let Fixture {
        view, submodule, ..
    } = &*FIXTURE;
    if let Ok(id) = revision::resolve(view, data) {
        let sees = view.visibility().sees(&id).expect("a whole repository");
        assert!(sees || id == *submodule);
        let again = revision::resolve(view, id.to_string());
        assert!(!sees || again.is_ok_and(|again| again == id));
    }
    match revision::resolve_commit(view, data) {
        Ok(id) => {
            let header = view.pool.header(&id).expect("a whole repository");
            assert!(matches!(header, Some((ObjectKind::Commit, _))));
            if !data.contains(&b':') {
                let same = revision::resolve(view, [data, b"^0"].concat());
                assert!(same.is_ok_and(|same| same == id) || data.len() > 4000);
            }
        }
        Err(error) => assert!(error.to_string().len() < 8192 + 8 * data.len()),
    }
}

/// What a filter leaves of a repository, looked at path by path.
struct Expected<'a> {
    pool: &'a Pool,
    /// None: all is named.
    patterns: Option<&'a PatternList>,
    kinds: &'a [ObjectKind],
    depth_below: u64,
    size_below: u64,
    ids: BTreeSet<ObjectId>,
}

impl Expected<'_> {
    fn add(&mut self, kind: ObjectKind, id: ObjectId) {
        if self.kinds.contains(&kind) {
            self.ids.insert(id);
        }
    }

    fn judge(&self, path: &[u8], name_at: usize, is_folder: bool, inherited: bool) -> bool {
        let Some(patterns) = self.patterns else {
            return true;
        };
        match patterns.verdict(path, name_at, is_folder, &mut 0) {
            None => inherited,
            Some(verdict) => verdict == Verdict::Matched,
        }
    }

    fn get(&self, id: &ObjectId) -> Bytes {
        self.pool.get(id).expect("a whole repository").data
    }

    /// Adds what is in a folder, whose entries are at `depth`.
    fn folder(&mut self, id: ObjectId, path: &[u8], depth: u64, inherited: bool) {
        if depth >= self.depth_below {
            return;
        }
        let data = self.get(&id);
        for entry in tree::entries(&data, FORMAT) {
            let entry = entry.expect("a good tree");
            let kind = entry.kind();
            if kind == ObjectKind::Commit {
                continue;
            }
            let (id, is_folder) = (entry.id.to_owned(), kind == ObjectKind::Tree);
            let whole = [path, entry.name].concat();
            let named = self.judge(&whole, path.len(), is_folder, inherited);
            if is_folder {
                self.add(kind, id);
                self.folder(id, &[&whole[..], b"/"].concat(), depth + 1, named);
            } else if named && (self.get(&id).len() as u64) < self.size_below {
                self.add(kind, id);
            }
        }
    }

    fn history(&mut self, tip: ObjectId) {
        self.ids.insert(tip);
        let mut open = vec![tip];
        while let Some(id) = open.pop() {
            let data = self.get(&id);
            let commit = CommitRef::parse(&data, FORMAT).expect("a good commit");
            self.add(ObjectKind::Commit, id);
            if self.depth_below > 0 {
                self.add(ObjectKind::Tree, commit.tree);
            }
            let named = self.judge(b"", 0, true, false);
            self.folder(commit.tree, b"", 1, named);
            open.extend(&commit.parents);
        }
    }
}

/// Pattern files of sparse clones, behind two bytes that say what else is filtered: what is sent is
/// what a look at every path says.
pub(crate) fn sparse(data: &[u8]) {
    let Some(([flags, depth], file)) = data.split_first_chunk::<2>() else {
        return;
    };
    let Ok(patterns) = PatternList::parse(file) else {
        return;
    };
    let patterns = Arc::new(patterns);
    let Fixture { view, tip, .. } = &*FIXTURE;
    let mut filter = ObjectFilter::default();
    let mut expected = Expected {
        pool: &view.pool,
        patterns: None,
        kinds: &[ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Blob],
        depth_below: u64::MAX,
        size_below: u64::MAX,
        ids: BTreeSet::new(),
    };
    if flags & 1 == 0 {
        filter.blobs_at(Arc::clone(&patterns));
        expected.patterns = Some(&patterns);
    }
    if flags & 2 != 0 {
        expected.depth_below = u64::from(*depth % 5);
        filter.trees_above(expected.depth_below);
    }
    if flags & 4 != 0 {
        // Contents have two bytes, or four.
        expected.size_below = u64::from(*depth / 16 % 6);
        filter.blobs_below(expected.size_below);
    }
    if flags & 8 != 0 {
        expected.kinds = match depth % 3 {
            0 => &[ObjectKind::Commit],
            1 => &[ObjectKind::Tree],
            _ => &[ObjectKind::Blob],
        };
        filter.only(expected.kinds[0]);
    }
    if flags & 16 != 0 {
        expected.kinds = match expected.kinds {
            [ObjectKind::Blob] => &[],
            [one] => std::slice::from_ref(one),
            _ => &[ObjectKind::Commit, ObjectKind::Tree],
        };
        filter.without_blobs();
    }
    let mut wants = vec![*tip];
    expected.history(*tip);
    if flags & 32 != 0 {
        let data = expected.get(tip);
        let root = CommitRef::parse(&data, FORMAT).expect("a good commit").tree;
        wants.push(root);
        expected.ids.insert(root);
        expected.folder(root, b"", 0, false);
    }
    let set = view.pool.closure_filtered(&wants, &[], &filter);
    let found: BTreeSet<ObjectId> = set.expect("a whole repository").ids().collect();
    assert_eq!(found, expected.ids);
}
