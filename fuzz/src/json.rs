//! Bodies of requests in JSON, and what is answered of what they made.

use govc_api::commits::{Commit, CommitOrder, NewCommit};
use govc_api::{lfs, refs, repos};
use govc_engine::{
    ForkedFrom, LfsLock, LfsOid, RefEdit, RefName, RepoId, RepoKey, RepositoryRecord, Settings,
    Storage, Target, Time,
};
use govc_git::ObjectFormat;
use govc_server::http::json;

/// The JSON of Git LFS.
pub(crate) fn lfs_json(data: &[u8]) {
    let batch = json::read::<lfs::BatchRequest>(data);
    let lock = json::read::<lfs::LockRequest>(data);
    let _ = json::read::<lfs::VerifyLocksRequest>(data);
    let _ = json::read::<lfs::UnlockRequest>(data);
    if let Err(error) = &lock {
        assert!(error.to_string().len() < 512 + 8 * data.len());
    }
    let Ok(batch) = batch else { return };
    assert!(batch.objects.len() * 2 <= data.len());
    for object in &batch.objects {
        let id = LfsOid::parse(&object.oid);
        assert!(id.is_none_or(|id| id.to_string() == object.oid));
        let lock = LfsLock {
            id: object.oid.as_str().into(),
            path: batch.operation.as_str().into(),
            owner: "ada".into(),
            locked_at: Time(object.size),
        };
        assert_eq!(lfs::Lock::from(&lock).id, object.oid);
    }
}

/// The JSON of the API: what is taken fits, and what is answered can be said.
pub(crate) fn json(data: &[u8]) {
    if let Ok(body) = json::read::<NewCommit>(data) {
        let _ = CommitOrder::try_from(body);
    }
    if let Ok(body) = json::read::<refs::PutRef>(data)
        && let Ok(edit) = body.edit(RefName::head())
    {
        let update = refs::RefUpdate::new(&edit.name, &Target::Gone, &edit.target);
        assert!(update.old.is_none() && update.new.is_some());
    }
    if let Ok(body) = json::read::<refs::DropRef>(data) {
        let _ = body.expected();
    }
    if let Ok(body) = json::read::<refs::NewBranch>(data) {
        let _ = refs::RefOrder::try_from(body);
    }
    if let Ok(body) = json::read::<refs::NewTag>(data) {
        let _ = refs::RefOrder::try_from(body);
    }
    if let Ok(body) = json::read::<refs::RefBatch>(data)
        && let Ok(edits) = Vec::<RefEdit>::try_from(body)
    {
        assert!(edits.len() * 8 <= data.len());
    }
    if let Ok(body) = json::read::<repos::NewRepository>(data)
        && let Ok(order) = repos::RepositoryOrder::try_from(body)
    {
        let century = 1..=100 * 366 * 86_400;
        assert!(order.ttl_seconds.is_none_or(|ttl| century.contains(&ttl)));
    }
    if let Ok(body) = json::read::<repos::PatchRepository>(data)
        && let Ok(patch) = repos::RepositoryPatch::try_from(body)
    {
        answer_repository(&patch);
    }
    if let Ok(body) = json::read::<repos::Fork>(data) {
        let _ = repos::ForkOrder::try_from(body);
    }
    answer_objects(data);
}

/// A repository as it is after a change.
fn answer_repository(patch: &repos::RepositoryPatch) {
    let before = RepositoryRecord {
        id: RepoId::parse("hello").expect("an id"),
        description: String::new(),
        storage: Storage::Hybrid,
        object_format: ObjectFormat::Sha256,
        family: RepoKey([1; 16]),
        forked_from: Some(ForkedFrom {
            key: RepoKey([1; 16]),
            seq: 1,
            id: RepoId::parse("parent").expect("an id"),
        }),
        created_at: Time(0),
        deleted_at: None,
        expires_at: Some(Time(1)),
        settings: Settings::default(),
    };
    let mut after = before;
    patch.apply(&mut after);
    let once = after.clone();
    patch.apply(&mut after);
    assert_eq!(after, once);
    let facts = repos::Facts {
        record: &after,
        default_branch: patch.default_branch.as_ref(),
        head: Some(ObjectFormat::Sha256.null()),
        seq: 1,
        updated_at: Time(2),
        size: repos::Size::default(),
        clone_url: String::new(),
    };
    let answer = repos::Repository::from(facts);
    assert_eq!(answer.id, after.id.as_str());
}

/// Commits and names of refs, which need not be text.
fn answer_objects(data: &[u8]) {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        if let Ok(commit) = Commit::read(format.null(), data, format) {
            assert_eq!(commit.tree.len(), format.len_in_hex());
        }
    }
    let shown = refs::Ref::new(data, None);
    assert_eq!(shown.name_base64.is_none(), shown.name.as_bytes() == data);
}
