//! The rules for `.gitmodules`: names, addresses and commands that once made Git run something or
//! write somewhere.

use super::Finding;
use crate::config;

pub(super) fn check(data: &[u8], on_finding: &mut dyn FnMut(Finding)) {
    let read = config::read(data, &mut |name, value| {
        check_variable(c_string(name), value.map(c_string), on_finding);
    });
    if read.is_err() {
        on_finding(Finding::warn(
            "gitmodulesParse",
            "could not parse gitmodules blob",
        ));
    }
}

/// Git holds these in C strings: they end at a NUL.
fn c_string(text: &[u8]) -> &[u8] {
    text.split(|&b| b == 0).next().unwrap_or_default()
}

fn check_variable(name: &[u8], value: Option<&[u8]>, on_finding: &mut dyn FnMut(Finding)) {
    let Some(rest) = name.strip_prefix(b"submodule.") else {
        return;
    };
    let Some(dot) = rest.iter().rposition(|&b| b == b'.') else {
        return;
    };
    let (submodule, key) = (&rest[..dot], &rest[dot + 1..]);
    let mut disallowed = |id, what: &str, text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        on_finding(Finding::error(id, format!("disallowed {what}: {text}")));
    };
    if !name_is_safe(submodule) {
        disallowed("gitmodulesName", "submodule name", submodule);
    }
    let Some(value) = value else { return };
    match key {
        b"url" if !url_is_safe(value) => disallowed("gitmodulesUrl", "submodule url", value),
        b"path" if value.starts_with(b"-") => {
            disallowed("gitmodulesPath", "submodule path", value);
        }
        b"update" if value.starts_with(b"!") => {
            disallowed("gitmodulesUpdate", "submodule update setting", value);
        }
        _ => {}
    }
}

/// A submodule's name is a path below `.git/modules`: never up.
fn name_is_safe(name: &[u8]) -> bool {
    !name.is_empty() && name.split(|&b| is_separator(b)).all(|part| part != b"..")
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Not an option, no newline hidden in it, and a host where there must be one.
fn url_is_safe(url: &[u8]) -> bool {
    if url.starts_with(b"-") {
        return false;
    }
    let is_relative = matches!(
        url,
        [b'.', b'/' | b'\\', ..] | [b'.', b'.', b'/' | b'\\', ..]
    );
    if is_relative || url.starts_with(b"git://") {
        if percent_decode(url).contains(&b'\n') {
            return false;
        }
        // `../../:x` would become a part of the address it is relative to.
        let (ups, rest) = leading_ups(url);
        return !(ups > 0 && matches!(rest.first(), Some(b':' | b'/')));
    }
    for helper in [&b"http::"[..], b"https::", b"ftp::", b"ftps::"] {
        if let Some(address) = url.strip_prefix(helper) {
            return has_safe_credential(address);
        }
    }
    let is_curls = [&b"http://"[..], b"https://", b"ftp://", b"ftps://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    !is_curls || has_safe_credential(url)
}

/// How many `../` are at the front, `./` between them not counted, and what is behind.
fn leading_ups(mut url: &[u8]) -> (usize, &[u8]) {
    let mut ups = 0;
    loop {
        match url {
            [b'.', b'.', b'/' | b'\\', rest @ ..] => {
                ups += 1;
                url = rest;
            }
            [b'.', b'/' | b'\\', rest @ ..] => url = rest,
            _ => return (ups, url),
        }
    }
}

/// Whether the parts that a credential helper would be told are there and hold no newline.
fn has_safe_credential(url: &[u8]) -> bool {
    let Some(scheme_length) = url.windows(3).position(|window| window == b"://") else {
        return false;
    };
    if scheme_length == 0 {
        return false;
    }
    let behind = &url[scheme_length + 3..];
    let find = |byte| behind.iter().position(|&b| b == byte);
    let slash = behind
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#'))
        .unwrap_or(behind.len());
    let (user, password, host) = match (find(b'@'), find(b':')) {
        (Some(at), _) if slash <= at => (None, None, 0),
        (None, _) => (None, None, 0),
        (Some(at), Some(colon)) if colon < at => {
            (Some(&behind[..colon]), Some(&behind[colon + 1..at]), at + 1)
        }
        (Some(at), _) => (Some(&behind[..at]), None, at + 1),
    };
    let host = percent_decode(&behind[host..slash]);
    let has_newline =
        |text: Option<&[u8]>| text.is_some_and(|t| percent_decode(t).contains(&b'\n'));
    let path = {
        let rest = &behind[slash..];
        let start = rest.iter().position(|&b| b != b'/').unwrap_or(rest.len());
        &rest[start..]
    };
    let unsafe_part = has_newline(user)
        || has_newline(password)
        || url[..scheme_length].contains(&b'\n')
        || host.contains(&b'\n')
        || has_newline(Some(path));
    !unsafe_part && !host.is_empty()
}

/// `%41` → `A`, as Git's url.c: what is before the first colon stays, and so does `%00`.
fn percent_decode(text: &[u8]) -> Vec<u8> {
    let start = text.iter().position(|&b| b == b':').unwrap_or(0);
    let mut out = text[..start].to_vec();
    let mut rest = &text[start..];
    while let Some((&byte, behind)) = rest.split_first() {
        if byte == b'%'
            && let [high, low, ..] = behind
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
            && (high, low) != (0, 0)
        {
            out.push(high << 4 | low);
            rest = &behind[2..];
        } else {
            out.push(byte);
            rest = behind;
        }
    }
    out
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
