//! What a client asks of its connection, and what it is allowed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use govc_git::wire::ProtocolVersion;
use russh::keys::ssh_key;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};
use tokio::sync::watch;
use tokio::time::Instant;

use super::command::Asked;
use super::talk::Talk;
use super::{is_sha1, session};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::layers::new_request_id;

/// Sessions at once on one connection; OpenSSH takes as many.
const SESSIONS_MAX: usize = 10;
/// A variable longer than this says nothing.
const VARIABLE_BYTES_MAX: usize = 1 << 10;

/// How a connection stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Whether we know who it is.
    pub(super) known: bool,
    /// Sessions that are running.
    pub(super) sessions: usize,
    /// Since when.
    pub(super) since: Instant,
}

impl Default for Standing {
    fn default() -> Standing {
        Standing {
            known: false,
            sessions: 0,
            since: Instant::now(),
        }
    }
}

/// A client.
pub(super) struct Visitor {
    app: App,
    peer: SocketAddr,
    standing: Arc<watch::Sender<Standing>>,
    /// What history calls them, once that is known.
    name: Option<Arc<str>>,
    /// Channels on which nothing runs yet, and the version of Git's protocol asked for on them.
    open: HashMap<ChannelId, (Channel<Msg>, ProtocolVersion)>,
}

/// Tells that a session is running, for as long as it is there.
struct Running(Arc<watch::Sender<Standing>>);

impl Running {
    fn begin(standing: &Arc<watch::Sender<Standing>>) -> Running {
        standing.send_modify(|now| now.sessions += 1);
        Running(Arc::clone(standing))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|now| {
            now.sessions -= 1;
            now.since = Instant::now();
        });
    }
}

impl Visitor {
    pub(super) fn new(app: App, peer: SocketAddr, standing: watch::Sender<Standing>) -> Visitor {
        Visitor {
            app,
            peer,
            standing: Arc::new(standing),
            name: None,
            open: HashMap::new(),
        }
    }

    /// Whom `key` belongs to; anybody may come where no keys are set.
    fn owner(&self, key: &ssh_key::PublicKey, algorithm: &ssh_key::Algorithm) -> Option<Arc<str>> {
        if is_sha1(algorithm) {
            return None;
        }
        let auth = &self.app.config().auth;
        if auth.ssh_keys.is_empty() {
            return Some(auth.anonymous_name.as_str().into());
        }
        auth.ssh_keys.owner(key)
    }

    fn caller(&self) -> Option<Caller> {
        let auth = &self.app.config().auth;
        let email = if auth.ssh_keys.is_empty() {
            &auth.anonymous_email
        } else {
            &auth.administrator_email
        };
        Some(Caller {
            name: Arc::clone(self.name.as_ref()?),
            email: email.as_str().into(),
            administrator: true,
            request_id: new_request_id(),
        })
    }

    /// Runs what is asked on `channel`, where nothing runs yet.
    fn run(
        &mut self,
        channel: ChannelId,
        asked: Asked,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let (Some(caller), Some((open, version))) = (self.caller(), self.open.remove(&channel))
        else {
            return session.channel_failure(channel);
        };
        session.channel_success(channel)?;
        tracing::info!(
            peer = %self.peer, actor = %caller.name, request_id = %caller.request_id, ?asked,
            "an SSH session"
        );
        let config = self.app.config();
        let listen = config.ssh.idle_timeout.get();
        let talk = Talk::new(open, listen, config.server.write_timeout.get());
        let (app, running) = (self.app.clone(), Running::begin(&self.standing));
        tokio::spawn(async move {
            session::run(app, caller, asked, version, talk).await;
            drop(running);
        });
        Ok(())
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        let auth = &self.app.config().auth;
        if !auth.ssh_keys.is_empty() {
            return Ok(Auth::reject());
        }
        self.name = Some(auth.anonymous_name.as_str().into());
        Ok(Auth::Accept)
    }

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(match self.owner(offer.public_key, offer.algorithm) {
            Some(_) => Auth::Accept,
            None => Auth::reject(),
        })
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        match self.owner(key.public_key, key.algorithm) {
            Some(name) => {
                self.name = Some(name);
                Ok(Auth::Accept)
            }
            None => {
                tracing::debug!(peer = %self.peer, user, "an SSH key that nobody has");
                Ok(Auth::reject())
            }
        }
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.standing.send_modify(|now| {
            now.known = true;
            now.since = Instant::now();
        });
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let running = self.standing.borrow().sessions;
        if running + self.open.len() >= SESSIONS_MAX {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.open
            .insert(channel.id(), (channel, ProtocolVersion::V0));
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.open.remove(&channel);
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.open.get_mut(&channel) {
            Some((_, version)) if name == "GIT_PROTOCOL" && value.len() <= VARIABLE_BYTES_MAX => {
                *version = ProtocolVersion::from_header(value.as_bytes());
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        line: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.run(channel, Asked::parse(line), session)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.run(channel, Asked::Other, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn agent_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        session.channel_failure(channel)?;
        Ok(false)
    }
}
