//! Looking at every object of a push once: what git's `receive.fsckObjects` would say, and what
//! the commit graph needs to know.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;

use govc_git::object::check::{self, Finding, Severity, SpecialFile};
use govc_git::object::commit;
use govc_git::pack::{PackVisitor, Stage, VisitedObject};
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

use super::Progress;
use super::links::Links;
use super::sound_trees::SoundTrees;
use crate::pool::CommitFacts;
use crate::{FsckSeverities, FsckSeverity, Settings};

/// Text about a push that is said at most: an error for each of a million objects helps nobody.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// How objects are checked.
#[derive(Clone, Copy)]
pub(super) struct Fsck<'a> {
    /// What becomes of findings, where that is not what git's default says.
    severities: &'a FsckSeverities,
    /// Objects that are taken as they are.
    skip: &'a BTreeSet<ObjectId>,
}

impl<'a> Fsck<'a> {
    /// As `settings` ask for; `None`: not at all.
    pub(super) fn of(settings: &'a Settings) -> Option<Fsck<'a>> {
        settings.fsck_objects.then_some(Fsck {
            severities: &settings.fsck_severities,
            skip: &settings.fsck_skip,
        })
    }

    /// What becomes of a finding; `None`: nothing.
    fn severity(self, id: &oid, finding: &Finding) -> Option<Severity> {
        if !self.skip.is_empty() && self.skip.contains(id) {
            return None;
        }
        let own = match self.severities.is_empty() {
            true => None,
            false => self.severities.get(&finding.id.to_ascii_lowercase()),
        };
        match own {
            Some(FsckSeverity::Ignore) => None,
            Some(FsckSeverity::Warn) => Some(Severity::Warn),
            Some(FsckSeverity::Error) => Some(Severity::Error),
            None => Some(finding.severity),
        }
    }
}

/// What was found out about the objects of a push.
pub(super) struct Inspector<'a> {
    format: ObjectFormat,
    /// How objects are checked; `None`: not.
    fsck: Option<Fsck<'a>>,
    /// Commits, in the order of the pack.
    pub(super) commits: Vec<(ObjectId, CommitFacts)>,
    /// What the objects name; `None` where that is not asked.
    pub(super) links: Option<Links>,
    /// Files that Git itself reads, whose content is to be checked, and the trees that name them.
    /// One content may be several of them.
    special: BTreeMap<(ObjectId, SpecialFile), Vec<ObjectId>>,
    /// Trees that others are deltas of.
    sound: SoundTrees,
    /// Trees of the pack that something is wrong with: what is made of them is looked at whole.
    unsound: HashSet<u32>,
    /// How much was found wrong with trees.
    tree_findings: u64,
    /// What is wrong with objects, as git says it.
    pub(super) messages: String,
    /// Whether something is so wrong that the push is refused.
    pub(super) refused: bool,
    progress: &'a dyn Fn(Progress),
}

impl<'a> Inspector<'a> {
    pub(super) fn new(
        format: ObjectFormat,
        fsck: Option<Fsck<'a>>,
        links: bool,
        progress: &'a dyn Fn(Progress),
    ) -> Inspector<'a> {
        Inspector {
            format,
            fsck,
            commits: Vec::new(),
            links: links.then(|| Links::new(format)),
            special: BTreeMap::new(),
            sound: SoundTrees::new(format),
            unsound: HashSet::new(),
            tree_findings: 0,
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
        if let Some(fsck) = self.fsck {
            let (messages, refused) = (&mut self.messages, &mut self.refused);
            let (special, tree_findings) = (&mut self.special, &mut self.tree_findings);
            check::check_object(
                kind,
                data,
                self.format,
                &mut |finding| {
                    *tree_findings += u64::from(kind == ObjectKind::Tree);
                    say(messages, refused, fsck, id, &finding);
                },
                &mut |file, blob| {
                    let trees = special.entry((blob.to_owned(), file)).or_default();
                    trees.push(id.to_owned());
                },
            );
        }
        if kind == ObjectKind::Commit {
            let facts = commit::facts(data, self.format).map_err(|error| error.to_string())?;
            if let Some(links) = &mut self.links {
                links.note_commit(&facts);
            }
            self.commits.push((id.to_owned(), pool_facts(facts)));
            return Ok(());
        }
        match &mut self.links {
            Some(links) => links.note(kind, data, self.format),
            None => Ok(()),
        }
    }

    /// Looks at what a tree has and its base has not. `false` where all of it is to be looked at.
    ///
    /// # Errors
    /// As [`Inspector::look_at`].
    fn look_at_delta(&mut self, object: &VisitedObject<'_>) -> Result<bool, String> {
        let base = object.base.and_then(|base| base.number);
        // What was wrong with a base may be wrong with what is made of it: git says it of both.
        let is_base_sound = base.is_some_and(|base| !self.unsound.contains(&base));
        if object.kind != ObjectKind::Tree || !is_base_sound {
            return Ok(false);
        }
        let (fsck, format) = (self.fsck.is_some(), self.format);
        let (special, links) = (&mut self.special, &mut self.links);
        let mut malformed = None;
        let enough = self.sound.look_at_new(object, |entries| {
            let mut is_sound = true;
            if fsck {
                check::check_object(
                    ObjectKind::Tree,
                    entries,
                    format,
                    &mut |_| is_sound = false,
                    &mut |file, blob| {
                        let trees = special.entry((blob.to_owned(), file)).or_default();
                        trees.push(object.id.to_owned());
                    },
                );
            }
            if let Some(links) = links.as_mut()
                && let Err(error) = links.note(ObjectKind::Tree, entries, format)
            {
                malformed = Some(error);
            }
            is_sound && malformed.is_none()
        });
        malformed.map_or(Ok(enough), Err)
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
        let Some(fsck) = self.fsck else {
            return Ok(());
        };
        for ((id, file), trees) in std::mem::take(&mut self.special) {
            let (messages, refused) = (&mut self.messages, &mut self.refused);
            let mut say = |finding| say(messages, refused, fsck, &id, &finding);
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
        if self.look_at_delta(object)? {
            return Ok(());
        }
        let before = self.tree_findings;
        self.look_at(object.id, object.kind, object.data)?;
        if self.tree_findings != before {
            self.unsound.insert(object.number);
        }
        Ok(())
    }

    fn progress(&mut self, stage: Stage, done: u32, total: u32) {
        (self.progress)(Progress { stage, done, total });
    }
}

/// Notes a finding in git's words.
fn say(messages: &mut String, refused: &mut bool, fsck: Fsck<'_>, id: &oid, finding: &Finding) {
    let word = match fsck.severity(id, finding) {
        None => return,
        Some(Severity::Error) => {
            *refused = true;
            "error"
        }
        Some(Severity::Warn) => "warning",
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
