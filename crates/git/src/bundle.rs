//! Bundles: a pack with the refs that it is about, in one file (gitformat-bundle(5)).

use crate::wire::advertise::format_name;
use crate::wire::push_hex;
use crate::{ObjectFormat, ObjectId};

/// What stands before a bundle's pack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BundleHeader {
    /// Commits that the receiver must have, with all that they reach, each with its subject.
    pub prerequisites: Vec<(ObjectId, Vec<u8>)>,
    /// Names, and the objects that they name.
    pub refs: Vec<(ObjectId, Vec<u8>)>,
}

impl BundleHeader {
    /// The header's bytes, which the pack follows: version 2, as every git reads it, where the
    /// hash is SHA-1, else version 3, which says what the hash is.
    pub fn write(&self, format: ObjectFormat) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * (1 + self.prerequisites.len() + self.refs.len()));
        if format == ObjectFormat::Sha1 {
            out.extend_from_slice(b"# v2 git bundle\n");
        } else {
            out.extend_from_slice(b"# v3 git bundle\n@object-format=");
            out.extend_from_slice(format_name(format).as_bytes());
            out.push(b'\n');
        }
        for (id, subject) in &self.prerequisites {
            out.push(b'-');
            push_hex(&mut out, id);
            out.push(b' ');
            let line = subject.split(|byte| matches!(byte, b'\n' | 0)).next();
            out.extend_from_slice(line.unwrap_or_default());
            out.push(b'\n');
        }
        for (id, name) in &self.refs {
            push_hex(&mut out, id);
            out.push(b' ');
            out.extend_from_slice(name);
            out.push(b'\n');
        }
        out.push(b'\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_says_what_the_hash_is() {
        for (format, first) in [
            (ObjectFormat::Sha1, "# v2 git bundle\n"),
            (
                ObjectFormat::Sha256,
                "# v3 git bundle\n@object-format=sha256\n",
            ),
        ] {
            let id = format.empty_tree();
            let header = BundleHeader {
                prerequisites: vec![(id, b"a subject\nand more".to_vec())],
                refs: vec![(id, b"refs/heads/main".to_vec())],
            };
            assert_eq!(
                String::from_utf8(header.write(format)).unwrap(),
                format!("{first}-{id} a subject\n{id} refs/heads/main\n\n")
            );
        }
    }
}
