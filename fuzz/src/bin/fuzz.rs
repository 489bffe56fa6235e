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

fuzz_target!(|data: &[u8]| chosen().feed(data));
