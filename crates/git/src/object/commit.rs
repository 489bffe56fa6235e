//! Commits: read as Git reads them, written as Git writes them.

use std::borrow::Cow;

use memchr::memchr;
use smallvec::SmallVec;

use crate::{ObjectFormat, ObjectId, ObjectKind};

use super::header::{Headers, c_number};
use super::{ParseError, Signature, SignatureRef};

/// A commit, looked at where it lies.
///
/// As tolerant as Git is when it reads: only `tree` and the `parent` lines must be right. What
/// else there may be wrong with a commit is [`check`](super::check)'s business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRef<'a> {
    /// The root tree.
    pub tree: ObjectId,
    /// The commits that this one continues, in their order.
    pub parents: SmallVec<[ObjectId; 2]>,
    /// Who wrote the change; empty fields when the commit does not say.
    pub author: SignatureRef<'a>,
    /// Who made the commit; empty fields when the commit does not say.
    pub committer: SignatureRef<'a>,
    /// The charset of the message, where it is not UTF-8.
    pub encoding: Option<&'a [u8]>,
    /// All other headers in their order (`gpgsig`, `mergetag`, …), continuation lines joined.
    pub extra_headers: Vec<(&'a [u8], Cow<'a, [u8]>)>,
    /// What is behind the blank line.
    pub message: &'a [u8],
}

/// What the commit graph needs of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// The root tree.
    pub tree: ObjectId,
    /// The commits that this one continues, in their order.
    pub parents: SmallVec<[ObjectId; 2]>,
    /// Seconds since 1970 of the committer, by which Git sorts: 0 when there are none, the
    /// largest number when they do not fit.
    pub committer_time: i64,
}

/// A commit to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewCommit<'a> {
    /// The root tree.
    pub tree: ObjectId,
    /// The commits that this one continues, in their order.
    pub parents: &'a [ObjectId],
    /// Who wrote the change.
    pub author: &'a Signature,
    /// Who makes the commit.
    pub committer: &'a Signature,
    /// The charset of the message, where it is not UTF-8.
    pub encoding: Option<&'a [u8]>,
    /// The message, exactly as it will stand there: see [`message::clean`](crate::message::clean).
    pub message: &'a [u8],
}

impl CommitRef<'_> {
    /// Takes `data` for a commit.
    ///
    /// # Errors
    /// [`ParseError`] when `tree` or a `parent` is not there or holds no id of `format`.
    pub fn parse(data: &[u8], format: ObjectFormat) -> Result<CommitRef<'_>, ParseError> {
        let mut headers = Headers::new(ObjectKind::Commit, data);
        let (tree, parents) = tree_and_parents(&mut headers, format)?;
        let mut commit = CommitRef {
            tree,
            parents,
            author: SignatureRef::default(),
            committer: SignatureRef::default(),
            encoding: None,
            extra_headers: Vec::new(),
            message: b"",
        };
        // They belong in this order and once each, but Git shows what it finds: of two, the last.
        loop {
            if let Some(line) = headers.value(b"author ") {
                commit.author = SignatureRef::parse(line);
            } else if let Some(line) = headers.value(b"committer ") {
                commit.committer = SignatureRef::parse(line);
            } else if commit.encoding.is_none()
                && let Some(encoding) = headers.value(b"encoding ")
            {
                commit.encoding = Some(encoding);
            } else if let Some(header) = headers.any() {
                commit.extra_headers.push(header);
            } else {
                break;
            }
        }
        commit.message = headers.message();
        Ok(commit)
    }

    /// The first paragraph of the message as one line, as `git log --format=%s` has it.
    pub fn summary(&self) -> Vec<u8> {
        crate::message::summary(self.message)
    }
}

/// What the graph needs of the commit in `data`, without a look at the rest.
///
/// # Errors
/// As [`CommitRef::parse`].
pub fn facts(data: &[u8], format: ObjectFormat) -> Result<CommitFacts, ParseError> {
    let mut headers = Headers::new(ObjectKind::Commit, data);
    let (tree, parents) = tree_and_parents(&mut headers, format)?;
    // The keys without their spaces, and no committer without an author, as in Git's commit.c.
    let committer_time = headers
        .value(b"author")
        .and_then(|_| headers.rest().strip_prefix(b"committer"))
        .map_or(0, sorting_time);
    Ok(CommitFacts {
        tree,
        parents,
        committer_time,
    })
}

/// The time that Git sorts by: a number as C reads it behind the first `>`, on a line that is not
/// the commit's last. It need not be the time that Git shows.
fn sorting_time(committer: &[u8]) -> i64 {
    let line = memchr(b'>', committer)
        .map(|close| &committer[close + 1..])
        .and_then(|behind| {
            let end = memchr(b'\n', behind)? + 1;
            (end < behind.len()).then_some(&behind[..end])
        });
    line.map_or(0, |line| {
        let (seconds, _) = c_number(line);
        i64::try_from(seconds).unwrap_or(i64::MAX)
    })
}

fn tree_and_parents(
    headers: &mut Headers<'_>,
    format: ObjectFormat,
) -> Result<(ObjectId, SmallVec<[ObjectId; 2]>), ParseError> {
    const TREE: &str = "\"tree \", an object id and a newline";
    const PARENT: &str = "an object id and a newline after \"parent \"";
    let tree = headers
        .id(b"tree ", format, TREE)?
        .ok_or_else(|| headers.error(TREE))?;
    // Git takes a commit that ends here for none.
    if headers.rest().is_empty() {
        return Err(headers.error("more than a tree"));
    }
    let mut parents = SmallVec::new();
    while let Some(parent) = headers.id(b"parent ", format, PARENT)? {
        parents.push(parent);
    }
    Ok((tree, parents))
}

/// Appends a header line that names an object.
fn put_id(out: &mut Vec<u8>, key: &[u8], id: &ObjectId) {
    let mut hex = [0; ObjectFormat::longest().len_in_hex()];
    out.extend_from_slice(key);
    out.extend_from_slice(id.hex_to_buf(&mut hex).as_bytes());
    out.push(b'\n');
}

impl NewCommit<'_> {
    /// The bytes of the commit.
    pub fn encode(&self) -> Vec<u8> {
        const PEOPLE_AND_KEYS_BYTES: usize = 256;
        let mut out = Vec::with_capacity(
            PEOPLE_AND_KEYS_BYTES + 72 * (1 + self.parents.len()) + self.message.len(),
        );
        put_id(&mut out, b"tree ", &self.tree);
        for parent in self.parents {
            put_id(&mut out, b"parent ", parent);
        }
        out.extend_from_slice(b"author ");
        self.author.write_to(&mut out);
        out.extend_from_slice(b"\ncommitter ");
        self.committer.write_to(&mut out);
        out.push(b'\n');
        if let Some(encoding) = self.encoding {
            out.extend_from_slice(b"encoding ");
            out.extend_from_slice(encoding);
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(self.message);
        out
    }
}
