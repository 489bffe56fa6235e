//! Annotated tags.

use std::io::Write as _;

use crate::{ObjectFormat, ObjectId, ObjectKind};

use super::header::Headers;
use super::{ParseError, Signature, SignatureRef};

/// A tag, looked at where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRef<'a> {
    /// What it names.
    pub target: ObjectId,
    /// What that is said to be.
    pub target_kind: ObjectKind,
    /// The name it gives.
    pub name: &'a [u8],
    /// Who made it. The oldest tags do not say.
    pub tagger: Option<SignatureRef<'a>>,
    /// What is behind the blank line, a signature included.
    pub message: &'a [u8],
}

/// A tag to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewTag<'a> {
    /// What it names.
    pub target: ObjectId,
    /// What that is.
    pub target_kind: ObjectKind,
    /// The name it gives: `v1.0`, without `refs/tags/`.
    pub name: &'a [u8],
    /// Who makes it.
    pub tagger: &'a Signature,
    /// The message, exactly as it will stand there: see [`message::clean`](crate::message::clean).
    pub message: &'a [u8],
}

impl TagRef<'_> {
    /// Takes `data` for a tag, as tolerant as Git is when it reads.
    ///
    /// # Errors
    /// [`ParseError`] when one of `object`, `type` and `tag` is not there or cannot be read.
    pub fn parse(data: &[u8], format: ObjectFormat) -> Result<TagRef<'_>, ParseError> {
        const OBJECT: &str = "\"object \", an object id and a newline";
        const TYPE: &str = "\"type \" and one of commit, tree, blob, tag";
        const NAME: &str = "\"tag \" and a name";
        let mut headers = Headers::new(ObjectKind::Tag, data);
        let target = headers
            .id(b"object ", format, OBJECT)?
            .ok_or_else(|| headers.error(OBJECT))?;
        let type_error = headers.error(TYPE);
        let target_kind = headers
            .value(b"type ")
            .and_then(ObjectKind::from_name)
            .ok_or(type_error)?;
        let name = headers.value(b"tag ").ok_or_else(|| headers.error(NAME))?;
        let tagger = headers.value(b"tagger ").map(SignatureRef::parse);
        Ok(TagRef {
            target,
            target_kind,
            name,
            tagger,
            message: headers.message(),
        })
    }
}

impl NewTag<'_> {
    /// The bytes of the tag.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.message.len());
        // Writing into a Vec cannot fail.
        let _ = write!(
            out,
            "object {}\ntype {}\ntag ",
            self.target,
            self.target_kind.name()
        );
        out.extend_from_slice(self.name);
        out.extend_from_slice(b"\ntagger ");
        self.tagger.write_to(&mut out);
        out.extend_from_slice(b"\n\n");
        out.extend_from_slice(self.message);
        out
    }
}
