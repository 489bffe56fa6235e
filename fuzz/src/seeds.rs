//! Seeds that neither git nor a few commands make: each kind of edit and every field of what govc
//! writes on its disk.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::journal::PackId;
use govc_engine::pool::SavedLists;
use govc_engine::repository::record::{Quotas, Retention};
use govc_engine::{
    Cause, CauseKind, Entry, EntryEdit, FetchRules, ForkedFrom, FsckSeverity, Hook, HookKind,
    Idempotency, LfsLock, LfsObject, LfsOid, Metric, NewObject, NewObjects, ObjectBody, Operation,
    OperationKind, RealityBatch, RealityEdit, RealityId, RealityNames, RealityRange,
    RealityResults, RefName, RepoId, RepoKey, RepositoryRecord, Settings, Storage, Target, Time,
    Transaction, TransactionState, Unmerged, Via, Workspace,
};
use govc_git::object::CommitFacts;
use govc_git::object_id::hash_object;
use govc_git::pack::commit_graph::{CommitList, write_commit_graph};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use govc_store::format::{Encoder, FormatError, encode_entry, encode_lists};
use govc_store::fuzzing::{self, Records};

const FORMATS: [ObjectFormat; 2] = [ObjectFormat::Sha1, ObjectFormat::Sha256];

fn id(format: ObjectFormat, text: &str) -> ObjectId {
    hash_object(format, ObjectKind::Blob, text.as_bytes()).unwrap_or(format.null())
}

fn repo_id(text: &str) -> io::Result<RepoId> {
    RepoId::parse(text).map_err(io::Error::other)
}

fn record(format: ObjectFormat, full: bool) -> io::Result<RepositoryRecord> {
    let fetch = FetchRules {
        filter: Some(true),
        filters: [("blob:none".to_owned(), true), ("tree".to_owned(), false)].into(),
        other_filters: Some(false),
        tree_filter_depth: Some(3),
        ref_in_want: Some(false),
        sideband_all: Some(true),
        session_id: Some(false),
        unborn_head: Some(true),
        tip_wants: Some(false),
        reachable_wants: Some(true),
    };
    let settings = Settings {
        deny_non_fast_forwards: true,
        deny_deletes: true,
        deny_delete_current: false,
        atomic_pushes: false,
        push_options: false,
        fsck_skip: [id(format, "bad")].into(),
        fetch,
        fsck_objects: false,
        fsck_severities: [
            ("baddate", FsckSeverity::Ignore),
            ("badname", FsckSeverity::Warn),
            ("hasdot", FsckSeverity::Error),
        ]
        .map(|(name, severity)| (name.to_owned(), severity))
        .into(),
        hide_refs: vec!["refs/hidden".to_owned()],
        hide_refs_from_fetches: vec!["refs/a".to_owned(), "!refs/a/b".to_owned()],
        hide_refs_from_pushes: vec!["^refs/c".to_owned()],
        quotas: Quotas {
            bytes: Some(1 << 40),
            objects: Some(1000),
            refs: Some(10),
            push_bytes: Some(0),
        },
        retention: Retention {
            refs_seconds: Some(86_400),
            discarded_realities_seconds: Some(3600),
            deleted_seconds: Some(0),
        },
    };
    let forked_from = ForkedFrom {
        key: RepoKey([7; 16]),
        seq: 300,
        id: repo_id("group/parent")?,
    };
    Ok(RepositoryRecord {
        id: repo_id("group/hello")?,
        description: if full { "a sentence" } else { "" }.to_owned(),
        storage: if full { Storage::Disk } else { Storage::Memory },
        object_format: format,
        family: RepoKey([3; 16]),
        forked_from: full.then_some(forked_from),
        created_at: Time(1_700_000_000_000_000),
        deleted_at: full.then_some(Time(1_700_000_000_000_001)),
        expires_at: full.then_some(Time(-1)),
        settings: if full { settings } else { Settings::default() },
    })
}

fn lock(id: &str) -> Arc<LfsLock> {
    Arc::new(LfsLock {
        id: id.into(),
        path: "a/b.psd".into(),
        owner: "ada".into(),
        locked_at: Time(5),
    })
}

fn hook(kind: HookKind) -> Arc<Hook> {
    Arc::new(Hook {
        url: "https://example.org/told".into(),
        events: ["push".into(), "branch.created".into()].into(),
        secret: (kind == HookKind::Policy).then(|| "secret".into()),
        active: kind == HookKind::Notify,
        kind,
        created_at: Time(3),
        delivered: 4,
    })
}

/// A workspace in the middle of `kind`.
fn workspace(format: ObjectFormat, kind: Option<OperationKind>) -> Arc<Workspace> {
    let one = id(format, "one");
    let operation = kind.map(|kind| {
        Arc::new(Operation {
            kind,
            original: Some(one),
            branch: Some(RefName::branch("main")),
            commit: one,
            todo: [one, id(format, "two")].into(),
            done: [one].into(),
            mainline: 1,
            message: Bytes::from_static(b"a message\n"),
        })
    });
    let unmerged = Unmerged {
        path: b"a/b".as_slice().into(),
        stages: [Some((0o100_644, one)), None, Some((0o120_000, one))],
    };
    let (branch, base) = match operation {
        Some(_) => (None, Some(one)),
        None => (Some(RefName::branch("main")), None),
    };
    let mut workspace = Workspace::clean(branch, base, one, Time(1));
    workspace.unmerged = operation.iter().map(|_| unmerged.clone()).collect();
    workspace.operation = operation;
    workspace.used_at = Time(2);
    Arc::new(workspace)
}

fn transaction(format: ObjectFormat, state: TransactionState) -> Arc<Transaction> {
    Arc::new(Transaction {
        branch: RefName::branch("main"),
        base: Some(id(format, "one")),
        tree: id(format, "two"),
        seq: 7,
        created_at: Time(1),
        expires_at: Time(1 << 50),
        state,
    })
}

/// Batches of realities that are made, promoted, discarded and measured: the ninth to eleventh
/// entry of a repository, whose numbers they name.
fn reality_edits(format: ObjectFormat) -> Vec<Vec<EntryEdit>> {
    let one = id(format, "one");
    let batch = |names: RealityNames, parent: Option<RealityId>| RealityBatch {
        keys: [4; 12],
        names,
        base: 101,
        head: RefName::branch("main"),
        tip: parent.is_some().then_some(one),
        oid: parent.is_none().then_some(one),
        in_memory: parent.is_some(),
        expires_at: parent.is_some().then_some(Time(7)),
        parent,
    };
    let counted = RealityNames::Counted {
        prefix: "agent-".into(),
        count: 300,
    };
    let listed = RealityNames::Listed(["a", "b"].map(Into::into).into());
    let reality = RealityId {
        made: 801,
        index: 299,
    };
    let range = RealityRange {
        made: 801,
        first: 3,
        count: 70,
    };
    let results = RealityResults {
        metrics: [("seconds".into(), 1.5), ("tests".into(), -0.0)]
            .into_iter()
            .filter_map(|(name, figure): (Arc<str>, f64)| Some((name, Metric::new(figure)?)))
            .collect(),
        passed: Some(true),
        commit: Some(one),
        at: Time(9),
    };
    let promoted = RealityEdit::Promoted {
        reality,
        into: RefName::branch("main"),
        commit: one,
    };
    let edits = [
        vec![RealityEdit::Made(Arc::new(batch(counted, None)))],
        vec![
            RealityEdit::Made(Arc::new(batch(listed, Some(reality)))),
            promoted,
            RealityEdit::Discarded([range].into()),
        ],
        vec![RealityEdit::Results(Arc::new(results))],
    ];
    let edits = edits.map(|edits| edits.into_iter().map(EntryEdit::Reality).collect());
    edits.into()
}

/// Entries of which each has another kind of edit.
fn entries(format: ObjectFormat) -> io::Result<Vec<Entry>> {
    let (one, two) = (id(format, "one"), id(format, "two"));
    let name = RefName::branch("main");
    let workspace_edit = |name: &str, before: Option<OperationKind>, after| EntryEdit::Workspace {
        name: name.into(),
        before: before.map(|kind| workspace(format, Some(kind))),
        after: Some(workspace(format, after)),
        is_staging: before.is_none(),
    };
    let transaction_edit = |name: &str, state| EntryEdit::Transaction {
        id: name.into(),
        before: None,
        after: Some(transaction(format, state)),
    };
    let mut edits: Vec<Vec<EntryEdit>> = vec![
        vec![EntryEdit::Repository {
            before: None,
            after: Box::new(record(format, false)?),
        }],
        vec![EntryEdit::Repository {
            before: Some(Box::new(record(format, false)?)),
            after: Box::new(record(format, true)?),
        }],
        vec![
            EntryEdit::Ref {
                name: name.clone(),
                before: Target::Gone,
                after: Target::At(one),
            },
            EntryEdit::Ref {
                name: RefName::head(),
                before: Target::At(two),
                after: Target::Symbolic(name),
            },
        ],
        vec![EntryEdit::LfsObjects(
            [1, 2]
                .map(|n| LfsObject {
                    oid: LfsOid([n; 32]),
                    size: 1 << n,
                })
                .into(),
        )],
        vec![EntryEdit::LfsLock {
            path: "a/b.psd".into(),
            before: Some(lock("1")),
            after: None,
        }],
        vec![
            EntryEdit::LfsLock {
                path: "a/b.psd".into(),
                before: None,
                after: Some(lock("2")),
            },
            EntryEdit::Hook {
                id: "h1".into(),
                before: Some(hook(HookKind::Notify)),
                after: Some(hook(HookKind::Policy)),
            },
            EntryEdit::Hook {
                id: "h2".into(),
                before: None,
                after: Some(hook(HookKind::Notify)),
            },
        ],
        vec![
            workspace_edit("one", None, Some(OperationKind::Merge)),
            workspace_edit(
                "two",
                Some(OperationKind::CherryPick),
                Some(OperationKind::Revert),
            ),
            workspace_edit("three", Some(OperationKind::Rebase), None),
        ],
        vec![
            transaction_edit("t1", TransactionState::Open),
            transaction_edit("t2", TransactionState::Committed(one)),
            transaction_edit("t3", TransactionState::RolledBack),
        ],
    ];
    edits.extend(reality_edits(format));
    let bodies = [
        ObjectBody::Whole(Bytes::from_static(b"one")),
        ObjectBody::Delta {
            base: one,
            delta: Bytes::from_static(b"\x03\x03\x03two"),
        },
        ObjectBody::Elsewhere,
    ];
    let kinds = [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Tag];
    let made = bodies.into_iter().zip(kinds);
    let inline: Vec<_> = made
        .map(|(body, kind)| NewObject {
            id: two,
            kind,
            body,
        })
        .collect();
    let causes = [
        (CauseKind::RepoCreated, Via::Rest),
        (CauseKind::RepoUpdated, Via::Job),
        (CauseKind::Push, Via::Git),
        (CauseKind::LfsUploaded, Via::Ssh),
        (CauseKind::LfsUnlocked, Via::External),
        (CauseKind::External, Via::External),
        (CauseKind::Commit, Via::Rest),
        (CauseKind::Ref, Via::Rest),
        (CauseKind::RealityCreated, Via::Rest),
        (CauseKind::RealityPromoted, Via::Rest),
        (CauseKind::Commit, Via::Ssh),
    ];
    let entry = |(at, (edits, (kind, via))): (usize, (Vec<EntryEdit>, (CauseKind, Via)))| Entry {
        // The last one is of a reality.
        repo: RepoKey([if at < 10 { 3 } else { 4 }; 16]),
        host: (at >= 10).then_some(RepoKey([3; 16])),
        seq: 1 + at as u64 * 100,
        step: at as u32 % 2,
        time: Time(at as i64 - 2),
        cause: Cause {
            kind,
            actor: "ada".into(),
            via,
            request_id: "r-1".into(),
            reason: (at == 1).then(|| "because".into()),
            idempotency: (at == 2).then(|| {
                Box::new(Idempotency {
                    key: [1; 32],
                    request: [2; 32],
                    answer: Bytes::from_static(b"{\"status\":201}"),
                })
            }),
        },
        edits,
        objects: NewObjects {
            inline: if at == 2 { inline.clone() } else { Vec::new() },
            packs: if at == 2 {
                vec![PackId(one)]
            } else {
                Vec::new()
            },
        },
    };
    Ok(edits
        .into_iter()
        .zip(causes)
        .enumerate()
        .map(entry)
        .collect())
}

/// Logs that something happened to. The targets make checksums right, but where a record says that
/// they are not to be: by two bits in its sixth byte.
fn damaged_logs(log: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    const HEADER_BYTES: usize = 60;
    const PAYLOAD_LEFT: u8 = 1;
    const HEAD_LEFT: u8 = 2;
    let records: Vec<usize> = log
        .windows(4)
        .enumerate()
        .filter(|(at, bytes)| *at >= HEADER_BYTES && *bytes == b"gvr\x01")
        .map(|(at, _)| at)
        .collect();
    let changed = |at: usize, byte: u8| {
        let mut log = log.to_vec();
        if let Some(place) = log.get_mut(at) {
            *place = byte;
        }
        log
    };
    // The second byte of a record's payload checksum is 41 behind its beginning.
    let payload = |number: usize| {
        let at = records.get(number).copied().unwrap_or_default();
        let mut log = changed(at + 5, PAYLOAD_LEFT);
        if let Some(place) = log.get_mut(at + 41) {
            *place ^= 0xff;
        }
        log
    };
    let first = records.first().copied().unwrap_or_default();
    let second = records.get(1).copied().unwrap_or_default();
    vec![
        ("payload", payload(0)),
        ("payload-second", payload(1)),
        ("payload-last", payload(records.len().saturating_sub(1))),
        ("head", changed(first + 5, HEAD_LEFT)),
        ("head-second", changed(second + 5, HEAD_LEFT)),
        ("kind", changed(first + 4, 9)),
        ("names", changed(first + 48, 0xff)),
        ("no-header", changed(0, b'x')),
        ("version", changed(8, 9)),
        ("torn", log[..log.len() - 20].to_vec()),
        ("empty", log[..HEADER_BYTES].to_vec()),
        ("no-segment", changed(0, b'x')[..HEADER_BYTES].to_vec()),
    ]
}

/// A commit-graph of a merge and its parents that names two packs.
fn graph(format: ObjectFormat) -> io::Result<Vec<u8>> {
    let commit = |name: &str, parents: &[&str]| {
        let facts = CommitFacts {
            tree: id(format, "tree"),
            parents: parents.iter().map(|parent| id(format, parent)).collect(),
            committer_time: 1_700_000_000,
        };
        (id(format, name), facts)
    };
    let commits = vec![
        commit("a", &[]),
        commit("b", &["a"]),
        commit("c", &["a", "b", "d"]),
        commit("d", &[]),
    ];
    let commits = CommitList::new(commits).map_err(io::Error::other)?;
    let packs = ["p", "q"].map(|name| id(format, name));
    write_commit_graph(&commits, &packs, format).map_err(io::Error::other)
}

/// Writes the seeds into the folders of `corpus`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(corpus: &Path) -> io::Result<()> {
    let put = |target: &str, name: &str, data: &[u8]| {
        std::fs::create_dir_all(corpus.join(target))?;
        std::fs::write(corpus.join(target).join(name), data)
    };
    let bad = |error: FormatError| io::Error::other(error);
    for format in FORMATS {
        let entries = entries(format)?;
        for (at, entry) in entries.iter().enumerate() {
            let mut out = Encoder::default();
            encode_entry(&mut out, entry).map_err(bad)?;
            put("entry", &format!("made-{format}-{at}"), &out.bytes)?;
        }
        let history = fuzzing::seed_history(&entries, format)?;
        put("history", &format!("made-{format}"), &history)?;
        let in_one = |entry: &Entry| Entry {
            repo: RepoKey([5; 16]),
            host: Some(RepoKey([3; 16])),
            ..entry.clone()
        };
        let in_one: Vec<Entry> = entries.iter().map(in_one).collect();
        let of_realities = fuzzing::seed_reality_history(&in_one)?;
        put("reality_history", &format!("made-{format}"), &of_realities)?;
        let log = fuzzing::seed_log(&entries)?;
        put("log", &format!("made-{format}"), &log)?;
        for (name, damaged) in damaged_logs(&log) {
            put("log", &format!("{name}-{format}"), &damaged)?;
        }
        let flag = u8::from(format == ObjectFormat::Sha256);
        for (target, kind, how) in [
            ("hooks", Records::Hooks, 0),
            ("workspaces", Records::Workspaces, 0),
            ("transactions", Records::Transactions, 0),
            ("realities", Records::Realities, 0),
            ("realities", Records::RealityEdit, 2),
        ] {
            let all = fuzzing::seed_records(kind, &entries, format).map_err(bad)?;
            for (at, records) in all.into_iter().enumerate() {
                let records = [&[how | flag], &records[..]].concat();
                put(
                    target,
                    &format!("made-{format}-{}", at + usize::from(how)),
                    &records,
                )?;
            }
        }
        put("graph_packs", &format!("made-{format}"), &graph(format)?)?;
        let full = record(format, true)?;
        let checkpoint = fuzzing::seed_checkpoint(full, &entries).map_err(bad)?;
        put("checkpoint", &format!("made-{format}"), &checkpoint)?;
        let of_realities = [&[4], &checkpoint[..]].concat();
        put("realities", &format!("made-{format}-whole"), &of_realities)?;
        let lists = SavedLists {
            packs: vec![
                (PackId(id(format, "p")), 3),
                (PackId(id(format, "q")), 70_000),
            ],
            commits: vec![id(format, "a"), id(format, "b")],
            ends: vec![2, 5],
            objects: vec![0, 1, 2, 3, 70_002],
        };
        put(
            "lists",
            &format!("made-{format}"),
            &encode_lists(&lists, format).map_err(bad)?,
        )?;
    }
    Ok(())
}
