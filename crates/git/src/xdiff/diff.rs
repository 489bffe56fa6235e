//! Two texts line by line.

use std::ffi::{c_int, c_long, c_void};
use std::ops::Range;
use std::ptr;

use super::{XdiffError, deep, ffi};

/// How lines are matched, as `git diff --diff-algorithm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// `git diff`'s default.
    #[default]
    Myers,
    /// Myers, and the smallest diff at any cost.
    Minimal,
    /// By lines that both sides have once.
    Patience,
    /// By the rarest lines that both sides have; what git merges with.
    Histogram,
}

/// How two texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffOptions {
    /// How lines are matched.
    pub algorithm: Algorithm,
    /// Shift hunks to where a reader expects them (`--indent-heuristic`, git's default).
    pub indent_heuristic: bool,
    /// `-w`.
    pub ignore_whitespace: bool,
    /// `-b`.
    pub ignore_whitespace_change: bool,
    /// `--ignore-space-at-eol`.
    pub ignore_whitespace_at_eol: bool,
    /// `--ignore-cr-at-eol`.
    pub ignore_cr_at_eol: bool,
    /// `--ignore-blank-lines`.
    pub ignore_blank_lines: bool,
}

/// As `git diff` without options.
impl Default for DiffOptions {
    fn default() -> DiffOptions {
        DiffOptions {
            algorithm: Algorithm::Myers,
            indent_heuristic: true,
            ignore_whitespace: false,
            ignore_whitespace_change: false,
            ignore_whitespace_at_eol: false,
            ignore_cr_at_eol: false,
            ignore_blank_lines: false,
        }
    }
}

impl DiffOptions {
    fn parameters(&self) -> ffi::Parameters {
        let mut flags = match self.algorithm {
            Algorithm::Myers => 0,
            Algorithm::Minimal => ffi::XDF_NEED_MINIMAL,
            Algorithm::Patience => ffi::XDF_PATIENCE_DIFF,
            Algorithm::Histogram => ffi::XDF_HISTOGRAM_DIFF,
        };
        for (is_set, flag) in [
            (self.indent_heuristic, ffi::XDF_INDENT_HEURISTIC),
            (self.ignore_whitespace, ffi::XDF_IGNORE_WHITESPACE),
            (
                self.ignore_whitespace_change,
                ffi::XDF_IGNORE_WHITESPACE_CHANGE,
            ),
            (
                self.ignore_whitespace_at_eol,
                ffi::XDF_IGNORE_WHITESPACE_AT_EOL,
            ),
            (self.ignore_cr_at_eol, ffi::XDF_IGNORE_CR_AT_EOL),
            (self.ignore_blank_lines, ffi::XDF_IGNORE_BLANK_LINES),
        ] {
            if is_set {
                flags |= flag;
            }
        }
        ffi::Parameters {
            flags,
            ignore_regex: ptr::null_mut(),
            ignore_regex_nr: 0,
            anchors: ptr::null_mut(),
            anchors_nr: 0,
        }
    }
}

/// Lines of the one text in place of lines of the other. Lines count from 0; an empty range says
/// where lines would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// The lines that go.
    pub before: Range<usize>,
    /// The lines that come.
    pub after: Range<usize>,
}

/// What surrounds the changed lines in a unified diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnifiedOptions {
    /// Lines of context (`-U`).
    pub context: u32,
    /// Hunks are joined where at most this many lines more are between them
    /// (`--inter-hunk-context`).
    pub inter_hunk_context: u32,
    /// Show whole functions (`-W`).
    pub function_context: bool,
}

impl Default for UnifiedOptions {
    fn default() -> UnifiedOptions {
        UnifiedOptions {
            context: 3,
            inter_hunk_context: 0,
            function_context: false,
        }
    }
}

/// A number of lines no larger than texts are.
fn lines(count: u32) -> c_long {
    count.min(deep::LINES_MAX as u32).into()
}

/// Where two texts differ, without context: what `git diff -U0` and `git blame` see.
///
/// # Errors
/// [`XdiffError`].
pub fn diff_hunks(
    before: &[u8],
    after: &[u8],
    options: &DiffOptions,
) -> Result<Vec<Hunk>, XdiffError> {
    let (before, after) = without_common_tail(before, after);
    let options = *options;
    deep::run([before, after], move |[before, after]| {
        let mut hunks: Vec<Hunk> = Vec::new();
        let config = ffi::EmitConfig {
            context: 0,
            inter_hunk_context: 0,
            flags: 0,
            find_func: ptr::null_mut(),
            find_func_private: ptr::null_mut(),
            hunk_func: Some(take_hunk),
        };
        let callbacks = ffi::EmitCallbacks {
            private: (&raw mut hunks).cast(),
            out_hunk: ptr::null_mut(),
            out_line: None,
        };
        diff(before, after, &options, &config, callbacks)?;
        Ok(hunks)
    })
}

/// The body of a unified diff: `@@` lines, context, and lines with `-` and `+` before them, as
/// `git diff` prints it of files without a `diff` attribute. Empty where the texts are equal.
///
/// # Errors
/// [`XdiffError`].
pub fn unified(
    before: &[u8],
    after: &[u8],
    options: &DiffOptions,
    around: &UnifiedOptions,
) -> Result<Vec<u8>, XdiffError> {
    let (before, after) = match around.context == 0 && !around.function_context {
        true => without_common_tail(before, after),
        false => (before, after),
    };
    let (options, around) = (*options, *around);
    deep::run([before, after], move |[before, after]| {
        let mut text: Vec<u8> = Vec::new();
        let mut flags = ffi::XDL_EMIT_FUNCNAMES;
        if around.function_context {
            flags |= ffi::XDL_EMIT_FUNCCONTEXT;
        }
        let config = ffi::EmitConfig {
            context: lines(around.context),
            inter_hunk_context: lines(around.inter_hunk_context),
            flags,
            find_func: ptr::null_mut(),
            find_func_private: ptr::null_mut(),
            hunk_func: None,
        };
        let callbacks = ffi::EmitCallbacks {
            private: (&raw mut text).cast(),
            out_hunk: ptr::null_mut(),
            out_line: Some(take_line),
        };
        diff(before, after, &options, &config, callbacks)?;
        Ok(text)
    })
}

#[allow(unsafe_code)]
fn diff(
    before: &[u8],
    after: &[u8],
    options: &DiffOptions,
    config: &ffi::EmitConfig,
    mut callbacks: ffi::EmitCallbacks,
) -> Result<(), XdiffError> {
    let memory = |text: &[u8]| ffi::Memory {
        ptr: text.as_ptr().cast_mut().cast(),
        size: text.len() as c_long,
    };
    let (mut before, mut after) = (memory(before), memory(after));
    let parameters = options.parameters();
    // SAFETY: xdiff reads the texts within their sizes, which fit a long because slices' do, and
    // writes to none. The structs are laid out as xdiff.h has them, and outlive the call. The
    // callback in `callbacks` (or `config`) is called during it only, with the `private` beside it.
    let status =
        unsafe { ffi::xdl_diff(&mut before, &mut after, &parameters, config, &mut callbacks) };
    match status {
        0 => Ok(()),
        _ => Err(XdiffError::Failed),
    }
}

/// Collects a hunk, in `private`: a `Vec<Hunk>`.
#[allow(unsafe_code)]
unsafe extern "C" fn take_hunk(
    before: c_long,
    before_count: c_long,
    after: c_long,
    after_count: c_long,
    private: *mut c_void,
) -> c_int {
    // SAFETY: `diff_hunks` put a `Vec<Hunk>` there, and uses it after the call only.
    let hunks = unsafe { &mut *private.cast::<Vec<Hunk>>() };
    let range = |start: c_long, count: c_long| start as usize..(start + count) as usize;
    hunks.push(Hunk {
        before: range(before, before_count),
        after: range(after, after_count),
    });
    0
}

/// Collects a line, which comes in pieces, in `private`: a `Vec<u8>`.
#[allow(unsafe_code)]
unsafe extern "C" fn take_line(
    private: *mut c_void,
    pieces: *mut ffi::Memory,
    count: c_int,
) -> c_int {
    // SAFETY: `unified` put a `Vec<u8>` there, and uses it after the call only.
    let text = unsafe { &mut *private.cast::<Vec<u8>>() };
    let start = text.len();
    for at in 0..count as usize {
        // SAFETY: xdiff gives `count` pieces, each of memory that is valid until this returns.
        let piece = unsafe { &*pieces.add(at) };
        if piece.size > 0 {
            // SAFETY: as above.
            text.extend_from_slice(unsafe {
                std::slice::from_raw_parts(piece.ptr.cast(), piece.size as usize)
            });
        }
    }
    // A header comes in one piece, lines of the texts behind their sign. git cuts what it says of
    // the function where that is no UTF-8: it may have been cut within a character.
    if count == 1
        && text[start..].starts_with(b"@@ ")
        && let Err(error) = std::str::from_utf8(&text[start..])
    {
        text.truncate(start + error.valid_up_to());
        text.push(b'\n');
    }
    0
}

/// Cuts off what the two texts have in common at their ends, in whole blocks and then up to the
/// end of a line, as git does where no context is wanted: it decides between hunks that are
/// equally good.
fn without_common_tail<'a>(before: &'a [u8], after: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    const BLOCK: usize = 1024;
    let blocks = before.rchunks_exact(BLOCK).zip(after.rchunks_exact(BLOCK));
    let trimmed = BLOCK * blocks.take_while(|(a, b)| a == b).count();
    let tail = &before[before.len() - trimmed..];
    let recovered = memchr::memchr(b'\n', tail).map_or(trimmed, |at| at + 1);
    let cut = trimmed - recovered;
    (&before[..before.len() - cut], &after[..after.len() - cut])
}
