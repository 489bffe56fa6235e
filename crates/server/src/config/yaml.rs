//! Configurations as files.

use std::collections::HashMap;

use super::{Config, ConfigError, Given};

impl Config {
    /// The default with the file at `path` laid over it; `${VAR}` in it is taken from `environment`.
    ///
    /// # Errors
    /// [`ConfigError`]; it names line and column.
    pub fn read(
        path: &std::path::Path,
        environment: HashMap<String, String>,
    ) -> Result<Config, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: file.clone(),
            source,
        })?;
        Config::from_yaml(&file, &text, environment)
    }

    /// As [`Config::read`], of a text that errors call `file`.
    ///
    /// # Errors
    /// [`ConfigError`]; it names line and column.
    pub fn from_yaml(
        file: &str,
        text: &str,
        environment: HashMap<String, String>,
    ) -> Result<Config, ConfigError> {
        let mut config = Config::documented()?;
        let given = parse(file, text, environment)?;
        config.server.overlay(given.server.unwrap_or_default());
        config.ssh.overlay(given.ssh.unwrap_or_default());
        config.storage.overlay(given.storage.unwrap_or_default());
        config.auth.overlay(given.auth.unwrap_or_default());
        config.limits.overlay(given.limits.unwrap_or_default());
        config.fetch.overlay(given.fetch.unwrap_or_default());
        config.receive.overlay(given.receive.unwrap_or_default());
        config.lfs.overlay(given.lfs.unwrap_or_default());
        config.hooks.overlay(given.hooks.unwrap_or_default());
        config
            .retention
            .overlay(given.retention.unwrap_or_default());
        config.log.overlay(given.log.unwrap_or_default());
        Ok(config)
    }
}

/// `text` as settings, `${VAR}` in it expanded.
pub(super) fn parse(
    file: &str,
    text: &str,
    environment: HashMap<String, String>,
) -> Result<Given, ConfigError> {
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(Given::default());
    }
    let options = serde_saphyr::options! { with_snippet: false }.with_properties(environment);
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let (line, column) = error
            .location()
            .map_or((1, 1), |at| (at.line(), at.column()));
        ConfigError::Invalid {
            file: file.to_owned(),
            line,
            column,
            message: explain(error.without_snippet()),
        }
    })
}

/// The error as a sentence; for an unknown key with the nearest known one.
fn explain(error: &serde_saphyr::Error) -> String {
    match error {
        serde_saphyr::Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let mut sentence = format!("unknown setting `{field}`");
            if let Some(nearest) = nearest(field, expected) {
                sentence.push_str(&format!(", did you mean `{nearest}`?"));
            } else {
                sentence.push_str(&format!("; known here are {}", expected.join(", ")));
            }
            sentence
        }
        other => {
            let text = other.to_string();
            let text = text.lines().next().unwrap_or_default();
            // The text ends in its own words for the place, which stands in front already.
            let text = text.rsplit_once(" at line ").map_or(text, |(said, _)| said);
            let text = text
                .split_once(", set Duplicate")
                .map_or(text, |(said, _)| said);
            match text {
                "invalid u16" => "expected a whole number from 0 to 65535".to_owned(),
                "invalid u32" | "invalid u64" | "invalid usize" => {
                    "expected a whole number".to_owned()
                }
                _ => text.to_owned(),
            }
        }
    }
}

/// What of `known` was probably meant by `word`.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let best = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(word, a).total_cmp(&strsim::jaro_winkler(word, b)))?;
    (strsim::jaro_winkler(word, best) > 0.7).then_some(best)
}
