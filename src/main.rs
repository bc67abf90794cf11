//! The `warden` binary. Everything it does is in the library.

use std::process::ExitCode;

// sled allocates much: with the system's allocator it commits about half as fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    warden::cli::main()
}
