//! The rules for commits. Every finding is an error, and the first one is the last.

use crate::ObjectFormat;

use super::Finding;
use super::headers::Cursor;

pub(super) fn check(data: &[u8], format: ObjectFormat) -> Result<(), Finding> {
    let mut cursor = Cursor::new(data)?;
    if !cursor.skip(b"tree ") {
        return Err(Finding::error(
            "missingTree",
            "invalid format - expected 'tree' line",
        ));
    }
    if cursor.id_line(format).is_none() {
        return Err(Finding::error(
            "badTreeSha1",
            "invalid 'tree' line format - bad sha1",
        ));
    }
    while cursor.skip(b"parent ") {
        if cursor.id_line(format).is_none() {
            return Err(Finding::error(
                "badParentSha1",
                "invalid 'parent' line format - bad sha1",
            ));
        }
    }
    let mut authors = 0u32;
    while cursor.skip(b"author ") {
        authors = authors.saturating_add(1);
        cursor.person()?;
    }
    match authors {
        0 => {
            return Err(Finding::error(
                "missingAuthor",
                "invalid format - expected 'author' line",
            ));
        }
        1 => {}
        _ => {
            return Err(Finding::error(
                "multipleAuthors",
                "invalid format - multiple 'author' lines",
            ));
        }
    }
    if !cursor.skip(b"committer ") {
        return Err(Finding::error(
            "missingCommitter",
            "invalid format - expected 'committer' line",
        ));
    }
    cursor.person()?;
    if data.contains(&0) {
        return Err(Finding::error(
            "nulInCommit",
            "NUL byte in the commit object body",
        ));
    }
    Ok(())
}
