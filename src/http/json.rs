//! JSON as handlers answer with it.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Room for an item, so that the most frequent of all answers is written without growing.
const ROOM: usize = 1024;

/// A document, as the body of an answer.
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut text = Vec::with_capacity(ROOM);
        serde_json::to_writer(&mut text, &self.0).expect("what clients are shown can be written as JSON");
        if text.len() > ROOM {
            // What it grew by beyond its length would not be counted as part of the answer.
            text.shrink_to_fit();
        }
        let mut response = Response::new(text.into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
