//! A list that grows and shrinks by segments, and never moves its values.
//!
//! A `Vec` of ten million timers that is full copies all of them, and holds both copies in the meantime. Here
//! a push allocates at most one segment.
//!
//! Invariant: there are exactly as many segments as the length needs.

use std::ops::{Index, IndexMut};

/// Values in a segment: few enough that a half-empty last one does not matter.
const SEGMENT: usize = 256;

/// A list with positions from 0 to `len() - 1`.
pub(super) struct Segments<T> {
    segments: Vec<Box<[T; SEGMENT]>>,
    len: usize,
}

impl<T: Copy> Segments<T> {
    pub(super) fn new() -> Self {
        Self { segments: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, value: T) {
        if self.len == self.segments.len() * SEGMENT {
            self.segments.push(Box::new([value; SEGMENT]));
        }
        self.len += 1;
        let position = self.len - 1;
        self[position] = value;
    }

    /// Removes the value at `position` and moves the last one there.
    pub(super) fn swap_remove(&mut self, position: usize) {
        self[position] = self[self.len - 1];
        self.len -= 1;
        if self.len.is_multiple_of(SEGMENT) {
            self.segments.pop();
            // Only pointers are moved, which take an eighth of a percent of what they point at.
            if self.segments.len() < self.segments.capacity() / 4 {
                self.segments.shrink_to(self.segments.len() * 2);
            }
        }
    }

    /// The bytes allocated.
    pub(super) fn memory(&self) -> usize {
        self.segments.len() * size_of::<[T; SEGMENT]>()
            + self.segments.capacity() * size_of::<Box<[T; SEGMENT]>>()
    }
}

impl<T: Copy> Index<usize> for Segments<T> {
    type Output = T;

    fn index(&self, position: usize) -> &T {
        debug_assert!(position < self.len);
        &self.segments[position / SEGMENT][position % SEGMENT]
    }
}

impl<T: Copy> IndexMut<usize> for Segments<T> {
    fn index_mut(&mut self, position: usize) -> &mut T {
        debug_assert!(position < self.len);
        &mut self.segments[position / SEGMENT][position % SEGMENT]
    }
}
