//! What whoever runs a server writes: its configuration, and whose keys are let in.

use std::collections::HashMap;

use govc_server::config::Config;
use govc_server::fuzzing;

/// Configurations: what is taken is checked, and a mistake has its place and a sentence.
pub(crate) fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let environment = HashMap::from([("NAME".to_owned(), "value".to_owned())]);
    match Config::from_yaml("govc.yaml", text, environment) {
        Ok(config) => {
            let is_said = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
            let same = |config| format!("{config:?}") == format!("{:?}", Config::default());
            assert!(text.lines().any(is_said) || same(&config));
            // Of that file there is nothing to be known.
            if config.hooks.ca_file.as_os_str().is_empty()
                && let Err(error) = config.check()
            {
                assert!(!error.to_string().is_empty());
            }
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("govc.yaml:") && said.len() < 2048 + 8 * data.len());
            let line = said.split(':').nth(1).and_then(|line| line.parse().ok());
            assert!(
                line.is_some_and(|line: usize| line <= text.len() + 1),
                "{said}"
            );
        }
    }
}

/// Lists of keys: whoever has one is known by a name that can be shown.
pub(crate) fn ssh_keys(data: &[u8]) {
    for name in fuzzing::ssh_key_owners(data).unwrap_or_default() {
        assert!((1..=255).contains(&name.len()) && !name.contains(char::is_control));
    }
}
