//! Verbs of the store's tests: make a repository, commit to it, look at it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use govc_engine::journal::{AppendError, Batch, Journal, Position};
use govc_engine::{
    Cause, CauseKind, Entry, EntryEdit, NewObject, NewObjects, ObjectBody, RefName, Refs, RepoId,
    RepoKey, RepositoryRecord, Seq, Settings, Storage, Target, Time, Via,
};
use govc_git::object_id::hash_object;
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use govc_store::{Store, StoreOptions};

pub fn key(n: u8) -> RepoKey {
    RepoKey([n; 16])
}

pub fn record(n: u8, id: &str, format: ObjectFormat) -> RepositoryRecord {
    RepositoryRecord {
        id: RepoId::parse(id).unwrap(),
        description: String::new(),
        storage: Storage::Hybrid,
        object_format: format,
        family: key(n),
        forked_from: None,
        created_at: Time(1_000_000),
        deleted_at: None,
        expires_at: None,
        settings: Settings::default(),
    }
}

pub fn cause(kind: CauseKind) -> Cause {
    Cause {
        kind,
        actor: "ada".into(),
        via: Via::Rest,
        request_id: "r-1".into(),
        reason: None,
        idempotency: None,
    }
}

pub fn object(format: ObjectFormat, kind: ObjectKind, data: impl Into<Vec<u8>>) -> NewObject {
    let data: Vec<u8> = data.into();
    NewObject {
        id: hash_object(format, kind, &data).unwrap(),
        kind,
        body: ObjectBody::Whole(Bytes::from(data)),
    }
}

/// A repository as a test sees it: what it should be.
#[derive(Debug, Clone)]
pub struct Model {
    pub key: RepoKey,
    pub record: RepositoryRecord,
    pub next: Seq,
    pub refs: Refs,
    pub tips: BTreeMap<String, ObjectId>,
}

impl Model {
    pub fn new(n: u8, id: &str) -> Model {
        Model::with_format(n, id, ObjectFormat::Sha1)
    }

    pub fn with_format(n: u8, id: &str, format: ObjectFormat) -> Model {
        Model {
            key: key(n),
            record: record(n, id, format),
            next: 0,
            refs: Refs::default(),
            tips: BTreeMap::new(),
        }
    }

    pub fn entry(
        &mut self,
        kind: CauseKind,
        edits: Vec<EntryEdit>,
        objects: NewObjects,
    ) -> Arc<Entry> {
        for edit in &edits {
            match edit {
                EntryEdit::Ref { name, after, .. } => self.refs.set(name.clone(), after.clone()),
                EntryEdit::Repository { after, .. } => self.record = (**after).clone(),
                _ => {}
            }
        }
        let seq = self.next;
        self.next += 1;
        Arc::new(Entry {
            repo: self.key,
            host: None,
            seq,
            step: 0,
            time: Time(1_000_000 + seq as i64),
            cause: cause(kind),
            edits,
            objects,
        })
    }

    /// Its making.
    pub fn make(&mut self) -> Arc<Entry> {
        let mut edits = vec![EntryEdit::Repository {
            before: None,
            after: Box::new(self.record.clone()),
        }];
        edits.push(EntryEdit::Ref {
            name: RefName::head(),
            before: Target::Gone,
            after: Target::Symbolic(RefName::branch("main")),
        });
        self.entry(CauseKind::RepoCreated, edits, NewObjects::default())
    }

    /// A fork of `parent` as it is.
    pub fn fork(parent: &Model, n: u8, id: &str) -> (Model, Arc<Entry>) {
        let mut fork = Model::with_format(n, id, parent.record.object_format);
        fork.record.family = parent.record.family;
        fork.record.forked_from = Some(govc_engine::ForkedFrom {
            key: parent.key,
            id: parent.record.id.clone(),
            seq: parent.next - 1,
        });
        fork.tips = parent.tips.clone();
        let mut edits = vec![EntryEdit::Repository {
            before: None,
            after: Box::new(fork.record.clone()),
        }];
        edits.extend(parent.refs.iter().map(|(name, target)| EntryEdit::Ref {
            name: name.clone(),
            before: Target::Gone,
            after: target.clone(),
        }));
        let entry = fork.entry(CauseKind::RepoCreated, edits, NewObjects::default());
        (fork, entry)
    }

    /// A commit of one file on a branch.
    pub fn commit(&mut self, branch: &str, content: &str) -> Arc<Entry> {
        let format = self.record.object_format;
        let blob = object(format, ObjectKind::Blob, content);
        let tree = [b"100644 file\0", blob.id.as_slice()].concat();
        let tree = object(format, ObjectKind::Tree, tree);
        let parent = self.tips.get(branch).copied();
        let parent_line = parent.map_or(String::new(), |id| format!("parent {id}\n"));
        let seconds = 1_700_000_000 + self.next;
        let commit = format!(
            "tree {}\n{parent_line}author Ada <ada@example.com> {seconds} +0000\n\
             committer Ada <ada@example.com> {seconds} +0000\n\n{content}\n",
            tree.id
        );
        let commit = object(format, ObjectKind::Commit, commit);
        let id = commit.id;
        let objects = NewObjects {
            inline: vec![blob, tree, commit],
            packs: Vec::new(),
        };
        self.tips.insert(branch.to_owned(), id);
        let edit = self.ref_edit(RefName::branch(branch), Target::At(id));
        self.entry(CauseKind::Commit, vec![edit], objects)
    }

    pub fn ref_edit(&self, name: RefName, after: Target) -> EntryEdit {
        let before = self.refs.get(name.as_bytes()).cloned();
        EntryEdit::Ref {
            before: before.unwrap_or(Target::Gone),
            name,
            after,
        }
    }

    pub fn delete_branch(&mut self, branch: &str) -> Arc<Entry> {
        self.tips.remove(branch);
        let edit = self.ref_edit(RefName::branch(branch), Target::Gone);
        self.entry(CauseKind::BranchDeleted, vec![edit], NewObjects::default())
    }

    pub fn annotated_tag(&mut self, name: &str, branch: &str) -> Arc<Entry> {
        let target = self.tips[branch];
        let tag = format!(
            "object {target}\ntype commit\ntag {name}\ntagger Ada <ada@example.com> 1700000000 +0000\n\nhello\n"
        );
        let tag = object(self.record.object_format, ObjectKind::Tag, tag);
        let edit = self.ref_edit(RefName::tag(name), Target::At(tag.id));
        let objects = NewObjects {
            inline: vec![tag],
            packs: Vec::new(),
        };
        self.entry(CauseKind::TagCreated, vec![edit], objects)
    }

    pub fn change_record(&mut self, change: impl FnOnce(&mut RepositoryRecord)) -> Arc<Entry> {
        let before = self.record.clone();
        let mut after = before.clone();
        change(&mut after);
        let edit = EntryEdit::Repository {
            before: Some(Box::new(before)),
            after: Box::new(after),
        };
        self.entry(CauseKind::RepoUpdated, vec![edit], NewObjects::default())
    }
}

pub fn append(store: &Store, entries: Vec<Arc<Entry>>) -> Result<Position, AppendError> {
    let appended = store.append(Batch { entries }).now_or_never();
    appended.expect("it blocks, and never waits")
}

pub fn options() -> StoreOptions {
    StoreOptions {
        segment_bytes: 64 << 10,
        ..StoreOptions::default()
    }
}

/// Runs git, which must succeed, and gives its output.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", dir)
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.com")
        .env("GIT_AUTHOR_DATE", "1700000000 +0000")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000")
        .output()
        .expect("git is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "git {args:?} in {}: {text}{errors}",
        dir.display()
    );
    text + &errors
}

/// The refs as `git for-each-ref` lists them.
pub fn refs_text(refs: &Refs) -> String {
    let direct = refs.iter().filter_map(|(name, target)| match target {
        Target::At(id) if name.as_bytes() != b"HEAD" => Some(format!("{id} {name}\n")),
        _ => None,
    });
    direct.collect()
}

pub fn git_refs(dir: &Path) -> String {
    git(dir, &["for-each-ref", "--format=%(objectname) %(refname)"])
}
