//! Text of commits that is not UTF-8, as Git takes it over: what the `encoding` header names
//! becomes UTF-8, and what is made anew is UTF-8 in any case.

use std::borrow::Cow;

use encoding_rs::Encoding;
use memchr::memmem;

/// The bytes of a commit with all of its text in UTF-8, where its header names another encoding
/// that is known and that the text keeps to; else as they are (`logmsg_reencode` of Git).
pub fn commit_in_utf8(data: &[u8]) -> Cow<'_, [u8]> {
    let head = &data[..memmem::find(data, b"\n\n").unwrap_or(data.len())];
    let line = memmem::find(head, b"\nencoding ").map(|at| &head[at + b"\nencoding ".len()..]);
    match line.and_then(|line| line.split(|byte| *byte == b'\n').next()) {
        Some(label) => decoded(label, data).map_or(Cow::Borrowed(data), Cow::Owned),
        None => Cow::Borrowed(data),
    }
}

/// `text` from the encoding that `label` names; `None` where it is not known, not kept to, or
/// UTF-8 already.
fn decoded(label: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let label = label.trim_ascii().to_ascii_lowercase();
    // What the web takes for windows-1252, and iconv does not.
    match &label[..] {
        b"iso-8859-1" | b"iso8859-1" | b"iso_8859-1" | b"iso88591" | b"latin1" | b"latin-1"
        | b"l1" => {
            return Some(text.iter().flat_map(|byte| utf8_of(*byte)).collect());
        }
        b"ascii" | b"us-ascii" | b"ansi_x3.4-1968" => return None,
        _ => {}
    }
    // They hold no header of a commit.
    let is_wide = |name: &str| name.starts_with("UTF-") || name == "replacement";
    let encoding = Encoding::for_label(&label).filter(|found| !is_wide(found.name()))?;
    let text = encoding.decode_without_bom_handling_and_without_replacement(text)?;
    Some(text.into_owned().into_bytes())
}

/// What Git makes of bytes that are to be a commit's and are not UTF-8: each byte that is in the
/// way is taken for one of ISO-8859-1.
pub fn made_utf8(data: Vec<u8>) -> Vec<u8> {
    if std::str::from_utf8(&data).is_ok_and(|text| !text.contains(is_noncharacter)) {
        return data;
    }
    let mut out = Vec::with_capacity(data.len() + data.len() / 8);
    let mut rest = &data[..];
    while let Some(first) = rest.first() {
        let width = match first {
            ..0x80 => 1,
            ..0xe0 => 2,
            ..0xf0 => 3,
            _ => 4,
        };
        let whole = rest
            .get(..width)
            .and_then(|part| std::str::from_utf8(part).ok());
        match whole.filter(|part| !part.contains(is_noncharacter)) {
            Some(part) => {
                out.extend_from_slice(part.as_bytes());
                rest = &rest[width..];
            }
            None => {
                out.extend(utf8_of(*first));
                rest = &rest[1..];
            }
        }
    }
    out
}

fn utf8_of(latin: u8) -> impl Iterator<Item = u8> {
    let mut bytes = [0; 4];
    let length = char::from(latin).encode_utf8(&mut bytes).len();
    bytes.into_iter().take(length)
}

/// What Unicode guarantees never to be a character.
fn is_noncharacter(char: char) -> bool {
    let code = u32::from(char);
    code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(encoding: &str, text: &[u8]) -> Vec<u8> {
        let head = format!("tree 0\nauthor A <a> 0 +0000\nencoding {encoding}\n\n");
        [head.as_bytes(), text].concat()
    }

    #[test]
    fn what_the_header_names_becomes_utf8() {
        for (encoding, text, shown) in [
            ("ISO-8859-1", &b"\xfcber \x85"[..], "\u{fc}ber \u{85}"),
            ("latin1", b"\xfc", "\u{fc}"),
            ("CP1251", b"\xcf", "\u{41f}"),
            ("EUC-JP", b"\xa4\xa2", "\u{3042}"),
            ("SHIFT_JIS", b"\x82\xa0", "\u{3042}"),
        ] {
            let data = commit(encoding, text);
            let found = commit_in_utf8(&data);
            assert!(found.ends_with(shown.as_bytes()), "{encoding}: {found:?}");
        }
        for (encoding, text) in [
            ("UTF-8", &b"\xc3\xbc"[..]),
            ("of nowhere", b"\xfc"),
            ("US-ASCII", b"\xfc"),
            ("EUC-JP", b"\xa4 "),
            ("UTF-16", b"a\0"),
        ] {
            let data = commit(encoding, text);
            assert_eq!(&commit_in_utf8(&data)[..], data, "{encoding}");
        }
        // A line of the message is no header.
        let data = b"tree 0\n\nx\nencoding latin1\n\xfc";
        assert_eq!(&commit_in_utf8(data)[..], data);
    }

    #[test]
    fn bytes_in_the_way_are_latin() {
        for (before, after) in [
            (&b"plain"[..], &b"plain"[..]),
            ("ü € 😀".as_bytes(), "ü € 😀".as_bytes()),
            (b"\xfc", b"\xc3\xbc"),
            (b"a\xe2\x82", b"a\xc3\xa2\xc2\x82"),
            // Overlong, a surrogate, no character.
            (b"\xc0\x80", b"\xc3\x80\xc2\x80"),
            (b"\xed\xa0\x80", b"\xc3\xad\xc2\xa0\xc2\x80"),
            (b"\xef\xbf\xbf", b"\xc3\xaf\xc2\xbf\xc2\xbf"),
        ] {
            assert_eq!(made_utf8(before.to_vec()), after, "{before:?}");
        }
    }
}
