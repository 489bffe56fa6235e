//! The `govc` command.

mod logs;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Many small allocations of many threads, and memory that goes back to the system: glibc's own
/// keeps it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Options of jemalloc (its manual, "TUNING"): what a large push or clone leaves behind goes back
/// to the system within a second instead of ten, so that the next one does not come on top of it.
#[allow(unsafe_code)]
// SAFETY: jemalloc looks for this symbol, a pointer to a text that ends with a NUL. The name is
// prefixed, so nothing else does.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_OPTIONS: &std::ffi::c_char = {
    const TEXT: &std::ffi::CStr = c"dirty_decay_ms:1000,muzzy_decay_ms:0";
    // SAFETY: the first byte of a text that is never empty.
    unsafe { &*TEXT.as_ptr() }
};

/// A Git server that keeps repositories in memory and answers for them on disk.
#[derive(Debug, Parser)]
#[command(name = "govc", version, about, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Serve repositories over Git's smart HTTP and a JSON API.
    Serve(serve::Serve),
    /// Print the default configuration: every setting, and what it does.
    Config,
}

/// What the shell is told when the command line or the configuration is wrong.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    // Says what is wrong with the command line, and exits with 2; 0 after help and version.
    let command = Command::parse();
    match command.action {
        Action::Serve(serve) => serve.run(),
        #[expect(clippy::print_stdout, reason = "what was asked for goes to stdout")]
        Action::Config => {
            print!("{}", govc_server::config::DEFAULT_YAML);
            ExitCode::SUCCESS
        }
    }
}
