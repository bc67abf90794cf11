//! Lists, requested page by page, with no more than one page in memory.

use reqwest::Method;
use serde_json::value::RawValue;
use warden_api::Page;
use warden_client::{Client, Error as ClientError, Query};

/// The pages of one list.
pub struct Pages<'a> {
    client: &'a Client,
    path: &'a str,
    query: &'a Query,
    page_max: usize,
    left: usize,
    cursor: Option<String>,
    is_done: bool,
}

impl<'a> Pages<'a> {
    /// At most `limit` entries of the list at `path`, at most `page_max` in one request.
    pub fn new(client: &'a Client, path: &'a str, query: &'a Query, limit: usize, page_max: usize) -> Self {
        Self { client, path, query, page_max, left: limit, cursor: None, is_done: false }
    }

    /// The entries of the next page, `None` after the last. A page may be empty although others follow.
    pub async fn next(&mut self) -> Result<Option<Vec<Box<RawValue>>>, ClientError> {
        if self.is_done {
            return Ok(None);
        }
        let mut query = self.query.clone();
        query.push(("limit", self.left.min(self.page_max).to_string()));
        query.extend(self.cursor.take().map(|cursor| ("cursor", cursor)));
        let answer = self.client.send(self.client.request(Method::GET, self.path, &query)?).await?;
        let (_, page) = answer.document::<Page<Box<RawValue>>>().await?;
        self.left = self.left.saturating_sub(page.data.len());
        self.cursor = page.next_cursor;
        self.is_done = self.left == 0 || self.cursor.is_none();
        Ok(Some(page.data))
    }

    /// Where the list continues after the pages that were requested, if it does.
    pub fn next_cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}
