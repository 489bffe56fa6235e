//! Text that need not be UTF-8, and content that need not be text.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use bytes::Bytes;

use crate::Invalid;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `bytes` for people, with U+FFFD where they are not UTF-8, and then exactly, in base64.
pub fn text(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (
            String::from_utf8_lossy(bytes).into_owned(),
            Some(STANDARD.encode(bytes)),
        ),
    }
}

/// `bytes` as content: the name of its encoding, and the text.
pub fn content(bytes: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => ("utf-8", text.to_owned()),
        Err(_) => ("base64", STANDARD.encode(bytes)),
    }
}

/// Content as a writer sent it, as bytes. Line breaks in base64 are taken as most programs write
/// them.
///
/// # Errors
/// [`Invalid::Field`] when the encoding is not known, or the text is not in it.
pub fn bytes(field: &str, content: String, encoding: Option<&str>) -> Result<Bytes, Invalid> {
    match encoding {
        None | Some("utf-8") => Ok(content.into_bytes().into()),
        Some("base64") => {
            let mut packed = content.into_bytes();
            packed.retain(|byte| !byte.is_ascii_whitespace());
            LENIENT.decode(&packed).map(Bytes::from).map_err(|error| {
                Invalid::field(format!("{field}content"), format!("not base64: {error}"))
            })
        }
        Some(other) => Err(Invalid::field(
            format!("{field}encoding"),
            format!("\"utf-8\" or \"base64\", not {other:?}"),
        )),
    }
}
