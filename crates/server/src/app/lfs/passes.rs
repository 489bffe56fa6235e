//! Passes: who came by SSH transfers large files by HTTP, and shows one of these there.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use govc_engine::RepoId;
use hashbrown::HashMap;

use crate::app::Action;
use crate::app::error::AppError;
use crate::http::caller::Caller;

/// How long a pass is good for.
pub const LIFE: Duration = Duration::from_secs(30 * 60);
/// So many passes are good at once; the oldest makes room.
const PASSES_MAX: usize = 10_000;

/// What a pass is good for: one repository, to read it or to write to it too, by Git LFS only.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Whose it is.
    pub caller: Caller,
    /// Whether its owner may only read.
    pub action: Action,
    repo: String,
    until: Instant,
}

/// The passes that are good now. They are gone after a restart; git-lfs then asks for another.
#[derive(Debug, Default)]
pub struct Passes(Mutex<HashMap<String, Pass>>);

impl Passes {
    /// Gives out a pass: 128 random bits, in hexadecimal.
    ///
    /// # Errors
    /// [`AppError::Internal`] where the system has no randomness.
    pub fn give(&self, caller: Caller, repo: &RepoId, action: Action) -> Result<String, AppError> {
        let mut random = [0u8; 16];
        getrandom::fill(&mut random).map_err(|error| AppError::Internal(error.into()))?;
        let name = format!("{:032x}", u128::from_be_bytes(random));
        let now = Instant::now();
        let mut passes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if passes.len() >= PASSES_MAX {
            passes.retain(|_, pass| pass.until > now);
        }
        if passes.len() >= PASSES_MAX {
            let oldest = passes.iter().min_by_key(|(_, pass)| pass.until);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                passes.remove(&oldest);
            }
        }
        let pass = Pass {
            caller,
            action,
            repo: repo.folded(),
            until: now + LIFE,
        };
        passes.insert(name.clone(), pass);
        Ok(name)
    }

    /// The pass that somebody shows for `repo`, if it is good there.
    pub fn find(&self, shown: &str, repo: &RepoId) -> Option<Pass> {
        let passes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pass = passes.get(shown)?;
        (pass.until > Instant::now() && pass.repo == repo.folded()).then(|| pass.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_good_for_one_repository_and_there_are_so_many() {
        let passes = Passes::default();
        let caller = Caller {
            name: "ada".into(),
            email: "".into(),
            administrator: true,
            request_id: "".into(),
        };
        let (a, b) = (RepoId::parse("a").unwrap(), RepoId::parse("b").unwrap());
        let first = passes.give(caller.clone(), &a, Action::Read).unwrap();
        assert_eq!(first.len(), 32);
        assert!(passes.find(&first, &RepoId::parse("A").unwrap()).is_some());
        assert!(passes.find(&first, &b).is_none());
        assert!(passes.find("", &a).is_none());
        for _ in 0..PASSES_MAX {
            passes.give(caller.clone(), &b, Action::Write).unwrap();
        }
        assert!(passes.find(&first, &a).is_none());
        assert_eq!(passes.0.lock().unwrap().len(), PASSES_MAX);
    }
}
