//! Bodies of requests about merges, realities, workspaces, transactions and webhooks: what is taken
//! of them fits.

use std::sync::LazyLock;

use govc_api::merges::{
    GoOnOrder, MergeOrder, NewAbort, NewContinue, NewMerge, NewPick, NewRebase, PickOrder,
    RebaseOrder,
};
use govc_api::realities::{Apply, NewRealities, NewResults, Promote, PromoteOrder, RealitiesOrder};
use govc_api::search::Grep;
use govc_api::stashes::{ApplyStash, NewStash};
use govc_api::time_travel::{Rewind, Undo};
use govc_api::transactions::{
    CommitTransaction, ManyOperations, NewTransaction, RemovePaths, TransactionShown,
};
use govc_api::{hooks, workspaces};
use govc_engine::journal::Moment;
use govc_engine::work::merge::Strategy;
use govc_engine::work::workspace::FileToWrite;
use govc_engine::{Hook, HookKind, RealityNames, RefName, Time, Transaction, TransactionState};
use govc_git::{ObjectFormat, ObjectId, refname};
use govc_server::http::json;
use serde_json::Value;

/// Merges, picks, reverts, rebases, and how they go on.
pub(crate) fn merge_json(data: &[u8]) {
    let branch = |name: &govc_engine::RefName| {
        assert_eq!(refname::check(name.as_bytes()), Ok(()));
    };
    if let Ok(Ok(order)) = json::read::<NewMerge>(data).map(MergeOrder::try_from) {
        assert!(order.message.is_none_or(|text| !text.trim().is_empty()));
        let _ = Strategy::from(order.strategy);
        assert!(
            order
                .to
                .is_none_or(|to| refname::check_branch(to.as_bytes()).is_ok())
        );
    }
    if let Ok(Ok(order)) = json::read::<NewPick>(data).map(PickOrder::try_from) {
        assert!(!order.commits.is_empty() && order.mainline != Some(0));
        order.branch.iter().for_each(branch);
    }
    if let Ok(Ok(order)) = json::read::<NewRebase>(data).map(RebaseOrder::try_from) {
        order.branch.iter().for_each(branch);
    }
    if let Ok(Ok(order)) = json::read::<NewContinue>(data).map(GoOnOrder::try_from) {
        assert!(!order.skip || order.message.is_none());
    }
    if let Ok(body) = json::read::<NewAbort>(data) {
        let _ = body.expected();
    }
}

/// Realities, what is done in one, and what was measured.
pub(crate) fn reality_json(data: &[u8]) {
    if let Ok(Ok(order)) = json::read::<NewRealities>(data).map(RealitiesOrder::try_from) {
        match order.names {
            RealityNames::Counted { count, .. } => assert!((1..=1_000_000).contains(&count)),
            RealityNames::Listed(names) => {
                let mut sorted = names.to_vec();
                sorted.sort_unstable();
                assert!(!names.is_empty() && sorted.windows(2).all(|pair| pair[0] != pair[1]));
                assert!(names.iter().all(|name| (1..=100).contains(&name.len())));
            }
        }
        assert_ne!(order.ttl_seconds, Some(0));
    }
    if let Ok(body) = json::read::<Apply>(data) {
        let _ = body.on("main");
    }
    if let Ok(Ok((metrics, _))) = json::read::<NewResults>(data).map(NewResults::read) {
        assert!(metrics.len() <= 1000);
        assert!(
            metrics
                .iter()
                .all(|(name, figure)| !name.is_empty() && figure.get().is_finite())
        );
    }
    if let Ok(Ok(order)) = json::read::<Promote>(data).map(PromoteOrder::try_from) {
        let into = order.into.as_ref();
        assert!(into.is_none_or(|name| refname::check(name.as_bytes()).is_ok()));
    }
}

/// Workspaces: what is written, staged, checked out, put away and taken back.
pub(crate) fn workspace_json(data: &[u8]) {
    if let Ok(body) = json::read::<workspaces::NewWorkspace>(data)
        && workspaces::check_name("name", &body.name).is_ok()
    {
        assert!((1..=100).contains(&body.name.len()) && body.name.is_ascii());
        assert!(!body.name.contains(['/', ' ']) && !body.name.starts_with('.'));
    }
    for may_be_there in [false, true] {
        if let Ok(body) = json::read::<workspaces::WriteFiles>(data)
            && let Ok(files) = body.read(may_be_there)
        {
            let is_there = |file: &FileToWrite| may_be_there || file.content.is_some();
            assert!(files.iter().all(is_there));
            let bytes: u64 = files.iter().map(workspaces::content_bytes).sum();
            assert!(bytes <= data.len() as u64);
        }
    }
    if let Ok(body) = json::read::<workspaces::CommitStaged>(data)
        && let Ok(order) = workspaces::CommitStagedOrder::try_from(body)
    {
        assert!(!(order.merge && order.amend));
        assert!(order.message.is_none_or(|text| !text.contains('\0')));
    }
    if let Ok(body) = json::read::<workspaces::Checkout>(data)
        && let Ok(order) = workspaces::CheckoutOrder::try_from(body)
    {
        assert!(order.revision.is_some() || order.create.is_some());
        let is_sound = |name: &RefName| refname::check(name.as_bytes()).is_ok();
        assert!(order.create.as_ref().is_none_or(is_sound));
    }
    if let Ok(body) = json::read::<workspaces::Reset>(data) {
        let _ = body.mode();
    }
    if let Ok(Ok((moment, said))) = json::read::<Rewind>(data).map(|body| body.to()) {
        assert!(!said.is_empty() || matches!(moment, Moment::Time(_)));
    }
    let _ = json::read::<workspaces::MoveFile>(data).map(|body| body.force);
    let _ = json::read::<NewStash>(data).map(|body| body.include_untracked);
    let _ = json::read::<ApplyStash>(data).map(|body| body.drop);
    let _ = json::read::<Undo>(data).map(|body| body.seq);
    let _ = json::read::<Grep>(data).map(|body| body.pattern);
}

/// The fields that the schema of `POST /transactions` has for one operation, way by way.
static FIELDS: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
    let schema = schemars::schema_for!(ManyOperations).to_value();
    let ways = schema["$defs"]["ManyOperation"]["anyOf"].as_array();
    let fields = |way: &Value| {
        let properties = way["properties"].as_object();
        properties.expect("an object").keys().cloned().collect()
    };
    ways.expect("several ways").iter().map(fields).collect()
});

/// Transactions of one repository and of several, and webhooks: what is shown of them is what was
/// taken.
pub(crate) fn transaction_json(data: &[u8]) {
    if let Ok(new) = json::read::<NewTransaction>(data)
        && let Ok(seconds) = new.ttl_seconds()
    {
        assert!((1..=7 * 86_400).contains(&seconds));
        let branch = new.branch.as_deref().unwrap_or("main");
        let head = ObjectId::empty_blob(ObjectFormat::Sha1);
        for state in [
            TransactionState::Open,
            TransactionState::RolledBack,
            TransactionState::Committed(head),
        ] {
            let made = Transaction {
                branch: RefName::branch(branch),
                base: Some(head),
                tree: head,
                seq: 1,
                state,
                created_at: Time(0),
                expires_at: Time(i64::try_from(seconds).expect("few") * 1_000_000),
            };
            let shown = TransactionShown::of("tx", &made, None);
            assert_eq!((&shown.branch[..], shown.state), (branch, state.name()));
            let committed = matches!(state, TransactionState::Committed(_));
            assert!(shown.commit.is_some() == committed && shown.expires_at > shown.created_at);
        }
    }
    if let Ok(Ok(paths)) = json::read::<RemovePaths>(data).map(RemovePaths::read) {
        assert!(paths.len() <= data.len());
    }
    if let Ok(Ok(orders)) = json::read::<ManyOperations>(data).map(ManyOperations::read) {
        assert!(orders.len() <= data.len());
        // What is taken is what the document says.
        let said: Value = json::read(data).expect("it was read");
        for operation in said["operations"].as_array().expect("it was read") {
            let said = operation.as_object().expect("it was read");
            let names = |fields: &Vec<String>| said.keys().all(|key| fields.contains(key));
            assert!(FIELDS.iter().any(names), "{operation}");
        }
    }
    if let Ok(body) = json::read::<hooks::NewHook>(data)
        && let (Ok(events), Ok(())) = (hooks::events(&body.events), hooks::url_length(&body.url))
    {
        assert!((1..=64).contains(&events.len()) && body.url.len() <= 2048);
        assert!(events.iter().all(|event| hooks::is_type(event)));
        let kept = Hook {
            url: body.url.as_str().into(),
            events,
            secret: body.secret.as_deref().map(Into::into),
            active: body.active.unwrap_or(true),
            kind: HookKind::Notify,
            created_at: Time(0),
            delivered: 0,
        };
        let shown = hooks::Hook::new("id", &kept);
        assert_eq!((shown.url, shown.events), (body.url, body.events));
        assert_eq!(shown.has_secret, body.secret.is_some());
    }
    if let Ok(body) = json::read::<hooks::PatchHook>(data)
        && let Some(Ok(events)) = body.events.as_deref().map(hooks::events)
    {
        assert!((1..=64).contains(&events.len()));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(
            hooks::secret(text).is_ok_and(|kept| *kept == *text)
                || !(1..=512).contains(&text.len())
        );
        assert!(
            hooks::kind(text).is_ok_and(|kind| kind.name() == text)
                || !["notify", "policy"].contains(&text)
        );
    }
    if let Ok(body) = json::read::<CommitTransaction>(data) {
        let _ = body.merges();
    }
}
