//! A push in its turn: what still holds of what the client saw.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use govc_git::ObjectId;
use govc_git::wire::receive::Command;

use crate::repository::publish::{Pending, Proposal, Refusal};
use crate::{
    Cause, Change, Edit, Expected, NewObjects, Quarantined, RefEdit, RefName, Refs, Settings,
    Target,
};

/// What was decided about the commands of a push.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// For each command why it was refused, if it was.
    pub refusals: Vec<Option<String>>,
    /// Text for whoever pushes.
    pub messages: String,
}

/// Proposes what a push asks for: all accepted refs are one change.
pub struct PushProposal {
    commands: Vec<Command>,
    atomic: bool,
    /// What was refused before the turn.
    refusals: Vec<Option<String>>,
    objects: NewObjects,
    /// Holds the pack of a large push until the proposal was answered: with it goes a pack that
    /// no entry names.
    _quarantined: Option<Quarantined>,
    cause: Cause,
    /// What the last turn decided, for whoever waits for it.
    decision: Arc<Mutex<Decision>>,
}

/// HEAD through branches through other branches: as deep as Git follows.
const SYMREF_DEPTH_MAX: usize = 5;

impl PushProposal {
    pub(super) fn new(
        commands: Vec<Command>,
        atomic: bool,
        refusals: Vec<Option<String>>,
        objects: NewObjects,
        quarantined: Option<Quarantined>,
        cause: Cause,
    ) -> PushProposal {
        PushProposal {
            commands,
            atomic,
            refusals,
            objects,
            _quarantined: quarantined,
            cause,
            decision: Arc::default(),
        }
    }

    /// What the push brings. A pack among it stays for as long as the proposal does.
    pub fn objects(&self) -> &NewObjects {
        &self.objects
    }

    /// Where the decision can be read once the turn is over.
    pub fn decision(&self) -> Arc<Mutex<Decision>> {
        Arc::clone(&self.decision)
    }
}

impl Proposal for PushProposal {
    fn decide(&mut self, now: &Pending<'_>) -> Result<Option<Change>, Refusal> {
        let mut turn = TurnOfPush {
            settings: &now.snapshot.record.settings,
            head: now.snapshot.refs.head_branch().cloned(),
            refs: now.snapshot.refs.clone(),
            edits: Vec::new(),
            messages: String::new(),
        };
        let mut refusals = self.refusals.clone();
        let may_go_on =
            |refusals: &[Option<String>]| !self.atomic || refusals.iter().all(Option::is_none);
        let told = turn.refuse_contradictions(&self.commands, &mut refusals);
        // What goes makes room for what comes, whatever the order in which they were named.
        for deletes in [true, false] {
            for (command, refusal) in self.commands.iter().zip(&mut refusals) {
                let is_told = told.contains(&command.name);
                if refusal.is_none() && command.is_delete() == deletes && !is_told {
                    *refusal = turn.run(command).err();
                }
            }
        }
        let mut edits = std::mem::take(&mut turn.edits);
        if !may_go_on(&refusals) {
            edits.clear();
            for refusal in &mut refusals {
                refusal.get_or_insert_with(|| "atomic push failure".to_owned());
            }
        }
        let messages = std::mem::take(&mut turn.messages);
        let decision = Decision { refusals, messages };
        *self.decision.lock().unwrap_or_else(PoisonError::into_inner) = decision;
        if edits.is_empty() {
            return Ok(None);
        }
        Ok(Some(Change {
            objects: self.objects.clone(),
            edits,
            cause: self.cause.clone(),
        }))
    }
}

/// One push against the newest state.
struct TurnOfPush<'a> {
    settings: &'a Settings,
    /// The branch that HEAD names.
    head: Option<RefName>,
    /// The refs as they will be after the commands that were accepted so far.
    refs: Refs,
    edits: Vec<Edit>,
    messages: String,
}

impl TurnOfPush<'_> {
    /// A push that names a symbolic ref and the ref behind it has to say the same of both. Refuses
    /// both where it does not, and gives the names that need no command of their own.
    fn refuse_contradictions(
        &mut self,
        commands: &[Command],
        refusals: &mut [Option<String>],
    ) -> HashSet<Vec<u8>> {
        let mut told = HashSet::new();
        let mut places = None;
        for (at, command) in commands.iter().enumerate() {
            if refusals[at].is_some() || !self.is_symbolic(&command.name) {
                continue;
            }
            let places = places.get_or_insert_with(|| {
                let names = commands.iter().map(|command| &command.name[..]);
                names.zip(0..).collect::<HashMap<&[u8], usize>>()
            });
            let target = self.through_symbolic(&command.name);
            let Some(&other) = places.get(target.as_bytes()) else {
                continue;
            };
            let behind = &commands[other];
            if (command.old, command.new) == (behind.old, behind.new) {
                told.insert(command.name.clone());
                continue;
            }
            let name = RefName::new(&command.name[..]);
            self.error(&format!(
                "refusing inconsistent update between symref '{name}' ({}..{}) and its target \
                 '{target}' ({}..{})",
                command.old.to_hex_with_len(7),
                command.new.to_hex_with_len(7),
                behind.old.to_hex_with_len(7),
                behind.new.to_hex_with_len(7),
            ));
            for place in [at, other] {
                refusals[place].get_or_insert_with(|| "inconsistent aliased update".to_owned());
            }
        }
        told
    }

    fn is_symbolic(&self, name: &[u8]) -> bool {
        matches!(self.refs.get(name), Some(Target::Symbolic(_)))
    }

    /// Accepts one command, or says why not, in git's words.
    fn run(&mut self, command: &Command) -> Result<(), String> {
        let name = self.through_symbolic(&command.name);
        let current = self.refs.resolve(name.as_bytes());
        if command.is_delete() {
            self.may_delete(&name)?;
            if current.is_none() && command.is_create() {
                self.warn("deleting a non-existent ref");
                return Ok(());
            }
        }
        let seen = (!command.old.is_null()).then_some(command.old);
        self.expect(&name, seen, current)?;
        if command.new == command.old {
            return Ok(());
        }
        let target = if command.is_delete() {
            Target::Gone
        } else {
            if current.is_none() {
                self.has_room_for(&name)?;
            }
            Target::At(command.new)
        };
        self.refs.set(name.clone(), target.clone());
        self.edits.push(Edit::Ref(RefEdit {
            name,
            expected: current.map_or(Expected::Absent, Expected::At),
            target,
        }));
        Ok(())
    }

    /// The ref that `name` is a name for: a push through a symbolic ref moves what that names.
    fn through_symbolic(&self, name: &[u8]) -> RefName {
        let mut name = RefName::new(name);
        for _ in 0..SYMREF_DEPTH_MAX {
            match self.refs.get(name.as_bytes()) {
                Some(Target::Symbolic(to)) => name = to.clone(),
                _ => break,
            }
        }
        name
    }

    fn may_delete(&mut self, name: &RefName) -> Result<(), String> {
        if self.settings.deny_deletes {
            self.error(&format!("denying ref deletion for {name}"));
            return Err("deletion prohibited".to_owned());
        }
        if self.settings.deny_delete_current && self.head.as_ref() == Some(name) {
            self.error(&format!(
                "refusing to delete the current branch: {name}\n\
                 HEAD names this branch. Make another one the default branch first."
            ));
            return Err("deletion of the current branch prohibited".to_owned());
        }
        Ok(())
    }

    /// Whether the ref is what the client saw.
    fn expect(
        &mut self,
        name: &RefName,
        seen: Option<ObjectId>,
        current: Option<ObjectId>,
    ) -> Result<(), String> {
        let why = match (seen, current) {
            (seen, current) if seen == current => return Ok(()),
            (None, _) => "reference already exists".to_owned(),
            (Some(_), None) => format!("unable to resolve reference '{name}'"),
            (Some(seen), Some(current)) => format!("is at {current} but expected {seen}"),
        };
        self.error(&format!("cannot lock ref '{name}': {why}"));
        Err("failed to update ref".to_owned())
    }

    /// A name cannot be a folder of another one.
    fn has_room_for(&mut self, name: &RefName) -> Result<(), String> {
        let bytes = name.as_bytes();
        let mut folders = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| &bytes[..at]);
        let folder = folders.find(|folder| self.refs.get(folder).is_some());
        let inside = [bytes, b"/"].concat();
        let in_the_way = match folder {
            Some(folder) => Some(RefName::new(folder)),
            None => self
                .refs
                .with_prefix(&inside)
                .next()
                .map(|(n, _)| n.clone()),
        };
        let Some(other) = in_the_way else {
            return Ok(());
        };
        self.error(&format!(
            "cannot lock ref '{name}': '{other}' exists; cannot create '{name}'"
        ));
        Err("failed to update ref".to_owned())
    }

    fn error(&mut self, text: &str) {
        self.say("error", text);
    }

    fn warn(&mut self, text: &str) {
        self.say("warning", text);
    }

    /// A push of a hundred thousand refs is not told a hundred thousand times.
    fn say(&mut self, word: &str, text: &str) {
        const MESSAGE_BYTES_MAX: usize = 16 << 10;
        if self.messages.len() < MESSAGE_BYTES_MAX {
            self.messages.push_str(&format!("{word}: {text}\n"));
        }
    }
}
