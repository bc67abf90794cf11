//! How much of a file is complete, so that an export can resume.

use std::fs;
use std::path::Path;

use super::lines::Ending;
use super::{FRAME, LINE_MAX, Ledger, LineError, Lines};

/// The first bytes of each line of an export.
const BEGINNING: &[u8] = b"{\"op\":\"";

#[derive(Debug)]
pub enum Survey {
    /// With the number of items.
    Complete(u64),
    Partial(Part),
}

#[derive(Debug, Default)]
pub struct Part {
    /// The length of the complete lines in bytes, or of the complete frames if the file is compressed. What
    /// follows must be written again.
    pub length: u64,
    /// Describes these lines.
    pub ledger: Ledger,
    pub is_compressed: bool,
}

/// Reads a file to its end; `reach` is called with the offset. Fails if the file is damaged or not an export.
pub fn survey(path: &Path, reach: impl Fn(u64)) -> Result<Survey, LineError> {
    let mut lines = Lines::open(path)?;
    let mut part = Part { length: 0, ledger: Ledger::default(), is_compressed: lines.is_compressed() };
    while let Some(line) = lines.next_line()? {
        let refuse = |what| Err(LineError::Damaged(format!("line {} {what}", line.number)));
        if !line.is_ended && is_begun(line.text.trim_ascii_end()) {
            break;
        }
        if lines.ends() > 0 {
            return refuse("is after the end");
        }
        if line.cursor.is_none() {
            return refuse("is damaged or not from `warden export`: it has no cursor");
        }
        if let Some(length) = lines.boundary()? {
            part.length = length;
            part.ledger = lines.ledger().clone();
        }
        reach(lines.position());
    }
    if lines.ending() == Ending::Whole {
        return Ok(Survey::Complete(lines.items()));
    }
    let length = fs::metadata(path).map_err(LineError::Read)?.len();
    if length - part.length.min(length) > (LINE_MAX + FRAME) as u64 {
        return Err(LineError::Damaged(format!(
            "after byte {} there is more than an interrupted export leaves",
            part.length
        )));
    }
    Ok(Survey::Partial(part))
}

/// Whether this may be a truncated line of an export.
fn is_begun(text: &[u8]) -> bool {
    text.starts_with(BEGINNING) || BEGINNING.starts_with(text)
}

#[cfg(test)]
mod tests {
    use std::io::sink;

    use super::*;
    use crate::cli::commands::archive::{Compression, Target};
    use crate::cli::terminal::sink::Sink;

    fn item(number: u64) -> String {
        format!("{{\"op\":\"create\",\"cursor\":\"c{number}\",\"payload\":\"{number}\"}}\n")
    }

    /// Writes a file of items and their end, in two frames if compressed. Returns it with its length after
    /// each item.
    fn written(path: &Path, compression: Option<Compression>) -> (Vec<u8>, Vec<u64>) {
        let mut out = sink();
        let mut target = Target::new(Sink::open(Some(path), &mut out).unwrap(), compression).unwrap();
        let (mut ledger, mut lengths) = (Ledger::default(), Vec::new());
        for number in 0..6 {
            target.write(item(number).as_bytes()).unwrap();
            ledger.add(item(number).as_bytes(), None);
            if compression.is_none() || number == 2 {
                lengths.push(target.length().unwrap().unwrap());
            }
        }
        target.write(&ledger.end()).unwrap();
        target.finish().unwrap();
        (fs::read(path).unwrap(), lengths)
    }

    #[test]
    fn whatever_is_left_of_a_file_is_whole_up_to_the_last_line_or_frame() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("export");
        for compression in [None, Some(Compression::Zstd)] {
            let (whole, lengths) = written(&path, compression);
            for length in 0..=whole.len() {
                fs::write(&path, &whole[..length]).unwrap();
                let expected =
                    lengths.iter().rev().find(|kept| **kept <= length as u64).copied().unwrap_or(0);
                let lines = match compression {
                    None => lengths.iter().filter(|kept| **kept <= length as u64).count() as u64,
                    Some(_) => {
                        if expected > 0 {
                            3
                        } else {
                            0
                        }
                    }
                };
                match survey(&path, |_| {}).unwrap() {
                    Survey::Complete(items) => {
                        // A plain file is complete also without its last line feed.
                        assert!(items == 6 && length + 1 >= whole.len(), "{length}");
                    }
                    Survey::Partial(part) => {
                        assert_eq!((part.length, part.ledger.lines()), (expected, lines), "{length}");
                        let cursor = lines.checked_sub(1).map(|last| format!("c{last}"));
                        assert_eq!(part.ledger.cursor(), cursor.as_deref(), "{length}");
                        assert_eq!(part.is_compressed, compression.is_some() && length > 0, "{length}");
                        assert!(length < whole.len());
                    }
                }
            }
        }
    }

    #[test]
    fn a_text_that_no_export_began_is_not_taken_for_the_rest_of_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes");
        for text in ["buy milk", "{\"name\":", "{\"op\": \"create\"", "[", "(B"] {
            fs::write(&path, text).unwrap();
            let error = survey(&path, |_| {}).unwrap_err();
            assert!(
                matches!(&error, LineError::Damaged(what) if what.contains("line 1 ")),
                "{text}: {error}"
            );
        }
    }
}
