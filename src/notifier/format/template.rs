//! Templates: formats that operators write themselves, in the syntax of Jinja.
//!
//! A template sees the `standard` notification and the delivery's id as `delivery`. Invariants:
//!
//! * An undefined value is an error and not an empty text, so that a typo does not become an empty alert.
//! * A template was tried on every sample ([`sample`]) when it was loaded; a later failure to render is a
//!   failed attempt.
//! * Its work and its output are bounded by [`FUEL`]. It has no access to files, the environment or other
//!   templates.
//! * Nothing is escaped implicitly; `tojson` renders a value as JSON.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Serialize;

use super::{Asked, Rendered, content_type_of, sample};
use crate::model::{DeliveryId, Event, Notification};

/// The limit of a template's work: about this many steps, or this many times 64 bytes of text.
const FUEL: u64 = 100_000;
/// The name of the body among the templates; no header can have it.
const BODY: &str = "the body";

/// The templates of a receiver's requests.
pub struct Template {
    method: Method,
    headers: Vec<HeaderName>,
    environment: Environment<'static>,
}

/// The part of a request that a template renders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Body,
    Header(HeaderName),
}

/// A template that is invalid, or could not render a notification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{}: {message}", self.place(), self.line_of(), self.occasion())]
pub struct TemplateError {
    /// The part with the error.
    pub part: Part,
    /// From 1.
    pub line: Option<usize>,
    /// The event that it could not render; `None` if the template is invalid as such.
    pub event: Option<Event>,
    pub message: String,
}

impl TemplateError {
    fn new(part: Part, event: Option<Event>, error: &minijinja::Error) -> Self {
        let message = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        Self { part, line: error.line(), event, message }
    }

    fn place(&self) -> String {
        match &self.part {
            Part::Body => "the template of the body".to_owned(),
            Part::Header(name) => format!("the template of the header {name}"),
        }
    }

    fn line_of(&self) -> String {
        self.line.map_or_else(String::new, |line| format!(", line {line}"))
    }

    fn occasion(&self) -> String {
        self.event.map_or_else(String::new, |event| format!(", cannot write {}", event.as_str()))
    }
}

impl std::fmt::Debug for Template {
    /// Without the texts, which may contain secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Template")
            .field("method", &self.method)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl Template {
    /// Parses the templates of the body and of headers, and tries them on samples of what is asked for.
    ///
    /// # Errors
    /// At most one for each part.
    pub fn new(
        method: Method,
        body: String,
        headers: Vec<(HeaderName, String)>,
        asked: Asked,
    ) -> Result<Self, Vec<TemplateError>> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        // Makes errors name the undefined value.
        environment.set_debug(true);
        let mut template = Self { method, headers: Vec::new(), environment };
        let mut errors = Vec::new();
        let texts = headers.into_iter().map(|(name, text)| (Part::Header(name), text));
        for (part, text) in texts.chain([(Part::Body, body)]) {
            errors.extend(template.add(part, text, asked).err());
        }
        if errors.is_empty() { Ok(template) } else { Err(errors) }
    }

    fn add(&mut self, part: Part, text: String, asked: Asked) -> Result<(), TemplateError> {
        self.environment
            .add_template_owned(part.name().to_owned(), text)
            .map_err(|error| TemplateError::new(part.clone(), None, &error))?;
        let id = DeliveryId("dlv_sample".into());
        for notification in sample::notifications().filter(|_| asked.incidents) {
            self.write(&part, notification.event, &context(&notification, &id))?;
        }
        for notification in sample::of_items(asked) {
            self.write(&part, notification.event, &context(&notification, &id))?;
        }
        if let Part::Header(name) = part {
            self.headers.push(name);
        }
        Ok(())
    }

    /// Renders the request of a notification.
    ///
    /// # Errors
    /// The notification has content that no sample had, and a template cannot render it.
    pub(super) fn render<S: Serialize>(
        &self,
        notification: &Notification<S>,
        id: &DeliveryId,
    ) -> Result<Rendered, TemplateError> {
        let context = context(notification, id);
        let mut headers = content_type_of("application/json");
        for name in &self.headers {
            let part = Part::Header(name.clone());
            let text = self.write(&part, notification.event, &context)?;
            headers.insert(name.clone(), header_value(&part, notification.event, &text)?);
        }
        let body = self.write(&Part::Body, notification.event, &context)?;
        Ok(Rendered { method: self.method.clone(), headers, body: body.into() })
    }

    fn write(&self, part: &Part, event: Event, context: &Value) -> Result<String, TemplateError> {
        let written = self.environment.get_template(part.name()).and_then(|it| it.render(context.clone()));
        let text = written.map_err(|error| TemplateError::new(part.clone(), Some(event), &error))?;
        if matches!(part, Part::Header(_)) {
            header_value(part, event, &text)?;
        }
        Ok(text)
    }
}

impl Part {
    fn name(&self) -> &str {
        match self {
            Self::Body => BODY,
            Self::Header(name) => name.as_str(),
        }
    }
}

fn header_value(part: &Part, event: Event, text: &str) -> Result<HeaderValue, TemplateError> {
    HeaderValue::from_bytes(text.trim().as_bytes()).map_err(|_| TemplateError {
        part: part.clone(),
        line: None,
        event: Some(event),
        message: "it renders a line break or another control character, which no header may contain".into(),
    })
}

fn context<S: Serialize>(notification: &Notification<S>, id: &DeliveryId) -> Value {
    #[derive(Serialize)]
    struct Context<'a, S: Serialize> {
        delivery: &'a DeliveryId,
        #[serde(flatten)]
        notification: &'a Notification<S>,
    }
    Value::from(minijinja::value::Serde(Context { delivery: id, notification }))
}

#[cfg(test)]
mod tests;
