//! Ref targets and whole ref tables.

use govc_engine::{RefName, Refs, Target};
use govc_git::ObjectFormat;

use super::codec::{Decoder, Encoder, FormatError, format_byte, format_of};

const GONE: u8 = 0;
const AT: u8 = 1;
const SYMBOLIC: u8 = 2;

pub(super) fn encode_target(
    out: &mut Encoder,
    target: &Target,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    match target {
        Target::Gone => out.byte(GONE),
        Target::At(id) => {
            out.byte(AT);
            out.id(id, format)?;
        }
        Target::Symbolic(name) => {
            out.byte(SYMBOLIC);
            out.string(name.as_bytes());
        }
    }
    Ok(())
}

pub(super) fn decode_target(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<Target, FormatError> {
    match input.byte("a ref's target")? {
        GONE => Ok(Target::Gone),
        AT => Ok(Target::At(input.id(format)?)),
        SYMBOLIC => Ok(Target::Symbolic(RefName::new(input.string("a ref name")?))),
        _ => Err(FormatError::Invalid("a ref's target")),
    }
}

/// All refs: the hash, how many, and each name as what it adds to the one before it.
pub(crate) fn encode_refs(
    out: &mut Encoder,
    refs: &Refs,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    out.byte(format_byte(format)?);
    out.number(refs.len() as u64);
    let mut before: &[u8] = b"";
    for (name, target) in refs.iter() {
        let name = name.as_bytes();
        let shared = name.iter().zip(before).take_while(|(a, b)| a == b).count();
        out.number(shared as u64);
        out.string(&name[shared..]);
        encode_target(out, target, format)?;
        before = name;
    }
    Ok(())
}

/// Reads what [`encode_refs`] wrote.
pub(crate) fn decode_refs(input: &mut Decoder) -> Result<Refs, FormatError> {
    const LEAST_BYTES: usize = 4;
    let format = format_of(input.byte("a ref table")?)?;
    let count = input.count(LEAST_BYTES, "a ref table")?;
    let mut entries = Vec::with_capacity(count);
    let mut name: Vec<u8> = Vec::new();
    for _ in 0..count {
        let shared = input.number("a ref name")?;
        if shared > name.len() as u64 {
            return Err(FormatError::Invalid("a ref name"));
        }
        name.truncate(shared as usize);
        name.extend_from_slice(&input.string("a ref name")?);
        entries.push((RefName::new(&name), decode_target(input, format)?));
    }
    Ok(Refs::from_entries(entries))
}
