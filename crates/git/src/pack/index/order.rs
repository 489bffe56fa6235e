//! The entries of an index in the order of its pack.

use super::PackIndex;

/// The entries in the order of the pack: positions, and their offsets beside them, so that a
/// search stays within one table.
#[derive(Debug)]
pub(super) struct PackOrder {
    pub(super) positions: Box<[u32]>,
    offsets: Offsets,
}

/// Offsets, in four bytes each where that is enough.
#[derive(Debug)]
enum Offsets {
    Near(Box<[u32]>),
    Far(Box<[u64]>),
}

impl PackOrder {
    pub(super) fn of(index: &PackIndex) -> PackOrder {
        let offset_of = |position| (index.offset(position), position);
        let positions = 0..index.count;
        if positions
            .clone()
            .all(|position| index.offset(position) <= u64::from(u32::MAX))
        {
            // As one number, which sorts fastest.
            let as_one = |(offset, position): (u64, u32)| offset << 32 | u64::from(position);
            let mut pairs: Vec<u64> = positions
                .map(|position| as_one(offset_of(position)))
                .collect();
            pairs.sort_unstable();
            let offsets = pairs.iter().map(|pair| (pair >> 32) as u32).collect();
            let positions = pairs.iter().map(|&pair| pair as u32).collect();
            return PackOrder {
                positions,
                offsets: Offsets::Near(offsets),
            };
        }
        let mut pairs: Vec<(u64, u32)> = positions.map(offset_of).collect();
        pairs.sort_unstable();
        let offsets = pairs.iter().map(|pair| pair.0).collect();
        let positions = pairs.iter().map(|pair| pair.1).collect();
        PackOrder {
            positions,
            offsets: Offsets::Far(offsets),
        }
    }

    pub(super) fn offset(&self, rank: usize) -> Option<u64> {
        match &self.offsets {
            Offsets::Near(offsets) => offsets.get(rank).map(|&offset| u64::from(offset)),
            Offsets::Far(offsets) => offsets.get(rank).copied(),
        }
    }

    /// The rank of the first entry that does not begin before `offset`.
    pub(super) fn first_from(&self, offset: u64) -> usize {
        match &self.offsets {
            Offsets::Near(offsets) => match u32::try_from(offset) {
                Ok(offset) => offsets.partition_point(|&other| other < offset),
                Err(_) => offsets.len(),
            },
            Offsets::Far(offsets) => offsets.partition_point(|&other| other < offset),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let each = match &self.offsets {
            Offsets::Near(_) => 4 + 4,
            Offsets::Far(_) => 4 + 8,
        };
        self.positions.len() * each
    }
}
