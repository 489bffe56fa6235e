//! What fetches of a repository may do, as its settings have it.

use std::collections::BTreeMap;

use govc_engine::FetchRules;
use govc_git::wire::filter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Invalid, present};

/// What fetches may do; `null` is what the server's configuration says.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FetchRulesBody {
    filter: Option<bool>,
    filters: BTreeMap<String, bool>,
    other_filters: Option<bool>,
    tree_filter_depth: Option<u64>,
    ref_in_want: Option<bool>,
    sideband_all: Option<bool>,
    session_id: Option<bool>,
    unborn_head: Option<bool>,
    tip_wants: Option<bool>,
    reachable_wants: Option<bool>,
}

impl From<&FetchRules> for FetchRulesBody {
    fn from(rules: &FetchRules) -> FetchRulesBody {
        FetchRulesBody {
            filter: rules.filter,
            filters: rules.filters.clone(),
            other_filters: rules.other_filters,
            tree_filter_depth: rules.tree_filter_depth,
            ref_in_want: rules.ref_in_want,
            sideband_all: rules.sideband_all,
            session_id: rules.session_id,
            unborn_head: rules.unborn_head,
            tip_wants: rules.tip_wants,
            reachable_wants: rules.reachable_wants,
        }
    }
}

/// What of it is to be changed; `null` gives it back to the server's configuration.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchFetchRules {
    #[serde(default, deserialize_with = "present")]
    filter: Option<Option<bool>>,
    filters: Option<BTreeMap<String, bool>>,
    #[serde(default, deserialize_with = "present")]
    other_filters: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present")]
    tree_filter_depth: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    ref_in_want: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present")]
    sideband_all: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present")]
    session_id: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present")]
    unborn_head: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present")]
    tip_wants: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present")]
    reachable_wants: Option<Option<bool>>,
}

impl PatchFetchRules {
    /// Whether it can be applied.
    ///
    /// # Errors
    /// [`Invalid::Field`] for a filter that there is not.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let mut names = self.filters.iter().flatten().map(|(name, _)| name);
        match names.find(|name| !filter::NAMES.contains(&name.as_str())) {
            Some(name) => Err(Invalid::field(
                format!("settings.fetch.filters.{name}"),
                format!("filters are {}", filter::NAMES.join(", ")),
            )),
            None => Ok(()),
        }
    }

    /// Changes `rules`.
    pub(crate) fn apply(&self, rules: &mut FetchRules) {
        for (place, value) in [
            (&mut rules.filter, self.filter),
            (&mut rules.other_filters, self.other_filters),
            (&mut rules.ref_in_want, self.ref_in_want),
            (&mut rules.sideband_all, self.sideband_all),
            (&mut rules.session_id, self.session_id),
            (&mut rules.unborn_head, self.unborn_head),
            (&mut rules.tip_wants, self.tip_wants),
            (&mut rules.reachable_wants, self.reachable_wants),
        ] {
            *place = value.unwrap_or(*place);
        }
        if let Some(filters) = &self.filters {
            rules.filters.clone_from(filters);
        }
        rules.tree_filter_depth = self.tree_filter_depth.unwrap_or(rules.tree_filter_depth);
    }
}
