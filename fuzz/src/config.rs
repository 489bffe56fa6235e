//! Git's configuration syntax.

use govc_git::config::{self, Malformed};

type Variable = (Vec<u8>, Option<Vec<u8>>);

fn read(text: &[u8]) -> (Vec<Variable>, Result<(), Malformed>) {
    let mut variables = Vec::new();
    let result = config::read(text, &mut |name, value| {
        variables.push((name.to_vec(), value.map(<[u8]>::to_vec)));
    });
    (variables, result)
}

fn escaped(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(byte),
        }
    }
}

/// A variable as `git config` would write it, in a section of its own.
fn write((name, value): &Variable, out: &mut Vec<u8>) {
    let dots = || name.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    let mut key = &name[..];
    if let (Some((first, _)), Some((last, _))) = (dots().next(), dots().next_back()) {
        out.push(b'[');
        out.extend_from_slice(&name[..first]);
        if first < last {
            out.extend_from_slice(b" \"");
            escaped(&name[first + 1..last], out);
            out.push(b'"');
        }
        out.extend_from_slice(b"]\n");
        key = &name[last + 1..];
    }
    out.extend_from_slice(key);
    if let Some(value) = value {
        out.extend_from_slice(b" = \"");
        escaped(value, out);
        out.push(b'"');
    }
    out.push(b'\n');
}

/// Variables: written again they are the same. A plain text is the same with quotes and without.
pub(crate) fn config(data: &[u8]) {
    let (variables, result) = read(data);
    if result.is_ok() {
        let mut written = Vec::new();
        variables.iter().for_each(|one| write(one, &mut written));
        assert_eq!(read(&written), (variables, Ok(())));
    }
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" .-_/:".contains(byte);
    if data.iter().all(is_plain) && data.trim_ascii() == data {
        let text = [b"[a]\nb = ", data, b"\n"].concat();
        let expected = vec![(b"a.b".to_vec(), Some(data.to_vec()))];
        assert_eq!(read(&text), (expected, Ok(())));
    }
}
