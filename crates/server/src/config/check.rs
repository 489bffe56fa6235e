//! Whether what was set fits together.

use std::time::Duration;

use govc_git::wire::filter;

use super::{Config, ConfigError};

impl Config {
    /// Whether those who come by SSH are who may come.
    fn check_ssh(&self) -> Result<(), ConfigError> {
        let Some(address) = self.ssh_address()? else {
            return Ok(());
        };
        let refuse = |why: String| Err(ConfigError::Contradiction(why));
        if self.auth.ssh_keys.is_empty() {
            if !self.auth.token.is_empty() {
                return refuse(
                    "ssh.listen with auth.token needs auth.ssh_keys: without keys everybody who \
                     comes by SSH may do everything"
                        .to_owned(),
                );
            }
            if !address.ip().is_loopback() && !self.insecure_no_auth {
                return refuse(format!(
                    "listening for SSH on {} lets everybody who reaches this machine do \
                     everything: set auth.ssh_keys, or say --insecure-no-auth",
                    address.ip()
                ));
            }
        }
        if self.ssh.max_connections == 0 {
            return refuse("ssh.max_connections is at least 1".to_owned());
        }
        for (name, span) in [
            ("auth_timeout", self.ssh.auth_timeout),
            ("idle_timeout", self.ssh.idle_timeout),
            ("keep_alive", self.ssh.keep_alive),
        ] {
            if span.get() < Duration::from_millis(100) {
                return refuse(format!("ssh.{name} is at least 100ms"));
            }
        }
        Ok(())
    }

    /// Whether the parts fit together.
    ///
    /// # Errors
    /// [`ConfigError::Contradiction`] says what does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |why: &str| Err(ConfigError::Contradiction(why.to_owned()));
        let address = self.address()?;
        self.check_ssh()?;
        if let Err(text) = crate::app::hooks::Networks::parse(&self.hooks.allow_networks) {
            return Err(ConfigError::Contradiction(format!(
                "hooks.allow_networks: {text:?} is no network as 10.20.0.0/16"
            )));
        }
        let ca_file = &self.hooks.ca_file;
        if !ca_file.as_os_str().is_empty()
            && let Err(why) = crate::app::hooks::certificates(ca_file)
        {
            return Err(ConfigError::Contradiction(format!(
                "hooks.ca_file: {}: {why}",
                ca_file.display()
            )));
        }
        if !address.is_loopback() && self.auth.token.is_empty() && !self.insecure_no_auth {
            return Err(ConfigError::Contradiction(format!(
                "listening on {address} lets everybody who reaches this machine do everything: \
                 set auth.token, or say --insecure-no-auth"
            )));
        }
        if self
            .auth
            .token
            .reveal()
            .chars()
            .any(|c| c.is_control() || c.is_whitespace())
        {
            return refuse("auth.token may not hold spaces or control characters");
        }
        let url = &self.server.public_url;
        let parsed = url.parse::<http::Uri>().ok();
        let is_url = parsed.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()
        });
        if !url.is_empty() && !is_url {
            return refuse("server.public_url is like https://git.example.org");
        }
        let known = filter::NAMES;
        let mut refused = self.fetch.refused_filters.iter();
        if let Some(name) = refused.find(|name| !known.contains(&name.as_str())) {
            return Err(ConfigError::Contradiction(format!(
                "fetch.refused_filters are some of {}, not {name:?}",
                known.join(", ")
            )));
        }
        let mut uris = self.fetch.bundle_uris.iter();
        if uris.any(|uri| uri.is_empty() || uri.bytes().any(|byte| byte <= b' ' || byte == 0x7f)) {
            return refuse("fetch.bundle_uris are URLs, without spaces");
        }
        if self.server.max_connections == 0 {
            return refuse("server.max_connections is at least 1");
        }
        if self.limits.request_head.0 < 1024 {
            return refuse("limits.request_head is at least 1KiB");
        }
        for (name, span) in [
            ("read_timeout", self.server.read_timeout),
            ("write_timeout", self.server.write_timeout),
        ] {
            if span.get() < Duration::from_millis(100) {
                return Err(ConfigError::Contradiction(format!(
                    "server.{name} is at least 100ms"
                )));
            }
        }
        Ok(())
    }
}
