//! Whether what a push brings hangs together with what is here, ref by ref.

use std::collections::HashSet;
use std::sync::Arc;

use govc_git::object::commit;
use govc_git::wire::receive::Command;
use govc_git::{ObjectId, ObjectKind, oid};

use super::Push;
use super::connectivity::{Arrived, Broken, Seen, Walk};
use super::take_error::TakeError;
use crate::Repository;

impl Push<'_> {
    /// Looks for all that the pushed tips reach, and refuses those that reach something that is
    /// not there. `bases` are what the pack's deltas start from, outside it. Returns the objects
    /// of the push that name nothing which is not there.
    pub(super) fn connect(
        &mut self,
        arrived: &dyn Arrived,
        bases: &[ObjectId],
    ) -> Result<HashSet<ObjectId>, TakeError> {
        let repository = Arc::clone(self.repository);
        let mut seen = self.seen_in(&repository);
        let format = self.format();
        let open = self.open();
        let tips = || open.iter().map(|at| self.request.commands[*at].new);
        let mut connected = HashSet::new();
        let mut walk = Walk::new(arrived, &mut seen, format);
        match walk.check(tips()) {
            Ok(()) => {
                for base in bases {
                    if !walk.sees(base)? {
                        return Err(TakeError::Base(*base));
                    }
                }
                connected = walk.into_done();
            }
            Err(Broken::Pool(error)) => return Err(error.into()),
            Err(_) => {
                let broken = self.find_broken(arrived, &mut seen, &open)?;
                for base in bases {
                    if !seen.sees(base)? {
                        return Err(TakeError::Base(*base));
                    }
                }
                let (mut told, mut refusals) = (String::new(), Vec::new());
                let mut incomplete = false;
                for (at, error) in broken {
                    let name = String::from_utf8_lossy(&self.request.commands[at].name);
                    told.push_str(&format!("error: {name}: {error}\n"));
                    // Where the client's history is cut, and ours would have to be.
                    let at_cut = match error {
                        Broken::Missing { of, .. } => self.request.shallow.contains(&of),
                        _ => false,
                    };
                    let why = if at_cut {
                        "shallow update not allowed"
                    } else {
                        "missing necessary objects"
                    };
                    incomplete |= !at_cut && self.came_incomplete(arrived, &error);
                    refusals.push((at, why));
                }
                if incomplete {
                    return Err(TakeError::Missing(told));
                }
                self.messages.push_str(&told);
                for (at, why) in refusals {
                    self.refusals[at] = Some(why.to_owned());
                }
            }
        }
        self.refuse_targets(arrived)?;
        Ok(connected)
    }

    /// What `repository` may see, where the client's view of its refs is right to begin with.
    pub(super) fn seen_in<'r>(&self, repository: &'r Repository) -> Seen<'r> {
        let snapshot = repository.snapshot();
        let tips = self.request.commands.iter().filter_map(|command| {
            let now = snapshot.refs.resolve(&command.name);
            now.filter(|now| *now == command.old)
        });
        Seen::new(repository, tips.collect())
    }

    /// Which of the commands reach something that is not there. The first ones are looked at one
    /// by one; behind as many as a person pushes, the rest stands or falls together.
    fn find_broken(
        &self,
        arrived: &dyn Arrived,
        seen: &mut Seen<'_>,
        open: &[usize],
    ) -> Result<Vec<(usize, Broken)>, TakeError> {
        const LOOKED_AT_MAX: usize = 64;
        let mut broken = Vec::new();
        let (single, rest) = open.split_at(open.len().min(LOOKED_AT_MAX));
        for &at in single {
            let tip = self.request.commands[at].new;
            match Walk::new(arrived, seen, self.format()).check([tip]) {
                Ok(()) => {}
                Err(Broken::Pool(error)) => return Err(error.into()),
                Err(error) => broken.push((at, error)),
            }
        }
        let tips = rest.iter().map(|at| self.request.commands[*at].new);
        match Walk::new(arrived, seen, self.format()).check(tips) {
            Ok(()) => {}
            Err(Broken::Pool(error)) => return Err(error.into()),
            Err(Broken::Missing { id, of }) => {
                broken.extend(rest.iter().map(|at| (*at, Broken::Missing { id, of })));
            }
            Err(error) => {
                let why = error.to_string();
                broken.extend(rest.iter().map(|at| {
                    let id = self.request.commands[*at].new;
                    let why = why.clone();
                    (*at, Broken::Malformed { id, why })
                }));
            }
        }
        Ok(broken)
    }

    /// Whether objects are checked, and one of the pack names what is not there: git's `index-pack
    /// --strict` refuses the pack then, and with it every ref of the push.
    fn came_incomplete(&self, arrived: &dyn Arrived, error: &Broken) -> bool {
        match error {
            Broken::Missing { id, of } if id != of => {
                self.record.settings.fsck_objects && arrived.kind(of).is_some()
            }
            _ => false,
        }
    }

    /// All that the pack refers to is in it: only the tips themselves may be elsewhere.
    pub(super) fn connect_whole(&mut self, arrived: &dyn Arrived) -> Result<(), TakeError> {
        let repository = Arc::clone(self.repository);
        let mut seen = self.seen_in(&repository);
        for at in self.open() {
            let tip = self.request.commands[at].new;
            if arrived.kind(&tip).is_none() && !seen.sees(&tip)? {
                self.refusals[at] = Some("missing necessary objects".to_owned());
            }
        }
        self.refuse_targets(arrived)
    }

    /// A branch points at a commit, as git has it; and perhaps only moves forwards.
    fn refuse_targets(&mut self, arrived: &dyn Arrived) -> Result<(), TakeError> {
        let pool = self.repository.pool();
        let forwards_only = self.record.settings.deny_non_fast_forwards;
        for at in self.open() {
            let Command { old, new, name } = &self.request.commands[at];
            if !name.starts_with(b"refs/heads/") {
                continue;
            }
            let kind = match arrived.kind(new) {
                Some(kind) => Some(kind),
                None if pool.graph().number(new).is_some() => Some(ObjectKind::Commit),
                None => pool.header(new)?.map(|(kind, _)| kind),
            };
            let name = String::from_utf8_lossy(name);
            if kind == Some(ObjectKind::Commit) {
                if forwards_only && !old.is_null() && !self.is_forwards(arrived, old, new)? {
                    self.messages.push_str(&format!(
                        "error: denying non-fast-forward {name} (you should pull first)\n"
                    ));
                    self.refusals[at] = Some("non-fast-forward".to_owned());
                }
            } else {
                self.messages.push_str(&format!(
                    "error: cannot update ref '{name}': trying to write non-commit object {new} \
                     to branch '{name}'\n"
                ));
                self.refusals[at] = Some("failed to update ref".to_owned());
            }
        }
        Ok(())
    }

    /// Whether the commit `new`, which may have come with the push, continues `old`.
    fn is_forwards(&self, arrived: &dyn Arrived, old: &oid, new: &oid) -> Result<bool, TakeError> {
        let graph = self.repository.pool().graph();
        let (mut next, mut met) = (vec![new.to_owned()], HashSet::new());
        while let Some(id) = next.pop() {
            if id == old {
                return Ok(true);
            }
            if let (Some(old), Some(there)) = (graph.number(old), graph.number(&id)) {
                if graph.is_ancestor(old, there) {
                    return Ok(true);
                }
            } else if let Some(object) = arrived.find(&id)?
                && let Ok(facts) = commit::facts(&object.data, self.format())
            {
                next.extend(
                    facts
                        .parents
                        .into_iter()
                        .filter(|parent| met.insert(*parent)),
                );
            }
        }
        Ok(false)
    }
}
