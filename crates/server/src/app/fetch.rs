//! What a fetch may ask for.

use std::sync::Arc;

use govc_engine::{FetchRules, Repository};
use govc_git::wire::bundle_uri::BundleUri;
use govc_git::wire::filter::FilterSpec;
use govc_git::wire::offers::Offers;

use super::App;

/// A filter that the operator does not want to be used, in git's words.
#[derive(Debug, thiserror::Error)]
pub enum FilterRefused {
    /// Filters of this kind are refused.
    #[error("filter '{0}' not supported")]
    Kind(&'static str),
    /// It goes deeper than is allowed.
    #[error("tree filter allows max depth {max}, but got {depth}")]
    Depth {
        /// How deep is allowed.
        max: u64,
        /// How deep it goes.
        depth: u64,
    },
}

impl App {
    /// What upload-pack offers of `repository` in the conversation that is called `session_id` in
    /// the log.
    pub fn offers(&self, repository: &Repository, session_id: &str) -> Offers {
        let fetch = &self.config().fetch;
        let record = Arc::clone(&repository.snapshot().record);
        let own = &record.settings.fetch;
        let is_name = !session_id.is_empty() && session_id.bytes().all(|b| b.is_ascii_graphic());
        Offers {
            filter: own.filter.unwrap_or(fetch.filter),
            ref_in_want: own.ref_in_want.unwrap_or(fetch.ref_in_want),
            sideband_all: own.sideband_all.unwrap_or(fetch.sideband_all),
            object_info: true,
            bundle_uri: fetch.own_bundle || !fetch.bundle_uris.is_empty(),
            session_id: (own.session_id.unwrap_or(fetch.session_id) && is_name)
                .then(|| session_id.to_owned()),
            unborn_head: own.unborn_head.unwrap_or(fetch.unborn_head),
            tip_wants: own.tip_wants.unwrap_or(fetch.tip_wants),
            reachable_wants: own.reachable_wants.unwrap_or(fetch.reachable_wants),
            push_nonce: None,
        }
    }

    /// Whether the operator and the owner of a repository, by its `own` rules, let clients use
    /// this filter, and all parts of it.
    ///
    /// # Errors
    /// [`FilterRefused`].
    pub fn check_filter(&self, own: &FetchRules, spec: &FilterSpec) -> Result<(), FilterRefused> {
        let fetch = &self.config().fetch;
        let name = spec.name();
        let taken = own.filters.get(name).copied().or(own.other_filters);
        if !taken.unwrap_or_else(|| !fetch.refused_filters.iter().any(|refused| refused == name)) {
            return Err(FilterRefused::Kind(name));
        }
        match spec {
            FilterSpec::TreeDepth(depth) => {
                let server = u64::try_from(fetch.tree_filter_depth).ok();
                match own.tree_filter_depth.or(server) {
                    Some(max) if *depth > max => Err(FilterRefused::Depth { max, depth: *depth }),
                    _ => Ok(()),
                }
            }
            FilterSpec::Combine(parts) => {
                let mut parts = parts.iter();
                parts.try_for_each(|part| self.check_filter(own, part))
            }
            _ => Ok(()),
        }
    }

    /// The bundles that a clone of `repository` may begin with; `origin` is this server as the
    /// client sees it.
    pub fn bundles(&self, repository: &Repository, origin: &str) -> Vec<BundleUri> {
        let fetch = &self.config().fetch;
        let snapshot = repository.snapshot();
        let id = snapshot.record.id.as_str();
        let elsewhere = fetch.bundle_uris.iter().zip(1..);
        let mut bundles: Vec<BundleUri> = elsewhere
            .map(|(uri, number)| BundleUri {
                id: format!("elsewhere-{number}"),
                uri: uri.replace("{repo}", id),
                creation_token: None,
            })
            .collect();
        // An empty repository has none.
        if fetch.own_bundle && snapshot.head().is_some() {
            let encoded = id.replace('/', "%2F");
            bundles.push(BundleUri {
                id: "whole".to_owned(),
                uri: format!("{origin}/api/v1/repos/{encoded}/bundle"),
                // Newer states have greater numbers; 0 would mean that there is none.
                creation_token: bundles.is_empty().then_some(snapshot.seq + 1),
            });
        }
        bundles
    }
}
