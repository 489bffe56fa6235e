//! Archives of commits whose own files say what becomes of them.

use govc_engine::pool::{Pool, PoolLimits};
use govc_engine::work::archive::{Archive, ArchiveFormat};
use govc_engine::{NewObject, ObjectBody, RefName, Refs, Target};
use govc_git::object::tree::{self, MODE_FILE, MODE_TREE};
use govc_git::object::{GitTime, NewCommit, Signature};
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

const FORMAT: ObjectFormat = ObjectFormat::Sha1;
const BLOCK_BYTES: usize = 512;

fn add(objects: &mut Vec<NewObject>, kind: ObjectKind, data: Vec<u8>) -> ObjectId {
    let id = hash_object(FORMAT, kind, &data).expect("no collision");
    let body = ObjectBody::Whole(data.into());
    objects.push(NewObject { id, kind, body });
    id
}

/// `.gitattributes` of the root and of a folder, a message and the content of files, which NULs
/// divide: tars are whole blocks with the files that are not left out, and a file that is not to be
/// filled in is what it was.
pub(crate) fn archive(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == 0);
    let [attributes, inner, message, content] =
        std::array::from_fn(|_| parts.next().unwrap_or_default());
    let mut objects = Vec::new();
    let mut blob = |data: &[u8]| add(&mut objects, ObjectKind::Blob, data.to_vec());
    let (attributes, inner, content) = (blob(attributes), blob(inner), blob(content));
    let mut tree = |entries: &[(u32, &str, ObjectId)]| {
        let mut data = Vec::new();
        for (mode, name, id) in entries {
            tree::write_entry(&mut data, *mode, name.as_bytes(), id);
        }
        add(&mut objects, ObjectKind::Tree, data)
    };
    let folder = tree(&[
        (MODE_FILE, ".gitattributes", inner),
        (MODE_FILE, "a b", content),
        (MODE_FILE, "plain", content),
    ]);
    let root = tree(&[
        (MODE_FILE, ".gitattributes", attributes),
        (MODE_FILE, "a.txt", content),
        (MODE_TREE, "d", folder),
    ]);
    let who = |name: &[u8], seconds, minutes| {
        let time = GitTime {
            seconds,
            offset_minutes: minutes,
            negative_zero: false,
        };
        Signature::new(name, b"who@example.org", time).expect("a name")
    };
    let commit = NewCommit {
        tree: root,
        parents: &[],
        author: &who(b"Ada", 1_700_000_000, 90),
        committer: &who(b"Bob", -1, -30),
        encoding: None,
        message,
    };
    let tip = add(&mut objects, ObjectKind::Commit, commit.encode());
    let pool = Pool::new(FORMAT, PoolLimits::default());
    pool.insert(&objects).expect("objects that fit together");
    let head = (RefName::head(), Target::Symbolic(RefName::branch("main")));
    let named = [RefName::branch("main"), RefName::tag("v1")];
    let named = named.map(|name| (name, Target::At(tip)));
    let refs = Refs::from_entries(named.into_iter().chain([head]));
    let write = |format| {
        let mut archive = Archive::new(&pool, &refs, tip, format).expect("a whole repository");
        let mut out = Vec::new();
        while let Some(piece) = archive.piece(&pool).expect("a whole repository") {
            out.extend_from_slice(&piece);
        }
        out
    };
    let tar = write(ArchiveFormat::Tar);
    assert!(tar.len().is_multiple_of(BLOCK_BYTES) && tar.ends_with(&[0; 2 * BLOCK_BYTES]));
    let said = |word: &[u8]| data.windows(word.len()).any(|part| part == word);
    if !said(b"export-ignore") {
        assert!(tar.windows(7).any(|part| part == b"d/plain"));
    }
    if !(said(b"export") || said(b"eol") || said(b"ident")) {
        let content = pool.get(&content).expect("it was put there").data;
        let is_there = |part: &[u8]| part == &content[..];
        assert!(content.is_empty() || tar.windows(content.len()).any(is_there));
    }
    let zip = write(ArchiveFormat::Zip);
    assert!(zip.starts_with(b"PK"));
}
