//! Cuts the lines of an import into pieces that fit into one request, with no more than one of them in memory.

use std::io::{self, BufRead, Read};

/// The most lines in a piece.
pub const LINES_MAX: usize = 1_000;
/// The most bytes in a piece, unless one line alone has more.
pub const BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes in a line: the largest payload in base64, and all that goes with it.
pub const LINE_MAX: usize = 96 * 1024 * 1024;

/// A line that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the input, from 1.
    pub number: u64,
    /// Its bytes, with the line feed at its end.
    pub text: Vec<u8>,
}

/// The input that pieces are taken from.
pub struct Pieces<R> {
    input: R,
    number: u64,
    /// The line that did not fit into the piece before.
    held: Option<Line>,
}

impl<R: BufRead> Pieces<R> {
    /// Pieces of this input.
    pub fn of(input: R) -> Self {
        Self { input, number: 0, held: None }
    }

    /// The next piece; empty at the end.
    ///
    /// # Errors
    /// When the input cannot be read, or a line is longer than [`LINE_MAX`].
    pub fn next_piece(&mut self) -> io::Result<Vec<Line>> {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while piece.len() < LINES_MAX {
            let Some(line) = self.next_line()? else { break };
            if bytes + line.text.len() > BYTES_MAX && !piece.is_empty() {
                self.held = Some(line);
                break;
            }
            bytes += line.text.len();
            piece.push(line);
        }
        Ok(piece)
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.held.take() {
            return Ok(Some(line));
        }
        loop {
            let mut text = Vec::new();
            let read = (&mut self.input).take(LINE_MAX as u64 + 1).read_until(b'\n', &mut text)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if text.len() > LINE_MAX {
                let message = format!("line {} is longer than {LINE_MAX} bytes", self.number);
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            if text.last() != Some(&b'\n') {
                text.push(b'\n');
            }
            return Ok(Some(Line { number: self.number, text }));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(input: &[u8]) -> Vec<Vec<Line>> {
        let mut pieces = Pieces::of(input);
        std::iter::from_fn(|| Some(pieces.next_piece().unwrap()).filter(|piece| !piece.is_empty())).collect()
    }

    #[test]
    fn a_piece_has_a_thousand_lines_at_most() {
        let sizes: Vec<usize> = pieces("{}\n".repeat(2_500).as_bytes()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
    }

    #[test]
    fn a_line_that_does_not_fit_goes_into_the_next_piece_and_a_larger_one_alone() {
        let line = |length: usize| format!("{}\n", "x".repeat(length - 1));
        let input =
            [line(BYTES_MAX / 2), line(BYTES_MAX / 2), line(1 + 1), line(BYTES_MAX + 1), line(2)].concat();
        let numbers: Vec<Vec<u64>> = pieces(input.as_bytes())
            .iter()
            .map(|piece| piece.iter().map(|line| line.number).collect())
            .collect();
        assert_eq!(numbers, [vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn blank_lines_count_and_are_left_out() {
        let found = pieces(b"\n{1}\r\n  \n{2}");
        let expected = [(2, &b"{1}\r\n"[..]), (4, b"{2}\n")];
        let expected = expected.map(|(number, text)| Line { number, text: text.to_vec() });
        assert_eq!(found, [expected.to_vec()]);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut pieces = Pieces::of(io::BufReader::new(io::repeat(b'x')));
        assert_eq!(pieces.next_piece().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_line_is_lost_or_changed(lines in proptest::collection::vec("[a-z]{1,5}", 0..3_000)) {
            let found = pieces(lines.join("\n").as_bytes()).concat();
            let found: Vec<_> = found.iter().map(|line| String::from_utf8_lossy(line.text.trim_ascii())).collect();
            prop_assert_eq!(found, lines);
        }
    }
}
