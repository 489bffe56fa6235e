//! A connection to a server that is kept, and how long answers over it take.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A connection over which one asks, and waits for the answer.
pub struct Connection {
    stream: TcpStream,
    host: String,
    /// What was read and is of no answer yet.
    ahead: Vec<u8>,
}

/// An answer.
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body, whole.
    pub body: Vec<u8>,
    /// From the last byte of the request to the last byte of the answer.
    pub took: Duration,
}

impl Reply {
    /// The body, which must be JSON, of an answer that must have this status.
    pub fn json(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        assert_eq!(self.status, status, "{text}");
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// It must have this status.
    pub fn expect(self, status: u16) -> Reply {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        assert_eq!(self.status, status, "{text}");
        self
    }
}

impl Connection {
    /// Connects to a server at `http://HOST:PORT`.
    pub fn open(url: &str) -> Connection {
        let host = url.strip_prefix("http://").expect("a plain URL").to_owned();
        let stream = TcpStream::connect(&host).expect("the server listens");
        stream.set_nodelay(true).expect("an option");
        Connection {
            stream,
            host,
            ahead: Vec::new(),
        }
    }

    /// Asks for what is below `/api/v1`.
    pub fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, b"")
    }

    /// Sends JSON to what is below `/api/v1`.
    pub fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body.to_string().as_bytes())
    }

    /// Removes what is below `/api/v1`.
    pub fn delete(&mut self, path: &str) -> Reply {
        self.send("DELETE", path, b"")
    }

    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Reply {
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        let (last, rest) = request.split_last().expect("a request has bytes");
        self.stream.write_all(rest).expect("the request is taken");
        // No answer can come before the last byte is there.
        let start = Instant::now();
        self.stream.write_all(&[*last]).expect("it is taken");
        let (status, body) = self.answer();
        Reply {
            status,
            body,
            took: start.elapsed(),
        }
    }

    fn answer(&mut self) -> (u16, Vec<u8>) {
        let end = loop {
            match self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.read_more(),
            }
        };
        let head = String::from_utf8_lossy(&self.ahead[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.expect("a status");
        let header = |name: &str| {
            let mut lines = head.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(|value| value.trim().to_owned())
        };
        let length = match header("content-length") {
            Some(length) => length.parse().expect("a number"),
            None if status == 204 || status == 304 => 0,
            None => panic!("an answer without its length: {head}"),
        };
        self.ahead.drain(..end);
        if self.ahead.len() < length {
            let there = self.ahead.len();
            self.ahead.resize(length, 0);
            let rest = &mut self.ahead[there..];
            self.stream.read_exact(rest).expect("the rest of it");
        }
        let rest = self.ahead.split_off(length);
        (status, std::mem::replace(&mut self.ahead, rest))
    }

    fn read_more(&mut self) {
        let mut buffer = [0; 16 << 10];
        let count = self.stream.read(&mut buffer).expect("an answer");
        assert!(count > 0, "the connection was closed");
        self.ahead.extend_from_slice(&buffer[..count]);
    }
}

/// The figure below which a part of them is.
pub fn quantile(mut figures: Vec<f64>, part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len().saturating_sub(1) as f64 * part).round() as usize;
    figures.get(at).copied().unwrap_or_default()
}

/// In milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
