//! As much of git's config as tells whether a repository is one that we can take in.

use govc_engine::{FsckSeverity, Settings};
use govc_git::{ObjectFormat, config};

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

/// What a repository's config asks of its server, as settings; what it does not speak of has its
/// default, which is not always git's. Gives also what is not taken over, as sentences.
pub(crate) fn settings(config: &[u8]) -> (Settings, Vec<String>) {
    let mut taken = Taken::default();
    let read = config::read(config, &mut |name, value| taken.variable(name, value));
    let mut notes = taken.notes;
    if read.is_err() {
        notes.push("its config ends in what is no configuration".to_owned());
    }
    let mut settings = taken.settings;
    if let Some(check) = taken.receive_fsck.or(taken.transfer_fsck) {
        settings.fsck_objects = check;
    }
    (settings, notes)
}

#[derive(Default)]
struct Taken {
    settings: Settings,
    receive_fsck: Option<bool>,
    transfer_fsck: Option<bool>,
    notes: Vec<String>,
}

impl Taken {
    fn variable(&mut self, name: &[u8], value: Option<&[u8]>) {
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        let text = value.map(String::from_utf8_lossy);
        let settings = &mut self.settings;
        let flag = || boolean(text.as_deref());
        let understood = match name {
            "receive.denynonfastforwards" => set(&mut settings.deny_non_fast_forwards, flag()),
            "receive.denydeletes" => set(&mut settings.deny_deletes, flag()),
            "receive.fsckobjects" => set(&mut self.receive_fsck, flag().map(Some)),
            "transfer.fsckobjects" => set(&mut self.transfer_fsck, flag().map(Some)),
            "receive.maxinputsize" => {
                let bytes = text.as_deref().and_then(bytes);
                // Git's 0 is no limit.
                let limit = bytes.map(|bytes| Some(bytes).filter(|bytes| *bytes > 0));
                set(&mut settings.quotas.push_bytes, limit)
            }
            "transfer.hiderefs" => hide(&mut settings.hide_refs, text.as_deref()),
            "uploadpack.hiderefs" => hide(&mut settings.hide_refs_from_fetches, text.as_deref()),
            "receive.hiderefs" => hide(&mut settings.hide_refs_from_pushes, text.as_deref()),
            "receive.fsck.skiplist" | "include.path" => false,
            "receive.denydeletecurrent" => {
                // The branch that HEAD names is never deleted by a push.
                text.as_deref().is_none_or(|text| text == "refuse") || flag() == Some(true)
            }
            name => match name.strip_prefix("receive.fsck.") {
                Some(finding) => {
                    let severity = text.as_deref().and_then(FsckSeverity::from_name);
                    if let Some(severity) = severity {
                        let finding = finding.to_owned();
                        settings.fsck_severities.insert(finding, severity);
                    }
                    severity.is_some()
                }
                None => true,
            },
        };
        if !understood {
            let value = text.unwrap_or_default();
            self.notes
                .push(format!("its config's {name} = {value} is not taken over"));
        }
    }
}

fn set<T>(place: &mut T, value: Option<T>) -> bool {
    value.is_some_and(|value| {
        *place = value;
        true
    })
}

fn hide(rules: &mut Vec<String>, rule: Option<&str>) -> bool {
    rule.is_some_and(|rule| {
        rules.push(rule.to_owned());
        true
    })
}

/// As git reads a truth; one without a value is true.
fn boolean(value: Option<&str>) -> Option<bool> {
    let Some(value) = value else {
        return Some(true);
    };
    match &value.to_ascii_lowercase()[..] {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "" => Some(false),
        number => number.parse::<i32>().ok().map(|number| number != 0),
    }
}

/// As git reads a number: with `k`, `m` or `g` behind it.
fn bytes(value: &str) -> Option<u64> {
    let digits = value.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
    let unit = match &value[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
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

    #[test]
    fn what_its_owner_asked_of_git_is_asked_of_us() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let git = |name: &str, value: &str| {
            let mut git = std::process::Command::new("git");
            git.args(["config", "--add", "--file"]).arg(&file);
            let status = git.args([name, value]).status();
            assert!(status.is_ok_and(|status| status.success()), "{name}");
        };
        for (name, value) in [
            ("receive.denyNonFastForwards", "true"),
            ("receive.denyDeletes", "yes"),
            ("transfer.fsckObjects", "true"),
            ("receive.fsckObjects", "off"),
            ("receive.maxInputSize", "3m"),
            ("transfer.hideRefs", "refs/hidden"),
            ("transfer.hideRefs", "!refs/hidden/not # this"),
            ("uploadpack.hideRefs", "refs/fetch"),
            ("receive.hideRefs", "refs/push"),
            ("receive.fsck.zeroPaddedFilemode", "ignore"),
            ("receive.fsck.skipList", "/etc/skip"),
            ("receive.denyDeleteCurrent", "ignore"),
            ("receive.denyCurrentBranch", "refuse"),
            ("user.name", "Ada"),
        ] {
            git(name, value);
        }
        let (settings, notes) = super::settings(&std::fs::read(&file).unwrap());
        let mut expected = Settings {
            deny_non_fast_forwards: true,
            deny_deletes: true,
            fsck_objects: false,
            hide_refs: vec![
                "refs/hidden".to_owned(),
                "!refs/hidden/not # this".to_owned(),
            ],
            hide_refs_from_fetches: vec!["refs/fetch".to_owned()],
            hide_refs_from_pushes: vec!["refs/push".to_owned()],
            ..Settings::default()
        };
        expected.quotas.push_bytes = Some(3 << 20);
        let ignored = ("zeropaddedfilemode".to_owned(), FsckSeverity::Ignore);
        expected.fsck_severities.extend([ignored]);
        assert_eq!(settings, expected);
        assert_eq!(
            notes,
            [
                "its config's receive.denydeletecurrent = ignore is not taken over",
                "its config's receive.fsck.skiplist = /etc/skip is not taken over",
            ]
        );
        assert!(super::settings(b"[receive]\ndenyDeletes").0.deny_deletes);
        assert_eq!(super::settings(b"").0, Settings::default());
        assert_eq!(super::settings(b"[rubbish").1.len(), 1);
    }
}
