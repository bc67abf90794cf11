//! A response with 2xx.

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::HeaderName;
use serde::de::DeserializeOwned;

use crate::client::{Client, excerpt};
use crate::error::Error;

/// A response with 2xx, whose body is read as it comes.
#[derive(Debug)]
pub struct Answer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) response: Response,
}

impl Answer<'_> {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// `None` if the header is missing or not ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The next bytes of the body, `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.response.chunk().await.map_err(|error| self.client.request_error(&error))
    }

    /// The whole body.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        self.response.bytes().await.map_err(|error| self.client.request_error(&error))
    }

    /// The whole body; invalid UTF-8 is replaced.
    pub async fn text(self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The JSON body, as text and parsed.
    pub async fn document<T: DeserializeOwned>(self) -> Result<(String, T), Error> {
        let client = self.client;
        let text = self.text().await?;
        match serde_json::from_str(&text) {
            Ok(document) => Ok((text, document)),
            Err(error) => Err(client.unexpected(format!("{} ({error})", excerpt(&text)))),
        }
    }

    /// The error for a body that ends too early.
    pub fn broken_off(&self, cause: impl Into<String>) -> Error {
        Error::BrokenOff { base: self.client.base().to_owned(), cause: cause.into() }
    }

    /// The error for a body that is not a warden's.
    pub fn unexpected(&self, what: impl Into<String>) -> Error {
        self.client.unexpected(what.into())
    }
}
