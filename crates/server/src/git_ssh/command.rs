//! What a client asks to be run: a line as for a shell, of which three are understood.

use govc_engine::RepoId;
use govc_git::wire::Service;

use crate::app::Action;
use crate::app::remote::Remote;

/// A line longer than this is nobody's.
const LINE_BYTES_MAX: usize = 8 << 10;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A service of a repository.
    Git(Service, Remote),
    /// To read a repository's large files, or to write them too, by HTTP.
    Lfs(Action, RepoId),
    /// A service of what can be no repository.
    NoRepository,
    /// Anything else.
    Other,
}

impl Asked {
    /// Reads `git-upload-pack 'path'`, `git upload-pack 'path'` and the same with `receive-pack`.
    /// `git-lfs-authenticate 'path' download` or `upload` is Git LFS's own. The path may begin with `/`, `~/` or nothing, and end with `.git` or not.
    pub fn parse(line: &[u8]) -> Asked {
        if line.len() > LINE_BYTES_MAX {
            return Asked::Other;
        }
        let Some(words) = words(line) else {
            return Asked::Other;
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        // Older clients name the object too.
        if let [b"git-lfs-authenticate", path, operation]
        | [b"git-lfs-authenticate", path, operation, _] = words[..]
        {
            let action = match operation {
                b"download" => Action::Read,
                b"upload" => Action::Write,
                _ => return Asked::Other,
            };
            return match remote(path) {
                // Large files are the repository's, whichever reality needs them.
                Some(remote) => Asked::Lfs(action, remote.repo),
                None => Asked::NoRepository,
            };
        }
        let (service, path) = match words[..] {
            [b"git-upload-pack", path] | [b"git", b"upload-pack", path] => {
                (Service::UploadPack, path)
            }
            [b"git-receive-pack", path] | [b"git", b"receive-pack", path] => {
                (Service::ReceivePack, path)
            }
            _ => return Asked::Other,
        };
        match remote(path) {
            Some(id) => Asked::Git(service, id),
            None => Asked::NoRepository,
        }
    }
}

fn remote(path: &[u8]) -> Option<Remote> {
    let path = std::str::from_utf8(path).ok()?;
    // `ssh://host/~/repo` comes as `/~/repo` or `~/repo`.
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_prefix("~/").unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    Remote::parse(path)
}

/// Takes a line apart as a shell does, without expanding anything: single quotes (Git writes `'` as
/// `'\''` and `!` as `'\!'`), double quotes, backslashes. `None` where a quote is not closed.
pub(crate) fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (None, b' ' | b'\t' | b'\n') => words.extend(word.take()),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (Some(open), byte) if byte == open => quote = None,
            (None | Some(b'"'), b'\\') => word.get_or_insert_default().push(bytes.next()?),
            (_, byte) => word.get_or_insert_default().push(byte),
        }
    }
    if quote.is_some() {
        return None;
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use govc_engine::RepoId;
    use proptest::prelude::*;

    use super::*;

    fn asked(service: Service, id: &str) -> Asked {
        Asked::Git(service, Remote::parse(id).unwrap())
    }

    #[test]
    fn git_is_understood_however_it_is_spelled() {
        let (fetch, push) = (Service::UploadPack, Service::ReceivePack);
        for (line, expected) in [
            ("git-upload-pack '/hello.git'", asked(fetch, "hello")),
            ("git-upload-pack 'hello'", asked(fetch, "hello")),
            ("git-upload-pack hello.git", asked(fetch, "hello")),
            ("git upload-pack '/a/b/c.git/'", asked(fetch, "a/b/c")),
            ("git-receive-pack '~/hello.git'", asked(push, "hello")),
            ("git-receive-pack '/~/hello.git'", asked(push, "hello")),
            ("git receive-pack \"hello\"", asked(push, "hello")),
            ("git-receive-pack 'he'\\''llo'", Asked::NoRepository),
            ("git-receive-pack 'he'\\!'llo'", Asked::NoRepository),
            ("git-upload-pack '/../etc'", Asked::NoRepository),
            ("git-upload-pack '~root/hello'", Asked::NoRepository),
            ("git-upload-pack ''", Asked::NoRepository),
            (
                "git-lfs-authenticate '/hello.git' upload",
                Asked::Lfs(Action::Write, RepoId::parse("hello").unwrap()),
            ),
            ("git-lfs-authenticate hello frobnicate", Asked::Other),
            ("git-lfs-transfer hello upload", Asked::Other),
            ("git-upload-pack", Asked::Other),
            ("git-upload-pack 'hello", Asked::Other),
            ("git-upload-pack 'hello'; ls", Asked::Other),
            ("git-upload-pack 'hello' && ls", Asked::Other),
            ("git-upload-archive 'hello'", Asked::Other),
            ("ls", Asked::Other),
            ("scp -t /tmp", Asked::Other),
            ("", Asked::Other),
        ] {
            assert_eq!(Asked::parse(line.as_bytes()), expected, "{line}");
        }
        assert_eq!(Asked::parse(&[b'x'; LINE_BYTES_MAX + 1]), Asked::Other);
    }

    #[test]
    fn what_git_quotes_is_read_back() {
        assert_eq!(
            words(b"a 'b c' 'd'\\''e'\\!'f' \"g\\\"h\" \\i ''"),
            Some(
                ["a", "b c", "d'e!f", "g\"h", "i", ""]
                    .map(|word| word.as_bytes().to_vec())
                    .into()
            )
        );
        assert_eq!(words(b"a\\"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Asked::parse(&line);
        }
    }
}
