//! What a client writes: arguments as pkt-lines.

use govc_git::pktline;

/// The lines of `text`, one pkt-line each, between the capabilities that begin a request of
/// `command` and its flush.
pub(crate) fn request(command: &str, sha256: bool, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    pktline::write(&mut out, &[b"command=", command.as_bytes(), b"\n"]);
    if sha256 {
        pktline::write(&mut out, &[b"object-format=sha256"]);
    }
    out.extend_from_slice(pktline::DELIMITER);
    for line in text.split(|&byte| byte == b'\n') {
        for piece in line.chunks(pktline::DATA_BYTES_MAX) {
            pktline::write(&mut out, &[piece]);
        }
    }
    out.extend_from_slice(pktline::FLUSH);
    out
}

/// Ways to cut `data` into pieces: byte by byte where that is cheap, and at a place that depends
/// on the data.
pub(crate) fn cuts(data: &[u8]) -> impl Iterator<Item = usize> {
    let somewhere = crc32fast::hash(data) as usize % data.len().max(1);
    let single = (data.len() <= 4096).then_some(1);
    single.into_iter().chain([7, somewhere.max(1)])
}

/// Data that may be said as text: where `is_text`, each line is a pkt-line, and `0000`, `0001` and
/// `0002` are the special ones. A fuzzer changes lines; that their lengths are right is not what it
/// is to find out.
pub(crate) fn said(is_text: bool, data: &[u8]) -> Vec<u8> {
    if !is_text {
        return data.to_vec();
    }
    let mut out = Vec::with_capacity(data.len() * 2);
    for line in data.split(|&byte| byte == b'\n') {
        match line {
            b"0000" | b"0001" | b"0002" => out.extend_from_slice(line),
            line => pktline::write(&mut out, &[line]),
        }
    }
    out
}
