//! What a Git client calls a repository: `/{repo}.git`, or `/{repo}/realities/{reality}.git`.

use std::fmt;
use std::sync::Arc;

use govc_engine::{RepoId, Repository};

use super::error::AppError;
use super::scope::Scope;
use super::{Action, App};
use crate::http::caller::Caller;

/// A repository, or a reality of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The repository.
    pub repo: RepoId,
    /// The reality.
    pub reality: Option<String>,
}

impl Remote {
    /// What `path` names, without a slash at either end; `.git` may be left out. No segment of an
    /// id is `realities`.
    pub fn parse(path: &str) -> Option<Remote> {
        let path = path.strip_suffix(".git").unwrap_or(path);
        let (repo, reality) = match path.rsplit_once("/realities/") {
            Some((repo, reality)) => {
                let repo = repo.strip_suffix(".git").unwrap_or(repo);
                (repo, Some(reality.to_owned()))
            }
            None => (path, None),
        };
        Some(Remote {
            repo: RepoId::parse(repo).ok()?,
            reality,
        })
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repo.fmt(f)?;
        match &self.reality {
            Some(reality) => write!(f, "/realities/{reality}"),
            None => Ok(()),
        }
    }
}

impl From<RepoId> for Remote {
    fn from(repo: RepoId) -> Remote {
        Remote {
            repo,
            reality: None,
        }
    }
}

impl App {
    /// The repository that `remote` is, for somebody who may do `action` with it.
    ///
    /// # Errors
    /// As [`App::repository_in`].
    pub async fn remote(
        &self,
        caller: &Caller,
        remote: &Remote,
        action: Action,
    ) -> Result<Arc<Repository>, AppError> {
        let scope = Scope {
            reality: remote.reality.clone(),
            within: None,
        };
        self.repository_in(caller, &remote.repo, &scope, action)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reality_is_below_its_repository() {
        let check = |path: &str, repo: &str, reality: Option<&str>| {
            let found = Remote::parse(path).unwrap();
            assert_eq!(
                (found.repo.as_str(), found.reality.as_deref()),
                (repo, reality)
            );
        };
        check("a.git", "a", None);
        check("a/b", "a/b", None);
        check("a/realities/x.git", "a", Some("x"));
        check("a/b/c/realities/x1", "a/b/c", Some("x1"));
        check("a.git/realities/x.git", "a", Some("x"));
        for no_remote in ["realities/x.git", "a.git.git", "a.git.git/realities/x"] {
            assert_eq!(Remote::parse(no_remote), None, "{no_remote}");
        }
    }
}
