//! Events: what happened, as streams tell it.

use govc_engine::{Entry, Seq, Time};
use schemars::JsonSchema;
use serde::Serialize;

use crate::history::{Cause, Change};
use crate::hooks::is_type;
use crate::realities::ConflictingPair;
use crate::rfc3339::server_time;

/// A change, as an event of its repository.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Event {
    /// The repository's id.
    pub repo: String,
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// With `reality.conflicts`: the pairs whose conflicts are others than before. One that does
    /// not conflict any more has no paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Vec<ConflictingPair>>,
}

/// The type of an event that tells what changed in the matrix of conflicts between realities.
pub const CONFLICTS: &str = "reality.conflicts";

impl Event {
    /// `entry` of the repository that is called `repo`.
    pub fn new(repo: &str, entry: &Entry) -> Event {
        Event {
            repo: repo.to_owned(),
            change: Change::from(entry),
            pairs: None,
        }
    }

    /// What changed at `time`, after change `seq`, in the matrix of conflicts between the realities
    /// of the repository that is called `repo`.
    pub fn conflicts(repo: &str, seq: Seq, time: Time, pairs: Vec<ConflictingPair>) -> Event {
        Event {
            repo: repo.to_owned(),
            change: Change {
                seq,
                r#type: CONFLICTS,
                time: server_time(time),
                actor: "govc".to_owned(),
                cause: Cause {
                    via: "job",
                    request_id: String::new(),
                    reason: None,
                },
                ref_updates: Vec::new(),
            },
            pairs: Some(pairs),
        }
    }
}

/// Which types of events somebody wants: `branch.created`, or by the part before the dot all of
/// `branch`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Types(Vec<String>);

impl Types {
    /// Those that `names` say; without any, all.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Types {
        Types(names.into_iter().map(Into::into).collect())
    }

    /// Those that `text` lists, with commas between them.
    ///
    /// # Errors
    /// The first that is no type of event.
    pub fn parse(text: &str) -> Result<Types, &str> {
        let names = text.split(',').map(str::trim);
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        match names.iter().find(|name| !is_type(name)) {
            Some(other) => Err(other),
            None => Ok(Types::new(names)),
        }
    }

    /// Whether events of `kind` are wanted.
    pub fn include(&self, kind: &str) -> bool {
        let family = kind.split('.').next().unwrap_or(kind);
        let wanted = |name: &String| name == kind || name == family || name == "*";
        self.0.is_empty() || self.0.iter().any(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_all_of_its_types() {
        assert_eq!(Types::parse("push,pushes"), Err("pushes"));
        let types = Types::parse("push, branch,tag.created,").unwrap();
        for (kind, wanted) in [
            ("push", true),
            ("branch.created", true),
            ("branch.deleted", true),
            ("tag.created", true),
            ("tag.deleted", false),
            ("commit", false),
        ] {
            assert_eq!(types.include(kind), wanted, "{kind}");
        }
        assert!(Types::parse("").unwrap().include("anything"));
    }
}
