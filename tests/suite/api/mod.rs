//! The API, row by row.

mod items;
