//! What is written is read back, and bytes that make no sense are refused without a panic.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use govc_engine::journal::PackId;
use govc_engine::repository::record::{Quotas, Retention};
use govc_engine::{
    Cause, CauseKind, Entry, EntryEdit, FetchRules, ForkedFrom, FsckSeverity, Hook, HookKind,
    Idempotency, LfsLock, LfsObject, LfsOid, NewObject, NewObjects, ObjectBody, Operation,
    OperationKind, RefName, RepoId, RepoKey, RepositoryRecord, Settings, Storage, Target, Time,
    Transaction, TransactionState, Unmerged, Via, Workspace,
};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};
use govc_store::format::{Encoder, FormatError, decode_entry, encode_entry, named_repository};
use proptest::prelude::*;

fn id(format: ObjectFormat) -> impl Strategy<Value = ObjectId> {
    let bytes = prop::collection::vec(any::<u8>(), format.len_in_bytes());
    bytes.prop_map(|bytes| ObjectId::try_from(&bytes[..]).unwrap())
}

fn name() -> impl Strategy<Value = RefName> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(RefName::new)
}

fn target(format: ObjectFormat) -> impl Strategy<Value = Target> {
    prop_oneof![
        id(format).prop_map(Target::At),
        name().prop_map(Target::Symbolic),
        Just(Target::Gone),
    ]
}

fn repo_id() -> impl Strategy<Value = RepoId> {
    "z[a-z0-9_-]{0,20}(/z[a-z0-9]{0,9}){0,2}".prop_map(|text| RepoId::parse(&text).unwrap())
}

fn fetch_rules() -> impl Strategy<Value = FetchRules> {
    let flags = prop::collection::vec(prop::option::of(any::<bool>()), 8);
    let filters = prop::collection::btree_map("[a-z:]{1,9}", any::<bool>(), 0..3);
    let depth = prop::option::of(any::<u64>());
    (flags, filters, depth).prop_map(|(flags, filters, depth)| FetchRules {
        filter: flags[0],
        filters,
        other_filters: flags[1],
        tree_filter_depth: depth,
        ref_in_want: flags[2],
        sideband_all: flags[3],
        session_id: flags[4],
        unborn_head: flags[5],
        tip_wants: flags[6],
        reachable_wants: flags[7],
    })
}

fn record(format: ObjectFormat) -> impl Strategy<Value = RepositoryRecord> {
    let storage = prop_oneof![
        Just(Storage::Memory),
        Just(Storage::Hybrid),
        Just(Storage::Disk)
    ];
    let forked =
        (any::<[u8; 16]>(), repo_id(), any::<u64>()).prop_map(|(key, id, seq)| ForkedFrom {
            key: RepoKey(key),
            id,
            seq,
        });
    let limit = || prop::option::of(any::<u64>());
    let severity = prop::sample::select(vec![
        FsckSeverity::Ignore,
        FsckSeverity::Warn,
        FsckSeverity::Error,
    ]);
    let settings = (
        any::<[bool; 6]>(),
        prop::collection::vec(prop::collection::vec(".{0,9}", 0..3), 3),
        prop::collection::btree_map("[a-z]{1,9}", severity, 0..3),
        (limit(), limit(), limit(), limit(), limit()),
        prop::collection::btree_set(any::<[u8; 20]>().prop_map(ObjectId::Sha1), 0..3),
        fetch_rules(),
    );
    let settings =
        settings.prop_map(
            |(flags, hidden, fsck_severities, limits, skip, fetch)| Settings {
                deny_non_fast_forwards: flags[0],
                deny_deletes: flags[1],
                fsck_objects: flags[2],
                deny_delete_current: flags[3],
                atomic_pushes: flags[4],
                push_options: flags[5],
                fsck_severities,
                fsck_skip: skip,
                fetch,
                hide_refs: hidden[0].clone(),
                hide_refs_from_fetches: hidden[1].clone(),
                hide_refs_from_pushes: hidden[2].clone(),
                quotas: Quotas {
                    bytes: limits.0,
                    objects: limits.1,
                    refs: limits.2,
                    push_bytes: limits.3,
                },
                retention: Retention {
                    refs_seconds: limits.4,
                    ..Retention::default()
                },
            },
        );
    let times = (
        any::<i64>(),
        prop::option::of(any::<i64>()),
        prop::option::of(any::<i64>()),
    );
    (
        repo_id(),
        ".{0,30}",
        storage,
        any::<[u8; 16]>(),
        prop::option::of(forked),
        times,
        settings,
    )
        .prop_map(
            move |(id, description, storage, family, forked_from, times, settings)| {
                RepositoryRecord {
                    id,
                    description,
                    storage,
                    object_format: format,
                    family: RepoKey(family),
                    forked_from,
                    created_at: Time(times.0),
                    deleted_at: times.1.map(Time),
                    expires_at: times.2.map(Time),
                    settings,
                }
            },
        )
}

fn lock() -> impl Strategy<Value = LfsLock> {
    (".{0,30}", ".{0,30}", ".{0,30}", any::<i64>()).prop_map(|(id, path, owner, at)| LfsLock {
        id: id.into(),
        path: path.into(),
        owner: owner.into(),
        locked_at: Time(at),
    })
}

fn hook() -> impl Strategy<Value = Hook> {
    (
        ".{0,30}",
        prop::collection::vec(".{0,10}", 0..4),
        prop::option::of(".{0,30}"),
        any::<[bool; 2]>(),
        any::<i64>(),
        any::<u64>(),
    )
        .prop_map(
            |(url, events, secret, [active, asks], created_at, delivered)| Hook {
                url: url.into(),
                events: events.into_iter().map(Arc::from).collect(),
                secret: secret.map(Arc::from),
                active,
                kind: if asks {
                    HookKind::Policy
                } else {
                    HookKind::Notify
                },
                created_at: Time(created_at),
                delivered,
            },
        )
}

fn operation(format: ObjectFormat) -> impl Strategy<Value = Operation> {
    let kind = prop::sample::select(vec![
        OperationKind::Merge,
        OperationKind::CherryPick,
        OperationKind::Revert,
        OperationKind::Rebase,
    ]);
    let commits = || prop::collection::vec(id(format), 0..3);
    (
        kind,
        prop::option::of(id(format)),
        prop::option::of(name()),
        id(format),
        commits(),
        commits(),
        any::<u32>(),
        prop::collection::vec(any::<u8>(), 0..50),
    )
        .prop_map(
            |(kind, original, branch, commit, todo, done, mainline, message)| Operation {
                kind,
                original,
                branch,
                commit,
                todo: todo.into(),
                done: done.into(),
                mainline,
                message: message.into(),
            },
        )
}

fn workspace(format: ObjectFormat) -> impl Strategy<Value = Workspace> {
    let stage = || prop::option::of((any::<u32>(), id(format)));
    let path = prop::collection::vec(any::<u8>(), 0..30);
    let unmerged = (path, stage(), stage(), stage()).prop_map(|(path, a, b, c)| Unmerged {
        path: path.into(),
        stages: [a, b, c],
    });
    (
        prop::option::of(name()),
        prop::option::of(id(format)),
        id(format),
        id(format),
        prop::collection::vec(unmerged, 0..3),
        prop::option::of(operation(format)),
        prop::collection::vec(id(format), 0..3),
        any::<[i64; 2]>(),
    )
        .prop_map(
            |(branch, base, index, files, unmerged, operation, stashes, [created, used])| {
                Workspace {
                    branch,
                    base,
                    index,
                    files,
                    unmerged: unmerged.into(),
                    operation: operation.map(Arc::new),
                    stashes: stashes.into(),
                    created_at: Time(created),
                    used_at: Time(used),
                }
            },
        )
}

fn transaction(format: ObjectFormat) -> impl Strategy<Value = Transaction> {
    let state = prop_oneof![
        Just(TransactionState::Open),
        Just(TransactionState::RolledBack),
        id(format).prop_map(TransactionState::Committed)
    ];
    (
        name(),
        prop::option::of(id(format)),
        id(format),
        any::<u64>(),
        any::<[i64; 2]>(),
        state,
    )
        .prop_map(
            |(branch, base, tree, seq, [created, expires], state)| Transaction {
                branch,
                base,
                tree,
                seq,
                created_at: Time(created),
                expires_at: Time(expires),
                state,
            },
        )
}

fn edit(format: ObjectFormat) -> impl Strategy<Value = EntryEdit> {
    let moved = (name(), target(format), target(format));
    prop_oneof![
        moved.prop_map(|(name, before, after)| EntryEdit::Ref {
            name,
            before,
            after
        }),
        (prop::option::of(record(format)), record(format)).prop_map(|(before, after)| {
            EntryEdit::Repository {
                before: before.map(Box::new),
                after: Box::new(after),
            }
        }),
        prop::collection::vec((any::<[u8; 32]>(), any::<u64>()), 0..4).prop_map(|objects| {
            let object = |(oid, size)| LfsObject {
                oid: LfsOid(oid),
                size,
            };
            EntryEdit::LfsObjects(objects.into_iter().map(object).collect())
        }),
        (
            ".{0,30}",
            prop::option::of(lock()),
            prop::option::of(lock())
        )
            .prop_map(|(path, before, after)| EntryEdit::LfsLock {
                path: path.into(),
                before: before.map(Arc::new),
                after: after.map(Arc::new),
            }),
        (
            ".{0,30}",
            prop::option::of(workspace(format)),
            prop::option::of(workspace(format)),
            any::<bool>()
        )
            .prop_map(|(name, before, after, is_staging)| EntryEdit::Workspace {
                name: name.into(),
                before: before.map(Arc::new),
                after: after.map(Arc::new),
                is_staging,
            }),
        (
            ".{0,30}",
            prop::option::of(transaction(format)),
            prop::option::of(transaction(format))
        )
            .prop_map(|(id, before, after)| EntryEdit::Transaction {
                id: id.into(),
                before: before.map(Arc::new),
                after: after.map(Arc::new),
            }),
        (
            ".{0,30}",
            prop::option::of(hook()),
            prop::option::of(hook())
        )
            .prop_map(|(id, before, after)| EntryEdit::Hook {
                id: id.into(),
                before: before.map(Arc::new),
                after: after.map(Arc::new),
            }),
    ]
}

fn object(format: ObjectFormat) -> impl Strategy<Value = NewObject> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
    let body = prop_oneof![
        bytes().prop_map(ObjectBody::Whole),
        (id(format), bytes()).prop_map(|(base, delta)| ObjectBody::Delta { base, delta }),
        Just(ObjectBody::Elsewhere),
    ];
    let kind = prop_oneof![
        Just(ObjectKind::Commit),
        Just(ObjectKind::Tree),
        Just(ObjectKind::Blob),
        Just(ObjectKind::Tag)
    ];
    (id(format), kind, body).prop_map(|(id, kind, body)| NewObject { id, kind, body })
}

fn cause() -> impl Strategy<Value = Cause> {
    let kind = prop_oneof![
        Just(CauseKind::RepoCreated),
        Just(CauseKind::Push),
        Just(CauseKind::TagDeleted),
        Just(CauseKind::External),
        Just(CauseKind::LfsUploaded),
        Just(CauseKind::LfsLocked),
        Just(CauseKind::LfsUnlocked),
        Just(CauseKind::Hook),
        Just(CauseKind::HookDelivered)
    ];
    let via = prop_oneof![Just(Via::Git), Just(Via::Rest), Just(Via::Job)];
    let idempotency = (any::<[u8; 32]>(), any::<[u8; 32]>(), ".{0,50}");
    let idempotency = idempotency.prop_map(|(key, request, answer)| {
        Box::new(Idempotency {
            key,
            request,
            answer: Bytes::from(answer),
        })
    });
    (
        kind,
        via,
        ".{0,20}",
        ".{0,20}",
        prop::option::of(".{0,20}"),
        prop::option::of(idempotency),
    )
        .prop_map(
            |(kind, via, actor, request_id, reason, idempotency)| Cause {
                kind,
                actor: actor.into(),
                via,
                request_id: request_id.into(),
                reason: reason.map(Arc::from),
                idempotency,
            },
        )
}

fn entry() -> impl Strategy<Value = Entry> {
    let format = prop_oneof![Just(ObjectFormat::Sha1), Just(ObjectFormat::Sha256)];
    format.prop_flat_map(|format| {
        (
            any::<([u8; 16], u64, u32, i64)>(),
            cause(),
            prop::collection::vec(edit(format), 0..5),
            prop::collection::vec(object(format), 0..5),
            prop::collection::vec(id(format).prop_map(PackId), 0..3),
        )
            .prop_map(
                |((repo, seq, step, time), cause, edits, inline, packs)| Entry {
                    repo: RepoKey(repo),
                    host: None,
                    seq,
                    step,
                    time: Time(time),
                    cause,
                    edits,
                    objects: NewObjects { inline, packs },
                },
            )
    })
}

fn encoded(entry: &Entry) -> Vec<u8> {
    let mut out = Encoder::default();
    encode_entry(&mut out, entry).unwrap();
    out.bytes
}

proptest! {
    #[test]
    fn an_entry_is_read_back(entry in entry()) {
        let bytes = encoded(&entry);
        prop_assert_eq!(named_repository(&bytes), Some(entry.repo));
        prop_assert_eq!(decode_entry(Bytes::from(bytes)).unwrap(), entry);
    }

    #[test]
    fn a_cut_entry_is_refused(entry in entry(), at in any::<prop::sample::Index>()) {
        let mut bytes = encoded(&entry);
        bytes.truncate(at.index(bytes.len()));
        prop_assert!(decode_entry(Bytes::from(bytes)).is_err());
    }

    #[test]
    fn a_changed_entry_never_panics(entry in entry(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = encoded(&entry);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = decode_entry(Bytes::from(bytes));
    }
}

#[test]
fn an_unknown_kind_of_edit_is_named() {
    let entry = Entry {
        repo: RepoKey([7; 16]),
        host: None,
        seq: 1,
        step: 0,
        time: Time(0),
        cause: Cause {
            kind: CauseKind::Ref,
            actor: "".into(),
            via: Via::Rest,
            request_id: "".into(),
            reason: None,
            idempotency: None,
        },
        edits: vec![EntryEdit::Ref {
            name: RefName::head(),
            before: Target::Gone,
            after: Target::Gone,
        }],
        objects: NewObjects::default(),
    };
    let mut bytes = encoded(&entry);
    // The number and the version of the edit stand before its length and the name.
    let name = bytes
        .windows(4)
        .position(|window| window == b"HEAD")
        .unwrap();
    bytes[name - 4] = 99;
    assert_eq!(
        decode_entry(Bytes::from(bytes)),
        Err(FormatError::Unknown {
            what: "kind of edit",
            number: 99,
            version: 1
        })
    );
}

#[test]
fn ids_of_two_hashes_are_never_written() {
    let mut out = Encoder::default();
    let object = |format: ObjectFormat| NewObject {
        id: ObjectId::null(format),
        kind: ObjectKind::Blob,
        body: ObjectBody::Elsewhere,
    };
    let entry = Entry {
        repo: RepoKey([7; 16]),
        host: None,
        seq: 1,
        step: 0,
        time: Time(0),
        cause: Cause {
            kind: CauseKind::Ref,
            actor: "".into(),
            via: Via::Rest,
            request_id: "".into(),
            reason: None,
            idempotency: None,
        },
        edits: Vec::new(),
        objects: NewObjects {
            inline: vec![object(ObjectFormat::Sha1), object(ObjectFormat::Sha256)],
            packs: Vec::new(),
        },
    };
    assert!(encode_entry(&mut out, &entry).is_err());
}
