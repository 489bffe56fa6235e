//! Checksums made right: a fuzzer cannot guess them, and what is behind them is what is to be
//! reached. One input in four or so is left as it is, so that the check itself is reached too.

use govc_git::ObjectFormat;
use govc_git::checksum::Checksum;

/// Whether this input keeps its own checksums.
pub(crate) fn is_left(data: &[u8]) -> bool {
    data.last().is_some_and(|byte| byte & 0xc0 == 0xc0)
}

/// `data` without its last bytes, and their hash behind it, as packs and their indexes end.
pub(crate) fn trailer(data: &[u8], format: ObjectFormat) -> Vec<u8> {
    let length = format.len_in_bytes();
    let Some(content) = data.len().checked_sub(length).map(|at| &data[..at]) else {
        return data.to_vec();
    };
    [content, Checksum::of(format, content).as_bytes()].concat()
}

/// `data` with the CRC-32 of what is behind `content_at` at `crc_at`.
pub(crate) fn crc(data: &[u8], crc_at: usize, content_at: usize) -> Vec<u8> {
    let mut data = data.to_vec();
    if let Some(content) = data.get(content_at..) {
        let crc = crc32fast::hash(content);
        data[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    }
    data
}
