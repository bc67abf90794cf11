//! The files that `warden export` writes and `warden import` reads.
//!
//! * Each line is JSON that creates an item. Its `cursor` says where an export goes on behind it.
//! * The last line, the end, says how many lines there are before it and what all of their bytes hash to. A file without
//!   it is incomplete.
//! * Compressed, it is a sequence of zstd frames of whole lines, about a MiB of them each, with a checksum. Each can be
//!   read alone, so that a file that was cut has lost no more than its last one.
//!
//! Files that are not quite like that are read as well: several of them in one, each with its end; lines that somebody
//! wrote by hand, without cursors and end; one large frame of another program's.

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

/// The most bytes in a line: the largest payload in base64, and all that goes with it.
pub const LINE_MAX: usize = 96 * 1024 * 1024;
/// How many bytes of lines make a frame, unless one line alone has more.
const FRAME: usize = 1024 * 1024;
