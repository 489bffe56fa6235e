//! Looking at every object of a push once: what git's `receive.fsckObjects` would say, and what
//! the commit graph needs to know.

use std::collections::BTreeMap;
use std::fmt::Write;

use govc_git::object::check::{self, Finding, Severity, SpecialFile};
use govc_git::object::commit;
use govc_git::pack::{PackVisitor, Stage, VisitedObject};
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

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
    /// Files that Git itself reads, whose content is to be checked, and the trees that name them.
    /// One content may be several of them.
    special: BTreeMap<(ObjectId, SpecialFile), Vec<ObjectId>>,
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
            special: BTreeMap::new(),
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
                &mut |file, blob| {
                    let trees = special.entry((blob.to_owned(), file)).or_default();
                    trees.push(id.to_owned());
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

    /// Checks the content of files that Git itself reads. `find` has what the trees name, where
    /// it came with the push and where it was there before: as another file, perhaps, that nobody
    /// looked into.
    ///
    /// # Errors
    /// Whatever `find` met.
    pub(super) fn look_at_special<E>(
        &mut self,
        mut find: impl FnMut(&oid, &[ObjectId]) -> Result<Option<Object>, E>,
    ) -> Result<(), E> {
        for ((id, file), trees) in std::mem::take(&mut self.special) {
            let (messages, refused) = (&mut self.messages, &mut self.refused);
            let mut say = |finding| say(messages, refused, &id, &finding);
            match find(&id, &trees)? {
                Some(object) if object.kind == ObjectKind::Blob => {
                    check::check_special(file, &object.data, &mut say);
                }
                Some(_) => say(file.not_a_blob()),
                None => say(file.missing()),
            }
        }
        Ok(())
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
