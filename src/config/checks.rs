//! Gathers what is wrong with settings that are well formed: values out of bounds, names that lead nowhere.
//!
//! All problems are gathered, not the first: whoever corrects a file wants to do it once.

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

/// The longest URL, in bytes. Those of the daemon and of a runbook stand in notifications, whose size is bounded.
const URL_MAX: usize = 2048;

/// The settings as written, to find where each came from, and the problems found so far.
pub struct Checks<'a> {
    written: &'a Setting,
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl<'a> Checks<'a> {
    pub fn new(written: &'a Setting, environment: &'a Environment) -> Self {
        Self { written, environment, problems: Vec::new() }
    }

    /// Where secrets may be.
    pub fn environment(&self) -> &'a Environment {
        self.environment
    }

    /// What was found.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Where the setting at `path` was given, or the nearest one above it.
    pub fn origin_of(&self, path: &SettingPath) -> Origin {
        self.written.origin_of(path).clone()
    }

    /// Whether there is a file.
    pub fn has_file(&self) -> bool {
        matches!(self.written.origin, Origin::File(..))
    }

    /// The variables that look as if they were to set something, and what was perhaps meant.
    pub fn unknown_variables(&self) -> Vec<(&str, Option<String>)> {
        self.environment.unknown(self.written)
    }

    /// Notes that the setting at `path` is wrong.
    pub fn problem(&mut self, path: &SettingPath, message: impl Into<String>) {
        let origin = self.origin_of(path);
        self.problems.push(Problem { origin, path: path.clone(), message: message.into() });
    }

    /// A name that has no type of its own must be of the form that all names have.
    pub fn name(&mut self, path: &SettingPath, name: &str) {
        if !is_name(name) {
            self.problem(path, format!("{name:?} is no name: {NAME_RULE}"));
        }
    }

    /// A duration that something waits for in a loop or that ends something must be more than zero.
    pub fn more_than_zero(&mut self, path: &SettingPath, duration: Duration) {
        if duration.is_zero() {
            self.problem(path, "must be more than zero");
        }
    }

    /// A number must lie in `range`; `show` writes it for people.
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

    /// An address must be such as [`plain_url`] takes. The message does not repeat it.
    pub fn url(&mut self, path: &SettingPath, text: &str) -> Option<Url> {
        plain_url(text).map_err(|message| self.problem(path, message)).ok()
    }

    /// An address that may be written somewhere else must be such as `parse` takes.
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

/// Reads an absolute `http` or `https` URL. The message says what the text is not, and does not repeat any of it, since
/// its path may be a secret of the receiver's.
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

/// The same without credentials: it is shown and logged.
pub fn plain_url(text: &str) -> Result<Url, String> {
    let url = web_url(text)?;
    if url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err("must hold no user and no password, because URLs are shown and logged".to_owned())
    }
}
