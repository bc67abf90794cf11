//! Splits the lines of an import into batches for one request each, with one batch in memory.

use crate::cli::commands::archive::{Line, LineError, Lines};

/// The most lines in a batch.
pub const LINES_MAX: usize = 1_000;
/// The most bytes in a batch, unless a single line is longer.
pub const BYTES_MAX: usize = 8 * 1024 * 1024;

pub struct Batches {
    lines: Lines,
    /// The line that did not fit into the batch before.
    held: Option<Line>,
}

impl Batches {
    pub fn of(lines: Lines) -> Self {
        Self { lines, held: None }
    }

    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The next batch, empty at the end. After an error its lines are not returned.
    pub fn next_batch(&mut self) -> Result<Vec<Line>, LineError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < LINES_MAX {
            let line = match self.held.take() {
                Some(line) => line,
                None => match self.lines.next_line()? {
                    Some(line) => line,
                    None => break,
                },
            };
            if bytes + line.text.len() > BYTES_MAX && !batch.is_empty() {
                self.held = Some(line);
                break;
            }
            bytes += line.text.len();
            batch.push(line);
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::cli::commands::archive::Source;

    fn batches(input: &[u8]) -> Vec<Vec<Line>> {
        let source = Source::of(Cursor::new(input.to_vec())).unwrap();
        let mut batches = Batches::of(Lines::of(source));
        std::iter::from_fn(|| Some(batches.next_batch().unwrap()).filter(|batch| !batch.is_empty())).collect()
    }

    #[test]
    fn a_piece_has_a_thousand_lines_at_most() {
        let sizes: Vec<usize> = batches("{}\n".repeat(2_500).as_bytes()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
    }

    #[test]
    fn a_line_that_does_not_fit_goes_into_the_next_batch_and_a_larger_one_alone() {
        let line = |length: usize| format!("{}\n", "x".repeat(length - 1));
        let input =
            [line(BYTES_MAX / 2), line(BYTES_MAX / 2), line(1 + 1), line(BYTES_MAX + 1), line(2)].concat();
        let numbers: Vec<Vec<u64>> = batches(input.as_bytes())
            .iter()
            .map(|batch| batch.iter().map(|line| line.number).collect())
            .collect();
        assert_eq!(numbers, [vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn blank_lines_count_and_are_left_out() {
        let found = batches(b"\n{1}\r\n  \n{2}");
        let found: Vec<_> = found.concat().into_iter().map(|line| (line.number, line.text)).collect();
        assert_eq!(found, [(2, b"{1}\r\n".to_vec()), (4, b"{2}\n".to_vec())]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_line_is_lost_or_changed(lines in proptest::collection::vec("[a-z]{1,5}", 0..3_000)) {
            let found = batches(lines.join("\n").as_bytes()).concat();
            let text = |line: &Line| String::from_utf8_lossy(line.text.trim_ascii()).into_owned();
            let found: Vec<String> = found.iter().map(text).collect();
            prop_assert_eq!(found, lines);
        }
    }
}
