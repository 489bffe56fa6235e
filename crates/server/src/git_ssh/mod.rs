//! Git over SSH: clone, fetch and push, and nothing else.
//!
//! The services themselves are in [`crate::git_service`]; here a session's channel becomes their
//! input, and their replies go out on it. russh speaks SSH; what it may do is said here: no shell,
//! no other command, no terminal, no subsystem, no forwarding.

pub(crate) mod command;
pub(crate) mod host_key;
pub(crate) mod keys;
pub(crate) mod pack_end;
mod session;
mod talk;
mod visitor;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Config as Protocol, Handle, RunningSession};
use russh::{Disconnect, MethodKind, MethodSet, Preferred, SshId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::app::App;
use crate::serve::Patient;
use visitor::{Standing, Visitor};

/// What may be on its way to us in one session before we have taken it.
const WINDOW_BYTES: u32 = 1 << 20;
/// The largest packet that clients are told to send; OpenSSH sends no larger ones.
const PACKET_BYTES: u32 = 32 << 10;
/// Packets of a session that wait for it; beyond them the whole connection waits.
const PACKETS_WAITING: usize = 32;
/// Wrong keys that a connection may show. People have several in their agents.
const AUTH_TRIES: usize = 20;
/// A client that does not answer so many questions whether it is there is gone.
const KEEP_ALIVES_MAX: usize = 3;
/// How long a client may take to hang up after it was told to.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long to wait when the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Everybody who is connected.
pub(crate) struct Connections {
    stop: watch::Sender<bool>,
    /// Each connection holds the other end.
    gone: mpsc::Receiver<()>,
}

impl Connections {
    /// Lets sessions that are running finish; those who have none are told to go.
    pub(crate) async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.gone.recv().await.is_some() {}
    }
}

/// How this server speaks SSH.
fn protocol(app: &App, host_key: PrivateKey) -> Protocol {
    let settings = &app.config().ssh;
    let methods: &[MethodKind] = if app.config().auth.ssh_keys.is_empty() {
        &[MethodKind::None, MethodKind::PublicKey]
    } else {
        &[MethodKind::PublicKey]
    };
    let mut keys = Preferred::DEFAULT.key.into_owned();
    keys.retain(|algorithm| !is_sha1(algorithm));
    Protocol {
        server_id: SshId::Standard(concat!("SSH-2.0-govc_", env!("CARGO_PKG_VERSION")).into()),
        methods: MethodSet::from(methods),
        auth_rejection_time: Duration::from_millis(300),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![host_key],
        preferred: Preferred {
            key: keys.into(),
            ..Preferred::DEFAULT
        },
        window_size: WINDOW_BYTES,
        maximum_packet_size: PACKET_BYTES,
        channel_buffer_size: PACKETS_WAITING,
        max_auth_attempts: AUTH_TRIES,
        inactivity_timeout: Some(settings.idle_timeout.get()),
        keepalive_interval: Some(settings.keep_alive.get()),
        keepalive_max: KEEP_ALIVES_MAX,
        nodelay: true,
        ..Protocol::default()
    }
}

/// RSA keys sign with SHA-2 here, as OpenSSH wants it since 8.8.
fn is_sha1(algorithm: &Algorithm) -> bool {
    match algorithm {
        Algorithm::Rsa { hash } => !matches!(hash, Some(HashAlg::Sha256 | HashAlg::Sha512)),
        Algorithm::Dsa => true,
        _ => false,
    }
}

/// Accepts connections until it is dropped or told to stop.
pub(crate) fn accept(app: App, listener: TcpListener, host_key: PrivateKey) -> Connections {
    let (stop, stopped) = watch::channel(false);
    let (here, gone) = mpsc::channel(1);
    let protocol = Arc::new(protocol(&app, host_key));
    tokio::spawn(accept_all(app, listener, protocol, stopped, here));
    Connections { stop, gone }
}

async fn accept_all(
    app: App,
    listener: TcpListener,
    protocol: Arc<Protocol>,
    mut stopped: watch::Receiver<bool>,
    here: mpsc::Sender<()>,
) {
    let places = app.config().ssh.max_connections.min(Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(places));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = Connection {
                    app: app.clone(),
                    protocol: Arc::clone(&protocol),
                    stopped: stopped.clone(),
                    peer,
                };
                let here = here.clone();
                tokio::spawn(async move {
                    connection.hold(stream).await;
                    drop((place, here));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an SSH connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One client, from its first byte to its last.
struct Connection {
    app: App,
    protocol: Arc<Protocol>,
    stopped: watch::Receiver<bool>,
    peer: SocketAddr,
}

impl Connection {
    async fn hold(mut self, stream: TcpStream) {
        let peer = self.peer;
        let settings = self.app.config().ssh.clone();
        let patience = self.app.config().server.write_timeout.get();
        // Small answers are whole answers: they are not held back for more.
        let _ = stream.set_nodelay(true);
        let (_cut, is_cut) = oneshot::channel();
        let stream = Cuttable {
            stream: Patient::new(stream, settings.auth_timeout.get(), patience),
            is_cut,
        };
        let (standing, mut standing_now) = watch::channel(Standing::default());
        let visitor = Visitor::new(self.app.clone(), peer, standing);
        let deadline = Instant::now() + settings.auth_timeout.get();
        let began = timeout(
            settings.auth_timeout.get(),
            russh::server::run_stream(Arc::clone(&self.protocol), stream, visitor),
        );
        let mut running = match began.await {
            Ok(Ok(running)) => running,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "an SSH connection ended before it began");
                return;
            }
            Err(_) => return,
        };
        let idle_since = |standing: &Standing| standing.since + settings.idle_timeout.get();
        loop {
            let now = *standing_now.borrow_and_update();
            let until = match now {
                Standing { known: false, .. } => Some(deadline),
                Standing { sessions: 0, .. } => Some(idle_since(&now)),
                _ => None,
            };
            let leave = now.sessions == 0 && *self.stopped.borrow_and_update();
            let why = if leave {
                "this server is about to stop"
            } else {
                tokio::select! {
                    ended = &mut running => {
                        if let Err(error) = ended {
                            tracing::debug!(%peer, %error, "an SSH connection ended early");
                        }
                        return;
                    }
                    () = sleep_until(until.unwrap_or(deadline)), if until.is_some() => {
                        "nothing was asked for in time"
                    }
                    changed = standing_now.changed() => {
                        if changed.is_ok() { continue }
                        "the connection has ended"
                    }
                    changed = self.stopped.changed(), if !*self.stopped.borrow() => {
                        if changed.is_ok() { continue }
                        "this server is about to stop"
                    }
                }
            };
            let handle = running.handle();
            return farewell(running, handle, why).await;
        }
    }
}

/// Tells the client to go, and goes.
async fn farewell(running: RunningSession<Visitor>, handle: Handle, why: &str) {
    let both = async {
        let _ = handle
            .disconnect(Disconnect::ByApplication, why.to_owned(), String::new())
            .await;
        let _ = running.await;
    };
    // Whoever does not hang up is cut off: the stream goes with us.
    let _ = timeout(FAREWELL, both).await;
}

/// A stream that ends when somebody else says so: the library's task cannot be stopped otherwise.
struct Cuttable {
    stream: Patient<TcpStream>,
    /// Ready when the other end is dropped.
    is_cut: oneshot::Receiver<std::convert::Infallible>,
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_cut.is_terminated() && Pin::new(&mut self.is_cut).poll(context).is_pending() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
