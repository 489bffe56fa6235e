//! What an owner lets fetches do.

use std::collections::BTreeMap;

/// What fetches of one repository may do. `None` is what the server's configuration says, in its
/// section `fetch`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchRules {
    /// Partial clones, as git's `uploadpack.allowFilter`.
    pub filter: Option<bool>,
    /// Which kinds of filters are taken (`blob:none`, `tree`, …), as git's
    /// `uploadpackfilter.<filter>.allow`.
    pub filters: BTreeMap<String, bool>,
    /// Whether kinds that `filters` does not name are taken, as git's `uploadpackfilter.allow`.
    pub other_filters: Option<bool>,
    /// The deepest `tree:<depth>`, as git's `uploadpackfilter.tree.maxDepth`.
    pub tree_filter_depth: Option<u64>,
    /// Wants by the names of refs, as git's `uploadpack.allowRefInWant`.
    pub ref_in_want: Option<bool>,
    /// Answers in side-band lines throughout, as git's `uploadpack.allowSidebandAll`.
    pub sideband_all: Option<bool>,
    /// Clients are told what their request is called in the log, as git's `transfer.advertiseSID`.
    pub session_id: Option<bool>,
    /// Clients of version 2 are told of a HEAD whose branch does not exist yet, as git's
    /// `lsrefs.unborn`.
    pub unborn_head: Option<bool>,
    /// Clients of versions 0 and 1 may want what hidden refs name, as git's
    /// `uploadpack.allowTipSHA1InWant`.
    pub tip_wants: Option<bool>,
    /// Clients of versions 0 and 1 may want all that refs reach, as git's
    /// `uploadpack.allowReachableSHA1InWant`.
    pub reachable_wants: Option<bool>,
}
