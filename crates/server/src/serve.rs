//! Listening, serving, stopping.

mod connection;
mod lists;
mod storage;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::git_ssh::{self, Connections, host_key::HostKeyError};
use crate::router::router;
pub(crate) use connection::Patient;
use lists::ListsThread;

pub use storage::{Storage, open};

/// Why the server does not run, or did not stop well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key by which SSH clients know this server.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory cannot be opened.
    #[error("cannot open the data directory {path}: {source}")]
    Open {
        /// Its path.
        path: String,
        /// What opening it met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The last checkpoint was not made. Nothing is lost: the log has everything.
    #[error("the last checkpoint failed: {0}")]
    Close(#[source] io::Error),
}

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// For HTTP.
    pub http: SocketAddr,
    /// For SSH, if it does.
    pub ssh: Option<SocketAddr>,
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long to wait when the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// More than the limit of a request's head, so that it is us who refuse it.
const HEAD_BUFFER_FACTOR: usize = 8;
/// How often the server looks for what is to be done.
const JOBS_EVERY: Duration = Duration::from_secs(5);
/// What nobody keeps is not looked for more often than this.
const COLLECT_EVERY_LEAST: Duration = Duration::from_millis(100);
/// How often the server looks at its memory.
const MEMORY_EVERY: Duration = Duration::from_millis(100);
/// How often it looks until it makes room, where that is needed: what is let go of shows only when
/// the allocator has given it back.
const LOOKS_A_ROOM: u64 = 10;
const HTTP2_PING: Duration = Duration::from_secs(30);

/// Serves until `stop` is done, then drains and makes a last checkpoint. `listening` is told the
/// addresses once everything on disk is there.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    config: Config,
    listening: impl FnOnce(Listening),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    config.check()?;
    let address = SocketAddr::new(config.address()?, config.server.port);
    raise_descriptor_limit();
    let listener = listen(address).map_err(|source| ServeError::Listen { address, source })?;
    let address = listener.local_addr().unwrap_or(address);
    let ssh_listener = match config.ssh_address()? {
        Some(address) => {
            Some(listen(address).map_err(|source| ServeError::Listen { address, source })?)
        }
        None => None,
    };
    let app = App::new(config);
    app.listens(address);

    let opening = {
        let config = app.config().clone();
        tokio::task::spawn_blocking(move || open(&config))
    };
    let storage = opening.await.unwrap_or_else(|panic| {
        Err(ServeError::Open {
            path: app.config().storage.disk_path.display().to_string(),
            source: Box::new(panic),
        })
    })?;
    let lists = ListsThread::start(&storage.engine, storage.store.as_ref());
    let lists = lists.map_err(|source| ServeError::Open {
        path: app.config().storage.disk_path.display().to_string(),
        source: source.into(),
    })?;
    let ssh_address = ssh_listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());
    let ssh = match ssh_listener {
        Some(listener) => Some(accept_ssh(&app, listener, storage.store.is_some()).await?),
        None => None,
    };
    app.ready(&storage);
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    listening(Listening {
        http: address,
        ssh: ssh_address,
    });

    let sweeping = app.clone();
    drop(tokio::task::spawn_blocking(move || {
        sweeping.remove_what_hooks_left()
    }));
    let telling = app.tell_hooks().ok();
    let jobs = tokio::spawn(jobs(app.clone()));
    let collector = tokio::spawn(collect(app.clone()));
    let connections = accept(&app, listener, stop).await;
    jobs.abort();
    collector.abort();
    tracing::info!("stopping");
    drain(&app, connections, ssh).await;
    if let Some(telling) = telling {
        telling.stop().await;
    }
    // Closing waits for the disk: off the threads that serve.
    let close = move || {
        lists.stop();
        storage.close()
    };
    let closed = tokio::task::spawn_blocking(close).await;
    closed
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        .map_err(ServeError::Close)
}

/// Begins to accept SSH connections, with the key that clients know.
async fn accept_ssh(
    app: &App,
    listener: TcpListener,
    keeps: bool,
) -> Result<Connections, ServeError> {
    let path = app.config().ssh_host_key(keeps);
    let reading = tokio::task::spawn_blocking(move || git_ssh::host_key::host_key(path.as_deref()));
    let key = reading.await.unwrap_or_else(|panic| {
        Err(HostKeyError::Unusable {
            path: app.config().ssh.host_key.clone(),
            why: panic.to_string(),
        })
    })?;
    Ok(git_ssh::accept(app.clone(), listener, key))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for connections of the last run.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// As many descriptors as the system lets us have: one a connection, and the files.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
}

/// Accepts connections until `stop` is done.
async fn accept(
    app: &App,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> GracefulShutdown {
    let settings = &app.config().server;
    let places = Arc::new(Semaphore::new(
        settings.max_connections.min(Semaphore::MAX_PERMITS),
    ));
    let builder = Arc::new(builder(app));
    let service = TowerToHyperService::new(router(app.clone()));
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            () = &mut stop => return connections,
        };
        match accepted {
            Ok((stream, peer)) => {
                let stream = patient(app, stream);
                let connection = builder.serve_connection(TokioIo::new(stream), service.clone());
                let connection = connections.watch(connection.into_owned());
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%peer, error, "a connection ended early");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What nobody keeps any more goes now and then: the first time right after the start.
async fn collect(app: App) {
    let every = app.config().retention.collect_interval.get();
    let mut now_and_then = tokio::time::interval(every.max(COLLECT_EVERY_LEAST));
    now_and_then.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        now_and_then.tick().await;
        if let Err(error) = app.collect_the_past().await {
            tracing::warn!(%error, "what nobody keeps stays for now");
        }
        if let Err(error) = app.collect_large_files().await {
            tracing::warn!(%error, "large files that nobody references stay for now");
        }
    }
}

/// What is to be done now and then.
async fn jobs(app: App) {
    let mut now_and_then = tokio::time::interval(JOBS_EVERY);
    now_and_then.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut often = tokio::time::interval(MEMORY_EVERY);
    often.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0u64;
    loop {
        tokio::select! {
            _ = often.tick() => {
                app.look_at_memory().await;
                looks += 1;
                if looks.is_multiple_of(LOOKS_A_ROOM) {
                    make_room(&app).await;
                }
                continue;
            }
            () = app.somebody_came_back() => {
                make_room(&app).await;
                continue;
            }
            _ = now_and_then.tick() => {}
        }
        if let Err(error) = app.expire_repositories().await {
            tracing::warn!(%error, "expired repositories stay for now");
        }
        if let Err(error) = app.expire_realities().await {
            tracing::warn!(%error, "expired realities stay for now");
        }
    }
}

async fn make_room(app: &App) {
    if let Err(error) = app.make_room().await {
        tracing::warn!(%error, "no room was made");
    }
}

fn patient(app: &App, stream: TcpStream) -> Patient<TcpStream> {
    // Small answers are whole answers: they are not held back for more.
    let _ = stream.set_nodelay(true);
    let settings = &app.config().server;
    Patient::new(
        stream,
        settings.read_timeout.get(),
        settings.write_timeout.get(),
    )
}

fn builder(app: &App) -> auto::Builder<TokioExecutor> {
    let config = app.config();
    let head = config.limits.request_head.as_usize();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.server.read_timeout.get())
        // No `pipeline_flush`: with it hyper copies every answer into one buffer without a bound,
        // and keeps back the answer to a head that cannot be read.
        .max_buf_size(head.saturating_mul(HEAD_BUFFER_FACTOR).max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .max_concurrent_streams(250);
    builder
}

/// Lets requests that are being answered finish, for as long as is set.
async fn drain(app: &App, connections: GracefulShutdown, ssh: Option<Connections>) {
    app.drain();
    let patience = app.config().server.shutdown_timeout.get();
    let ssh = async {
        if let Some(ssh) = ssh {
            ssh.shutdown().await;
        }
    };
    let both = async { tokio::join!(connections.shutdown(), ssh) };
    if tokio::time::timeout(patience, both).await.is_err() {
        tracing::warn!("some requests were not answered before the stop");
    }
}
