//! Visited sets that are used again.

use std::sync::{Mutex, PoisonError};

/// A byte of marks for each commit.
#[derive(Debug, Default)]
pub(in crate::pool) struct Marks {
    bytes: Vec<u8>,
    /// Which have a mark: they alone are cleared.
    touched: Vec<u32>,
}

impl Marks {
    /// The marks of commit `n`.
    #[inline]
    pub(in crate::pool) fn get(&self, n: u32) -> u8 {
        self.bytes.get(n as usize).copied().unwrap_or(0)
    }

    /// Adds `marks` to those of commit `n`; returns what it had.
    #[inline]
    pub(in crate::pool) fn add(&mut self, n: u32, marks: u8) -> u8 {
        if n as usize >= self.bytes.len() {
            // The graph has grown since the walk began.
            self.bytes.resize(n as usize + 1, 0);
        }
        let byte = &mut self.bytes[n as usize];
        let before = *byte;
        if before == 0 {
            self.touched.push(n);
        }
        *byte |= marks;
        before
    }

    /// Takes `marks` from commit `n`, which keeps others.
    #[inline]
    pub(in crate::pool) fn take_off(&mut self, n: u32, marks: u8) {
        if let Some(byte) = self.bytes.get_mut(n as usize) {
            *byte &= !marks;
        }
    }

    /// How many commits have marks.
    pub(in crate::pool) fn touched(&self) -> &[u32] {
        &self.touched
    }

    fn clear(&mut self) {
        if self.touched.len() > self.bytes.len() / 16 {
            self.bytes.fill(0);
        } else {
            for &n in &self.touched {
                self.bytes[n as usize] = 0;
            }
        }
        self.touched.clear();
    }
}

/// Marks that no walk uses at the moment. A walk that ends leaves its own here.
#[derive(Debug, Default)]
pub(super) struct MarksPool(Mutex<Vec<Marks>>);

/// More than a few idle ones would only hold memory.
const IDLE_MAX: usize = 4;
/// Nor are lists of this many commits kept.
const TOUCHED_KEPT_MAX: usize = 1 << 16;

impl MarksPool {
    /// Clear marks for `len` commits.
    pub(super) fn take(&self, len: u32) -> Marks {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut marks = idle.unwrap_or_default();
        if marks.bytes.len() < len as usize {
            marks.bytes.resize(len as usize, 0);
        }
        marks
    }

    /// Takes marks back.
    pub(super) fn give(&self, mut marks: Marks) {
        marks.clear();
        marks.touched.shrink_to(TOUCHED_KEPT_MAX);
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(marks);
        }
    }
}
