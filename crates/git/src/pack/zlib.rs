//! Inflating and deflating: libdeflate where the size is known and everything fits in memory,
//! zlib-rs piece by piece where not.

use std::alloc::{Layout, handle_alloc_error};
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::NonNull;

use flate2::{Decompress, FlushDecompress, Status};
use libdeflate_sys as sys;

/// Deflate makes at most 1,032 bytes of one; the slack is for very short streams.
const INFLATION_MAX: u64 = 1032;
const INFLATION_SLACK: u64 = 64;

/// How much a stream is best inflated at once.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// Why bytes do not inflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// No stream of this length can make that many bytes.
    #[error("no stream of this length can")]
    Impossible,
    /// The stream is damaged or cut off, or its checksum is wrong.
    #[error("the stream is damaged or cut off")]
    Damaged,
    /// The stream makes fewer bytes.
    #[error("there are fewer")]
    TooShort,
    /// The stream makes more bytes.
    #[error("there are more")]
    TooLong,
}

impl InflateError {
    /// The error as words that live for ever.
    pub fn reason(self) -> &'static str {
        match self {
            InflateError::Impossible => "no stream of this length can",
            InflateError::Damaged => "the stream is damaged or cut off",
            InflateError::TooShort => "there are fewer",
            InflateError::TooLong => "there are more",
        }
    }
}

/// Whether `deflated` bytes can possibly inflate to `size`: to be asked before allocating.
pub fn is_possible(deflated: usize, size: u64) -> bool {
    size <= (deflated as u64)
        .saturating_mul(INFLATION_MAX)
        .saturating_add(INFLATION_SLACK)
}

/// Inflates zlib streams whose size is known, whole.
pub struct Inflater {
    raw: NonNull<sys::libdeflate_decompressor>,
}

// A decompressor is plain memory that belongs to whoever holds it: nothing in it is tied to the
// thread that allocated it, and it is used through `&mut` alone.
#[allow(unsafe_code)]
unsafe impl Send for Inflater {}

impl Inflater {
    /// A new one: 11 KiB of tables.
    #[allow(unsafe_code)]
    pub fn new() -> Inflater {
        // SAFETY: it takes nothing and gives null or a decompressor that is ours.
        let raw = unsafe { sys::libdeflate_alloc_decompressor() };
        match NonNull::new(raw) {
            Some(raw) => Inflater { raw },
            None => handle_alloc_error(Layout::new::<[u8; 16 << 10]>()),
        }
    }

    /// Replaces `out` by the `size` bytes that the stream at the front of `input` inflates to.
    /// Returns how many bytes of `input` the stream took.
    ///
    /// # Errors
    /// [`InflateError`]; nothing is allocated for a size that `input` cannot have.
    #[allow(unsafe_code)]
    pub fn inflate(
        &mut self,
        input: &[u8],
        size: u64,
        out: &mut Vec<u8>,
    ) -> Result<usize, InflateError> {
        out.clear();
        if !is_possible(input.len(), size) {
            return Err(InflateError::Impossible);
        }
        let size = usize::try_from(size).map_err(|_| InflateError::Impossible)?;
        out.reserve_exact(size);
        let (mut consumed, mut produced) = (0, 0);
        // SAFETY: the decompressor is alive and, behind `&mut self`, used by no one else. `input`
        // may be read for its length. `out` was just made to have `size` bytes of capacity, so
        // that many may be written to it. The last two are places to write a number to.
        let result = unsafe {
            sys::libdeflate_zlib_decompress_ex(
                self.raw.as_ptr(),
                input.as_ptr().cast::<c_void>(),
                input.len(),
                out.as_mut_ptr().cast::<c_void>(),
                size,
                &raw mut consumed,
                &raw mut produced,
            )
        };
        match result {
            sys::libdeflate_result_LIBDEFLATE_SUCCESS if produced == size => {
                // SAFETY: on success the first `produced` bytes have been written, and they are
                // within the capacity.
                unsafe { out.set_len(size) };
                Ok(consumed)
            }
            sys::libdeflate_result_LIBDEFLATE_SUCCESS => Err(InflateError::TooShort),
            sys::libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE => Err(InflateError::TooLong),
            _ => Err(InflateError::Damaged),
        }
    }
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater::new()
    }
}

impl Drop for Inflater {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody has it after this.
        unsafe { sys::libdeflate_free_decompressor(self.raw.as_ptr()) }
    }
}

/// The zlib stream that zlib itself makes of `data` at its fastest, as git does for patches: [`Deflater`]'s are of another
/// library, which is faster and chooses otherwise. `None` where `data` is too large for it.
#[allow(unsafe_code)]
pub fn deflate_as_git(data: &[u8]) -> Option<Vec<u8>> {
    let length = data.len().try_into().ok()?;
    // SAFETY: it only counts.
    let mut size = unsafe { libz_sys::compressBound(length) };
    let mut out = vec![0; usize::try_from(size).ok()?];
    // SAFETY: `data` may be read for `length` bytes, and `out` has room for the `size` that is
    // said; how many were written comes back in it.
    let result = unsafe {
        libz_sys::compress2(
            out.as_mut_ptr(),
            &raw mut size,
            data.as_ptr(),
            length,
            libz_sys::Z_BEST_SPEED,
        )
    };
    out.truncate(usize::try_from(size).ok()?);
    (result == libz_sys::Z_OK).then_some(out)
}

/// Makes zlib streams.
pub struct Deflater {
    raw: NonNull<sys::libdeflate_compressor>,
    level: u8,
}

// As for `Inflater`.
#[allow(unsafe_code)]
unsafe impl Send for Deflater {}

impl Deflater {
    /// The highest level there is.
    pub const LEVEL_MAX: u8 = 12;

    /// A new one for `level`: 0 stores, 1 is fast, [`Deflater::LEVEL_MAX`] is small; more is the same.
    #[allow(unsafe_code)]
    pub fn new(level: u8) -> Deflater {
        let level = level.min(Deflater::LEVEL_MAX);
        // SAFETY: every level up to 12 exists; it gives null or a compressor that is ours.
        let raw = unsafe { sys::libdeflate_alloc_compressor(i32::from(level)) };
        match NonNull::new(raw) {
            Some(raw) => Deflater { raw, level },
            None => handle_alloc_error(Layout::new::<[u8; 1 << 20]>()),
        }
    }

    /// The level it was made for.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Appends to `out` the stream that inflates to `data`.
    #[allow(unsafe_code)]
    pub fn deflate(&mut self, data: &[u8], out: &mut Vec<u8>) {
        // SAFETY: the compressor is alive and ours alone; this only computes a number.
        let bound = unsafe { sys::libdeflate_zlib_compress_bound(self.raw.as_ptr(), data.len()) };
        out.reserve(bound);
        let spare = out.spare_capacity_mut();
        // SAFETY: as in `Inflater::inflate`; `spare` is that long and may be written to.
        let written = unsafe {
            sys::libdeflate_zlib_compress(
                self.raw.as_ptr(),
                data.as_ptr().cast::<c_void>(),
                data.len(),
                spare.as_mut_ptr().cast::<c_void>(),
                spare.len(),
            )
        };
        // It is 0 when the result does not fit, and with `bound` bytes it always does.
        assert!(written > 0, "the bound of libdeflate holds");
        let length = out.len() + written;
        // SAFETY: `written` bytes were written behind the old length, within the capacity.
        unsafe { out.set_len(length) };
    }
}

impl Drop for Deflater {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody has it after this.
        unsafe { sys::libdeflate_free_compressor(self.raw.as_ptr()) }
    }
}

/// Inflates a zlib stream piece by piece, in a fixed amount of memory.
pub struct StreamInflater {
    state: Decompress,
    consumed: usize,
    remaining: u64,
    ended: bool,
}

impl StreamInflater {
    /// One for a stream that makes `size` bytes.
    pub fn new(size: u64) -> StreamInflater {
        StreamInflater {
            state: Decompress::new(true),
            consumed: 0,
            remaining: size,
            ended: false,
        }
    }

    /// Begins again with another stream, keeping what is allocated.
    pub fn reset(&mut self, size: u64) {
        self.state.reset(true);
        (self.consumed, self.remaining, self.ended) = (0, size, false);
    }

    /// Fills `piece` from the stream that begins at `input[0]`, which must be the same each time.
    /// Returns how many bytes it has now: 0 when the stream has ended as it should.
    ///
    /// # Errors
    /// [`InflateError`], also when the stream ends too early or too late.
    pub fn next(&mut self, input: &[u8], piece: &mut [u8]) -> Result<usize, InflateError> {
        let mut filled = 0;
        while !self.ended && filled < piece.len() {
            let rest = input.get(self.consumed..).unwrap_or_default();
            let (in_before, out_before) = (self.state.total_in(), self.state.total_out());
            let status = self
                .state
                .decompress(rest, &mut piece[filled..], FlushDecompress::None)
                .map_err(|_| InflateError::Damaged)?;
            let read = (self.state.total_in() - in_before) as usize;
            let made = (self.state.total_out() - out_before) as usize;
            self.consumed += read;
            filled += made;
            self.remaining = self
                .remaining
                .checked_sub(made as u64)
                .ok_or(InflateError::TooLong)?;
            match status {
                Status::StreamEnd => self.ended = true,
                _ if read == 0 && made == 0 => return Err(InflateError::Damaged),
                _ => {}
            }
        }
        if self.ended && self.remaining > 0 {
            return Err(InflateError::TooShort);
        }
        Ok(filled)
    }

    /// How many bytes of the stream were read. After the last piece: how long it is.
    pub fn consumed(&self) -> usize {
        self.consumed
    }
}

thread_local! {
    static INFLATER: RefCell<(Inflater, Vec<u8>)> = RefCell::new((Inflater::new(), Vec::new()));
    static FRONT: RefCell<StreamInflater> = RefCell::new(StreamInflater::new(0));
}

/// What is scratch on a thread and larger than this is given back.
const SCRATCH_KEPT_BYTES: usize = 1 << 20;

/// Runs `work` with this thread's inflater and a scratch buffer. Not to be nested.
pub(super) fn with_inflater<T>(work: impl FnOnce(&mut Inflater, &mut Vec<u8>) -> T) -> T {
    INFLATER.with_borrow_mut(|(inflater, scratch)| {
        let result = work(inflater, scratch);
        if scratch.capacity() > SCRATCH_KEPT_BYTES {
            *scratch = Vec::new();
        }
        result
    })
}

/// The first bytes of what `input` inflates to, as many as `front` can hold and there are.
pub(super) fn inflate_front<'a>(
    input: &[u8],
    front: &'a mut [u8],
) -> Result<&'a [u8], InflateError> {
    FRONT.with_borrow_mut(|stream| {
        // The size does not matter here, only that it is not reached.
        stream.reset(u64::MAX);
        let filled = match stream.next(input, front) {
            Ok(filled) => filled,
            Err(InflateError::TooShort) => (u64::MAX - stream.remaining) as usize,
            Err(error) => return Err(error),
        };
        front.get(..filled).ok_or(InflateError::Damaged)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deflated(data: &[u8], level: u8) -> Vec<u8> {
        let mut out = b"before".to_vec();
        Deflater::new(level).deflate(data, &mut out);
        assert!(out.starts_with(b"before"));
        out.split_off(b"before".len())
    }

    #[test]
    fn what_is_deflated_inflates_again() {
        let noise: Vec<u8> = (0..200_000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        for data in [
            &b""[..],
            b"a",
            b"hello hello hello hello",
            &noise,
            &[0; 100_000],
        ] {
            for level in [0, 1, 6, 12] {
                let mut stream = deflated(data, level);
                let length = stream.len();
                stream.extend_from_slice(b"behind");

                let mut out = b"old".to_vec();
                let size = data.len() as u64;
                assert_eq!(Inflater::new().inflate(&stream, size, &mut out), Ok(length));
                assert_eq!(out, data);

                let (mut inflater, mut piece) = (StreamInflater::new(size), [0; 1000]);
                let mut pieces = Vec::new();
                loop {
                    let filled = inflater.next(&stream, &mut piece).unwrap();
                    if filled == 0 {
                        break;
                    }
                    pieces.extend_from_slice(&piece[..filled]);
                }
                assert_eq!(pieces, data);
                assert_eq!(inflater.consumed(), length);

                let mut front = [0; 10];
                assert_eq!(
                    inflate_front(&stream, &mut front),
                    Ok(&data[..data.len().min(10)])
                );
            }
        }
    }

    #[test]
    fn a_wrong_size_and_a_damaged_stream_are_told() {
        let data = [7; 5000];
        let stream = deflated(&data, 1);
        let inflate = |input: &[u8], size| {
            let one_shot = Inflater::new()
                .inflate(input, size, &mut Vec::new())
                .map(|_| ());
            let (mut inflater, mut piece) = (StreamInflater::new(size), [0; 999]);
            let streamed = loop {
                match inflater.next(input, &mut piece) {
                    Ok(0) => break Ok(()),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            };
            (one_shot, streamed)
        };
        let both = |error| (Err(error), Err(error));
        assert_eq!(inflate(&stream, 5000), (Ok(()), Ok(())));
        assert_eq!(inflate(&stream, 5001), both(InflateError::TooShort));
        assert_eq!(inflate(&stream, 4999), both(InflateError::TooLong));
        // What is cut off may look like anything, but not like what it was.
        let (one_shot, streamed) = inflate(&stream[..stream.len() - 1], 5000);
        assert!(one_shot.is_err() && streamed.is_err());
        assert_eq!(inflate(b"", 0), both(InflateError::Damaged));
        let mut wrong = stream.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(inflate(&wrong, 5000), both(InflateError::Damaged));
        let mut untouched = Vec::new();
        assert_eq!(
            Inflater::new().inflate(&stream, u64::MAX, &mut untouched),
            Err(InflateError::Impossible)
        );
        assert_eq!(untouched.capacity(), 0);
    }
}
