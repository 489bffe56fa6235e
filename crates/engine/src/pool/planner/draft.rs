//! A stretch of a pack that is being made.

use std::ops::Range;

use bytes::Bytes;

/// Runs of a pack that are shorter are copied: a view of them would take as much memory.
const COPIED_BYTES_MAX: usize = 128;

/// Bytes of a pack that is being made, in their order.
#[derive(Debug, Default)]
pub(in crate::pool) struct Draft {
    stretches: Vec<Stretch>,
    /// What is written anew.
    own: Vec<u8>,
    /// Bytes of a pack that are to be sent as they are, behind the stretches.
    run: Option<(Bytes, Range<usize>)>,
    /// All of them.
    bytes: usize,
}

#[derive(Debug)]
enum Stretch {
    View(Bytes),
    Own(Range<usize>),
}

impl Draft {
    /// How many bytes there are.
    pub(in crate::pool) fn len(&self) -> usize {
        self.bytes
    }

    /// Bytes that are nowhere else.
    pub(in crate::pool) fn own(&mut self) -> &mut Vec<u8> {
        self.end_run();
        &mut self.own
    }

    /// Says that bytes were added to [`Draft::own`], which was so long before.
    pub(in crate::pool) fn added_own(&mut self, from: usize) {
        let to = self.own.len();
        self.bytes += to - from;
        match self.stretches.last_mut() {
            Some(Stretch::Own(range)) if range.end == from => range.end = to,
            _ => self.stretches.push(Stretch::Own(from..to)),
        }
    }

    /// Adds bytes of a pack as they are.
    pub(super) fn add_run(&mut self, pack: &Bytes, range: Range<usize>) {
        self.bytes += range.len();
        match &mut self.run {
            Some((_, run)) if run.end == range.start => run.end = range.end,
            _ => {
                self.end_run();
                self.run = Some((pack.clone(), range));
            }
        }
    }

    /// A run is of one pack.
    pub(super) fn end_run(&mut self) {
        let Some((pack, range)) = self.run.take() else {
            return;
        };
        if range.len() <= COPIED_BYTES_MAX {
            let from = self.own.len();
            self.own.extend_from_slice(&pack[range]);
            self.bytes -= self.own.len() - from;
            self.added_own(from);
        } else {
            self.stretches.push(Stretch::View(pack.slice(range)));
        }
    }

    /// The bytes, piece by piece, and how many of them are nowhere else.
    pub(in crate::pool) fn finish(mut self) -> (Box<[Bytes]>, usize) {
        self.end_run();
        // It may be kept.
        self.own.shrink_to_fit();
        let own_bytes = self.own.len();
        let own = Bytes::from(self.own);
        let piece = |stretch| match stretch {
            Stretch::View(view) => view,
            Stretch::Own(range) => own.slice(range),
        };
        (self.stretches.into_iter().map(piece).collect(), own_bytes)
    }
}
