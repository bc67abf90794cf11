//! The `warden` binary.

// sled allocates a great deal; with the system's allocator it commits about half as fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
