//! One program for libFuzzer; `GOVC_FUZZ_TARGET` says which parser it feeds.

#![no_main]

use std::sync::OnceLock;

use govc_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn chosen() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("GOVC_FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| panic!("GOVC_FUZZ_TARGET={name:?} is no target"))
    })
}

/// Gives the signal of a stack that is used up a stack of its own: without it libFuzzer's handler
/// cannot run, and the input that did it would be lost.
#[allow(unsafe_code)]
fn signal_stack() {
    const BYTES: usize = 256 << 10;
    let memory: &'static mut [u8] = Box::leak(vec![0; BYTES].into_boxed_slice());
    let stack = libc::stack_t {
        ss_sp: memory.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: BYTES,
    };
    // SAFETY: `stack` describes memory that is never given back and that nobody else uses. The
    // action is the default one, with a flag that libFuzzer keeps when it sets its own; all zeros
    // are a value of its type. What there was before is not asked for.
    let results = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        action.sa_flags = libc::SA_ONSTACK;
        [
            libc::sigaltstack(&raw const stack, std::ptr::null_mut()),
            libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()),
        ]
    };
    assert_eq!(results, [0, 0], "a stack for signals");
}

fuzz_target!(init: { signal_stack(); }, |data: &[u8]| chosen().feed(data));
