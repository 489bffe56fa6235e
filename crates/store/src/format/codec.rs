//! Bytes to values and back.

use bytes::Bytes;
use govc_engine::{RepoKey, Time};
use govc_git::{ObjectFormat, ObjectId};

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// They end too early.
    #[error("it ends in the middle of {0}")]
    Truncated(&'static str),
    /// They do not mean anything.
    #[error("{0} makes no sense")]
    Invalid(&'static str),
    /// A later version wrote them.
    #[error("{what} {number} (version {version}) is unknown to this program")]
    Unknown {
        /// What it is a kind of.
        what: &'static str,
        /// Its number.
        number: u64,
        /// Its version.
        version: u64,
    },
    /// This value has no number in the format.
    #[error("{0} cannot be written by this version of the format")]
    Unwritable(&'static str),
}

/// Writes values after each other.
#[derive(Debug, Default)]
pub struct Encoder {
    /// What was written.
    pub bytes: Vec<u8>,
}

impl Encoder {
    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// A varint.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// A varint of a signed number.
    pub fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    /// Bytes with their length before them.
    pub fn string(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes as they are: the reader knows how many.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An id, which must be of the hash `format`: the reader was told so once, for all.
    ///
    /// # Errors
    /// [`FormatError::Unwritable`] when it is of another.
    pub fn id(&mut self, id: &ObjectId, format: ObjectFormat) -> Result<(), FormatError> {
        if id.kind() != format {
            return Err(FormatError::Unwritable("a mixture of hashes"));
        }
        self.raw(id.as_slice());
        Ok(())
    }

    /// A moment.
    pub fn time(&mut self, time: Time) {
        self.signed(time.0);
    }

    /// What `write` writes, with its length before it.
    pub fn nested<T>(&mut self, write: impl FnOnce(&mut Encoder) -> T) -> T {
        let start = self.bytes.len();
        let result = write(self);
        let end = self.bytes.len();
        // The length is known behind it, and goes before it.
        self.number((end - start) as u64);
        let length_bytes = self.bytes.len() - end;
        self.bytes[start..].rotate_right(length_bytes);
        result
    }
}

/// Reads values after each other.
#[derive(Debug, Clone)]
pub struct Decoder {
    rest: Bytes,
}

impl Decoder {
    /// Reads `bytes`; what is read shares their memory.
    pub fn new(bytes: Bytes) -> Decoder {
        Decoder { rest: bytes }
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// # Errors
    /// [`FormatError::Invalid`] when something is left.
    pub fn end(&self, what: &'static str) -> Result<(), FormatError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(FormatError::Invalid(what))
    }

    /// One byte.
    ///
    /// # Errors
    /// [`FormatError::Truncated`].
    pub fn byte(&mut self, what: &'static str) -> Result<u8, FormatError> {
        Ok(self.raw(1, what)?[0])
    }

    /// A varint.
    ///
    /// # Errors
    /// [`FormatError`] when it ends early or has more than 64 bits.
    pub fn number(&mut self, what: &'static str) -> Result<u64, FormatError> {
        let mut number = 0u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                return Err(FormatError::Invalid(what));
            }
            number |= bits << (7 * at);
            if byte & 0x80 == 0 {
                let _ = self.rest.split_to(at + 1);
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 {
            FormatError::Truncated(what)
        } else {
            FormatError::Invalid(what)
        })
    }

    /// A varint of a signed number.
    ///
    /// # Errors
    /// As [`Decoder::number`].
    pub fn signed(&mut self, what: &'static str) -> Result<i64, FormatError> {
        let number = self.number(what)?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A count of things of which each takes at least `least` bytes: more than can be there is
    /// refused, so that room can be made for them.
    ///
    /// # Errors
    /// As [`Decoder::number`].
    pub fn count(&mut self, least: usize, what: &'static str) -> Result<usize, FormatError> {
        let count = self.number(what)?;
        if count > (self.rest.len() / least.max(1)) as u64 {
            return Err(FormatError::Truncated(what));
        }
        Ok(count as usize)
    }

    /// `len` bytes.
    ///
    /// # Errors
    /// [`FormatError::Truncated`].
    pub fn raw(&mut self, len: usize, what: &'static str) -> Result<Bytes, FormatError> {
        if len > self.rest.len() {
            return Err(FormatError::Truncated(what));
        }
        Ok(self.rest.split_to(len))
    }

    /// Bytes with their length before them.
    ///
    /// # Errors
    /// As [`Decoder::number`].
    pub fn string(&mut self, what: &'static str) -> Result<Bytes, FormatError> {
        let len = self.count(1, what)?;
        self.raw(len, what)
    }

    /// A text.
    ///
    /// # Errors
    /// As [`Decoder::number`]; [`FormatError::Invalid`] when it is not UTF-8.
    pub fn text(&mut self, what: &'static str) -> Result<String, FormatError> {
        String::from_utf8(self.string(what)?.to_vec()).map_err(|_| FormatError::Invalid(what))
    }

    /// What was written by [`Encoder::nested`].
    ///
    /// # Errors
    /// As [`Decoder::number`].
    pub fn nested(&mut self, what: &'static str) -> Result<Decoder, FormatError> {
        Ok(Decoder::new(self.string(what)?))
    }

    /// A fixed number of bytes.
    ///
    /// # Errors
    /// [`FormatError::Truncated`].
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FormatError> {
        let bytes = self.raw(N, what)?;
        <[u8; N]>::try_from(bytes.as_ref()).map_err(|_| FormatError::Truncated(what))
    }

    /// A moment.
    ///
    /// # Errors
    /// As [`Decoder::number`].
    pub fn time(&mut self, what: &'static str) -> Result<Time, FormatError> {
        Ok(Time(self.signed(what)?))
    }

    /// A repository's key.
    ///
    /// # Errors
    /// [`FormatError::Truncated`].
    pub fn key(&mut self) -> Result<RepoKey, FormatError> {
        Ok(RepoKey(self.array("a repository key")?))
    }

    /// An object id.
    ///
    /// # Errors
    /// [`FormatError::Truncated`].
    pub fn id(&mut self, format: ObjectFormat) -> Result<ObjectId, FormatError> {
        let bytes = self.raw(format.len_in_bytes(), "an object id")?;
        ObjectId::try_from(bytes.as_ref()).map_err(|_| FormatError::Invalid("an object id"))
    }
}

const SHA1: u8 = 1;
const SHA256: u8 = 2;

/// The byte that stands for a hash.
pub(crate) fn format_byte(format: ObjectFormat) -> Result<u8, FormatError> {
    match format {
        ObjectFormat::Sha1 => Ok(SHA1),
        ObjectFormat::Sha256 => Ok(SHA256),
        _ => Err(FormatError::Unwritable("this hash")),
    }
}

/// The hash that a byte stands for.
pub(crate) fn format_of(byte: u8) -> Result<ObjectFormat, FormatError> {
    match byte {
        SHA1 => Ok(ObjectFormat::Sha1),
        SHA256 => Ok(ObjectFormat::Sha256),
        _ => Err(FormatError::Unknown {
            what: "hash",
            number: u64::from(byte),
            version: 1,
        }),
    }
}
