//! As much of git's config as tells whether a repository is one that we can take in.

use govc_git::ObjectFormat;

/// The hash that a repository's config names.
///
/// # Errors
/// A sentence that names an extension that we do not understand: git forbids to touch the
/// repository then.
pub(crate) fn object_format(config: &str) -> Result<ObjectFormat, String> {
    let mut section = String::new();
    let mut format = ObjectFormat::Sha1;
    for line in config.lines() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix('[') {
            section = rest
                .split(']')
                .next()
                .unwrap_or("")
                .trim()
                .to_ascii_lowercase();
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or((line, "true"));
        let name = name.trim().to_ascii_lowercase();
        let value = value.split(['#', ';']).next().unwrap_or("");
        let value = value.trim().trim_matches('"').to_ascii_lowercase();
        match (section.as_str(), name.as_str()) {
            (_, "") => {}
            (_, name) if name.starts_with(['#', ';']) => {}
            ("core", "repositoryformatversion") if !matches!(&*value, "0" | "1") => {
                return Err(format!("its core.repositoryFormatVersion is {value}"));
            }
            ("extensions", "objectformat") => {
                format = match &*value {
                    "sha1" => ObjectFormat::Sha1,
                    "sha256" => ObjectFormat::Sha256,
                    other => return Err(format!("its objects are named by {other}")),
                };
            }
            ("extensions", "noop" | "preciousobjects" | "worktreeconfig") => {}
            ("extensions", "refstorage") if value == "files" => {}
            ("extensions", name) => {
                return Err(format!(
                    "it has the extension {name} = {value}, which is unknown here"
                ));
            }
            _ => {}
        }
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_that_are_not_known_are_refused() {
        let check = |config: &str| object_format(config);
        assert_eq!(check(""), Ok(ObjectFormat::Sha1));
        assert_eq!(
            check(
                "[core]\n\trepositoryformatversion = 1\n[Extensions]\n objectFormat = sha256 ; x\n"
            ),
            Ok(ObjectFormat::Sha256)
        );
        assert_eq!(
            check("[extensions]\nnoop\n[remote \"o\"]\nurl = x\n"),
            Ok(ObjectFormat::Sha1)
        );
        for bad in [
            "[extensions]\nrefStorage = reftable",
            "[extensions]\npartialClone = origin",
            "[core]\nrepositoryFormatVersion = 2",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
