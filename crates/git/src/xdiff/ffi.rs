//! The C side, as xdiff.h of git 2.39 declares it.

use std::ffi::{c_char, c_int, c_long, c_ulong, c_void};

// Its C code is what is linked; nothing of its Rust is used.
use threeway_merge as _;

pub const XDF_NEED_MINIMAL: c_ulong = 1;
pub const XDF_IGNORE_WHITESPACE: c_ulong = 1 << 1;
pub const XDF_IGNORE_WHITESPACE_CHANGE: c_ulong = 1 << 2;
pub const XDF_IGNORE_WHITESPACE_AT_EOL: c_ulong = 1 << 3;
pub const XDF_IGNORE_CR_AT_EOL: c_ulong = 1 << 4;
pub const XDF_IGNORE_BLANK_LINES: c_ulong = 1 << 7;
pub const XDF_PATIENCE_DIFF: c_ulong = 1 << 14;
pub const XDF_HISTOGRAM_DIFF: c_ulong = 1 << 15;
pub const XDF_INDENT_HEURISTIC: c_ulong = 1 << 23;

pub const XDL_EMIT_FUNCNAMES: c_ulong = 1;
pub const XDL_EMIT_FUNCCONTEXT: c_ulong = 1 << 2;

/// "Analyze non-identical changes for minimal conflict set": what git merges with.
pub const XDL_MERGE_ZEALOUS: c_int = 2;

/// A piece of memory: `mmfile_t` and `mmbuffer_t`.
#[repr(C)]
pub struct Memory {
    pub ptr: *mut c_char,
    pub size: c_long,
}

/// `xpparam_t`.
#[repr(C)]
pub struct Parameters {
    pub flags: c_ulong,
    pub ignore_regex: *mut *mut c_void,
    pub ignore_regex_nr: usize,
    pub anchors: *mut *mut c_char,
    pub anchors_nr: usize,
}

/// `xdemitconf_t`.
#[repr(C)]
pub struct EmitConfig {
    pub context: c_long,
    pub inter_hunk_context: c_long,
    pub flags: c_ulong,
    pub find_func: *mut c_void,
    pub find_func_private: *mut c_void,
    pub hunk_func:
        Option<unsafe extern "C" fn(c_long, c_long, c_long, c_long, private: *mut c_void) -> c_int>,
}

/// `xdemitcb_t`.
#[repr(C)]
pub struct EmitCallbacks {
    pub private: *mut c_void,
    pub out_hunk: *mut c_void,
    pub out_line: Option<
        unsafe extern "C" fn(private: *mut c_void, pieces: *mut Memory, count: c_int) -> c_int,
    >,
}

#[allow(unsafe_code)]
unsafe extern "C" {
    pub fn xdl_diff(
        before: *mut Memory,
        after: *mut Memory,
        parameters: *const Parameters,
        config: *const EmitConfig,
        callbacks: *mut EmitCallbacks,
    ) -> c_int;

    // The crate's own way in, which takes no structs, and out again with the allocator that
    // made the result.
    pub fn threeway_merge_run(
        base: *const c_char,
        base_size: c_long,
        ours: *const c_char,
        ours_size: c_long,
        theirs: *const c_char,
        theirs_size: c_long,
        algorithm: c_int,
        marker_size: c_int,
        level: c_int,
        favor: c_int,
        style: c_int,
        base_label: *const c_char,
        ours_label: *const c_char,
        theirs_label: *const c_char,
        result: *mut *mut c_char,
        result_size: *mut c_long,
    ) -> c_int;

    pub fn threeway_merge_free(result: *mut c_void);
}
