//! Bodies of requests about merges, realities, transactions and webhooks: what is taken of them
//! fits.

use govc_api::merges::{
    GoOnOrder, MergeOrder, NewAbort, NewContinue, NewMerge, NewPick, NewRebase, PickOrder,
    RebaseOrder,
};
use govc_api::realities::{Apply, NewRealities, NewResults, Promote, PromoteOrder, RealitiesOrder};
use govc_api::transactions::{CommitTransaction, ManyOperations, NewTransaction, RemovePaths};
use govc_api::{hooks, workspaces};
use govc_engine::RealityNames;
use govc_engine::work::merge::Strategy;
use govc_git::refname;
use govc_server::http::json;

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

/// Transactions of one repository and of several, and the files of a workspace.
pub(crate) fn transaction_json(data: &[u8]) {
    if let Ok(Ok(seconds)) = json::read::<NewTransaction>(data).map(|new| new.ttl_seconds()) {
        assert!((1..=7 * 86_400).contains(&seconds));
    }
    if let Ok(Ok(paths)) = json::read::<RemovePaths>(data).map(RemovePaths::read) {
        assert!(paths.len() <= data.len());
    }
    if let Ok(Ok(orders)) = json::read::<ManyOperations>(data).map(ManyOperations::read) {
        assert!(orders.len() <= data.len());
    }
    if let Ok(body) = json::read::<workspaces::WriteFiles>(data)
        && let Ok(files) = body.read(false)
    {
        assert!(files.iter().all(|file| file.content.is_some()));
        let bytes: u64 = files.iter().map(workspaces::content_bytes).sum();
        assert!(bytes <= data.len() as u64);
    }
    if let Ok(body) = json::read::<workspaces::CommitStaged>(data) {
        let _ = workspaces::CommitStagedOrder::try_from(body);
    }
    if let Ok(body) = json::read::<workspaces::Checkout>(data)
        && let Ok(order) = workspaces::CheckoutOrder::try_from(body)
    {
        assert!(order.revision.is_some() || order.create.is_some());
    }
    if let Ok(body) = json::read::<hooks::NewHook>(data)
        && let (Ok(events), Ok(())) = (hooks::events(&body.events), hooks::url_length(&body.url))
    {
        assert!((1..=64).contains(&events.len()) && body.url.len() <= 2048);
        assert!(events.iter().all(|event| hooks::is_type(event)));
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
