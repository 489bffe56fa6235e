//! Transactions, as entries and checkpoints have them.

use std::sync::Arc;

use govc_engine::{RefName, Transaction, TransactionState, Transactions};
use govc_git::ObjectFormat;

use super::codec::{Decoder, Encoder, FormatError};

const WHAT: &str = "a transaction";

const OPEN: u8 = 1;
const COMMITTED: u8 = 2;
const ROLLED_BACK: u8 = 3;

/// One transaction: its branch, its base where it has one, its tree, its number, times, state.
pub(super) fn encode_transaction(
    out: &mut Encoder,
    transaction: &Transaction,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    out.string(transaction.branch.as_bytes());
    out.byte(u8::from(transaction.base.is_some()));
    if let Some(base) = &transaction.base {
        out.id(base, format)?;
    }
    out.id(&transaction.tree, format)?;
    out.number(transaction.seq);
    out.time(transaction.created_at);
    out.time(transaction.expires_at);
    match transaction.state {
        TransactionState::Open => out.byte(OPEN),
        TransactionState::RolledBack => out.byte(ROLLED_BACK),
        TransactionState::Committed(id) => {
            out.byte(COMMITTED);
            out.id(&id, format)?;
        }
    }
    Ok(())
}

/// Reads what [`encode_transaction`] wrote, to the end of `input`.
pub(super) fn decode_transaction(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<Transaction, FormatError> {
    let branch = RefName::new(input.string(WHAT)?);
    let base = match input.byte(WHAT)? {
        0 => None,
        1 => Some(input.id(format)?),
        _ => return Err(FormatError::Invalid(WHAT)),
    };
    let tree = input.id(format)?;
    let seq = input.number(WHAT)?;
    let (created_at, expires_at) = (input.time(WHAT)?, input.time(WHAT)?);
    let state = match input.byte(WHAT)? {
        OPEN => TransactionState::Open,
        COMMITTED => TransactionState::Committed(input.id(format)?),
        ROLLED_BACK => TransactionState::RolledBack,
        _ => return Err(FormatError::Invalid(WHAT)),
    };
    input.end(WHAT)?;
    Ok(Transaction {
        branch,
        base,
        tree,
        seq,
        created_at,
        expires_at,
        state,
    })
}

/// All transactions with their ids.
pub(super) fn encode_transactions(
    out: &mut Encoder,
    transactions: &Transactions,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    out.number(transactions.len() as u64);
    for (id, transaction) in transactions.iter() {
        out.string(id.as_bytes());
        out.nested(|out| encode_transaction(out, transaction, format))?;
    }
    Ok(())
}

/// Reads what [`encode_transactions`] wrote, to the end of `input`.
pub(super) fn decode_transactions(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<Transactions, FormatError> {
    const LEAST_BYTES: usize = 2;
    let count = input.count(LEAST_BYTES, WHAT)?;
    let mut transactions = Transactions::default();
    for _ in 0..count {
        let id: Arc<str> = input.text(WHAT)?.into();
        let transaction = decode_transaction(&mut input.nested(WHAT)?, format)?;
        transactions.set(&id, Some(Arc::new(transaction)));
    }
    input.end(WHAT)?;
    Ok(transactions)
}
