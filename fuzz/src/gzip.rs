//! Bodies of requests: gzip, and what is cut anywhere.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::read::DeflateDecoder;
use flate2::write::GzEncoder;
use govc_server::fuzzing;
use http::{HeaderMap, HeaderValue, header};

use crate::lines::cuts;

/// No piece of a body is larger: 4 KiB become at most 1032 times as many, and a window's more.
const PIECE_BYTES_MAX: usize = (4 << 10) * 1032 + (64 << 10);

fn headers(coding: &[u8]) -> Option<HeaderMap> {
    let kind = HeaderValue::from_static("application/x-git-upload-pack-request; charset=utf-8");
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    headers.insert(
        header::CONTENT_ENCODING,
        HeaderValue::from_bytes(coding).ok()?,
    );
    Some(headers)
}

/// A deflated stream as gzip has it, its length and checksum made right.
fn healed(stream: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut decoder = DeflateDecoder::new(stream);
    let _ = decoder.read_to_end(&mut content);
    let (used, rest) = stream.split_at(stream.len().min(decoder.total_in() as usize));
    let mut out = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    out.extend_from_slice(used);
    out.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    // What is behind it stays behind it.
    out.extend_from_slice(rest);
    out
}

/// What a body says when it arrives in pieces of `length` bytes: its checksum and length.
fn read(headers: &HeaderMap, body: &[u8], length: usize) -> Option<(u32, usize)> {
    let pieces = body.chunks(length.max(1)).map(Bytes::copy_from_slice);
    let (mut hasher, mut bytes) = (crc32fast::Hasher::new(), 0);
    let result = fuzzing::request_body(headers, pieces.collect(), |piece| {
        assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES_MAX);
        hasher.update(piece);
        bytes += piece.len();
    });
    result.ok().map(|()| (hasher.finalize(), bytes))
}

/// Bodies: the first byte says whether a coding follows in the first line, and whether the rest
/// is a deflated stream that is to be made a whole file.
pub(crate) fn body(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let (coding, body) = match how & 4 {
        0 => (&b"gzip"[..], rest),
        _ => {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
            (&rest[..end], rest.get(end + 1..).unwrap_or_default())
        }
    };
    let Some(headers) = headers(coding) else {
        return;
    };
    let body = match how & 3 {
        0 => body.to_vec(),
        1 => healed(body),
        _ => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).expect("memory");
            encoder.finish().expect("memory")
        }
    };
    let whole = read(&headers, &body, body.len());
    for length in cuts(&body) {
        assert_eq!(read(&headers, &body, length), whole);
    }
    let is_gzip = coding == b"gzip" || coding == b"x-gzip";
    if let (true, Some((crc, bytes))) = (is_gzip, whole) {
        // What is taken is one whole file, as another reader of gzip has it, and nothing behind it.
        let mut input = &body[..];
        let mut decoder = GzDecoder::new(&mut input);
        let mut content = Vec::new();
        decoder.read_to_end(&mut content).expect("gzip");
        drop(decoder);
        assert!(input.is_empty(), "there is more behind it");
        assert_eq!((crc32fast::hash(&content), content.len()), (crc, bytes));
    }
    if coding == b"identity" {
        assert_eq!(whole, Some((crc32fast::hash(&body), body.len())));
    }
}
