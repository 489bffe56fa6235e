//! Refs that are not shown, and not moved by a push.

use crate::Settings;

/// Where the server keeps refs of its own.
pub const INTERNAL_PREFIX: &[u8] = b"refs/govc/";

/// Whether the ref `name` is one of the server's own.
pub fn is_internal(name: &[u8]) -> bool {
    name.starts_with(INTERNAL_PREFIX)
}

/// Which refs of a repository are hidden: those of the server itself, and what its settings say
/// as git's `transfer.hideRefs`, `uploadpack.hideRefs` and `receive.hideRefs` (git-config(1)).
#[derive(Debug, Clone, Copy)]
pub struct HiddenRefs<'a> {
    rules: &'a [String],
    /// Those of one service, which decide first.
    own: &'a [String],
}

impl<'a> HiddenRefs<'a> {
    /// What `settings` hide from fetches.
    pub fn of(settings: &'a Settings) -> HiddenRefs<'a> {
        HiddenRefs {
            rules: &settings.hide_refs,
            own: &settings.hide_refs_from_fetches,
        }
    }

    /// What `settings` hide from pushes.
    pub fn from_pushes(settings: &'a Settings) -> HiddenRefs<'a> {
        HiddenRefs {
            rules: &settings.hide_refs,
            own: &settings.hide_refs_from_pushes,
        }
    }

    /// Whether the ref `name` is hidden. A rule hides the ref of its name and what is below it; one
    /// that begins with `!` shows them again, and the last rule that fits decides.
    pub fn hides(&self, name: &[u8]) -> bool {
        if is_internal(name) {
            return true;
        }
        for rule in self.rules.iter().chain(self.own).rev() {
            let (hides, prefix) = match rule.strip_prefix('!') {
                Some(shown) => (false, shown),
                None => (true, rule.as_str()),
            };
            // `^` asks for the full name where there are namespaces; here it is the same.
            let prefix = prefix.strip_prefix('^').unwrap_or(prefix);
            let prefix = prefix.trim_end_matches('/').as_bytes();
            if let Some(rest) = name.strip_prefix(prefix)
                && (rest.is_empty() || rest[0] == b'/')
            {
                return hides;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_fits_decides() {
        let settings = Settings {
            hide_refs: ["refs/pull", "refs/x/", "!refs/pull/1"]
                .map(str::to_owned)
                .into(),
            hide_refs_from_pushes: ["refs/heads", "!refs/x"].map(str::to_owned).into(),
            ..Settings::default()
        };
        let own = HiddenRefs::from_pushes(&settings);
        assert!(own.hides(b"refs/heads/main") && !own.hides(b"refs/x/y"));
        let hidden = HiddenRefs::of(&settings);
        for (name, expected) in [
            ("refs/heads/main", false),
            ("refs/govc/realities/a", true),
            ("refs/govcx", false),
            ("refs/pull", true),
            ("refs/pull/2/head", true),
            ("refs/pull/1/head", false),
            ("refs/pulls/2", false),
            ("refs/x/y", true),
        ] {
            assert_eq!(hidden.hides(name.as_bytes()), expected, "{name}");
        }
    }
}
