//! Which repository a path names, and what is asked of it.

use govc_git::wire::Service;

use crate::app::remote::Remote;
use crate::http::path::decode;

/// A path that Git asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `/{repo}.git/info/refs`: where every conversation begins.
    InfoRefs(Remote),
    /// `/{repo}.git/git-upload-pack`, `/{repo}.git/git-receive-pack`.
    Service(Remote, Service),
}

impl Place {
    /// The place that `path` names, if Git asks for such; `.git` may be left out.
    pub fn of(path: &str) -> Option<Place> {
        let path = String::from_utf8(decode(path)).ok()?;
        let path = path.strip_prefix('/')?;
        if let Some(repo) = path.strip_suffix("/info/refs") {
            return Some(Place::InfoRefs(Remote::parse(repo)?));
        }
        let (repo, service) = path.rsplit_once('/')?;
        let service = Service::from_name(service)?;
        Some(Place::Service(Remote::parse(repo)?, service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_slashes_and_git_may_be_left_out() {
        let hello = Remote::parse("hello").unwrap();
        let nested = Remote::parse("a/b/c").unwrap();
        for (path, expected) in [
            ("/hello.git/info/refs", Some(Place::InfoRefs(hello.clone()))),
            ("/hello/info/refs", Some(Place::InfoRefs(hello))),
            (
                "/a/b/c.git/git-upload-pack",
                Some(Place::Service(nested.clone(), Service::UploadPack)),
            ),
            (
                "/a%2Fb/c/git-receive-pack",
                Some(Place::Service(nested, Service::ReceivePack)),
            ),
            ("/hello.git/git-upload-archive", None),
            ("/hello.git", None),
            ("/info/refs", None),
            ("/../info/refs", None),
            ("//info/refs", None),
            ("/api/x/info/refs", None),
        ] {
            assert_eq!(Place::of(path), expected, "{path}");
        }
    }
}
