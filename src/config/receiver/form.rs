//! The format of a receiver, and the settings that belong to one format only.

use reqwest::Method;
use reqwest::header::HeaderName;
pub use warden_api::word::ReceiverFormat;

use super::{ReceiverDefaults, WrittenReceiver};
use crate::config::checks::{self, Checks};
use crate::config::path::SettingPath;
use crate::notifier::Format;
use crate::notifier::format::{self, Asked, Options, Part, Template};
use crate::outbound::Endpoint;

/// The largest template, in bytes.
const TEMPLATE_MAX: u64 = 64 << 10;
/// The methods that a template may use; all of them take a body.
const METHODS: [Method; 3] = [Method::POST, Method::PUT, Method::PATCH];

impl WrittenReceiver {
    /// Checks that every setting has an effect in this format.
    pub(super) fn check_belongings(
        &self,
        checks: &mut Checks<'_>,
        table: &SettingPath,
        format: ReceiverFormat,
    ) {
        use ReceiverFormat::{Alertmanager, CloudEvents, OpenLineage, PagerDuty, Standard, Template};
        let belongings: [(&str, bool, &[ReceiverFormat]); 6] = [
            ("secret", self.secret.is_some(), &[Standard, CloudEvents, Template]),
            ("routing_key", self.routing_key.is_some(), &[PagerDuty]),
            ("resend", self.resend.is_some(), &[Alertmanager]),
            ("namespace", self.namespace.is_some(), &[OpenLineage]),
            ("method", self.method.is_some(), &[Template]),
            ("body", self.body.is_some(), &[Template]),
        ];
        for (key, is_set, formats) in belongings {
            if is_set && !formats.contains(&format) {
                let formats = formats.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ");
                let message = format!(
                    "does nothing for a receiver of the format {}, only for: {formats}",
                    format.as_str()
                );
                checks.problem(&table.key(key), message);
            }
        }
    }

    /// The URL of the receiver.
    pub(super) fn endpoint(
        &self,
        checks: &mut Checks<'_>,
        table: &SettingPath,
        format: ReceiverFormat,
    ) -> Option<Endpoint> {
        let Some(written) = &self.url else {
            if format == ReceiverFormat::PagerDuty {
                return format::PAGERDUTY_ENQUEUE.parse().ok();
            }
            checks.problem(table, "`url` is missing");
            return None;
        };
        let url = checks.secret_url(&table.key("url"), written, checks::plain_url)?;
        match format {
            ReceiverFormat::Alertmanager => Some(format::alertmanager_endpoint(&url).into()),
            _ => Some(url.into()),
        }
    }

    /// The format with its options.
    pub(super) fn form(
        &self,
        checks: &mut Checks<'_>,
        table: &SettingPath,
        format: ReceiverFormat,
        headers: Vec<(HeaderName, String)>,
        defaults: &ReceiverDefaults,
        asked: Asked,
    ) -> Option<Format> {
        match Options::of(format) {
            Options::Complete(format) => Some(format),
            Options::Resend => Some(Format::Alertmanager { resend: self.resend.unwrap_or(defaults.resend) }),
            Options::RoutingKey => self.pagerduty(checks, table),
            Options::Namespace => self.openlineage(checks, table, defaults),
            Options::Template => self.template(checks, table, headers, asked),
        }
    }

    fn openlineage(
        &self,
        checks: &mut Checks<'_>,
        table: &SettingPath,
        defaults: &ReceiverDefaults,
    ) -> Option<Format> {
        let Some(written) = &self.namespace else {
            return Some(Format::OpenLineage { namespace: defaults.namespace.clone() });
        };
        check_namespace(checks, &table.key("namespace"), written);
        Some(Format::OpenLineage { namespace: written.as_str().into() })
    }

    fn pagerduty(&self, checks: &mut Checks<'_>, table: &SettingPath) -> Option<Format> {
        let Some(written) = &self.routing_key else {
            checks.problem(table, "`routing_key` is missing: PagerDuty shows it as the integration key");
            return None;
        };
        match written.parse(checks.environment(), "routing key", str::parse) {
            Ok(routing_key) => Some(Format::PagerDuty { routing_key }),
            Err(message) => {
                checks.problem(&table.key("routing_key"), message);
                None
            }
        }
    }

    fn template(
        &self,
        checks: &mut Checks<'_>,
        table: &SettingPath,
        headers: Vec<(HeaderName, String)>,
        asked: Asked,
    ) -> Option<Format> {
        let method = self.method(checks, table);
        let Some(written) = &self.body else {
            checks.problem(table, "`body` is missing: the template of the request body");
            return None;
        };
        let body = match written.text(checks.environment(), TEMPLATE_MAX) {
            Ok(body) => body,
            Err(message) => {
                checks.problem(&table.key("body"), message);
                return None;
            }
        };
        match Template::new(method?, body, headers, asked) {
            Ok(template) => Some(Format::Template(template.into())),
            Err(errors) => {
                for error in errors {
                    let path = match &error.part {
                        Part::Body => table.key("body"),
                        Part::Header(name) => self.header_path(table, name),
                    };
                    checks.problem(&path, error.to_string());
                }
                None
            }
        }
    }

    fn method(&self, checks: &mut Checks<'_>, table: &SettingPath) -> Option<Method> {
        let Some(written) = &self.method else { return Some(Method::POST) };
        let method = METHODS.into_iter().find(|method| method.as_str() == written);
        if method.is_none() {
            checks.problem(&table.key("method"), format!("is {written:?}, but must be POST, PUT or PATCH"));
        }
        method
    }

    /// The path of a header, in the case in which it was written.
    fn header_path(&self, table: &SettingPath, name: &HeaderName) -> SettingPath {
        let written = self.headers.keys().find(|written| written.eq_ignore_ascii_case(name.as_str()));
        table.key("headers").key(written.map_or(name.as_str(), String::as_str))
    }
}

pub(super) fn check_namespace(checks: &mut Checks<'_>, path: &SettingPath, namespace: &str) {
    if !format::is_namespace(namespace) {
        checks.problem(path, format!("{namespace:?} is no namespace: it takes {}", format::NAMESPACE_RULE));
    }
}
