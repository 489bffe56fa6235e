//! Objects, and what is said of them.

use govc_git::object::check::{self, Finding, Severity, SpecialFile};
use govc_git::object::{
    CommitRef, GitTime, NewCommit, NewTag, Signature, SignatureRef, TagRef, commit as commits,
    tree as trees,
};
use govc_git::{ObjectFormat, ObjectId, ObjectKind, message as messages};

const FORMATS: [ObjectFormat; 2] = [ObjectFormat::Sha1, ObjectFormat::Sha256];

/// Commits: what the graph is told is what is shown, and what is written is read.
pub(crate) fn commit(data: &[u8]) {
    for format in FORMATS {
        let parsed = CommitRef::parse(data, format);
        let facts = commits::facts(data, format);
        assert_eq!(parsed.is_ok(), facts.is_ok());
        let (Ok(parsed), Ok(facts)) = (parsed, facts) else {
            continue;
        };
        assert_eq!(parsed.tree, facts.tree);
        assert_eq!(parsed.parents[..], facts.parents[..]);
        assert!(!parsed.summary().contains(&b'\n'));
        let (author, committer) = (parsed.author.to_owned(), parsed.committer.to_owned());
        let written = NewCommit {
            tree: parsed.tree,
            parents: &parsed.parents,
            author: &author,
            committer: &committer,
            encoding: parsed.encoding,
            message: parsed.message,
        }
        .encode();
        let again = CommitRef::parse(&written, format).expect("a commit that was just written");
        assert_eq!(again.tree, parsed.tree);
        assert_eq!(again.parents, parsed.parents);
        assert_eq!(again.message, parsed.message);
        assert!(again.author.time().is_some());
    }
}

/// Annotated tags.
pub(crate) fn tag(data: &[u8]) {
    for format in FORMATS {
        let Ok(parsed) = TagRef::parse(data, format) else {
            continue;
        };
        let tagger = parsed
            .tagger
            .map(|tagger| tagger.to_owned())
            .unwrap_or_else(|| Signature {
                name: b"a".to_vec(),
                email: Vec::new(),
                time: GitTime::default(),
            });
        let written = NewTag {
            target: parsed.target,
            target_kind: parsed.target_kind,
            name: parsed.name,
            tagger: &tagger,
            message: parsed.message,
        }
        .encode();
        let again = TagRef::parse(&written, format).expect("a tag that was just written");
        assert_eq!(
            (again.target, again.target_kind),
            (parsed.target, parsed.target_kind)
        );
        assert_eq!((again.name, again.message), (parsed.name, parsed.message));
    }
}

/// Trees: a name is found where a look at every entry finds it.
pub(crate) fn tree(data: &[u8]) {
    for format in FORMATS {
        let mut walk = trees::entries(data, format);
        let mut all = Vec::new();
        let mut bad = false;
        while let Some(entry) = walk.next() {
            match entry {
                Ok(entry) => {
                    // A NUL ends the name, and the id is behind it.
                    let id_at = walk.offset() - format.len_in_bytes();
                    assert_eq!(&data[id_at..walk.offset()], entry.id.as_bytes());
                    assert_eq!(data[id_at - 1], 0);
                    assert!(data[..id_at - 1].ends_with(entry.name));
                    assert!(!entry.name.contains(&0));
                    all.push(entry);
                }
                Err(error) => {
                    assert!(error.offset <= data.len());
                    bad = true;
                }
            }
        }
        assert!(walk.offset() <= data.len());
        let sorted = all.windows(2).all(|pair| {
            let [a, b] = pair else { return true };
            trees::compare_names(a.name, a.is_tree(), b.name, b.is_tree()).is_lt()
        });
        let mut written = Vec::new();
        for entry in &all {
            let _ = (entry.kind(), entry.is_symlink(), entry.is_submodule());
            assert_eq!(
                trees::canonical_mode(trees::canonical_mode(entry.mode)),
                trees::canonical_mode(entry.mode)
            );
            let _ = entry.mode_text();
            trees::write_entry(&mut written, entry.mode, entry.name, entry.id);
        }
        let again: Vec<_> = trees::entries(&written, format).flatten().collect();
        assert_eq!(again, all);
        if sorted && !bad {
            for entry in all.iter().take(200) {
                let found = trees::find_entry(data, format, entry.name).expect("a good tree");
                let (found, range) = found.expect("it is there");
                assert_eq!(found.name, entry.name);
                assert!(range.end <= data.len());
            }
        }
        let _ = trees::find_entry(data, format, b"a");
    }
}

fn findings(kind: ObjectKind, data: &[u8], format: ObjectFormat) -> Vec<Finding> {
    let mut found = Vec::new();
    check::check_object(
        kind,
        data,
        format,
        &mut |finding| found.push(finding),
        &mut |file, id| {
            let _ = (
                file.name(),
                file.missing(),
                file.not_a_blob(),
                file.too_large(),
            );
            assert_eq!(id.kind(), format);
        },
    );
    found
}

/// What `git fsck` would say: what it takes can be read.
pub(crate) fn check(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else {
        return;
    };
    let format = FORMATS[usize::from(flags >> 7)];
    let kind = match flags & 3 {
        0 => ObjectKind::Commit,
        1 => ObjectKind::Tree,
        2 => ObjectKind::Tag,
        _ => ObjectKind::Blob,
    };
    let found = findings(kind, data, format);
    assert!(
        found
            .iter()
            .all(|finding| finding.text.len() < 1024 + data.len() * 4)
    );
    let refused = found
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    if !refused {
        match kind {
            ObjectKind::Commit => assert!(CommitRef::parse(data, format).is_ok()),
            ObjectKind::Tag => assert!(TagRef::parse(data, format).is_ok()),
            ObjectKind::Tree => assert!(trees::entries(data, format).all(|entry| entry.is_ok())),
            ObjectKind::Blob => assert!(found.is_empty()),
        }
    }
}

/// The files that Git reads itself.
pub(crate) fn gitmodules(data: &[u8]) {
    let mut found = Vec::new();
    check::check_special(SpecialFile::Gitmodules, data, &mut |finding| {
        found.push(finding)
    });
    assert!(
        found
            .iter()
            .map(|finding| finding.text.len())
            .sum::<usize>()
            <= 64 + data.len() * 64
    );
    check::check_special(SpecialFile::Gitattributes, data, &mut |finding| {
        assert_eq!(finding.id, "gitattributesLineLength");
    });
}

/// People and moments: what was read and written is read the same.
pub(crate) fn signature(data: &[u8]) {
    let parsed = SignatureRef::parse(data);
    let owned = parsed.to_owned();
    // Ninety-nine minutes over the greatest offset that is read carry into a digit too many.
    let offset_is_read = |time: GitTime| time.offset_minutes.unsigned_abs() < 60 * 9_999_999;
    if !data.contains(&b'\n') && offset_is_read(owned.time) {
        let mut line = Vec::new();
        owned.write_to(&mut line);
        let again = SignatureRef::parse(&line).to_owned();
        assert_eq!(again.time, owned.time);
        // A byte that is left out may leave a space at the end of a name, which reading drops.
        let mut twice = Vec::new();
        again.write_to(&mut twice);
        assert_eq!(SignatureRef::parse(&twice).to_owned(), again);
    }
    if let Some(time) = GitTime::parse(data).filter(|time| offset_is_read(*time)) {
        assert_eq!(GitTime::parse(time.to_string().as_bytes()), Some(time));
    }
    if let Ok(made) = Signature::new(parsed.name, parsed.email, owned.time)
        && offset_is_read(made.time)
    {
        let mut line = Vec::new();
        made.write_to(&mut line);
        assert!(!line.contains(&b'\n'));
        assert_eq!(SignatureRef::parse(&line).to_owned(), made);
    }
}

/// What git-stripspace(1) promises, line by line.
fn cleaned(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|byte| *byte == b'\n').map(|line| {
        let spaces = line.iter().rev().take_while(|byte| b" \t\r".contains(byte));
        &line[..line.len() - spaces.count()]
    });
    let mut kept: Vec<&[u8]> = Vec::new();
    for line in lines {
        if !line.is_empty() || kept.last().is_some_and(|last| !last.is_empty()) {
            kept.push(line);
        }
    }
    if kept.last().is_some_and(|last| last.is_empty()) {
        kept.pop();
    }
    kept.iter()
        .flat_map(|line| [line, &b"\n"[..]].concat())
        .collect()
}

/// Messages: cleaned twice is cleaned once.
pub(crate) fn message(data: &[u8]) {
    let clean = messages::clean(data);
    assert_eq!(messages::clean(&clean), clean);
    assert_eq!(clean, cleaned(data));
    assert!(clean.len() <= data.len() + 1);
    let summary = messages::summary(data);
    assert!(!summary.contains(&b'\n') && summary.len() <= data.len());
    let begun = messages::begun(data);
    assert!(data.ends_with(begun) && messages::begun(begun) == begun);
    let first = messages::first_line(data);
    assert!(begun.starts_with(first) && !first.contains(&b'\n'));
    let _ = ObjectId::from_hex(data);
}
