//! What both sides made of one file.

use bytes::Bytes;
use govc_git::object::tree::MODE_SUBMODULE;
use govc_git::object_id::hash_object;
use govc_git::xdiff::{self, Favor, MARKER_SIZE};
use govc_git::{ObjectKind, xdiff::XdiffError};

use super::MergeError;
use super::conflict::MessageKind;
use super::state::{BASE, Merge, OURS, Path, THEIRS, Version};
use crate::{NewObject, ObjectBody};

/// Three versions of a file of one kind.
pub(super) struct Contents<'c> {
    /// The path that messages name.
    pub(super) path: &'c [u8],
    pub(super) versions: [Version; 3],
    /// Their paths in their own trees.
    pub(super) names: &'c [Path; 3],
    /// How much longer conflict markers are than usual.
    pub(super) marker_size_more: u32,
}

/// What came of it.
pub(super) struct MergedContents {
    pub(super) version: Version,
    pub(super) is_clean: bool,
    /// It is no text.
    pub(super) is_binary: bool,
    /// Only its mode could not be merged.
    pub(super) is_mode: bool,
}

impl Merge<'_> {
    /// Merges mode and content.
    pub(super) fn merge_contents(
        &mut self,
        contents: &Contents<'_>,
    ) -> Result<MergedContents, MergeError> {
        let [base, ours, theirs] = contents.versions;
        let mut merged = MergedContents {
            version: ours,
            is_clean: true,
            is_binary: false,
            is_mode: false,
        };
        if ours.mode == theirs.mode || ours.mode == base.mode {
            merged.version.mode = theirs.mode;
        } else {
            merged.is_clean = theirs.mode == base.mode;
            merged.is_mode = !merged.is_clean;
        }
        // Without a base of the same kind there is none.
        let has_base = base.kind_bits() == ours.kind_bits();
        if ours.id == theirs.id || ours.id == base.id {
            merged.version.id = theirs.id;
        } else if theirs.id == base.id {
            merged.version.id = ours.id;
        } else if ours.is_regular() {
            let is_clean = self.merge_texts(contents, has_base, &mut merged)?;
            merged.is_mode &= is_clean;
            merged.is_clean &= is_clean;
        } else if ours.mode == MODE_SUBMODULE {
            // Its commits are in another repository.
            merged.is_clean = false;
            merged.version.id = if self.depth > 0 { base.id } else { ours.id };
            let path = &contents.names[BASE];
            self.say(
                MessageKind::SubmoduleNotInitialized,
                &[path],
                &[b"Failed to merge submodule ", path, b" (not checked out)"],
            );
            if self.depth > 0 {
                merged.version = if has_base {
                    Version {
                        mode: merged.version.mode,
                        id: base.id,
                    }
                } else {
                    base
                };
            }
        } else if self.depth > 0 {
            // A symbolic link.
            merged.is_clean = false;
            merged.version = base;
        } else {
            match self.options.favor {
                Favor::Ours => {}
                Favor::Theirs => merged.version.id = theirs.id,
                Favor::Neither | Favor::Union => merged.is_clean = false,
            }
        }
        Ok(merged)
    }

    /// Merges three texts, the first of which may be none; whether that left no conflict.
    fn merge_texts(
        &mut self,
        contents: &Contents<'_>,
        has_base: bool,
        merged: &mut MergedContents,
    ) -> Result<bool, MergeError> {
        let [base, ours, theirs] = contents.versions;
        let read = |version: Version| self.text(&version);
        let base_text = match has_base {
            true => read(base)?,
            false => Bytes::new(),
        };
        let (ours_text, theirs_text) = (read(ours)?, read(theirs)?);
        let labels = self.labels_of(contents);
        let favor = match self.depth {
            0 => self.options.favor,
            _ => Favor::Neither,
        };
        let path = contents.path;
        let is_binary = [&base_text, &ours_text, &theirs_text]
            .iter()
            .any(|text| xdiff::is_binary(text));
        let merge = || {
            let labels = xdiff::Labels {
                base: &labels[BASE],
                ours: &labels[OURS],
                theirs: &labels[THEIRS],
            };
            let options = xdiff::MergeOptions {
                marker_size: MARKER_SIZE + contents.marker_size_more,
                favor,
                ..xdiff::MergeOptions::default()
            };
            xdiff::merge_text(&base_text, &ours_text, &theirs_text, &labels, &options)
        };
        let done = match is_binary {
            true => Err(XdiffError::TooLarge { bytes: 0, lines: 0 }),
            false => merge(),
        };
        let is_clean = match done {
            Ok(text) => {
                let id = hash_object(self.format, ObjectKind::Blob, &text.text)?;
                self.blobs.push(NewObject {
                    id,
                    kind: ObjectKind::Blob,
                    body: ObjectBody::Whole(text.text.into()),
                });
                merged.version.id = id;
                text.conflicts == 0
            }
            // What is too large to have lines is taken for binary.
            Err(XdiffError::TooLarge { .. }) => {
                merged.is_binary = true;
                let taken = match (self.depth, favor) {
                    (0, Favor::Theirs) => theirs,
                    (0, _) => ours,
                    _ => base,
                };
                merged.version.id = taken.id;
                if self.depth > 0 && !has_base {
                    // The base is an empty file then.
                    let id = hash_object(self.format, ObjectKind::Blob, b"")?;
                    self.blobs.push(NewObject {
                        id,
                        kind: ObjectKind::Blob,
                        body: ObjectBody::Whole(Bytes::new()),
                    });
                    merged.version.id = id;
                }
                let is_decided = self.depth > 0 || matches!(favor, Favor::Ours | Favor::Theirs);
                if !is_decided {
                    let [_, mine, other] = &labels;
                    let (mine, other) = (mine.clone(), other.clone());
                    self.say(
                        MessageKind::Binary,
                        &[path],
                        &[
                            b"warning: Cannot merge binary files: ",
                            path,
                            b" (",
                            &mine,
                            b" vs. ",
                            &other,
                            b")",
                        ],
                    );
                }
                is_decided
            }
            Err(source) => {
                return Err(MergeError::Text {
                    path: path.to_vec(),
                    source,
                });
            }
        };
        self.say(MessageKind::AutoMerging, &[path], &[b"Auto-merging ", path]);
        Ok(is_clean)
    }

    /// A blob, which may have been merged a moment ago.
    fn text(&self, version: &Version) -> Result<Bytes, MergeError> {
        let mut merged = self.blobs.iter().filter(|blob| blob.id == version.id);
        match merged.next().map(|blob| &blob.body) {
            Some(ObjectBody::Whole(text)) => Ok(text.clone()),
            _ => Ok(self.pool.get_kind(&version.id, ObjectKind::Blob)?),
        }
    }

    /// The labels behind markers; with paths where these differ.
    fn labels_of(&self, contents: &Contents<'_>) -> [Vec<u8>; 3] {
        let names = contents.names;
        let is_one = names[BASE] == names[OURS] && names[OURS] == names[THEIRS];
        let labels = [self.labels.ancestor, self.labels.ours, self.labels.theirs];
        [BASE, OURS, THEIRS].map(|side| {
            let mut label = labels[side].to_vec();
            if !is_one {
                label.push(b':');
                label.extend_from_slice(&names[side]);
            }
            // As git makes every path.
            match label.strip_prefix(b"./") {
                None => label,
                Some(rest) => {
                    let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
                    rest[slashes..].to_vec()
                }
            }
        })
    }
}
