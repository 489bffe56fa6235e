//! Parallel realities.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use govc_engine::journal::Moment;
use govc_engine::repository::record::is_scope_name;
use govc_engine::{Expected, Metric, RealityNames, RefName, Seq};
use govc_git::refname;
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::commits::{CommitOrder, NewAction, NewCommit};
use crate::merges::MergeStrategy;
use crate::people::NewPerson;
use crate::repos::{At, TTL_SECONDS_MAX};
use crate::{Invalid, belief, present, ref_name};

/// A reality.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reality<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The commit that its HEAD leads to.
    pub head: Option<&'a str>,
    /// The branch that its HEAD names.
    pub branch: &'a str,
    /// What it was made from.
    pub base: Base<'a>,
    /// The reality that it was made from, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<&'a str>,
    /// `open` or `closed`; not said of those that were just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// `parent` or `memory`; not said of those that were just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<&'static str>,
    /// What `git clone` takes.
    pub clone_url: &'a str,
    /// When it was made; not said of those that were just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<&'a str>,
    /// When it goes by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<&'a str>,
    /// When it was promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<String>,
    /// What it was promoted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted_to: Option<PromotedTo>,
    /// The number of its own newest change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
}

/// The moment that a reality was made from.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Base<'a> {
    /// The change of its parent after which it was copied.
    pub seq: Seq,
    /// The commit that its HEAD led to then.
    pub oid: Option<&'a str>,
}

/// Where a reality went.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PromotedTo {
    /// The branch, by its short name.
    pub branch: String,
    /// What it became.
    pub oid: String,
    /// The change of the parent.
    pub seq: Seq,
}

/// What making realities takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRealities {
    /// Their names, or how many there are to be.
    branches: Branches,
    /// The revision that they are made from, or `realities/NAME`; HEAD, where it is absent.
    #[schemars(extend("format" = "revision"))]
    from: Option<String>,
    /// The moment that is copied; now, where it is absent.
    at: Option<At>,
    /// After how many seconds they are discarded by themselves.
    #[schemars(extend("minimum" = 1, "maximum" = 3162240000_u64))]
    ttl_seconds: Option<u64>,
    /// `memory`: they are gone after a restart, and faster. `parent`, where it is absent: as safe
    /// as the repository.
    durability: Option<Durability>,
}

#[derive(Debug, JsonSchema)]
#[serde(untagged)]
enum Branches {
    Listed(#[schemars(length(min = 1, max = 1_000_000))] Vec<String>),
    Counted(Counted),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Counted {
    /// How many.
    #[schemars(extend("minimum" = 1, "maximum" = 1000000))]
    count: u32,
    /// Names are this and a number, from 1.
    #[schemars(extend("format" = "reality-name"))]
    prefix: String,
}

/// Lists are names, and objects say how many: each with the words for what is wrong in it.
impl<'de> Deserialize<'de> for Branches {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Branches, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Branches;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("names, or how many: {\"count\", \"prefix\"}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Branches, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(access)).map(Branches::Listed)
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Branches, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(access)).map(Branches::Counted)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Durability {
    Parent,
    Memory,
}

/// Realities that were asked for.
#[derive(Debug, Clone)]
pub struct RealitiesOrder {
    /// What they are called.
    pub names: RealityNames,
    /// What they are made from: a revision.
    pub from: Option<String>,
    /// The reality that they are made from.
    pub parent: Option<String>,
    /// The moment, and how that was said; `None`: now.
    pub at: Option<(Moment, String)>,
    /// How long they are to be there.
    pub ttl_seconds: Option<u64>,
    /// Whether they are lost at a restart.
    pub in_memory: bool,
}

/// More than this at once is no batch.
const BATCH_MAX: u32 = 1_000_000;

impl TryFrom<NewRealities> for RealitiesOrder {
    type Error = Invalid;

    fn try_from(new: NewRealities) -> Result<RealitiesOrder, Invalid> {
        let names = match new.branches {
            Branches::Counted(Counted { count, prefix }) => {
                if count == 0 || count > BATCH_MAX {
                    return Err(Invalid::field("branches.count", "1 to 1000000"));
                }
                // The longest of them; the others are made of the same.
                check_name("branches.prefix", &format!("{prefix}{count}"))?;
                check_name("branches.prefix", &format!("{prefix}1"))?;
                RealityNames::Counted {
                    prefix: prefix.into(),
                    count,
                }
            }
            Branches::Listed(names) => {
                if names.is_empty() || names.len() > BATCH_MAX as usize {
                    return Err(Invalid::field("branches", "1 to 1000000 names"));
                }
                let mut seen = HashSet::with_capacity(names.len());
                for (number, name) in names.iter().enumerate() {
                    let field = || format!("branches[{number}]");
                    check_name(&field(), name)?;
                    if !seen.insert(name.as_str()) {
                        return Err(Invalid::field(field(), "is there twice"));
                    }
                }
                let names: Vec<Box<str>> = names.into_iter().map(String::into_boxed_str).collect();
                RealityNames::Listed(names.into())
            }
        };
        let (from, parent) = match new.from {
            Some(from) => match from.strip_prefix("realities/") {
                Some(parent) => (None, Some(parent.to_owned())),
                None => (Some(from), None),
            },
            None => (None, None),
        };
        if let Some(seconds) = new.ttl_seconds
            && !(1..=TTL_SECONDS_MAX).contains(&seconds)
        {
            return Err(Invalid::field("ttl_seconds", "1 second to 100 years"));
        }
        Ok(RealitiesOrder {
            names,
            from,
            parent,
            at: new
                .at
                .map(|at| Ok((at.moment("at")?, at.to_string())))
                .transpose()?,
            ttl_seconds: new.ttl_seconds,
            in_memory: new.durability == Some(Durability::Memory),
        })
    }
}

fn check_name(field: &str, name: &str) -> Result<(), Invalid> {
    match is_scope_name(name) {
        true => Ok(()),
        false => Err(Invalid::field(
            field,
            "a name is a letter or digit and at most 99 more of letters, digits, '.', '_', '-', \
             without \"..\", and not \"compare\" or \"conflicts\"",
        )),
    }
}

/// One commit in a reality.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// The message.
    #[schemars(extend("minLength" = 1))]
    message: String,
    /// The branch, short; the one that its HEAD names, where it is absent.
    #[schemars(extend("format" = "branch-name"))]
    branch: Option<String>,
    /// Who wrote it; who asks, where it is absent.
    author: Option<NewPerson>,
    /// Who commits it; the author, where it is absent.
    committer: Option<NewPerson>,
    /// The commit that the branch is believed to be at; `null`: that it does not exist yet. 409
    /// where it is not.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
    /// Make a commit that changes nothing, too.
    #[serde(default)]
    allow_empty: bool,
    /// What to do, in this order.
    actions: Vec<NewAction>,
}

impl Apply {
    /// The commit, on the branch that was named or else `head`.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn on(self, head: &str) -> Result<CommitOrder, Invalid> {
        NewCommit::of_apply(
            self.branch.unwrap_or_else(|| head.to_owned()),
            self.message,
            (self.author, self.committer),
            self.expected_head,
            self.allow_empty,
            self.actions,
        )
        .try_into()
    }
}

/// What was measured.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewResults {
    /// Figures by their names.
    #[schemars(extend("maxProperties" = 1000, "propertyNames" = { "minLength": 1, "maxLength": 200 }))]
    #[serde(default)]
    metrics: BTreeMap<String, f64>,
    /// Whether it passed.
    passed: Option<bool>,
}

/// More figures than this are no results.
const METRICS_MAX: usize = 1000;

/// Figures by their names.
pub type Metrics = BTreeMap<Arc<str>, Metric>;

impl NewResults {
    /// The figures, and whether it passed.
    ///
    /// # Errors
    /// [`Invalid::Field`].
    pub fn read(self) -> Result<(Metrics, Option<bool>), Invalid> {
        if self.metrics.len() > METRICS_MAX {
            return Err(Invalid::field("metrics", "at most 1000 figures"));
        }
        let mut metrics = BTreeMap::new();
        for (name, number) in self.metrics {
            if name.is_empty() || name.len() > 200 {
                return Err(Invalid::field("metrics", "names have 1 to 200 bytes"));
            }
            let wrong = || Invalid::field(format!("metrics.{name}"), "is no finite number");
            let metric = Metric::new(number).ok_or_else(wrong)?;
            metrics.insert(Arc::from(name), metric);
        }
        Ok((metrics, self.passed))
    }
}

/// What was measured in a reality, and what the server knows of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Benchmark {
    /// What it is called.
    pub name: String,
    /// The commit that its HEAD leads to.
    pub head: Option<String>,
    /// Figures that somebody attached.
    pub metrics: BTreeMap<Arc<str>, f64>,
    /// Whether it passed, if somebody said so.
    pub passed: Option<bool>,
    /// The commit that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// When that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_at: Option<String>,
    /// What it changed since it was made.
    pub changes: Changes,
    /// The paths that conflict with the branch that it was made from, as that is now.
    pub conflicts: Vec<String>,
}

/// How much a reality changed.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Changes {
    /// Commits of its own.
    pub commits: u64,
    /// Files that are not the same.
    pub files: u64,
    /// Lines that came.
    pub additions: u64,
    /// Lines that went.
    pub deletions: u64,
    /// Bytes of the files that it changed, as they are now.
    pub bytes: u64,
}

/// Which realities are compared.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareRealities {
    /// Their names.
    #[schemars(extend("minItems" = 1))]
    pub realities: Vec<String>,
    /// The figure that they are ranked by.
    pub metric: Option<String>,
}

/// Realities beside each other.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Comparison {
    /// Those that have equal trees.
    pub groups: Vec<Vec<String>>,
    /// Files that are not the same in all of them.
    pub files: Vec<ComparedFile>,
    /// Those that cannot be merged with each other.
    pub conflicts: Vec<ConflictingPair>,
    /// The best first.
    pub ranking: Vec<Ranked>,
}

/// A file, and what it is in which realities.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ComparedFile {
    /// Where it is.
    pub path: String,
    /// Each version, and who has it.
    pub versions: Vec<FileVersion>,
}

/// One version of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileVersion {
    /// The blob; `null` where it is not there.
    pub oid: Option<String>,
    /// Who has it.
    pub realities: Vec<String>,
}

/// Two realities that conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConflictingPair {
    /// One.
    pub a: String,
    /// The other.
    pub b: String,
    /// Where.
    pub paths: Vec<String>,
}

/// A reality among others.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ranked {
    /// What it is called.
    pub name: String,
    /// The figure that was asked for.
    pub value: Option<f64>,
    /// Whether it passed, if somebody said so.
    pub passed: Option<bool>,
    /// How many others it conflicts with.
    pub conflicts: u64,
}

/// All pairs that conflict.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Conflicts<'a> {
    /// They.
    pub pairs: &'a [ConflictingPair],
    /// How many realities were held against each other.
    pub realities: usize,
}

/// What promoting takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// The branch of the parent, short; the one that it was made from, where it is absent.
    #[schemars(extend("format" = "branch-name"))]
    into: Option<String>,
    /// How, as for `/merge`; `ff`, where it is absent.
    strategy: Option<MergeStrategy>,
    /// The message of the commit that is made.
    #[schemars(extend("minLength" = 1))]
    message: Option<String>,
    /// Who wrote it; who asks, where it is absent.
    author: Option<NewPerson>,
    /// Who commits it; the author, where it is absent.
    committer: Option<NewPerson>,
    /// The commit that the branch is believed to be at; `null`: that it does not exist yet. 409
    /// where it is not.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
    /// Discard all others of the same parent in the same change.
    #[serde(default)]
    discard_siblings: bool,
}

/// A promotion that was asked for.
#[derive(Debug)]
pub struct PromoteOrder {
    /// The branch; `None`: the one it was made from.
    pub into: Option<RefName>,
    /// How.
    pub strategy: MergeStrategy,
    /// The message of the commit, if one is made.
    pub message: Option<String>,
    /// Its author.
    pub author: Option<NewPerson>,
    /// Its committer.
    pub committer: Option<NewPerson>,
    /// What the branch is believed to be.
    pub expected: Expected,
    /// Whether all others of the same parent are discarded with it.
    pub discard_siblings: bool,
}

impl TryFrom<Promote> for PromoteOrder {
    type Error = Invalid;

    fn try_from(promote: Promote) -> Result<PromoteOrder, Invalid> {
        if let Some(into) = &promote.into {
            ref_name(into, refname::check_branch)?;
        }
        if let Some(message) = &promote.message {
            crate::no_nul("message", message)?;
        }
        Ok(PromoteOrder {
            into: promote.into.map(RefName::branch),
            strategy: promote.strategy.unwrap_or(MergeStrategy::Ff),
            message: promote.message,
            author: promote.author,
            committer: promote.committer,
            expected: belief("expected_head", promote.expected_head.as_ref())?,
            discard_siblings: promote.discard_siblings,
        })
    }
}
