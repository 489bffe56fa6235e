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
