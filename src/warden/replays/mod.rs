//! Replays.
#![allow(dead_code)]
mod pacer;
mod recent;
