//! Collects semantic problems of settings: values out of bounds, unknown names.
//!
//! All problems are collected, so that a file can be corrected in one go.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::Url;

use super::environment::Environment;
use super::error::Problem;
use super::origin::Origin;
use super::path::SettingPath;
use super::secret::{SECRET_MAX, Secret};
use super::setting::Setting;
use crate::model::name::{NAME_RULE, is_name};

/// The longest URL, in bytes. Some occur in notifications, whose size is bounded.
const URL_MAX: usize = 2048;

/// The settings as written, to look up origins, and the problems found so far.
pub struct Checks<'a> {
    written: &'a Setting,
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl<'a> Checks<'a> {
    pub fn new(written: &'a Setting, environment: &'a Environment) -> Self {
        Self { written, environment, problems: Vec::new() }
    }

    /// For secrets that refer to variables.
    pub fn environment(&self) -> &'a Environment {
        self.environment
    }

    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// The origin of the setting at `path`, or of the nearest one above it.
    pub fn origin_of(&self, path: &SettingPath) -> Origin {
        self.written.origin_of(path).clone()
    }

    pub fn has_file(&self) -> bool {
        matches!(self.written.origin, Origin::File(..))
    }

    /// Variables that look like settings and are none, each with the name that was probably meant.
    pub fn unknown_variables(&self) -> Vec<(&str, Option<String>)> {
        self.environment.unknown(self.written)
    }

    /// Reports a problem of the setting at `path`.
    pub fn problem(&mut self, path: &SettingPath, message: impl Into<String>) {
        let origin = self.origin_of(path);
        self.problems.push(Problem { origin, path: path.clone(), message: message.into() });
    }

    /// Checks a name that has no type of its own.
    pub fn name(&mut self, path: &SettingPath, name: &str) {
        if !is_name(name) {
            self.problem(path, format!("{name:?} is no name: {NAME_RULE}"));
        }
    }

    /// Checks the period of a loop, or a timeout.
    pub fn more_than_zero(&mut self, path: &SettingPath, duration: Duration) {
        if duration.is_zero() {
            self.problem(path, "must be more than zero");
        }
    }

    /// Checks that a number is in `range`; `show` formats it.
    pub fn within<N: PartialOrd + Copy, S: Display>(
        &mut self,
        path: &SettingPath,
        number: N,
        range: RangeInclusive<N>,
        show: impl Fn(N) -> S,
    ) {
        if !range.contains(&number) {
            let (number, least, most) = (show(number), show(*range.start()), show(*range.end()));
            self.problem(path, format!("is {number}, but must be from {least} to {most}"));
        }
    }

    /// Parses a URL with [`plain_url`]. The message does not repeat it.
    pub fn url(&mut self, path: &SettingPath, text: &str) -> Option<Url> {
        plain_url(text).map_err(|message| self.problem(path, message)).ok()
    }

    /// Resolves a URL that may be a reference, and parses it.
    pub fn secret_url(
        &mut self,
        path: &SettingPath,
        written: &Secret,
        parse: impl FnOnce(&str) -> Result<Url, String>,
    ) -> Option<Url> {
        let text = match written.text(self.environment, SECRET_MAX) {
            Ok(text) => text,
            Err(message) => {
                self.problem(path, message);
                return None;
            }
        };
        let start = if written.is_reference() { "what it refers to " } else { "" };
        parse(text.trim()).map_err(|message| self.problem(path, format!("{start}{message}"))).ok()
    }
}

/// Parses an absolute `http` or `https` URL. The message does not repeat any of it, since the path may be a
/// secret.
pub fn web_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        _ if text.len() > URL_MAX => {
            Err(format!("is {} bytes long, but must be at most {URL_MAX}", text.len()))
        }
        Err(error) => Err(format!("is not a URL: {error}")),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Err("must begin with http:// or https://".to_owned())
        }
        Ok(url) => Ok(url),
    }
}

/// The same without credentials, since the URL is shown and logged.
pub fn plain_url(text: &str) -> Result<Url, String> {
    let url = web_url(text)?;
    if url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err("must not contain a user or a password, because URLs are shown and logged".to_owned())
    }
}
