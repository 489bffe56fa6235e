//! Where large texts are compared: on threads of their own, few, with stacks made to measure.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::XdiffError;

/// No text with more bytes is compared.
pub const BYTES_MAX: usize = 256 << 20;
/// No text with more lines is compared.
pub const LINES_MAX: usize = 1 << 20;

/// Texts of up to this many lines, the shorter one, are compared where they are asked for: the
/// recursion needs at most 1 MiB of stack.
const SHALLOW_LINES: usize = 1_000;
/// And with up to this many in all they are done in a moment, whatever they are.
const QUICK_LINES: usize = 20_000;

/// More than xdiff needs for one level of its recursion; 0.4 KiB were seen.
const LEVEL_BYTES: usize = 1 << 10;
const STACK_BYTES_MIN: usize = 16 << 20;

/// How many compare large texts at the same time.
const THREADS_MAX: usize = 4;
/// How long one waits for its turn, and then for its result.
const WAIT: Duration = Duration::from_secs(20);

/// How many threads are at work.
static BUSY: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

/// A thread's place among those that compare large texts. It is given back when the thread is done,
/// which may be long after whoever started it gave up.
struct Place;

impl Place {
    fn take() -> Result<Place, XdiffError> {
        let busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = LEFT.wait_timeout_while(busy, WAIT, |busy| *busy >= THREADS_MAX);
        let (mut busy, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(XdiffError::TooExpensive);
        }
        *busy += 1;
        Ok(Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *BUSY.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        LEFT.notify_one();
    }
}

/// Runs `compare` over `texts`, here where they are small, else on a thread with a large stack.
///
/// # Errors
/// [`XdiffError::TooLarge`] and [`XdiffError::TooExpensive`], and those of `compare`.
pub(super) fn run<const N: usize, T: Send + 'static>(
    texts: [&[u8]; N],
    compare: impl FnOnce([&[u8]; N]) -> Result<T, XdiffError> + Send + 'static,
) -> Result<T, XdiffError> {
    let mut all_lines = 0;
    let mut lines_sorted = [0; N];
    for (text, lines) in texts.iter().zip(&mut lines_sorted) {
        let bytes = text.len();
        if bytes > BYTES_MAX {
            return Err(XdiffError::TooLarge { bytes, lines: 0 });
        }
        *lines = 1 + memchr::memchr_iter(b'\n', text).count();
        if *lines > LINES_MAX {
            let lines = *lines;
            return Err(XdiffError::TooLarge { bytes, lines });
        }
        all_lines += *lines;
    }
    lines_sorted.sort_unstable();
    // Two of the texts are compared at a time: a block of lines that both have is as short as the
    // shorter one, and of three texts the two longest may meet.
    let levels = lines_sorted.iter().rev().nth(1).copied().unwrap_or(0);
    if levels <= SHALLOW_LINES && all_lines <= QUICK_LINES {
        return compare(texts);
    }
    let place = Place::take()?;
    let owned = texts.map(<[u8]>::to_vec);
    let (sender, receiver) = sync_channel(1);
    let work = move || {
        let _place = place;
        let texts = std::array::from_fn(|at| &*owned[at]);
        // Whoever asked may have given up.
        let _ = sender.send(compare(texts));
    };
    let stack = STACK_BYTES_MIN + levels * LEVEL_BYTES;
    let thread = thread::Builder::new()
        .name("xdiff".into())
        .stack_size(stack);
    thread.spawn(work).map_err(|_| XdiffError::TooExpensive)?;
    match receiver.recv_timeout(WAIT) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(XdiffError::TooExpensive),
        Err(RecvTimeoutError::Disconnected) => Err(XdiffError::Failed),
    }
}
