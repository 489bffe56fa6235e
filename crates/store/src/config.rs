//! As much of git's config as tells whether a repository is one that we can take in.

use std::io;
use std::path::Path;

use govc_engine::{FsckSeverity, Settings};
use govc_git::wire::filter;
use govc_git::{ObjectFormat, ObjectId, config};

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
/// default, which is not always git's. A list of objects that it names is read by `read_list`.
/// Gives also what is not taken over, as sentences.
pub(crate) fn settings(
    config: &[u8],
    read_list: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> (Settings, Vec<String>) {
    let mut taken = Taken::default();
    let read = config::read(config, &mut |name, value| taken.variable(name, value));
    if read.is_err() {
        let what = "its config ends in what is no configuration";
        taken.notes.push(what.to_owned());
    }
    for list in std::mem::take(&mut taken.skip_lists) {
        let ids = read_list(Path::new(&list)).map_err(|error| error.to_string());
        match ids.and_then(|text| ids_of(&text)) {
            Ok(ids) => taken.settings.fsck_skip.extend(ids),
            Err(why) => taken.notes.push(format!(
                "its config's receive.fsck.skiplist = {list} is not taken over: {why}"
            )),
        }
    }
    taken.whole()
}

/// The ids of a list as git's `fsck.skipList`: one a line, comments behind `#`.
fn ids_of(text: &[u8]) -> Result<Vec<ObjectId>, String> {
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.split(|byte| *byte == b'#').next().unwrap_or_default());
    let lines = lines
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    let id = |line: &[u8]| {
        ObjectId::from_hex(line).map_err(|_| format!("\"{}\" is no object id", line.escape_ascii()))
    };
    lines.map(id).collect()
}

/// What was read of a config so far.
#[derive(Default)]
struct Taken {
    settings: Settings,
    receive_fsck: Option<bool>,
    transfer_fsck: Option<bool>,
    /// A depth was named, which lets the filter be used.
    tree_filter: bool,
    skip_lists: Vec<String>,
    /// All rules about what fetches and pushes are not shown, in their order: of `uploadpack` or
    /// `receive` those that are marked, of `transfer` the others.
    hidden_from_fetches: Vec<(bool, String)>,
    hidden_from_pushes: Vec<(bool, String)>,
    notes: Vec<String>,
}

impl Taken {
    fn variable(&mut self, name: &[u8], value: Option<&[u8]>) {
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        let text = value.map(String::from_utf8_lossy);
        let text = text.as_deref();
        let understood = match name.split_once('.') {
            Some(("receive", key)) => self.receive(key, text),
            Some(("uploadpack", key)) => self.upload_pack(key, text),
            Some(("uploadpackfilter", key)) => self.filter(key, text),
            Some(("transfer", key)) => self.transfer(key, text),
            Some(("lsrefs", "unborn")) => {
                let known = matches!(text, Some("advertise" | "allow" | "ignore"));
                self.settings.fetch.unborn_head = Some(text != Some("ignore"));
                known
            }
            Some(("include", "path")) => false,
            _ => true,
        };
        if !understood {
            let value = text.unwrap_or_default();
            self.notes
                .push(format!("its config's {name} = {value} is not taken over"));
        }
    }

    /// A variable of the section `receive`. Gives whether it was understood, as the others.
    fn receive(&mut self, key: &str, text: Option<&str>) -> bool {
        let settings = &mut self.settings;
        let flag = || boolean(text);
        match key {
            "denynonfastforwards" => set(&mut settings.deny_non_fast_forwards, flag()),
            "denydeletes" => set(&mut settings.deny_deletes, flag()),
            "denydeletecurrent" => {
                let refuses = match text {
                    Some("refuse") => Some(true),
                    Some("warn" | "ignore") => Some(false),
                    _ => flag(),
                };
                set(&mut settings.deny_delete_current, refuses)
            }
            "advertiseatomic" => set(&mut settings.atomic_pushes, flag()),
            "advertisepushoptions" => set(&mut settings.push_options, flag()),
            "fsckobjects" => set(&mut self.receive_fsck, flag().map(Some)),
            "maxinputsize" => {
                let bytes = text.and_then(bytes);
                // Git's 0 is no limit.
                let limit = bytes.map(|bytes| Some(bytes).filter(|bytes| *bytes > 0));
                set(&mut settings.quotas.push_bytes, limit)
            }
            "hiderefs" => hide(&mut self.hidden_from_pushes, true, text),
            // The server has one, and what it is stays out of answers and logs.
            "certnonceseed" => {
                let why = "its config's receive.certnonceseed is not taken over: signed pushes need \
                           the server's receive.cert_nonce_seed";
                self.notes.push(why.to_owned());
                true
            }
            "fsck.skiplist" => text.is_some_and(|text| {
                self.skip_lists.push(text.to_owned());
                true
            }),
            key => match key.strip_prefix("fsck.") {
                Some(finding) => {
                    let severity = text.and_then(FsckSeverity::from_name);
                    if let Some(severity) = severity {
                        let finding = finding.to_owned();
                        settings.fsck_severities.insert(finding, severity);
                    }
                    severity.is_some()
                }
                None => true,
            },
        }
    }

    fn upload_pack(&mut self, key: &str, text: Option<&str>) -> bool {
        let rules = &mut self.settings.fetch;
        let flag = boolean(text).map(Some);
        match key {
            "hiderefs" => hide(&mut self.hidden_from_fetches, true, text),
            "allowfilter" => set(&mut rules.filter, flag),
            "allowrefinwant" => set(&mut rules.ref_in_want, flag),
            "allowsidebandall" => set(&mut rules.sideband_all, flag),
            "allowtipsha1inwant" => set(&mut rules.tip_wants, flag),
            "allowreachablesha1inwant" => set(&mut rules.reachable_wants, flag),
            "allowanysha1inwant" => {
                // What no ref reaches is wanted by nobody here, whatever the config says.
                set(&mut rules.tip_wants, flag)
                    && set(&mut rules.reachable_wants, flag)
                    && flag == Some(Some(false))
            }
            "packobjectshook" | "blobpackfileuri" => false,
            _ => true,
        }
    }

    fn filter(&mut self, key: &str, text: Option<&str>) -> bool {
        let rules = &mut self.settings.fetch;
        match key.rsplit_once('.') {
            None if key == "allow" => set(&mut rules.other_filters, boolean(text).map(Some)),
            Some((kind, "allow")) if filter::NAMES.contains(&kind) => {
                let taken = boolean(text);
                rules
                    .filters
                    .extend(taken.map(|taken| (kind.to_owned(), taken)));
                taken.is_some()
            }
            Some(("tree", "maxdepth")) => {
                set(&mut rules.tree_filter_depth, text.and_then(bytes).map(Some))
                    && set(&mut self.tree_filter, Some(true))
            }
            _ => false,
        }
    }

    fn transfer(&mut self, key: &str, text: Option<&str>) -> bool {
        let flag = boolean(text).map(Some);
        match key {
            "fsckobjects" => set(&mut self.transfer_fsck, flag),
            "advertisesid" => set(&mut self.settings.fetch.session_id, flag),
            "hiderefs" => {
                hide(&mut self.hidden_from_fetches, false, text)
                    && hide(&mut self.hidden_from_pushes, false, text)
                    && hide_from_all(&mut self.settings.hide_refs, text)
            }
            _ => true,
        }
    }

    fn whole(self) -> (Settings, Vec<String>) {
        let mut settings = self.settings;
        if let Some(check) = self.receive_fsck.or(self.transfer_fsck) {
            settings.fsck_objects = check;
        }
        if self.tree_filter {
            let tree = settings.fetch.filters.entry("tree".to_owned());
            tree.or_insert(true);
        }
        settings.hide_refs_from_fetches = own_rules(self.hidden_from_fetches);
        settings.hide_refs_from_pushes = own_rules(self.hidden_from_pushes);
        (settings, self.notes)
    }
}

/// The rules of one service: its own, which decide before those of both. In git the last one
/// decides, so that where one of both follows, all of them are the service's own.
fn own_rules(rules: Vec<(bool, String)>) -> Vec<String> {
    let first = rules
        .iter()
        .position(|(own, _)| *own)
        .unwrap_or(rules.len());
    let are_last = rules[first..].iter().all(|(own, _)| *own);
    let taken = rules.into_iter().filter(|(own, _)| *own || !are_last);
    taken.map(|(_, rule)| rule).collect()
}

fn set<T>(place: &mut T, value: Option<T>) -> bool {
    value.is_some_and(|value| {
        *place = value;
        true
    })
}

fn hide(rules: &mut Vec<(bool, String)>, own: bool, rule: Option<&str>) -> bool {
    rule.is_some_and(|rule| {
        rules.push((own, rule.to_owned()));
        true
    })
}

fn hide_from_all(rules: &mut Vec<String>, rule: Option<&str>) -> bool {
    rules.extend(rule.map(str::to_owned));
    rule.is_some()
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
    use govc_engine::FetchRules;

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
            ("receive.advertiseAtomic", "0"),
            ("receive.advertisePushOptions", "no"),
            ("uploadpack.allowFilter", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("uploadpackfilter.allow", "false"),
            ("uploadpackfilter.blob:none.allow", "true"),
            ("uploadpackfilter.tree.maxDepth", "2"),
            ("lsrefs.unborn", "ignore"),
            ("transfer.advertiseSID", "true"),
            ("receive.denyCurrentBranch", "refuse"),
            ("user.name", "Ada"),
        ] {
            git(name, value);
        }
        let skipped = ObjectFormat::Sha1.empty_tree();
        let read_list = |path: &Path| match path.to_str() {
            Some("/etc/skip") => Ok(format!("# ours\n\n{skipped} # this\n").into_bytes()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let config = std::fs::read(&file).unwrap();
        let (settings, notes) = super::settings(&config, &read_list);
        let mut expected = Settings {
            deny_non_fast_forwards: true,
            deny_deletes: true,
            fsck_objects: false,
            hide_refs: vec![
                "refs/hidden".to_owned(),
                "!refs/hidden/not # this".to_owned(),
            ],
            hide_refs_from_fetches: vec!["refs/fetch".to_owned()],
            // Git writes these before those of `transfer`, whose section is younger.
            hide_refs_from_pushes: ["refs/push", "refs/hidden", "!refs/hidden/not # this"]
                .map(str::to_owned)
                .into(),
            ..Settings::default()
        };
        expected.quotas.push_bytes = Some(3 << 20);
        let ignored = ("zeropaddedfilemode".to_owned(), FsckSeverity::Ignore);
        expected.fsck_severities.extend([ignored]);
        expected.fsck_skip.insert(skipped);
        expected.deny_delete_current = false;
        expected.atomic_pushes = false;
        expected.push_options = false;
        let filters = [("blob:none", true), ("tree", true)];
        expected.fetch = FetchRules {
            filter: Some(true),
            filters: filters.map(|(kind, taken)| (kind.to_owned(), taken)).into(),
            other_filters: Some(false),
            tree_filter_depth: Some(2),
            unborn_head: Some(false),
            session_id: Some(true),
            tip_wants: Some(true),
            reachable_wants: Some(true),
            ..FetchRules::default()
        };
        assert_eq!(settings, expected);
        assert_eq!(
            notes,
            ["its config's uploadpack.allowanysha1inwant = true is not taken over"]
        );
        let nothing = |_: &Path| Ok(b"rubbish".to_vec());
        let settings = |text: &str| super::settings(text.as_bytes(), &nothing);
        assert!(settings("[receive]\ndenyDeletes").0.deny_deletes);
        assert_eq!(settings("").0, Settings::default());
        assert_eq!(settings("[rubbish").1.len(), 1);
        assert_eq!(
            settings("[receive \"fsck\"]\nskipList = x").1,
            [
                "its config's receive.fsck.skiplist = x is not taken over: \"rubbish\" is no object id"
            ]
        );
    }

    #[test]
    fn the_last_rule_about_a_hidden_ref_decides_as_in_git() {
        let text = b"[uploadpack]\nhideRefs = refs/tags\n[transfer]\nhideRefs = !refs/tags/shown\n";
        let (settings, _) = super::settings(text, &|_| Ok(Vec::new()));
        let hidden = govc_engine::work::hidden::HiddenRefs::of(&settings);
        assert!(hidden.hides(b"refs/tags/a") && !hidden.hides(b"refs/tags/shown"));
        let pushes = govc_engine::work::hidden::HiddenRefs::from_pushes(&settings);
        assert!(!pushes.hides(b"refs/tags/a"));
    }
}
