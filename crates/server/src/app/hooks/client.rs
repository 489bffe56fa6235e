//! The HTTP client that tells and asks webhooks.
//!
//! It opens the connection itself, to an address that [`Networks`] lets pass, so neither a name
//! that resolves to something else the second time nor a proxy of the environment can lead it
//! elsewhere; redirects are answers like others.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use url::{Host, Url};

use super::guard::{Networks, literal, parse};

/// So much of an answer is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// So many addresses of a name are tried.
const ADDRESSES_MAX: usize = 4;

/// What a webhook answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of its body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It is not an address that can be called.
    #[error("{0}")]
    Url(&'static str),
    /// It leads to where this server does not call.
    #[error("{0} is not a public address (hooks.allow_networks)")]
    NotPublic(IpAddr),
    /// The name leads nowhere.
    #[error("the name {name} cannot be resolved: {why}")]
    Name {
        /// The name.
        name: String,
        /// What the system said.
        why: String,
    },
    /// Nobody is there, or not any more.
    #[error("the connection failed: {0}")]
    Connection(#[source] std::io::Error),
    /// Whoever is there cannot show that it is the right one.
    #[error("TLS: {0}")]
    Tls(String),
    /// What came was no HTTP.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// It took too long.
    #[error("no answer in {} ms", .0.as_millis())]
    TimedOut(Duration),
}

/// Calls webhooks.
pub struct Client {
    networks: Networks,
    timeout: Duration,
    /// Certificates that are trusted besides the system's; empty: none.
    ca_file: PathBuf,
    tls: OnceCell<Result<TlsConnector, String>>,
}

impl Client {
    /// A client that calls public addresses and `networks`, waits so long for an answer, and trusts
    /// the certificates in `ca_file` besides the system's.
    pub fn new(networks: Networks, timeout: Duration, ca_file: &Path) -> Client {
        Client {
            networks,
            timeout,
            ca_file: ca_file.to_owned(),
            tls: OnceCell::new(),
        }
    }

    /// Where it may call.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Sends `body` to `url`, for at most the set time.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, CallError> {
        let sent = timeout(self.timeout, self.exchange(url, headers, body));
        sent.await.unwrap_or(Err(CallError::TimedOut(self.timeout)))
    }

    async fn exchange(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, CallError> {
        let url = parse(url, &self.networks)?;
        let stream = self.connect(&url).await?;
        if url.scheme() == "http" {
            return send(stream, &url, headers, body).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned())
                .map_err(|_| CallError::Url("it names no host"))?,
            Some(Host::Ipv4(address)) => ServerName::from(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => ServerName::from(IpAddr::from(address)),
            None => return Err(CallError::Url("it names no host")),
        };
        let connector = self.tls.get_or_init(|| async { tls(&self.ca_file) }).await;
        let connector = connector.clone().map_err(CallError::Tls)?;
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| CallError::Tls(error.to_string()))?;
        send(stream, &url, headers, body).await
    }

    async fn connect(&self, url: &Url) -> Result<TcpStream, CallError> {
        let port = url
            .port_or_known_default()
            .ok_or(CallError::Url("it has no port"))?;
        let found: Vec<SocketAddr> = match literal(url) {
            Some(address) => vec![(address, port).into()],
            None => {
                let name = url.host_str().unwrap_or_default();
                let failed = |why: String| CallError::Name {
                    name: name.to_owned(),
                    why,
                };
                let found = lookup_host((name, port)).await;
                let found: Vec<_> = found.map_err(|error| failed(error.to_string()))?.collect();
                if found.is_empty() {
                    return Err(failed("it has no address".to_owned()));
                }
                found
            }
        };
        let mut error = found
            .first()
            .map_or(CallError::Url("it names no host"), |first| {
                CallError::NotPublic(first.ip())
            });
        let allowed = found.iter().filter(|found| self.networks.allow(found.ip()));
        for address in allowed.take(ADDRESSES_MAX) {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(failed) => error = CallError::Connection(failed),
            }
        }
        Err(error)
    }
}

/// The certificates in a file in PEM form: at least one.
///
/// # Errors
/// What is wrong with it, as text.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<CertificateDer<'static>> = found.map_err(|error| error.to_string())?;
    match found.is_empty() {
        true => Err("there is no certificate in it".to_owned()),
        false => Ok(found),
    }
}

/// TLS with the certificates that the system trusts, and those in `ca_file`.
fn tls(ca_file: &Path) -> Result<TlsConnector, String> {
    let mut trusted = rustls_native_certs::load_native_certs().certs;
    if !ca_file.as_os_str().is_empty() {
        let own = certificates(ca_file);
        trusted.extend(own.map_err(|why| format!("{}: {why}", ca_file.display()))?);
    }
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(trusted);
    if added == 0 {
        return Err("the system has no certificates to trust".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, CallError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|_| CallError::Url("it cannot be asked for"))?;
    request.headers_mut().extend(headers);
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let mut incoming = response.into_body();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            // What was answered counts, even if its text is cut off.
            let Ok(frame) = frame else { break };
            if let Ok(data) = frame.into_data() {
                let room = ANSWER_BYTES_MAX - body.len();
                body.extend_from_slice(data.get(..room).unwrap_or(&data));
                if data.len() >= room {
                    break;
                }
            }
        }
        Ok(Answer {
            status,
            body: body.freeze(),
        })
    };
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            Err(error) => Err(CallError::Http(error)),
            Ok(()) => exchange.await,
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::*;

    fn openssl(folder: &Path, line: &str) {
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
            .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(line.split(' '))
            .current_dir(folder)
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{made:?}");
    }

    /// An authority, and a server's certificate for `localhost` that it signed, with its key.
    fn certificate(folder: &Path) -> [PathBuf; 3] {
        openssl(folder, "-subj /CN=authority -keyout ca.key -out ca.pem");
        let server = "-subj /CN=server -CA ca.pem -CAkey ca.key -keyout key.pem -out cert.pem \
                      -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:localhost";
        openssl(folder, server);
        ["ca.pem", "cert.pem", "key.pem"].map(|name| folder.join(name))
    }

    /// A server that answers 204 to whoever trusts it.
    async fn serve(cert: &Path, key: &Path) -> u16 {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                certificates(cert).expect("certificates"),
                PrivateKeyDer::from_pem_file(key).expect("a key"),
            )
            .expect("a certificate with its key");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut heard = Vec::new();
                while !heard.ends_with(b"hello") {
                    let mut piece = [0; 1024];
                    match stream.read(&mut piece).await {
                        Ok(count) if count > 0 => heard.extend_from_slice(&piece[..count]),
                        _ => break,
                    }
                }
                let _ = stream.write_all(b"HTTP/1.1 204 Yes\r\n\r\n").await;
                let _ = stream.shutdown().await;
            }
        });
        port
    }

    #[tokio::test]
    async fn certificates_of_the_operator_are_trusted_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let [authority, cert, key] = certificate(folder.path());
        let port = serve(&cert, &key).await;
        let networks = || Networks::parse(&["127.0.0.0/8".to_owned()]).expect("a network");
        let post = async |ca_file: &Path, host: &str| {
            let client = Client::new(networks(), Duration::from_secs(60), ca_file);
            let url = format!("https://{host}:{port}/");
            client.post(&url, HeaderMap::new(), "hello".into()).await
        };
        let answer = post(&authority, "localhost").await.expect("an answer");
        assert_eq!(answer.status, 204);
        // Of somebody else, of nobody that is known, and for another name.
        let other = folder.path().join("other");
        std::fs::create_dir(&other).expect("a folder");
        let [other, ..] = certificate(&other);
        for (ca_file, host) in [
            (&*other, "localhost"),
            (Path::new(""), "localhost"),
            (&*authority, "127.0.0.1"),
        ] {
            let refused = post(ca_file, host).await;
            assert!(matches!(refused, Err(CallError::Tls(_))), "{refused:?}");
        }
        let key = certificates(&key).unwrap_err();
        assert_eq!(key, "there is no certificate in it");
    }
}
