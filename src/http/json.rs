//! JSON responses.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The initial buffer, sufficient for an item, the most frequent response.
const ROOM: usize = 1024;

pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut text = Vec::with_capacity(ROOM);
        serde_json::to_writer(&mut text, &self.0).expect("API documents serialize to JSON");
        if text.len() > ROOM {
            // Capacity beyond the length would not be counted in the budget.
            text.shrink_to_fit();
        }
        let mut response = Response::new(text.into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
