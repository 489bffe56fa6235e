//! Paths as git prints them in patches: between quotes, with escapes, where they have bytes that
//! are not plain.

/// `path` as git prints it in a line of its own, `core.quotePath` being true.
pub fn quoted(path: &[u8]) -> Vec<u8> {
    quoted_behind(b"", path)
}

/// `path` behind `prefix` (`a/`, `b/`), quoted together.
pub fn quoted_behind(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    if path.iter().all(|byte| is_plain(*byte)) {
        return [prefix, path].concat();
    }
    let mut out = Vec::with_capacity(prefix.len() + path.len() + 8);
    out.push(b'"');
    out.extend_from_slice(prefix);
    for &byte in path {
        let letter = match byte {
            7 => b'a',
            8 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            11 => b'v',
            12 => b'f',
            b'\r' => b'r',
            b'"' | b'\\' => byte,
            _ if is_plain(byte) => {
                out.push(byte);
                continue;
            }
            _ => {
                out.extend_from_slice(format!("\\{byte:03o}").as_bytes());
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
    out.push(b'"');
    out
}

fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_plain_is_quoted() {
        assert_eq!(quoted(b"a b/c"), b"a b/c");
        assert_eq!(
            quoted(b"a\tb\\\"\x01\xc3\xa9\x7f"),
            b"\"a\\tb\\\\\\\"\\001\\303\\251\\177\""
        );
        assert_eq!(quoted_behind(b"a/", b"\n"), b"\"a/\\n\"");
    }
}
