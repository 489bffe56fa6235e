//! A push spelled by hand: what git's own client would never send.

use crate::{Answer, Http};

/// A pack of nothing, for SHA-1.
pub const EMPTY_PACK: &[u8] = b"PACK\0\0\0\x02\0\0\0\0\
    \x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e";

/// What the server reported of a push.
#[derive(Debug)]
pub struct Report {
    /// The answer that it came in.
    pub answer: Answer,
    /// Its lines: `unpack ok`, `ok refs/heads/main`, `ng refs/heads/x why`.
    pub lines: Vec<String>,
}

/// Pushes to the repository `id`: each update is the old id, the new id and the ref's name, whose
/// bytes go out as they are. Side-band is not asked for.
pub fn push_by_hand(
    http: &Http,
    id: &str,
    updates: &[(&str, &str, &[u8])],
    capabilities: &str,
    pack: &[u8],
) -> Report {
    let mut body = Vec::new();
    for (i, (old, new, name)) in updates.iter().enumerate() {
        let mut line = [old.as_bytes(), b" ", new.as_bytes(), b" ", name].concat();
        if i == 0 {
            line.push(0);
            line.extend_from_slice(b" report-status ");
            line.extend_from_slice(capabilities.as_bytes());
        }
        body.extend_from_slice(&packet(&line));
    }
    body.extend_from_slice(b"0000");
    body.extend_from_slice(pack);
    let request = http
        .request("POST", &format!("/{id}.git/git-receive-pack"))
        .header("content-type", "application/x-git-receive-pack-request")
        .body(body);
    let answer = http.send(request);
    let lines = lines(&answer.body);
    Report { answer, lines }
}

/// One pkt-line.
pub fn packet(line: &[u8]) -> Vec<u8> {
    let length = line.len() + 4;
    [format!("{length:04x}").as_bytes(), line].concat()
}

/// The pkt-lines of an answer, as far as it is made of them.
fn lines(mut body: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<4>() {
        let length = std::str::from_utf8(prefix)
            .ok()
            .and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(length) = length else { break };
        let Some(data) = length.checked_sub(4) else {
            body = rest;
            continue;
        };
        let Some((line, rest)) = rest.split_at_checked(data) else {
            break;
        };
        lines.push(String::from_utf8_lossy(line).trim_end().to_owned());
        body = rest;
    }
    lines
}

impl Report {
    /// The line about a ref.
    pub fn of(&self, name: &str) -> Option<&str> {
        let about = |line: &&String| {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            matches!(words.first(), Some(&("ok" | "ng"))) && words.get(1) == Some(&name)
        };
        self.lines.iter().find(about).map(String::as_str)
    }
}
