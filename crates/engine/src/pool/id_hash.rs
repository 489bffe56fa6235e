//! Where an id goes in a hash table.

use govc_git::oid;

/// Ids are hashes already. One multiplication with a random odd number keeps a stranger, who can
/// search for contents whose ids begin alike, from choosing where they go.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdHash {
    factor: u64,
}

impl IdHash {
    /// Differs from one pool to the next.
    pub(super) fn random() -> IdHash {
        // Without a source of randomness tables still work.
        let factor = getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15);
        IdHash { factor: factor | 1 }
    }

    /// The hash of `id`; its upper half is the better one, and both are the same.
    #[inline]
    pub(super) fn of(self, id: &oid) -> u64 {
        let upper = self.short(id);
        u64::from(upper) << 32 | u64::from(upper)
    }

    /// 32 bits from which [`IdHash::widen`] makes the hash again.
    #[inline]
    pub(super) fn short(self, id: &oid) -> u32 {
        let mut first = [0; 8];
        // Ids have 20 bytes or 32.
        if let Some(bytes) = id.as_bytes().get(..8) {
            first.copy_from_slice(bytes);
        }
        (u64::from_le_bytes(first).wrapping_mul(self.factor) >> 32) as u32
    }

    /// The hash whose short form is `short`.
    #[inline]
    pub(super) fn widen(short: u32) -> u64 {
        u64::from(short) << 32 | u64::from(short)
    }
}
