//! The rules for annotated tags.

use crate::{ObjectFormat, ObjectKind, refname};

use super::Finding;
use super::headers::Cursor;

/// Errors end the check and are returned; what passes goes to `on_finding`.
pub(super) fn check(
    data: &[u8],
    format: ObjectFormat,
    on_finding: &mut dyn FnMut(Finding),
) -> Result<(), Finding> {
    let mut cursor = Cursor::new(data)?;
    if !cursor.skip(b"object ") {
        return Err(Finding::error(
            "missingObject",
            "invalid format - expected 'object' line",
        ));
    }
    if cursor.id_line(format).is_none() {
        return Err(Finding::error(
            "badObjectSha1",
            "invalid 'object' line format - bad sha1",
        ));
    }
    if !cursor.skip(b"type ") {
        return Err(Finding::error(
            "missingTypeEntry",
            "invalid format - expected 'type' line",
        ));
    }
    let Some(kind) = cursor.line() else {
        return Err(Finding::error(
            "missingType",
            "invalid format - unexpected end after 'type' line",
        ));
    };
    if ObjectKind::from_name(kind).is_none() {
        return Err(Finding::error("badType", "invalid 'type' value"));
    }
    if !cursor.skip(b"tag ") {
        return Err(Finding::error(
            "missingTagEntry",
            "invalid format - expected 'tag' line",
        ));
    }
    let Some(name) = cursor.line() else {
        return Err(Finding::error(
            "missingTag",
            "invalid format - unexpected end after 'type' line",
        ));
    };
    if !refname::is_well_made_below(name) {
        on_finding(Finding::warn(
            "badTagName",
            format!("invalid 'tag' name: {}", String::from_utf8_lossy(name)),
        ));
    }
    if cursor.skip(b"tagger ") {
        return cursor.person();
    }
    // Early tags do not say who made them.
    on_finding(Finding::warn(
        "missingTaggerEntry",
        "invalid format - expected 'tagger' line",
    ));
    // Further headers are extraHeaderEntry, which is ignored by default.
    Ok(())
}
