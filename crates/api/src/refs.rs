//! Branches, tags, refs.

use govc_engine::{Expected, RefEdit, RefName, Target};
use govc_git::{ObjectId, refname};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::{NewPerson, Person};
use crate::text::text;
use crate::{Invalid, belief, no_nul, nullable, object_id, present, ref_name};

/// A branch, a tag or a ref.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Ref {
    /// Short for a branch or tag, full for a ref.
    pub name: String,
    /// The name exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_base64: Option<String>,
    /// What it points at; `null` where that is a branch that does not exist yet.
    pub oid: Option<String>,
    /// What an annotated tag tags; the full name of the ref that a symbolic one names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// An annotated tag's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who made an annotated tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tagger: Option<Person>,
}

impl Ref {
    /// A ref called `name` at `oid`.
    pub fn new(name: &[u8], oid: Option<ObjectId>) -> Ref {
        let (name, name_base64) = text(name);
        Ref {
            name,
            name_base64,
            oid: oid.map(|id| id.to_string()),
            target: None,
            message: None,
            tagger: None,
        }
    }
}

/// One ref that moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RefUpdate {
    /// The full name.
    pub r#ref: String,
    /// The full name exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_base64: Option<String>,
    /// What it pointed at; `null`: it did not exist.
    pub old: Option<String>,
    /// What it points at; `null`: it does not exist any more.
    pub new: Option<String>,
}

/// The refs that a write moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RefUpdates {
    /// One each.
    pub ref_updates: Vec<RefUpdate>,
}

impl RefUpdate {
    /// The ref `name`, moved from one target to another. Where it named a ref it had no object.
    pub fn new(name: &RefName, old: &Target, new: &Target) -> RefUpdate {
        let at = |target: &Target| match target {
            Target::At(id) => Some(id.to_string()),
            Target::Symbolic(_) | Target::Gone => None,
        };
        let (r#ref, ref_base64) = text(name.as_bytes());
        RefUpdate {
            r#ref,
            ref_base64,
            old: at(old),
            new: at(new),
        }
    }
}

/// The body of `POST /repos/{repo}/branches`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBranch {
    /// Its name, short.
    #[schemars(extend("format" = "branch-name"))]
    name: String,
    /// The revision that it is to point at; HEAD, where it is absent.
    #[schemars(extend("format" = "revision"))]
    r#ref: Option<String>,
    /// `null`: it must not exist yet.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
}

/// The body of `POST /repos/{repo}/tags`; with a message it is annotated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTag {
    /// Its name, short.
    #[schemars(extend("format" = "branch-name"))]
    name: String,
    /// The revision that it is to point at; HEAD, where it is absent.
    #[schemars(extend("format" = "revision"))]
    r#ref: Option<String>,
    /// The message of an annotated tag.
    #[schemars(extend("minLength" = 1))]
    message: Option<String>,
    /// Who tags; who asks, where it is absent. Goes with `message`.
    tagger: Option<NewPerson>,
    /// `null`: it must not exist yet.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
}

/// A branch or tag that was asked for.
#[derive(Debug)]
pub struct RefOrder {
    /// The short name.
    pub short: String,
    /// The full name.
    pub name: RefName,
    /// The revision that it is to point at.
    pub revision: String,
    /// What it is believed to be; only that it does not exist lets it be made.
    pub expected: Expected,
    /// What an annotated tag says, and who tags, if that was said.
    pub annotation: Option<(String, Option<NewPerson>)>,
}

impl TryFrom<NewBranch> for RefOrder {
    type Error = Invalid;

    fn try_from(new: NewBranch) -> Result<RefOrder, Invalid> {
        ref_name(&new.name, refname::check_branch)?;
        Ok(RefOrder {
            name: RefName::branch(&new.name),
            short: new.name,
            revision: new.r#ref.unwrap_or_else(|| "HEAD".to_owned()),
            expected: belief("expected_head", new.expected_head.as_ref())?,
            annotation: None,
        })
    }
}

impl TryFrom<NewTag> for RefOrder {
    type Error = Invalid;

    fn try_from(new: NewTag) -> Result<RefOrder, Invalid> {
        ref_name(&new.name, refname::check_tag)?;
        let annotation = match (new.message, new.tagger) {
            (Some(message), tagger) => {
                no_nul("message", &message)?;
                Some((message, tagger))
            }
            (None, None) => None,
            (None, Some(_)) => {
                return Err(Invalid::field(
                    "tagger",
                    "only an annotated tag has one: give a `message`",
                ));
            }
        };
        Ok(RefOrder {
            name: RefName::tag(&new.name),
            short: new.name,
            revision: new.r#ref.unwrap_or_else(|| "HEAD".to_owned()),
            expected: belief("expected_head", new.expected_head.as_ref())?,
            annotation,
        })
    }
}

/// The body of `PUT /repos/{repo}/refs/{name…}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRef {
    /// What it is to point at.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    oid: String,
    /// What it is believed to point at; `null`: that it does not exist.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected: Option<Option<String>>,
    /// The same as `expected`: one of them.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
}

/// The body of `DELETE /repos/{repo}/refs/{name…}`, of a branch and of a tag; it may be missing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropRef {
    /// What it is believed to point at.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected: Option<Option<String>>,
    /// The same as `expected`: one of them.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected_head: Option<Option<String>>,
}

/// The body of `POST /repos/{repo}/refs`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefBatch {
    /// The refs, each once.
    #[schemars(extend("minItems" = 1))]
    updates: Vec<NewRefUpdate>,
}

/// One ref of a batch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRefUpdate {
    /// Its full name: `refs/heads/main`.
    #[schemars(extend("format" = "full-ref-name"))]
    r#ref: String,
    /// What it is believed to point at; `null`: that it does not exist.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(default, deserialize_with = "present")]
    expected: Option<Option<String>>,
    /// What it is to point at; `null`: it is deleted.
    #[schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    #[serde(deserialize_with = "nullable")]
    #[schemars(required)]
    new: Option<String>,
}

fn either(
    expected: Option<Option<String>>,
    expected_head: Option<Option<String>>,
) -> Result<Expected, Invalid> {
    match (&expected, &expected_head) {
        (Some(_), Some(_)) => Err(Invalid::field("expected_head", "is `expected`, said twice")),
        (None, head) => belief("expected_head", head.as_ref()),
        (said, None) => belief("expected", said.as_ref()),
    }
}

impl PutRef {
    /// The edit that this is for the ref `name`.
    ///
    /// # Errors
    /// [`Invalid::Field`] when an id cannot be read.
    pub fn edit(self, name: RefName) -> Result<RefEdit, Invalid> {
        Ok(RefEdit {
            name,
            expected: either(self.expected, self.expected_head)?,
            target: Target::At(object_id("oid", &self.oid)?),
        })
    }
}

impl DropRef {
    /// What the ref is believed to be.
    ///
    /// # Errors
    /// [`Invalid::Field`] when an id cannot be read.
    pub fn expected(self) -> Result<Expected, Invalid> {
        either(self.expected, self.expected_head)
    }
}

impl TryFrom<RefBatch> for Vec<RefEdit> {
    type Error = Invalid;

    fn try_from(batch: RefBatch) -> Result<Vec<RefEdit>, Invalid> {
        if batch.updates.is_empty() {
            return Err(Invalid::field("updates", "is empty"));
        }
        let mut names = std::collections::HashSet::new();
        let mut edits = Vec::with_capacity(batch.updates.len());
        for (number, update) in batch.updates.iter().enumerate() {
            let at = format!("updates[{number}].");
            if !names.insert(update.r#ref.as_str()) {
                return Err(Invalid::field(format!("{at}ref"), "is in the batch twice"));
            }
            ref_name(&update.r#ref, full_name)?;
            let target = match &update.new {
                None => Target::Gone,
                Some(id) => Target::At(object_id(&format!("{at}new"), id)?),
            };
            edits.push(RefEdit {
                name: RefName::new(&update.r#ref),
                expected: belief(&format!("{at}expected"), update.expected.as_ref())?,
                target,
            });
        }
        Ok(edits)
    }
}

/// Checks a ref's full name, `refs/…`.
///
/// # Errors
/// Which rule it breaks.
pub fn full_name(name: &[u8]) -> Result<(), refname::RefNameError> {
    refname::check_push(name, false)
}
