//! Three texts merged.

use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::ptr;

use super::{Algorithm, XdiffError, deep, ffi};

/// How many characters a conflict marker has, but in the merges of merge bases.
pub const MARKER_SIZE: u32 = 7;

/// Texts with more bytes are binary to git, whatever is in them.
const TEXT_BYTES_MAX: usize = 1023 << 20;
/// A NUL among this many first bytes makes a text binary.
const BINARY_PROBE: usize = 8_000;

/// What stands behind the markers. An empty one leaves the marker alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Labels<'a> {
    /// Behind `|||||||`, which only [`Style::Diff3`] and [`Style::ZealousDiff3`] have.
    pub base: &'a [u8],
    /// Behind `<<<<<<<`.
    pub ours: &'a [u8],
    /// Behind `>>>>>>>`.
    pub theirs: &'a [u8],
}

/// How conflicts are decided, if they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Favor {
    /// They are marked.
    #[default]
    Neither,
    /// `-X ours`.
    Ours,
    /// `-X theirs`.
    Theirs,
    /// Both, one after the other (`merge=union`).
    Union,
}

/// How conflicts look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Ours and theirs.
    #[default]
    Merge,
    /// The base between them.
    Diff3,
    /// The base between them, and without the lines that both begin and end with.
    ZealousDiff3,
}

/// How texts are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeOptions {
    /// How lines are matched.
    pub algorithm: Algorithm,
    /// How many characters a marker has.
    pub marker_size: u32,
    /// How conflicts are decided.
    pub favor: Favor,
    /// How they look.
    pub style: Style,
}

/// As `git merge` merges a file.
impl Default for MergeOptions {
    fn default() -> MergeOptions {
        MergeOptions {
            algorithm: Algorithm::Histogram,
            marker_size: MARKER_SIZE,
            favor: Favor::Neither,
            style: Style::Merge,
        }
    }
}

/// A text that was merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The text, with conflicts marked in it.
    pub text: Vec<u8>,
    /// How many conflicts there are.
    pub conflicts: usize,
}

/// Whether git takes this for something that has no lines.
pub fn is_binary(content: &[u8]) -> bool {
    let probe = &content[..content.len().min(BINARY_PROBE)];
    content.len() > TEXT_BYTES_MAX || memchr::memchr(0, probe).is_some()
}

/// Merges what `ours` and `theirs` made of `base`. Whether they are texts at all is not looked at.
///
/// # Errors
/// [`XdiffError`].
pub fn merge_text(
    base: &[u8],
    ours: &[u8],
    theirs: &[u8],
    labels: &Labels<'_>,
    options: &MergeOptions,
) -> Result<Merged, XdiffError> {
    let label = |text: &[u8]| match text {
        [] => Ok(None),
        text => CString::new(text)
            .map(Some)
            .map_err(|_| XdiffError::LabelInvalid),
    };
    let labels = [
        label(labels.base)?,
        label(labels.ours)?,
        label(labels.theirs)?,
    ];
    let options = *options;
    deep::run([base, ours, theirs], move |texts| {
        merge(texts, &labels, &options)
    })
}

#[allow(unsafe_code)]
fn merge(
    [base, ours, theirs]: [&[u8]; 3],
    labels: &[Option<CString>; 3],
    options: &MergeOptions,
) -> Result<Merged, XdiffError> {
    let algorithm = match options.algorithm {
        Algorithm::Myers => 0,
        Algorithm::Minimal => 1,
        Algorithm::Patience => 2,
        Algorithm::Histogram => 3,
    };
    let favor = match options.favor {
        Favor::Neither => 0,
        Favor::Ours => 1,
        Favor::Theirs => 2,
        Favor::Union => 3,
    };
    let style = match options.style {
        Style::Merge => 0,
        Style::Diff3 => 1,
        Style::ZealousDiff3 => 2,
    };
    let label = |label: &Option<CString>| label.as_deref().map_or(ptr::null(), CStr::as_ptr);
    let mut result: *mut c_char = ptr::null_mut();
    let mut size: c_long = 0;
    // SAFETY: the texts are read within their sizes, which fit a long because slices' do, and the
    // labels up to their NULs; all outlive the call, which writes to the last two pointers only.
    let status = unsafe {
        ffi::threeway_merge_run(
            base.as_ptr().cast(),
            base.len() as c_long,
            ours.as_ptr().cast(),
            ours.len() as c_long,
            theirs.as_ptr().cast(),
            theirs.len() as c_long,
            algorithm,
            options.marker_size.clamp(1, 1 << 10) as c_int,
            ffi::XDL_MERGE_ZEALOUS,
            favor,
            style,
            label(&labels[0]),
            label(&labels[1]),
            label(&labels[2]),
            &mut result,
            &mut size,
        )
    };
    let text = match (result.is_null(), usize::try_from(size)) {
        // SAFETY: xdiff made a result of this size, and it is ours until it is freed below.
        (false, Ok(size)) => {
            unsafe { std::slice::from_raw_parts(result.cast_const().cast::<u8>(), size) }.to_vec()
        }
        _ => Vec::new(),
    };
    // SAFETY: what the call gave, or null.
    unsafe { ffi::threeway_merge_free(result.cast()) };
    match usize::try_from(status) {
        Ok(conflicts) => Ok(Merged { text, conflicts }),
        Err(_) => Err(XdiffError::Failed),
    }
}
