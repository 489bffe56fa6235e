//! `object-info` of protocol version 2: what objects are, without the objects
//! (gitprotocol-v2(5), "object-info").

use super::command::shortened;
use super::fetch::OBJECTS_MAX;
use super::{ProtocolError, parse_id, push_hex};
use crate::{ObjectFormat, ObjectId, pktline};

/// Of which objects a client wants to know what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectInfoRequest {
    /// How many bytes they have.
    pub size: bool,
    /// Which ones.
    pub ids: Vec<ObjectId>,
}

impl ObjectInfoRequest {
    pub(super) fn argument(
        &mut self,
        text: &[u8],
        format: ObjectFormat,
    ) -> Result<(), ProtocolError> {
        if text == b"size" {
            self.size = true;
            return Ok(());
        }
        let Some(hex) = text.strip_prefix(b"oid ") else {
            return Err(ProtocolError::ObjectInfoLine(shortened(text)));
        };
        let Ok(id) = parse_id(hex, format) else {
            return Err(ProtocolError::ObjectInfoId(shortened(hex)));
        };
        if self.ids.len() == OBJECTS_MAX {
            return Err(ProtocolError::TooMany {
                what: "objects",
                max: OBJECTS_MAX,
            });
        }
        self.ids.push(id);
        Ok(())
    }

    /// Writes the answer, its flush included; `sizes` are those of the objects that were asked
    /// for, in order, `None` where there is none that the client may know of.
    pub fn write(&self, out: &mut Vec<u8>, sizes: impl IntoIterator<Item = Option<u64>>) {
        if self.size && !self.ids.is_empty() {
            pktline::write(out, &[b"size"]);
        }
        for (id, size) in self.ids.iter().zip(sizes) {
            let mut line = Vec::with_capacity(id.kind().len_in_hex() + 21);
            push_hex(&mut line, id);
            if self.size {
                line.push(b' ');
                line.extend(
                    size.map(|size| size.to_string())
                        .unwrap_or_default()
                        .bytes(),
                );
            }
            pktline::write(out, &[&line]);
        }
        out.extend_from_slice(pktline::FLUSH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_has_no_size() {
        let id = ObjectFormat::Sha1.empty_blob();
        let mut request = ObjectInfoRequest::default();
        for line in ["size".to_owned(), format!("oid {id}"), format!("oid {id}")] {
            request
                .argument(line.as_bytes(), ObjectFormat::Sha1)
                .unwrap();
        }
        let mut out = Vec::new();
        request.write(&mut out, [Some(17), None]);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("0008size002f{id} 17002d{id} 0000")
        );
    }

    #[test]
    fn what_is_no_argument_is_told_in_gits_words() {
        let mut request = ObjectInfoRequest::default();
        for (line, expected) in [
            ("type", "object-info: unexpected line: 'type'"),
            (
                "oid 12",
                "object-info: protocol error, expected to get oid, not '12'",
            ),
        ] {
            let error = request.argument(line.as_bytes(), ObjectFormat::Sha1);
            assert_eq!(error.unwrap_err().to_string(), expected);
        }
    }
}
