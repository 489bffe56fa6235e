//! Entries: who did what, what it moved, what it brought.

use std::sync::Arc;

use bytes::Bytes;
use govc_engine::journal::PackId;
use govc_engine::{
    Cause, CauseKind, Entry, EntryEdit, Idempotency, LfsObject, LfsOid, NewObject, NewObjects,
    ObjectBody, RefName, RepoKey, Target, Via,
};
use govc_git::{ObjectFormat, ObjectId, ObjectKind};

use super::codec::{Decoder, Encoder, FormatError, format_byte, format_of};
use super::hooks::{decode_hook, encode_hook};
use super::lfs::{decode_lock, encode_lock};
use super::realities;
use super::record::{decode_record, encode_record};
use super::refs::{decode_target, encode_target};
use super::transactions::{decode_transaction, encode_transaction};
use super::workspaces::{decode_workspace, encode_workspace};

/// The version of an entry's layout.
const VERSION: u8 = 1;
/// The version of a reality's entry: the key of the repository that it was made in follows.
const VERSION_OF_REALITY: u8 = 2;

/// The numbers of the kinds of edits. None is ever used for something else.
mod edit {
    pub(super) const REF: u64 = 1;
    pub(super) const REPOSITORY: u64 = 2;
    pub(super) const LFS_OBJECTS: u64 = 3;
    pub(super) const LFS_LOCK: u64 = 4;
    pub(super) const WORKSPACE: u64 = 5;
    pub(super) const TRANSACTION: u64 = 6;
    pub(super) const REALITY: u64 = 7;
    pub(super) const HOOK: u64 = 8;
    /// The version of each of them.
    pub(super) const VERSION: u8 = 1;
}

const HAS_REASON: u8 = 1;
const HAS_IDEMPOTENCY: u8 = 2;

const IS_DELTA: u8 = 4;
const IS_ELSEWHERE: u8 = 8;

/// The bytes of an entry: the key of its repository, which can be read whatever follows, the
/// version, the hash of its ids, number, step, time, cause, edits, objects.
///
/// # Errors
/// [`FormatError::Unwritable`] for what has no number yet.
pub fn encode_entry(out: &mut Encoder, entry: &Entry) -> Result<(), FormatError> {
    let format = format_in(entry);
    out.raw(&entry.repo.0);
    match entry.host {
        None => out.byte(VERSION),
        Some(host) => {
            out.byte(VERSION_OF_REALITY);
            out.raw(&host.0);
        }
    }
    out.byte(format_byte(format)?);
    out.number(entry.seq);
    out.number(u64::from(entry.step));
    out.time(entry.time);
    encode_cause(out, &entry.cause)?;

    out.number(entry.edits.len() as u64);
    for edit in &entry.edits {
        encode_edit(out, edit, format)?;
    }

    out.number(entry.objects.inline.len() as u64);
    for object in &entry.objects.inline {
        let kind = match object.kind {
            ObjectKind::Commit => 0,
            ObjectKind::Tree => 1,
            ObjectKind::Blob => 2,
            ObjectKind::Tag => 3,
        };
        match &object.body {
            ObjectBody::Whole(data) => {
                out.byte(kind);
                out.id(&object.id, format)?;
                out.string(data);
            }
            ObjectBody::Elsewhere => {
                out.byte(kind | IS_ELSEWHERE);
                out.id(&object.id, format)?;
            }
            ObjectBody::Delta { base, delta } => {
                out.byte(kind | IS_DELTA);
                out.id(&object.id, format)?;
                out.id(base, format)?;
                out.string(delta);
            }
        }
    }
    out.number(entry.objects.packs.len() as u64);
    for pack in &entry.objects.packs {
        out.byte(format_byte(pack.0.kind())?);
        out.raw(pack.0.as_slice());
    }
    Ok(())
}

/// The repository of an entry, whether or not the rest of it can be read.
pub fn named_repository(bytes: &[u8]) -> Option<RepoKey> {
    bytes.first_chunk().map(|key| RepoKey(*key))
}

/// The repository whose directory an entry belongs into, whether or not the rest can be read: its
/// own, or for a reality's the one that it was made in.
pub(crate) fn keeper(bytes: &[u8]) -> Option<RepoKey> {
    const KEY_BYTES: usize = 16;
    match bytes.get(KEY_BYTES) {
        Some(&VERSION_OF_REALITY) => named_repository(bytes.get(KEY_BYTES + 1..)?),
        _ => named_repository(bytes),
    }
}

/// Reads what [`encode_entry`] wrote. Contents share the memory of `bytes`.
///
/// # Errors
/// [`FormatError`]; [`FormatError::Unknown`] where a later version wrote it.
pub fn decode_entry(bytes: Bytes) -> Result<Entry, FormatError> {
    let mut input = Decoder::new(bytes);
    let repo = input.key()?;
    let version = input.byte("an entry")?;
    let host = match version {
        VERSION_OF_REALITY => Some(input.key()?),
        _ => None,
    };
    if !matches!(version, VERSION | VERSION_OF_REALITY) {
        return Err(FormatError::Unknown {
            what: "entry",
            number: u64::from(version),
            version: u64::from(version),
        });
    }
    let format = format_of(input.byte("an entry")?)?;
    let seq = input.number("an entry's number")?;
    let step = u32::try_from(input.number("an entry's step")?)
        .map_err(|_| FormatError::Invalid("an entry's step"))?;
    let time = input.time("an entry's time")?;
    let cause = decode_cause(&mut input)?;

    const EDIT_LEAST_BYTES: usize = 3;
    let count = input.count(EDIT_LEAST_BYTES, "an entry's edits")?;
    let mut edits = Vec::with_capacity(count);
    for _ in 0..count {
        edits.push(decode_edit(&mut input, format)?);
    }

    let count = input.count(format.len_in_bytes() + 1, "an entry's objects")?;
    let mut inline = Vec::with_capacity(count);
    for _ in 0..count {
        inline.push(decode_object(&mut input, format)?);
    }
    let count = input.count(21, "an entry's packs")?;
    let mut packs = Vec::with_capacity(count);
    for _ in 0..count {
        let format = format_of(input.byte("a pack's name")?)?;
        packs.push(PackId(input.id(format)?));
    }
    input.end("an entry")?;
    Ok(Entry {
        repo,
        host,
        seq,
        step,
        time,
        cause,
        edits,
        objects: NewObjects { inline, packs },
    })
}

fn decode_object(input: &mut Decoder, format: ObjectFormat) -> Result<NewObject, FormatError> {
    let tag = input.byte("an object")?;
    let kind = match tag & !(IS_DELTA | IS_ELSEWHERE) {
        0 => ObjectKind::Commit,
        1 => ObjectKind::Tree,
        2 => ObjectKind::Blob,
        3 => ObjectKind::Tag,
        _ => return Err(FormatError::Invalid("an object")),
    };
    let id = input.id(format)?;
    let body = match tag & (IS_DELTA | IS_ELSEWHERE) {
        0 => ObjectBody::Whole(input.string("an object")?),
        IS_DELTA => ObjectBody::Delta {
            base: input.id(format)?,
            delta: input.string("a delta")?,
        },
        IS_ELSEWHERE => ObjectBody::Elsewhere,
        _ => return Err(FormatError::Invalid("an object")),
    };
    Ok(NewObject { id, kind, body })
}

fn encode_edit(
    out: &mut Encoder,
    edit: &EntryEdit,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    let number = match edit {
        EntryEdit::Ref { .. } => edit::REF,
        EntryEdit::Repository { .. } => edit::REPOSITORY,
        EntryEdit::LfsObjects(_) => edit::LFS_OBJECTS,
        EntryEdit::LfsLock { .. } => edit::LFS_LOCK,
        EntryEdit::Workspace { .. } => edit::WORKSPACE,
        EntryEdit::Transaction { .. } => edit::TRANSACTION,
        EntryEdit::Reality(_) => edit::REALITY,
        EntryEdit::Hook { .. } => edit::HOOK,
        _ => return Err(FormatError::Unwritable("this kind of edit")),
    };
    out.number(number);
    out.byte(edit::VERSION);
    out.nested(|out| match edit {
        EntryEdit::Ref {
            name,
            before,
            after,
        } => {
            out.string(name.as_bytes());
            encode_target(out, before, format)?;
            encode_target(out, after, format)
        }
        EntryEdit::Repository { before, after } => {
            out.byte(u8::from(before.is_some()));
            if let Some(before) = before {
                out.nested(|out| encode_record(out, before))?;
            }
            encode_record(out, after)
        }
        EntryEdit::LfsObjects(objects) => {
            out.number(objects.len() as u64);
            for object in objects.iter() {
                out.raw(&object.oid.0);
                out.number(object.size);
            }
            Ok(())
        }
        EntryEdit::LfsLock {
            path,
            before,
            after,
        } => {
            out.string(path.as_bytes());
            for lock in [before, after] {
                out.byte(u8::from(lock.is_some()));
                if let Some(lock) = lock {
                    out.nested(|out| encode_lock(out, lock));
                }
            }
            Ok(())
        }
        EntryEdit::Workspace {
            name,
            before,
            after,
            is_staging,
        } => {
            out.string(name.as_bytes());
            out.byte(u8::from(*is_staging));
            for workspace in [before, after] {
                out.byte(u8::from(workspace.is_some()));
                if let Some(workspace) = workspace {
                    out.nested(|out| encode_workspace(out, workspace, format))?;
                }
            }
            Ok(())
        }
        EntryEdit::Transaction { id, before, after } => {
            out.string(id.as_bytes());
            for transaction in [before, after] {
                out.byte(u8::from(transaction.is_some()));
                if let Some(transaction) = transaction {
                    out.nested(|out| encode_transaction(out, transaction, format))?;
                }
            }
            Ok(())
        }
        EntryEdit::Reality(edit) => realities::encode_edit(out, edit, format),
        EntryEdit::Hook { id, before, after } => {
            out.string(id.as_bytes());
            for hook in [before, after] {
                out.byte(u8::from(hook.is_some()));
                if let Some(hook) = hook {
                    out.nested(|out| encode_hook(out, hook));
                }
            }
            Ok(())
        }
        _ => Err(FormatError::Unwritable("this kind of edit")),
    })
}

fn decode_edit(input: &mut Decoder, format: ObjectFormat) -> Result<EntryEdit, FormatError> {
    const WHAT: &str = "an edit";
    let number = input.number(WHAT)?;
    let version = input.byte(WHAT)?;
    let mut content = input.nested(WHAT)?;
    let decoded = match (number, version) {
        (edit::REF, edit::VERSION) => EntryEdit::Ref {
            name: RefName::new(content.string("a ref name")?),
            before: decode_target(&mut content, format)?,
            after: decode_target(&mut content, format)?,
        },
        (edit::REPOSITORY, edit::VERSION) => {
            let before = match content.byte(WHAT)? {
                0 => None,
                1 => Some(Box::new(decode_record(&mut content.nested(WHAT)?)?)),
                _ => return Err(FormatError::Invalid(WHAT)),
            };
            let after = Box::new(decode_record(&mut content)?);
            EntryEdit::Repository { before, after }
        }
        (edit::LFS_OBJECTS, edit::VERSION) => {
            const LEAST_BYTES: usize = 33;
            let count = content.count(LEAST_BYTES, WHAT)?;
            let mut objects = Vec::with_capacity(count);
            for _ in 0..count {
                objects.push(LfsObject {
                    oid: LfsOid(content.array(WHAT)?),
                    size: content.number(WHAT)?,
                });
            }
            EntryEdit::LfsObjects(objects.into())
        }
        (edit::LFS_LOCK, edit::VERSION) => {
            let path = content.text("a lock's path")?.into();
            let mut lock = || match content.byte(WHAT)? {
                0 => Ok(None),
                1 => decode_lock(&mut content.nested(WHAT)?).map(|lock| Some(Arc::new(lock))),
                _ => Err(FormatError::Invalid(WHAT)),
            };
            EntryEdit::LfsLock {
                path,
                before: lock()?,
                after: lock()?,
            }
        }
        (edit::WORKSPACE, edit::VERSION) => {
            let name = content.text("a workspace's name")?.into();
            let is_staging = match content.byte(WHAT)? {
                0 => false,
                1 => true,
                _ => return Err(FormatError::Invalid(WHAT)),
            };
            let mut workspace = || match content.byte(WHAT)? {
                0 => Ok(None),
                1 => decode_workspace(&mut content.nested(WHAT)?, format)
                    .map(|workspace| Some(Arc::new(workspace))),
                _ => Err(FormatError::Invalid(WHAT)),
            };
            EntryEdit::Workspace {
                name,
                before: workspace()?,
                after: workspace()?,
                is_staging,
            }
        }
        (edit::TRANSACTION, edit::VERSION) => {
            let id = content.text("a transaction's id")?.into();
            let mut transaction = || match content.byte(WHAT)? {
                0 => Ok(None),
                1 => decode_transaction(&mut content.nested(WHAT)?, format)
                    .map(|transaction| Some(Arc::new(transaction))),
                _ => Err(FormatError::Invalid(WHAT)),
            };
            EntryEdit::Transaction {
                id,
                before: transaction()?,
                after: transaction()?,
            }
        }
        (edit::HOOK, edit::VERSION) => {
            let id = content.text("a hook's id")?.into();
            let mut hook = || match content.byte(WHAT)? {
                0 => Ok(None),
                1 => decode_hook(&mut content.nested(WHAT)?).map(|hook| Some(Arc::new(hook))),
                _ => Err(FormatError::Invalid(WHAT)),
            };
            EntryEdit::Hook {
                id,
                before: hook()?,
                after: hook()?,
            }
        }
        (edit::REALITY, edit::VERSION) => {
            EntryEdit::Reality(realities::decode_edit(&mut content, format)?)
        }
        _ => {
            return Err(FormatError::Unknown {
                what: "kind of edit",
                number,
                version: u64::from(version),
            });
        }
    };
    content.end(WHAT)?;
    Ok(decoded)
}

fn encode_cause(out: &mut Encoder, cause: &Cause) -> Result<(), FormatError> {
    out.byte(cause_number(cause.kind)?);
    out.byte(match cause.via {
        Via::Git => 1,
        Via::Rest => 2,
        Via::Ssh => 3,
        Via::Job => 4,
        Via::External => 5,
        _ => return Err(FormatError::Unwritable("this way of a change")),
    });
    let mut flags = 0;
    if cause.reason.is_some() {
        flags |= HAS_REASON;
    }
    if cause.idempotency.is_some() {
        flags |= HAS_IDEMPOTENCY;
    }
    out.byte(flags);
    out.string(cause.actor.as_bytes());
    out.string(cause.request_id.as_bytes());
    if let Some(reason) = &cause.reason {
        out.string(reason.as_bytes());
    }
    if let Some(idempotency) = &cause.idempotency {
        out.raw(&idempotency.key);
        out.raw(&idempotency.request);
        out.string(&idempotency.answer);
    }
    Ok(())
}

fn decode_cause(input: &mut Decoder) -> Result<Cause, FormatError> {
    const WHAT: &str = "an entry's cause";
    let kind = cause_of(input.byte(WHAT)?)?;
    let via = match input.byte(WHAT)? {
        1 => Via::Git,
        2 => Via::Rest,
        3 => Via::Ssh,
        4 => Via::Job,
        5 => Via::External,
        number => {
            return Err(FormatError::Unknown {
                what: "way of a change",
                number: u64::from(number),
                version: 1,
            });
        }
    };
    let flags = input.byte(WHAT)?;
    if flags & !(HAS_REASON | HAS_IDEMPOTENCY) != 0 {
        return Err(FormatError::Invalid(WHAT));
    }
    let actor = input.text(WHAT)?.into();
    let request_id = input.text(WHAT)?.into();
    let reason = match flags & HAS_REASON {
        0 => None,
        _ => Some(Arc::from(input.text(WHAT)?)),
    };
    let idempotency = match flags & HAS_IDEMPOTENCY {
        0 => None,
        _ => Some(Box::new(Idempotency {
            key: input.array(WHAT)?,
            request: input.array(WHAT)?,
            answer: input.string(WHAT)?,
        })),
    };
    Ok(Cause {
        kind,
        actor,
        via,
        request_id,
        reason,
        idempotency,
    })
}

/// Every kind of cause and its number. None is ever used for something else.
const CAUSES: &[(u8, CauseKind)] = &[
    (1, CauseKind::RepoCreated),
    (2, CauseKind::RepoUpdated),
    (3, CauseKind::RepoDeleted),
    (4, CauseKind::RepoRestored),
    (5, CauseKind::Push),
    (6, CauseKind::Commit),
    (7, CauseKind::BranchCreated),
    (8, CauseKind::BranchDeleted),
    (9, CauseKind::TagCreated),
    (10, CauseKind::TagDeleted),
    (11, CauseKind::Ref),
    (12, CauseKind::External),
    (13, CauseKind::LfsUploaded),
    (14, CauseKind::LfsLocked),
    (15, CauseKind::LfsUnlocked),
    (16, CauseKind::Undo),
    (17, CauseKind::Workspace),
    (18, CauseKind::Stash),
    (19, CauseKind::Transaction),
    (20, CauseKind::RealityCreated),
    (21, CauseKind::RealityPromoted),
    (22, CauseKind::RealityDiscarded),
    (23, CauseKind::RealityResults),
    (24, CauseKind::Merge),
    (25, CauseKind::Hook),
    (26, CauseKind::HookDelivered),
];

fn cause_number(kind: CauseKind) -> Result<u8, FormatError> {
    let known = CAUSES.iter().find(|(_, known)| *known == kind);
    known
        .map(|(number, _)| *number)
        .ok_or(FormatError::Unwritable("this kind of cause"))
}

fn cause_of(number: u8) -> Result<CauseKind, FormatError> {
    let known = CAUSES.iter().find(|(known, _)| *known == number);
    known.map(|(_, kind)| *kind).ok_or(FormatError::Unknown {
        what: "kind of cause",
        number: u64::from(number),
        version: 1,
    })
}

/// The hash of an entry's ids: that of the first one met. An entry has ids of one repository, so
/// they agree.
fn format_in(entry: &Entry) -> ObjectFormat {
    let in_edit = |edit: &EntryEdit| match edit {
        EntryEdit::Ref { before, after, .. } => {
            [before, after].into_iter().find_map(|target| match target {
                Target::At(id) => Some(id.kind()),
                _ => None,
            })
        }
        EntryEdit::Repository { after, .. } => Some(after.object_format),
        EntryEdit::Workspace { before, after, .. } => {
            let workspace = before.as_ref().or(after.as_ref())?;
            Some(workspace.index.kind())
        }
        EntryEdit::Transaction { before, after, .. } => {
            let transaction = before.as_ref().or(after.as_ref())?;
            Some(transaction.tree.kind())
        }
        EntryEdit::Reality(edit) => realities::format_in(edit),
        _ => None,
    };
    let of_id = |id: &ObjectId| id.kind();
    let in_objects = || entry.objects.inline.first().map(|object| of_id(&object.id));
    let found = entry.edits.iter().find_map(in_edit).or_else(in_objects);
    found.unwrap_or(ObjectFormat::Sha1)
}

/// The entry as history keeps it: without the bytes of its inline objects.
pub(crate) fn without_objects(entry: &Arc<Entry>) -> Arc<Entry> {
    if entry.objects.inline.is_empty() {
        return entry.clone();
    }
    Arc::new(Entry {
        objects: NewObjects {
            inline: Vec::new(),
            packs: entry.objects.packs.clone(),
        },
        cause: entry.cause.clone(),
        edits: entry.edits.clone(),
        ..**entry
    })
}
