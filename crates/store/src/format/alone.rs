//! Records of one kind without the checkpoint around them, which the fuzzer reads and writes.

use bytes::Bytes;
use govc_git::ObjectFormat;

use super::codec::{Decoder, Encoder, FormatError};
use super::{hooks, realities, transactions, workspaces};
use crate::holdings::Holdings;

/// What a checkpoint has lists of, and an entry's edit of realities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// Webhooks.
    Hooks,
    /// Workspaces.
    Workspaces,
    /// Transactions.
    Transactions,
    /// Realities, their fates and results.
    Realities,
    /// What an entry says of realities.
    RealityEdit,
}

/// Reads records, and gives their bytes written again.
///
/// # Errors
/// [`FormatError`], as when they are read or written.
pub(crate) fn rewrite(
    kind: Records,
    bytes: Bytes,
    format: ObjectFormat,
) -> Result<Vec<u8>, FormatError> {
    let mut input = Decoder::new(bytes);
    let mut out = Encoder::default();
    match kind {
        Records::Hooks => hooks::encode_hooks(&mut out, &hooks::decode_hooks(&mut input)?),
        Records::Workspaces => {
            let read = workspaces::decode_workspaces(&mut input, format)?;
            workspaces::encode_workspaces(&mut out, &read, format)?;
        }
        Records::Transactions => {
            let read = transactions::decode_transactions(&mut input, format)?;
            transactions::encode_transactions(&mut out, &read, format)?;
        }
        Records::Realities => {
            let read = realities::decode_realities(&mut input, format)?;
            realities::encode_realities(&mut out, &read, format)?;
        }
        Records::RealityEdit => {
            let read = realities::decode_edit(&mut input, format)?;
            input.end("an edit of realities")?;
            realities::encode_edit(&mut out, &read, format)?;
        }
    }
    Ok(out.bytes)
}

/// The records of a kind that a repository has.
///
/// # Errors
/// [`FormatError`] when they cannot be written: an edit is none of them.
pub(crate) fn write(
    kind: Records,
    holdings: &Holdings,
    format: ObjectFormat,
) -> Result<Vec<u8>, FormatError> {
    let mut out = Encoder::default();
    match kind {
        Records::Hooks => hooks::encode_hooks(&mut out, &holdings.hooks),
        Records::Workspaces => {
            workspaces::encode_workspaces(&mut out, &holdings.workspaces, format)?;
        }
        Records::Transactions => {
            transactions::encode_transactions(&mut out, &holdings.transactions, format)?;
        }
        Records::Realities => realities::encode_realities(&mut out, &holdings.realities, format)?,
        Records::RealityEdit => return Err(FormatError::Unwritable("an edit alone")),
    }
    Ok(out.bytes)
}

/// An edit of realities, as an entry has it.
///
/// # Errors
/// [`FormatError`] when it cannot be written.
pub(crate) fn write_edit(
    edit: &govc_engine::RealityEdit,
    format: ObjectFormat,
) -> Result<Vec<u8>, FormatError> {
    let mut out = Encoder::default();
    realities::encode_edit(&mut out, edit, format)?;
    Ok(out.bytes)
}
