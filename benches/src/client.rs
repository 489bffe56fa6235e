//! A client that fetches as git does and throws the pack away: what it costs is not measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::fixture;

/// What an answer was.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Bytes of it, its head included.
    pub bytes: u64,
    /// When the first bytes of a pack came, where one did.
    pub first_pack_byte: Option<Duration>,
}

/// A client of a server at `http://HOST:PORT`.
pub struct Client<'a> {
    url: &'a str,
    /// `Git-Protocol: version=2` is sent.
    is_v2: bool,
}

impl Client<'_> {
    /// A client of version 2.
    pub fn of(url: &str) -> Client<'_> {
        Client { url, is_v2: true }
    }

    /// A client of version 0.
    pub fn of_version_0(url: &str) -> Client<'_> {
        Client { url, is_v2: false }
    }

    /// POSTs `body` to `path`.
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        let host = self.url.strip_prefix("http://").expect("a plain URL");
        let version = if self.is_v2 {
            "git-protocol: version=2\r\n"
        } else {
            ""
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{version}\
             content-type: application/x-git-upload-pack-request\r\n\
             accept: application/x-git-upload-pack-result\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let start = Instant::now();
        let mut stream = TcpStream::connect(host).expect("the server listens");
        stream.set_nodelay(true).expect("an option");
        stream
            .write_all(&[head.as_bytes(), body].concat())
            .expect("the request is taken");
        let mut buffer = vec![0; 256 << 10];
        let (mut filled, mut bytes, mut first_pack_byte) = (0, 0, None);
        loop {
            let count = stream.read(&mut buffer[filled..]).expect("an answer");
            if count == 0 {
                break;
            }
            if bytes == 0 {
                assert!(
                    buffer.starts_with(b"HTTP/1.1 200"),
                    "{}",
                    shown(&buffer[..count])
                );
            }
            bytes += count as u64;
            // The front of the answer is gathered until the pack begins.
            if first_pack_byte.is_none() && filled + count < buffer.len() {
                filled += count;
                if buffer[..filled].windows(4).any(|four| four == b"PACK") {
                    first_pack_byte = Some(start.elapsed());
                }
            } else {
                filled = 0;
            }
            if first_pack_byte.is_some() {
                filled = 0;
            }
        }
        Answer {
            bytes,
            first_pack_byte,
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned()
}

/// A line of the protocol.
pub fn line(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

/// What `git clone` asks for once it knows the refs: all of these.
pub fn clone_request(wants: &[String]) -> Vec<u8> {
    clone_request_with(wants, &[])
}

/// The same with more arguments: a depth, a filter.
pub fn clone_request_with(wants: &[String], more: &[&str]) -> Vec<u8> {
    let mut request =
        line("command=fetch") + &line("agent=git/bench") + &line("object-format=sha1");
    request += "0001";
    let arguments = ["thin-pack", "no-progress", "include-tag", "ofs-delta"];
    for argument in arguments.iter().chain(more) {
        request += &line(argument);
    }
    for want in wants {
        request += &line(&format!("want {want}\n"));
    }
    (request + &line("done\n") + "0000").into_bytes()
}

/// The same in version 0.
pub fn clone_request_v0(wants: &[String]) -> Vec<u8> {
    let mut request = String::new();
    for (number, want) in wants.iter().enumerate() {
        let capabilities = match number {
            0 => {
                " multi_ack_detailed no-done side-band-64k thin-pack no-progress include-tag ofs-delta"
            }
            _ => "",
        };
        request += &line(&format!("want {want}{capabilities}\n"));
    }
    (request + "0000" + &line("done\n")).into_bytes()
}

/// What refs of `repository` name, those whose names begin with `prefix`.
pub fn wants(repository: &Path, prefix: &str) -> Vec<String> {
    let arguments = ["for-each-ref", "--format=%(objectname)", prefix];
    let ids = fixture::output(fixture::git(repository).args(arguments));
    ids.lines().map(str::to_owned).collect()
}
