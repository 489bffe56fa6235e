//! Looking at every object of a push once: what git's `receive.fsckObjects` would say, and what
//! the commit graph needs to know.

use std::collections::HashMap;
use std::fmt::Write;

use govc_git::object::check::{self, Finding, Severity, SpecialFile};
use govc_git::object::commit;
use govc_git::pack::{PackVisitor, Stage, VisitedObject};
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid};

use super::Progress;
use super::links::Links;
use crate::pool::CommitFacts;

/// Text about a push that is said at most: an error for each of a million objects helps nobody.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// What was found out about the objects of a push.
pub(super) struct Inspector<'a> {
    format: ObjectFormat,
    /// Whether objects are checked as git's fsck does.
    fsck: bool,
    /// Commits, in the order of the pack.
    pub(super) commits: Vec<(ObjectId, CommitFacts)>,
    /// What the objects name; `None` where that is not asked.
    pub(super) links: Option<Links>,
    /// Blobs that Git itself reads, whose content is to be checked.
    special: HashMap<ObjectId, SpecialFile>,
    /// What is wrong with objects, as git says it.
    pub(super) messages: String,
    /// Whether something is so wrong that the push is refused.
    pub(super) refused: bool,
    progress: &'a dyn Fn(Progress),
}

impl<'a> Inspector<'a> {
    pub(super) fn new(
        format: ObjectFormat,
        fsck: bool,
        links: bool,
        progress: &'a dyn Fn(Progress),
    ) -> Inspector<'a> {
        Inspector {
            format,
            fsck,
            commits: Vec::new(),
            links: links.then(|| Links::new(format)),
            special: HashMap::new(),
            messages: String::new(),
            refused: false,
            progress,
        }
    }

    /// Looks at one object.
    ///
    /// # Errors
    /// What is malformed about it, so much that it cannot be used at all.
    pub(super) fn look_at(
        &mut self,
        id: &oid,
        kind: ObjectKind,
        data: &[u8],
    ) -> Result<(), String> {
        if kind == ObjectKind::Blob {
            return Ok(());
        }
        if self.fsck {
            let (messages, refused) = (&mut self.messages, &mut self.refused);
            let special = &mut self.special;
            check::check_object(
                kind,
                data,
                self.format,
                &mut |finding| say(messages, refused, id, &finding),
                &mut |file, id| {
                    special.insert(id.to_owned(), file);
                },
            );
        }
        if kind == ObjectKind::Commit {
            let facts = commit::facts(data, self.format).map_err(|error| error.to_string())?;
            self.commits.push((id.to_owned(), pool_facts(facts)));
        }
        match &mut self.links {
            Some(links) => links.note(kind, data, self.format),
            None => Ok(()),
        }
    }

    /// Checks the content of files that Git itself reads; `find` has those that came with the
    /// push. The others were checked when they came.
    pub(super) fn look_at_special(
        &mut self,
        mut find: impl FnMut(&oid) -> Option<(ObjectKind, bytes::Bytes)>,
    ) {
        for (id, file) in std::mem::take(&mut self.special) {
            let Some((kind, data)) = find(&id) else {
                continue;
            };
            if kind == ObjectKind::Blob {
                let (messages, refused) = (&mut self.messages, &mut self.refused);
                check::check_special(file, &data, &mut |finding| {
                    say(messages, refused, &id, &finding);
                });
            }
        }
    }
}

impl PackVisitor for Inspector<'_> {
    fn object(&mut self, object: &VisitedObject<'_>) -> Result<(), String> {
        self.look_at(object.id, object.kind, object.data)
    }

    fn progress(&mut self, stage: Stage, done: u32, total: u32) {
        (self.progress)(Progress { stage, done, total });
    }
}

/// Notes a finding in git's words.
fn say(messages: &mut String, refused: &mut bool, id: &oid, finding: &Finding) {
    let word = match finding.severity {
        Severity::Error => {
            *refused = true;
            "error"
        }
        Severity::Warn => "warning",
    };
    if messages.len() < MESSAGE_BYTES_MAX {
        let Finding { id: name, text, .. } = finding;
        // Writing to a string cannot fail.
        let _ = writeln!(messages, "{word}: object {id}: {name}: {text}");
    }
}

fn pool_facts(facts: commit::CommitFacts) -> CommitFacts {
    CommitFacts {
        tree: facts.tree,
        parents: facts.parents,
        committer_time: facts.committer_time,
    }
}
