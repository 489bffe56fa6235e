//! Paths as they were sent: `%2F` and `/` mean the same in `{path}`, `{name…}` and `{rev…}`, and
//! what is decoded need not be UTF-8.

use govc_engine::RepoId;

use crate::app::error::AppError;

/// The path of an API request, taken apart: `/api/v1/repos/{repo}/{noun}/{rest}`.
#[derive(Debug, Clone, Default)]
pub struct ApiPath {
    /// The repository id as it was sent, decoded.
    pub repo: Vec<u8>,
    /// All that follows the noun, decoded; `None` when nothing does, not even a slash.
    pub rest: Option<Vec<u8>>,
}

impl ApiPath {
    /// Takes the raw path of a request apart.
    pub fn of(raw: &str) -> ApiPath {
        let Some(below) = raw.strip_prefix("/api/v1/repos/") else {
            return ApiPath::default();
        };
        let mut parts = below.splitn(3, '/');
        let repo = decode(parts.next().unwrap_or_default());
        let rest = parts.nth(1).map(decode);
        ApiPath { repo, rest }
    }

    /// The repository that is asked for. An id that cannot be is one that is not there.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`].
    pub fn repo(&self) -> Result<RepoId, AppError> {
        let not_found = || AppError::RepoNotFound {
            repo: String::from_utf8_lossy(&self.repo).into_owned(),
        };
        let text = std::str::from_utf8(&self.repo).map_err(|_| not_found())?;
        RepoId::parse(text).map_err(|_| not_found())
    }

    /// Of `{at}/{noun}/{rest}`, which followed the noun: the moment, and what follows the noun in
    /// it. A moment has no slash.
    pub fn take_moment(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut parts = self.rest().splitn(3, |&byte| byte == b'/');
        let at = parts.next().unwrap_or_default().to_vec();
        (at, parts.nth(1).map(<[u8]>::to_vec))
    }

    /// What follows the noun; empty when nothing does.
    pub fn rest(&self) -> &[u8] {
        self.rest.as_deref().unwrap_or_default()
    }
}

/// `text` with its percent-encoding undone. A `%` that begins no pair of hex digits is itself.
pub fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = (byte == b'%').then(|| {
            let high = (*bytes.get(at + 1)? as char).to_digit(16)?;
            let low = (*bytes.get(at + 2)? as char).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        });
        match pair.flatten() {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// `bytes` as a part of a URL's path or query: everything but letters, digits and `-._~` encoded,
/// and `/` kept where `keep_slashes`.
pub fn encode(bytes: &[u8], keep_slashes: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || (keep_slashes && byte == b'/');
        if plain {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_mean_the_same_encoded_or_not() {
        let check = |raw: &str, repo: &str, rest: Option<&str>| {
            let path = ApiPath::of(raw);
            assert_eq!(path.repo, repo.as_bytes(), "{raw}");
            assert_eq!(path.rest.as_deref(), rest.map(str::as_bytes), "{raw}");
        };
        check("/api/v1/repos/a", "a", None);
        check("/api/v1/repos/group%2Fproject/tree", "group/project", None);
        check(
            "/api/v1/repos/group%2fproject/tree/",
            "group/project",
            Some(""),
        );
        check(
            "/api/v1/repos/a/read/src%2Fmain.rs",
            "a",
            Some("src/main.rs"),
        );
        check("/api/v1/repos/a/read/src/main.rs", "a", Some("src/main.rs"));
        check("/api/v1/repos/a/read/100%25%", "a", Some("100%%"));
        check("/api/v1/repos/a/read/%zz%4", "a", Some("%zz%4"));
        check("/health", "", None);
        assert_eq!(ApiPath::of("/api/v1/repos/a/read/%FF").rest(), b"\xff");
        let then = ApiPath::of("/api/v1/repos/a/time-travel/17/read/src%2Fmain.rs");
        let rest = Some(b"src/main.rs".to_vec());
        assert_eq!(then.take_moment(), (b"17".to_vec(), rest));
        let then = ApiPath::of("/api/v1/repos/a/time-travel/2024-05-01T10:00:00%2B02:00");
        assert_eq!(
            then.take_moment(),
            (b"2024-05-01T10:00:00+02:00".to_vec(), None)
        );
        assert_eq!(encode(b"a b/\xff", true), "a%20b/%FF");
        assert_eq!(encode(b"a/b", false), "a%2Fb");
    }
}
