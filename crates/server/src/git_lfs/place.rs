//! Which repository a path names, and what of Git LFS is asked of it.

use crate::app::remote::Remote;
use crate::http::path::decode;

/// A path of Git LFS below a repository: `/{repo}.git/info/lfs/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `objects/batch`: what is to be transferred?
    Batch,
    /// `objects/{oid}`: one object. What stands there need not be a name of one.
    Object(String),
    /// `verify`: did it arrive?
    Verify,
    /// `locks`
    Locks,
    /// `locks/verify`: which of them are ours?
    VerifyLocks,
    /// `locks/{id}/unlock`
    Unlock(String),
}

impl Place {
    /// The repository, or the reality of one, and the place that `path` names, if it is one of Git LFS; `.git` may be left
    /// out.
    pub fn of(path: &str) -> Option<(Remote, Place)> {
        // Most paths are others.
        if !path.contains("lfs") {
            return None;
        }
        let path = String::from_utf8(decode(path)).ok()?;
        let (repo, rest) = path.strip_prefix('/')?.split_once("/info/lfs/")?;
        let parts: Vec<&str> = rest.split('/').collect();
        let place = match parts[..] {
            ["objects", "batch"] => Place::Batch,
            // A hostile name may have slashes in it: it is told that it is no name.
            ["objects", ..] if rest.len() > "objects/".len() => {
                Place::Object(rest["objects/".len()..].to_owned())
            }
            ["verify"] => Place::Verify,
            ["locks"] => Place::Locks,
            ["locks", "verify"] => Place::VerifyLocks,
            ["locks", id, "unlock"] => Place::Unlock(id.to_owned()),
            _ => return None,
        };
        Some((Remote::parse(repo)?, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_below_a_repository() {
        let oid = "0".repeat(64);
        let object = |text: &str| Some(("a/b".to_owned(), Place::Object(text.to_owned())));
        for (rest, expected) in [
            (
                "/a/b.git/info/lfs/objects/batch",
                Some(("a/b".to_owned(), Place::Batch)),
            ),
            (
                "/a%2Fb/info/lfs/locks",
                Some(("a/b".to_owned(), Place::Locks)),
            ),
            (
                "/x/info/lfs/locks/verify",
                Some(("x".to_owned(), Place::VerifyLocks)),
            ),
            (
                "/x/info/lfs/locks/7/unlock",
                Some(("x".to_owned(), Place::Unlock("7".to_owned()))),
            ),
            ("/x/info/lfs/verify", Some(("x".to_owned(), Place::Verify))),
            (&format!("/a/b.git/info/lfs/objects/{oid}"), object(&oid)),
            ("/a/b.git/info/lfs/objects/../../key", object("../../key")),
            (
                "/a/b.git/info/lfs/objects/..%2f..%2fkey",
                object("../../key"),
            ),
            ("/a/b.git/info/lfs/objects/", None),
            ("/a/b.git/info/lfs/objects", None),
            ("/a/b.git/info/lfs/", None),
            ("/../x/info/lfs/locks", None),
            ("/info/lfs/locks", None),
            ("/lfs.git/info/refs", None),
            ("/lfs/git-upload-pack", None),
            ("/api/v1/repos/x/info/lfs/locks", None),
        ] {
            let found = Place::of(rest).map(|(remote, place)| (remote.repo.to_string(), place));
            assert_eq!(found, expected, "{rest}");
        }
        let (remote, place) = Place::of("/a/b/realities/x.git/info/lfs/locks").unwrap();
        assert_eq!(remote.reality.as_deref(), Some("x"));
        assert_eq!((remote.repo.as_str(), place), ("a/b", Place::Locks));
    }
}
