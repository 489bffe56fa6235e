//! The configuration: `config/govc.yaml` is the documented default and is compiled in, a file of
//! the operator's is laid over it.

mod check;
pub mod units;
mod yaml;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use govc_engine::Storage;
use serde::Deserialize;

pub use crate::git_ssh::keys::SshKeys;
use units::{Bytes, Span};
use yaml::parse;

/// The documented default.
pub const DEFAULT_YAML: &str = include_str!("../../../config/govc.yaml");

/// The default of `storage.disk_path`.
pub const DISK_PATH: &str = "./govc-data";

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// What reading it met.
        source: std::io::Error,
    },
    /// It is not YAML, or a value is not what its setting takes.
    #[error("{file}:{line}:{column}: {message}")]
    Invalid {
        /// The file's name.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong there.
        message: String,
    },
    /// The parts are fine, together they are not.
    #[error("{0}")]
    Contradiction(String),
}

/// A section of the file: a struct in which everything has a value, and one in which everything
/// may be left out.
macro_rules! section {
    ($(#[$about:meta])* $name:ident, $given:ident { $($(#[$field_about:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        pub struct $name { $($(#[$field_about])* pub $field: $kind,)* }

        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct $given { $($field: Option<$kind>,)* }

        impl $name {
            /// Everything that is given counts.
            fn overlay(&mut self, given: $given) {
                $(if let Some(value) = given.$field { self.$field = value; })*
            }

            /// All of `given`, or the name of what is missing.
            fn whole(given: $given) -> Result<$name, &'static str> {
                Ok($name { $($field: given.$field.ok_or(stringify!($field))?,)* })
            }
        }
    };
}

section! {
    /// How the server listens.
    Server, GivenServer {
        /// The address to listen on: an IP address or `localhost`.
        host: String,
        /// The port to listen on; 0 lets the system pick.
        port: u16,
        /// How users reach the server, for `clone_url`; empty: as they came.
        public_url: String,
        /// Names by which the server may be asked for on loopback.
        allowed_hosts: Vec<String>,
        /// Origins that may use the API from a browser.
        cors_origins: Vec<String>,
        /// How long nothing may arrive.
        read_timeout: Span,
        /// How long nothing may be taken.
        write_timeout: Span,
        /// How long a stop waits for requests.
        shutdown_timeout: Span,
        /// Connections at once.
        max_connections: usize,
        /// Threads that serve requests; 0: one for each processor.
        threads: usize,
    }
}

section! {
    /// Where repositories live.
    StorageSection, GivenStorage {
        /// What new repositories are.
        r#type: StorageType,
        /// Where the log and the repositories are.
        disk_path: PathBuf,
        /// When a write is answered.
        durability: Durability,
        /// With [`Durability::Async`], how long a write may stay unsynced.
        async_delay: Span,
        /// The size of a file of the log.
        log_segment: Bytes,
        /// How long a written repository may go without a checkpoint.
        checkpoint_interval: Span,
        /// A repository with more packs than this is compacted; 0: none is.
        compaction_packs: usize,
        /// The git that searches for deltas; empty: entries are merged as they are.
        compaction_git: PathBuf,
        /// About how much memory that may take.
        compaction_memory: Bytes,
        /// How long packs that were merged stay for other processes.
        compaction_grace: Span,
        /// Repositories in memory at once; 0: as many as memory has room for.
        max_memory_repos: usize,
        /// Memory for everything; 0: three quarters of what there is.
        memory_budget: Bytes,
    }
}

section! {
    /// How the server speaks SSH.
    Ssh, GivenSsh {
        /// `HOST:PORT` to listen on; empty: no SSH.
        listen: String,
        /// Where the host key is; empty: in the data directory.
        host_key: PathBuf,
        /// Connections at once.
        max_connections: usize,
        /// How long a client may take to say who it is.
        auth_timeout: Span,
        /// How long nothing may be said in a session, and no session begun on a connection.
        idle_timeout: Span,
        /// How often a silent client is asked whether it is there.
        keep_alive: Span,
    }
}

section! {
    /// Who may do what.
    Auth, GivenAuth {
        /// The administrator's token; empty: everybody may do everything.
        token: Secret,
        /// The SSH keys of administrators; none: everybody may come by SSH.
        ssh_keys: SshKeys,
        /// The author when nobody is asking.
        anonymous_name: String,
        /// The author's address when nobody is asking.
        anonymous_email: String,
        /// The author when the administrator is asking.
        administrator_name: String,
        /// The author's address when the administrator is asking.
        administrator_email: String,
    }
}

section! {
    /// What is too much.
    Limits, GivenLimits {
        /// Bytes of a request's line and headers.
        request_head: Bytes,
        /// Bytes of a JSON body.
        json_body: Bytes,
        /// Patches in one answer that is JSON, in bytes.
        diff: Bytes,
        /// Bytes of a file written by REST.
        file: Bytes,
        /// Bytes of a pushed pack.
        pack: Bytes,
        /// Bytes of one object, inflated.
        object: Bytes,
        /// Deltas on deltas in a pushed pack.
        delta_chain: u32,
        /// Refs in one push or batch.
        push_refs: usize,
        /// Default of the quota `bytes`; 0: none.
        repository_bytes: Bytes,
        /// Default of the quota `objects`; 0: none.
        repository_objects: u64,
        /// Default of the quota `refs`; 0: none.
        repository_refs: u64,
        /// Workspaces of one repository; 0: no limit.
        workspaces: u64,
        /// Days after which a workspace that nobody uses is removed; 0: never.
        workspace_idle_days: u64,
        /// Transactions of one repository, those that are over for less than a day included; 0: no
        /// limit.
        transactions: u64,
        /// Repositories that one transaction may change.
        transaction_repositories: usize,
        /// Realities of one repository.
        realities: u64,
        /// Repositories on the server; 0: no limit.
        repositories: usize,
        /// Answers kept for requests that come again.
        idempotency_keys: usize,
        /// Bytes of the answers kept for requests that come again.
        idempotency_memory: Bytes,
    }
}

section! {
    /// What fetches may ask for.
    Fetch, GivenFetch {
        /// Partial clones.
        filter: bool,
        /// Names of filters that are refused.
        refused_filters: Vec<String>,
        /// The deepest `tree:<depth>`; below 0: no limit.
        tree_filter_depth: i64,
        /// Wants by the names of refs.
        ref_in_want: bool,
        /// Answers in side-band lines throughout.
        sideband_all: bool,
        /// Clients are told what their request is called in the log.
        session_id: bool,
        /// Clients are told of a HEAD whose branch does not exist yet.
        unborn_head: bool,
        /// Clients of versions 0 and 1 may want what hidden refs name.
        tip_wants: bool,
        /// Clients of versions 0 and 1 may want all that refs reach.
        reachable_wants: bool,
        /// Clones are told of this server's own bundle.
        own_bundle: bool,
        /// Bundles elsewhere, that they are told of.
        bundle_uris: Vec<String>,
    }
}

section! {
    /// What pushes may do.
    Receive, GivenReceive {
        /// What only this server knows, to make nonces of; empty: signed pushes are not taken.
        cert_nonce_seed: Secret,
        /// How old a nonce may be.
        cert_nonce_slop: Span,
        /// Who signs with which SSH key; empty: nobody.
        allowed_signers: PathBuf,
        /// Where GnuPG has its keys; empty: where it looks by itself.
        gnupg_home: PathBuf,
    }
}

section! {
    /// Git LFS.
    LfsSection, GivenLfs {
        /// Whether it is offered.
        enabled: bool,
        /// Bytes of one object.
        object: Bytes,
        /// Objects that one batch asks for.
        batch: usize,
        /// Locks of one repository.
        locks: usize,
    }
}

section! {
    /// Webhooks, and hooks that are programs.
    HooksSection, GivenHooks {
        /// Networks that are not public, and that webhooks may be in.
        allow_networks: Vec<String>,
        /// Certificates that are trusted besides the system's; empty: none.
        ca_file: PathBuf,
        /// How long one try may take.
        timeout: Span,
        /// How often it is tried.
        attempts: u32,
        /// How long is waited after the first try; twice as long after each other.
        first_retry: Span,
        /// The longest wait between two tries.
        last_retry: Span,
        /// Requests to webhooks at once.
        concurrency: usize,
        /// Webhooks of one repository.
        per_repository: usize,
        /// Deliveries of one webhook that are remembered.
        deliveries: usize,
        /// How long a policy hook may think.
        policy_timeout: Span,
        /// What becomes of a change when a policy hook cannot be asked.
        policy_unreachable: Unreachable,
        /// Where hooks are that are programs; empty: nowhere.
        path: PathBuf,
        /// Whether those in `hooks/` of a repository's own directory count too.
        from_repositories: bool,
        /// How long a program may run.
        run_timeout: Span,
        /// For how many changes at once programs run.
        run_concurrency: usize,
        /// How much of what it says is passed on.
        output: Bytes,
    }
}

section! {
    /// How long what is past is kept.
    RetentionSection, GivenRetention {
        /// Past states of refs, and history; 0: for ever.
        refs: Span,
        /// What discarded realities had; 0: for ever.
        discarded_realities: Span,
        /// Deleted repositories; 0: for ever.
        deleted_repositories: Span,
        /// Past states are kept for so long whatever anybody sets.
        in_flight: Span,
        /// How often it is looked for what nobody keeps any more.
        collect_interval: Span,
    }
}

section! {
    /// What is told on stderr.
    Log, GivenLog {
        /// Directives as of tracing's `EnvFilter`.
        level: String,
        /// How lines look.
        format: LogFormat,
    }
}

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the server listens.
    pub server: Server,
    /// How the server speaks SSH.
    pub ssh: Ssh,
    /// Where repositories live.
    pub storage: StorageSection,
    /// Who may do what.
    pub auth: Auth,
    /// What is too much.
    pub limits: Limits,
    /// What fetches may ask for.
    pub fetch: Fetch,
    /// What pushes may do.
    pub receive: Receive,
    /// Git LFS.
    pub lfs: LfsSection,
    /// Webhooks, and hooks that are programs.
    pub hooks: HooksSection,
    /// How long what is past is kept.
    pub retention: RetentionSection,
    /// What is told on stderr.
    pub log: Log,
    /// Listen beyond loopback without a token. Only the command line says so.
    pub insecure_no_auth: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    server: Option<GivenServer>,
    ssh: Option<GivenSsh>,
    storage: Option<GivenStorage>,
    auth: Option<GivenAuth>,
    limits: Option<GivenLimits>,
    fetch: Option<GivenFetch>,
    receive: Option<GivenReceive>,
    lfs: Option<GivenLfs>,
    hooks: Option<GivenHooks>,
    retention: Option<GivenRetention>,
    log: Option<GivenLog>,
}

/// What becomes of a change when a policy hook cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unreachable {
    /// It is refused.
    Refuse,
    /// It passes.
    Allow,
}

/// What new repositories are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageType {
    /// Nothing on disk.
    Memory,
    /// Log and checkpoints on disk, served from memory.
    Hybrid,
    /// The same safety, packs are read in place.
    Disk,
}

/// When a write is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// After its fsync.
    Sync,
    /// Before; a bounded loss is possible.
    Async,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// A text that is not to be shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "***" })
    }
}

impl From<StorageType> for Storage {
    fn from(kind: StorageType) -> Storage {
        match kind {
            StorageType::Memory => Storage::Memory,
            StorageType::Hybrid => Storage::Hybrid,
            StorageType::Disk => Storage::Disk,
        }
    }
}

impl Default for Config {
    /// The documented default.
    #[allow(
        clippy::expect_used,
        reason = "the file is compiled in, and a test reads it"
    )]
    fn default() -> Config {
        Config::documented().expect("config/govc.yaml holds every setting")
    }
}

impl Config {
    fn documented() -> Result<Config, ConfigError> {
        let given = parse("config/govc.yaml", DEFAULT_YAML, HashMap::new())?;
        let missing = |what: &str| ConfigError::Contradiction(format!("{what} has no default"));
        Ok(Config {
            server: Server::whole(given.server.unwrap_or_default()).map_err(missing)?,
            ssh: Ssh::whole(given.ssh.unwrap_or_default()).map_err(missing)?,
            storage: StorageSection::whole(given.storage.unwrap_or_default()).map_err(missing)?,
            auth: Auth::whole(given.auth.unwrap_or_default()).map_err(missing)?,
            limits: Limits::whole(given.limits.unwrap_or_default()).map_err(missing)?,
            fetch: Fetch::whole(given.fetch.unwrap_or_default()).map_err(missing)?,
            receive: Receive::whole(given.receive.unwrap_or_default()).map_err(missing)?,
            lfs: LfsSection::whole(given.lfs.unwrap_or_default()).map_err(missing)?,
            hooks: HooksSection::whole(given.hooks.unwrap_or_default()).map_err(missing)?,
            retention: RetentionSection::whole(given.retention.unwrap_or_default())
                .map_err(missing)?,
            log: Log::whole(given.log.unwrap_or_default()).map_err(missing)?,
            insecure_no_auth: false,
        })
    }

    /// Sets host and port from `HOST:PORT`, `[::1]:8080` or `:8080`.
    ///
    /// # Errors
    /// [`ConfigError::Contradiction`] when `text` is not that.
    pub fn listen_on(&mut self, text: &str) -> Result<(), ConfigError> {
        let (host, port) = host_and_port("--listen", text)?;
        self.server.port = port;
        if !host.is_empty() {
            host.clone_into(&mut self.server.host);
        }
        Ok(())
    }

    /// The address that `server.host` is.
    ///
    /// # Errors
    /// [`ConfigError::Contradiction`] when it is not an address.
    pub fn address(&self) -> Result<IpAddr, ConfigError> {
        address("server.host", &self.server.host)
    }

    /// Where SSH is listened on; `None`: nowhere.
    ///
    /// # Errors
    /// [`ConfigError::Contradiction`] when `ssh.listen` is not `HOST:PORT`.
    pub fn ssh_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.ssh.listen.is_empty() {
            return Ok(None);
        }
        let (host, port) = host_and_port("ssh.listen", &self.ssh.listen)?;
        let host = if host.is_empty() {
            &self.server.host
        } else {
            host
        };
        Ok(Some(SocketAddr::new(address("ssh.listen", host)?, port)))
    }

    /// Where the SSH host key is kept; `None`: there is no data directory.
    pub fn ssh_host_key(&self, keeps: bool) -> Option<PathBuf> {
        if self.ssh.host_key.as_os_str().is_empty() {
            return keeps.then(|| self.storage.disk_path.join(".govc/ssh_host_ed25519_key"));
        }
        Some(self.ssh.host_key.clone())
    }
}

/// The parts of `HOST:PORT`, of which the first may be empty.
fn host_and_port<'a>(setting: &str, text: &'a str) -> Result<(&'a str, u16), ConfigError> {
    let wrong = || ConfigError::Contradiction(format!("{setting} takes HOST:PORT, not {text:?}"));
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    Ok((host, port.parse().map_err(|_| wrong())?))
}

fn address(setting: &str, host: &str) -> Result<IpAddr, ConfigError> {
    match host {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        "*" | "" => Ok(IpAddr::from([0, 0, 0, 0])),
        _ => host.parse().map_err(|_| {
            ConfigError::Contradiction(format!(
                "{setting} is an IP address or \"localhost\", not {host:?}"
            ))
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let environment = HashMap::from([("TOKEN".to_owned(), "from-outside".to_owned())]);
        Config::from_yaml("govc.yaml", text, environment).map_err(|error| error.to_string())
    }

    #[test]
    fn the_documented_default_is_complete_and_safe() {
        let config = Config::default();
        config.check().unwrap();
        assert_eq!(
            (config.server.host.as_str(), config.server.port),
            ("127.0.0.1", 8080)
        );
        assert_eq!(config.storage.r#type, StorageType::Hybrid);
        assert_eq!(config.storage.disk_path, PathBuf::from(DISK_PATH));
        assert_eq!(config.limits.json_body.0, 144 << 20);
        assert!(config.auth.token.is_empty());
    }

    #[test]
    fn a_file_changes_what_it_names_and_nothing_else() {
        let config = read("server:\n  port: 1\n  read_timeout: 5m\nauth:\n  token: ${TOKEN}\nstorage:\n  type: ${TYPE:-disk}\n").unwrap();
        assert_eq!(
            (config.server.host.as_str(), config.server.port),
            ("127.0.0.1", 1)
        );
        assert_eq!(config.server.read_timeout.get(), Duration::from_secs(300));
        assert_eq!(config.auth.token.reveal(), "from-outside");
        assert_eq!(config.storage.r#type, StorageType::Disk);
        assert_eq!(read("").unwrap().server.port, 8080);
        assert_eq!(read("# nothing\n").unwrap().server.port, 8080);
        assert_eq!(read("server:\n").unwrap().server.port, 8080);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let said = |text: &str| read(text).unwrap_err();
        insta::assert_snapshot!(said("server:\n  prot: 1\n"), @r#"govc.yaml:2:3: unknown setting `prot`, did you mean `port`?"#);
        insta::assert_snapshot!(said("sever:\n  port: 1\n"), @r#"govc.yaml:1:1: unknown setting `sever`, did you mean `server`?"#);
        insta::assert_snapshot!(said("server:\n  xyzzy: 1\n"), @r#"govc.yaml:2:3: unknown setting `xyzzy`; known here are host, port, public_url, allowed_hosts, cors_origins, read_timeout, write_timeout, shutdown_timeout, max_connections, threads"#);
        insta::assert_snapshot!(said("server:\n  port: high\n"), @r#"govc.yaml:2:9: expected a whole number from 0 to 65535"#);
        insta::assert_snapshot!(said("server:\n  port: 70000\n"), @r#"govc.yaml:2:9: expected a whole number from 0 to 65535"#);
        insta::assert_snapshot!(said("server:\n  read_timeout: soon\n"), @r#"govc.yaml:2:3: invalid value: string "soon", expected a time such as 500ms, 30s, 5m or 24h"#);
        insta::assert_snapshot!(said("server:\n  port: 1\n  port: 2\n"), @r#"govc.yaml:3:3: duplicate mapping key: port"#);
        insta::assert_snapshot!(said("auth:\n  token: ${NOT_SET}\n"), @r#"govc.yaml:2:10: missing property `NOT_SET`"#);
        insta::assert_snapshot!(said("storage:\n  type: tape\n"), @r#"govc.yaml:2:9: unknown variant `tape`, expected one of memory, hybrid, disk"#);
        insta::assert_snapshot!(said("server: [\n"), @r#"govc.yaml:1:9: expected mapping start"#);
    }

    #[test]
    fn a_public_url_is_a_url() {
        let check = |url: &str| {
            let mut config = Config::default();
            config.server.public_url = url.to_owned();
            config.check().is_ok()
        };
        for url in ["", "https://git.example.org", "http://[::1]:8080/git/"] {
            assert!(check(url), "{url}");
        }
        for url in [":::", "git.example.org", "ftp://x", "https://x?y", "/git"] {
            assert!(!check(url), "{url}");
        }
    }

    #[test]
    fn ssh_keys_are_lines_or_have_names() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAsB8qJ1qPq0lN8n2q3Q8w0y0s9X0c3w8Xx1l8r6Hk1t";
        let config = read(&format!(
            "auth:\n  ssh_keys:\n    - {key} ada\n    - name: bob\n      key: {key}\n"
        ));
        let keys = config.unwrap().auth.ssh_keys;
        assert_eq!(format!("{keys:?}"), "{\"ada\", \"bob\"}");
        let said = |text: &str| read(&format!("auth:\n  ssh_keys:\n{text}")).unwrap_err();
        for (text, expected) in [
            (
                "    - rubbish\n",
                "govc.yaml:3:7: not an OpenSSH public key",
            ),
            (
                &format!("    - {key} ada\n    - {key}\n")[..],
                "govc.yaml:4:7: the key needs a name",
            ),
            (
                &format!("    - nam: ada\n      key: {key}\n")[..],
                "govc.yaml:3:",
            ),
            ("    - name: ada\n", "govc.yaml:3:7: missing field"),
            (
                "    - '-----BEGIN OPENSSH PRIVATE KEY-----'\n",
                "govc.yaml:3:7: this is a private key",
            ),
        ] {
            let said = said(text);
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn ssh_is_safe_or_said_not_to_be() {
        let check = |text: &str| read(text).unwrap().check().map_err(|e| e.to_string());
        let key = "auth:\n  ssh_keys:\n    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAsB8qJ1qPq0lN8n2q3Q8w0y0s9X0c3w8Xx1l8r6Hk1t ada\n";
        check("ssh:\n  listen: 127.0.0.1:0\n").unwrap();
        check("ssh:\n  listen: ':2222'\n").unwrap();
        check(&format!("{key}ssh:\n  listen: 0.0.0.0:22\n")).unwrap();
        check(&format!("{key}  token: x\nssh:\n  listen: 0.0.0.0:22\n")).unwrap();
        for (text, why) in [
            ("ssh:\n  listen: 0.0.0.0:22\n", "set auth.ssh_keys"),
            ("ssh:\n  listen: git.example.org:22\n", "IP address"),
            ("ssh:\n  listen: '22'\n", "HOST:PORT"),
            (
                "auth:\n  token: x\nssh:\n  listen: :22\n",
                "needs auth.ssh_keys",
            ),
            (
                "ssh:\n  listen: :22\n  idle_timeout: 1ms\n",
                "at least 100ms",
            ),
        ] {
            let said = check(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn beyond_loopback_a_token_is_needed() {
        let mut config = Config::default();
        config.listen_on("0.0.0.0:80").unwrap();
        assert!(config.check().is_err());
        config.insecure_no_auth = true;
        assert!(config.check().is_ok());
        config.insecure_no_auth = false;
        config.auth.token = "secret".into();
        assert!(config.check().is_ok());
        config.listen_on("[::1]:0").unwrap();
        assert_eq!(
            config.address().unwrap(),
            IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
        );
        assert!(config.listen_on("nonsense").is_err());
        assert!(config.listen_on("127.0.0.1:99999").is_err());
        assert!(!format!("{config:?}").contains("secret"));
    }
}
