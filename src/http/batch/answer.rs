//! The response of a batch as it accumulates: pieces of lines, each with its memory reservation, released
//! when the client has read it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::http::problem::Problem;
use crate::http::server::answers::Answers;
use crate::http::server::budget::attach;

/// The minimum size of a piece, in bytes.
const PIECE: usize = 64 * 1024;

#[derive(Default)]
pub struct Gathered {
    /// The lines of the current piece.
    pub text: Vec<u8>,
    pieces: VecDeque<Bytes>,
    left: u64,
}

impl Gathered {
    /// Ends the current piece if it is large enough. If the budget is exhausted, its lines are lost.
    pub fn count(&mut self, answers: &Answers) -> Result<(), Problem> {
        if self.text.len() < PIECE {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        let hold = answers.try_hold(text.capacity() as u64)?;
        self.push(attach(hold, text));
        Ok(())
    }

    /// The whole response.
    pub fn finish(mut self) -> Self {
        let text = std::mem::take(&mut self.text);
        self.push(text.into());
        self
    }

    fn push(&mut self, piece: Bytes) {
        self.left += piece.len() as u64;
        self.pieces.extend(Some(piece).filter(|piece| !piece.is_empty()));
    }
}

impl HttpBody for Gathered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.pop_front();
        self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
