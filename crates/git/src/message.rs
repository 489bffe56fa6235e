//! Messages of commits and tags.

/// Cleans a message as `git commit -m` does (`--cleanup=whitespace`, which is `git stripspace`):
/// no spaces at the ends of lines, no blank lines at the ends, never two in a row, a newline at
/// the end unless nothing is left.
pub fn clean(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1);
    let mut blank = false;
    for line in text.split(|&b| b == b'\n') {
        let length = line
            .iter()
            .rposition(|&b| !is_space(b))
            .map_or(0, |at| at + 1);
        if length == 0 {
            blank = true;
            continue;
        }
        if blank && !out.is_empty() {
            out.push(b'\n');
        }
        blank = false;
        out.extend_from_slice(&line[..length]);
        out.push(b'\n');
    }
    out
}

/// The first paragraph of a message as one line: the subject, as `git log --format=%s` has it.
pub fn summary(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut begun = false;
    for line in message.split(|&b| b == b'\n') {
        let length = line
            .iter()
            .rposition(|&b| !is_space(b))
            .map_or(0, |at| at + 1);
        match (length, begun) {
            (0, false) => continue,
            (0, true) => break,
            (_, true) => out.push(b' '),
            (_, false) => {}
        }
        begun = true;
        out.extend_from_slice(&line[..length]);
    }
    out
}

/// A message from its first line that says something on, as Git takes it over.
pub fn begun(message: &[u8]) -> &[u8] {
    let mut rest = message;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        if !rest[..end].iter().all(|&byte| is_blank(byte)) {
            return rest;
        }
        rest = &rest[end + 1..];
    }
    match rest.iter().all(|&byte| is_blank(byte)) {
        true => b"",
        false => rest,
    }
}

/// The first line that says something, as it stands there: how Git calls a commit that it picks.
pub fn first_line(message: &[u8]) -> &[u8] {
    let begun = begun(message);
    &begun[..memchr::memchr(b'\n', begun).unwrap_or(begun.len())]
}

fn is_blank(byte: u8) -> bool {
    byte == b'\x0b' || byte == b'\x0c' || is_space(byte)
}

/// What Git takes for a space: not vertical tabs or form feeds.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
