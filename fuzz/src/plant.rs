//! Bugs that are planted to see whether the fuzzer would find such ones: `GOVC_FUZZ_PLANT=delta`
//! makes the target `delta` fail in a state that is deep in its parser and not in its corpus.
//! They are here and not in the parsers, so nothing that is shipped has them.

use std::sync::LazyLock;

static PLANTED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("GOVC_FUZZ_PLANT").ok());

/// Panics where the bug of `target` is planted and `met` says that its state is reached.
pub(crate) fn plant(target: &str, met: impl FnOnce() -> bool) {
    if PLANTED.as_deref() == Some(target) && met() {
        panic!("the bug that was planted in {target}");
    }
}
