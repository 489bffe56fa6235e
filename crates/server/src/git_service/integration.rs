//! Pushes that the server brings onto a branch itself: `git push -o on-conflict=merge origin
//! HEAD:refs/for/main`. The ref is never stored. On a plain push the option helps where the branch
//! moved after it was advertised.

use std::sync::Arc;

use govc_engine::work::merge::{Plan, Strategy, messages};
use govc_engine::{Cause, Expected, NewObjects, RefName, Repository};
use govc_git::ObjectId;
use govc_git::wire::receive::{Command, PushRequest};

use crate::app::App;
use crate::app::answers::Logged;
use crate::app::error::AppError;
use crate::app::merges::{Bringing, Held};
use crate::http::ask::Terms;
use crate::http::caller::Caller;

/// What stands before the name of the branch.
const FOR: &[u8] = b"refs/for/";
const OPTION: &[u8] = b"on-conflict=";

/// A commit that is to be brought onto a branch.
pub(super) struct Integration {
    branch: RefName,
    from: ObjectId,
    strategy: Strategy,
}

impl Integration {
    /// What the push asks for, if it is this.
    ///
    /// # Errors
    /// Why it cannot be done, for whoever pushes.
    pub(super) fn of(
        repository: &Arc<Repository>,
        request: &PushRequest,
        refusals: &[Option<String>],
        objects: &NewObjects,
    ) -> Result<Option<Integration>, String> {
        let strategy = strategy(request)?;
        let is_for = |command: &Command| command.name.starts_with(FOR);
        let has_for = request.commands.iter().any(is_for);
        let [command] = &request.commands[..] else {
            return match has_for {
                true => Err("what is pushed to refs/for/ is pushed alone".to_owned()),
                false => Ok(None),
            };
        };
        if refusals.iter().any(Option::is_some) {
            return Ok(None);
        }
        if has_for {
            if command.is_delete() {
                return Err("there is nothing to delete in refs/for/".to_owned());
            }
            let name = String::from_utf8_lossy(&command.name[FOR.len()..]).into_owned();
            return Ok(Some(Integration {
                branch: RefName::branch(&name),
                from: command.new,
                strategy: strategy.unwrap_or(Strategy::FastForward),
            }));
        }
        let branch = RefName::new(&command.name[..]);
        let Some(strategy) = strategy else {
            return Ok(None);
        };
        if command.is_delete() || command.is_create() || branch.branch_name().is_none() {
            return Ok(None);
        }
        // What goes back, or sideways, is forced: nothing is kept of what was there.
        let _held = Held::new(repository, objects).map_err(|error| error.to_string())?;
        let graph = repository.pool().graph();
        let is_forward = match (graph.number(&command.old), graph.number(&command.new)) {
            (Some(old), Some(new)) => graph.is_ancestor(old, new),
            _ => false,
        };
        Ok(is_forward.then_some(Integration {
            branch,
            from: command.new,
            strategy,
        }))
    }

    /// Brings it onto the branch; what whoever pushes is told.
    ///
    /// # Errors
    /// [`AppError::MergeConflict`] and others.
    pub(super) async fn run(
        self,
        app: &App,
        caller: &Caller,
        repository: &Arc<Repository>,
        pushed: NewObjects,
        cause: Cause,
    ) -> Result<String, AppError> {
        let refs = repository.snapshot().refs.clone();
        let branch = self.branch;
        let short = branch.branch_name().unwrap_or_default().to_vec();
        let is_there = refs.resolve(branch.as_bytes()).is_some();
        if !is_there && refs.head_branch() != Some(&branch) {
            return Err(AppError::RefNotFound {
                name: branch.to_text(),
            });
        }
        let name = self.from.to_string();
        let bringing = Bringing {
            plan: Plan::Merge {
                from: self.from,
                label: name.clone().into_bytes(),
                strategy: self.strategy,
                message: Some(messages::merge(
                    repository.pool(),
                    &refs,
                    name.as_bytes(),
                    &short,
                )),
            },
            branch,
            people: app.people(caller, None, None)?,
            expected: Expected::Anything,
            pushed,
            keeps_all: true,
            cause,
        };
        let terms = Terms::default();
        let unasked = |_: &_, _: &_| Logged::default();
        let outcome = app.bring(repository, bringing, &terms, unasked).await?;
        let head = outcome.integrated.head;
        let short = String::from_utf8_lossy(&short).into_owned();
        Ok(match head == self.from {
            true => format!("{short} is at {head} now\n"),
            false => format!("integrated into {short}, which is at {head} now: git pull\n"),
        })
    }
}

/// What the user said with `-o on-conflict=…`.
fn strategy(request: &PushRequest) -> Result<Option<Strategy>, String> {
    let mut strategy = None;
    for option in request.options.iter().flatten() {
        strategy = match option.strip_prefix(OPTION) {
            None => strategy,
            Some(b"merge") => Some(Strategy::FastForward),
            Some(b"rebase") => Some(Strategy::Rebase),
            Some(b"fail") => None,
            Some(other) => {
                let other = String::from_utf8_lossy(other).into_owned();
                return Err(format!(
                    "on-conflict is merge, rebase or fail, not {other:?}"
                ));
            }
        };
    }
    Ok(strategy)
}
