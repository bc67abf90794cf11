//! The files that `warden export` writes and `warden import` reads.
//!
//! * Each line is a JSON object that creates an item. Its `cursor` is where an export resumes after it.
//! * The last line, the end, has the number of lines before it and the SHA-256 of their bytes. A file without
//!   it is incomplete.
//! * A compressed file is a sequence of zstd frames with checksums, each of about 1 MiB of whole lines.
//!   Frames are independent, so that a truncated file loses at most its last one.
//!
//! Other files can be read too: concatenated exports, each with its end; lines without cursors and end; a
//! single large frame.

mod ledger;
mod lines;
mod source;
mod survey;
mod target;

pub use self::ledger::{Entry, Ledger};
pub use self::lines::{Ending, Line, LineError, Lines};
pub use self::source::Source;
pub use self::survey::{Part, Survey, survey};
pub use self::target::{Compression, Target};

/// The longest line, in bytes: the largest payload in base64, and the other fields.
pub const LINE_MAX: usize = 96 * 1024 * 1024;
/// The bytes of lines in a frame, unless a single line is longer.
const FRAME: usize = 1024 * 1024;
