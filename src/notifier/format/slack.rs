//! Slack's incoming webhooks: one line of text, and an attachment in the colour of the incident.
//!
//! Invariants: of what clients have chosen no `&`, `<` or `>` gets through unescaped, so that nothing of it becomes a link or
//! a mention; every text stays within Slack's limits, and a cut never goes through an escape.

use serde_json::{Value, json};

use super::{Rendered, post, steps};
use crate::model::{Event, IncidentStatus, Notification, Sample, Severity};

/// The longest text of a message or of a section, in characters.
const TEXT_MAX: usize = 3000;
/// The longest text of a field of a section, in characters.
const FIELD_MAX: usize = 2000;

pub(super) fn render(notification: &Notification) -> Rendered {
    let data = &notification.data;
    let severity = data.severity.as_str();
    let start = format!("*{}* [{severity}] ", title(notification.event));
    let text = format!("{start}{}", escaped(&data.summary, TEXT_MAX - start.len()));
    let mut blocks = vec![json!({ "type": "section", "fields": fields(notification) })];
    if !data.items.is_empty() {
        blocks.push(json!({ "type": "section", "text": mrkdwn(items(notification)) }));
    }
    blocks.push(json!({ "type": "context", "elements": links(notification) }));
    let attachment = json!({ "color": colour(notification), "blocks": blocks });
    post("application/json", &json!({ "text": text, "attachments": [attachment] }))
}

const fn title(event: Event) -> &'static str {
    match event {
        Event::Opened => "Opened",
        Event::Grown => "Grown",
        Event::Reminder => "Still open",
        Event::Escalated => "Escalated",
        Event::Acknowledged => "Acknowledged",
        Event::Resolved => "Resolved",
        Event::Test => "Test",
    }
}

const fn colour(notification: &Notification) -> &'static str {
    match (notification.data.status, notification.data.severity) {
        (IncidentStatus::Resolved, _) => "#2eb67d",
        (IncidentStatus::Open, Severity::Info) => "#439fe0",
        (IncidentStatus::Open, Severity::Warning) => "#ecb22e",
        (IncidentStatus::Open, Severity::Error) => "#e8590c",
        (IncidentStatus::Open, Severity::Critical) => "#c8102e",
    }
}

fn fields(notification: &Notification) -> Vec<Value> {
    let data = &notification.data;
    let group = data.group.iter().map(|(name, value)| format!("{name}: {value}"));
    let all = [
        ("Workflow", data.workflow.to_string()),
        ("Group", group.collect::<Vec<_>>().join(", ")),
        ("Items", format!("{}, at most {}", data.count, data.peak)),
        ("Stuck at", steps(notification)),
        ("Oldest deadline", data.oldest_deadline.map(|at| at.to_string()).unwrap_or_default()),
        ("Looked after by", data.acknowledged_by.as_deref().unwrap_or_default().to_owned()),
    ];
    let field = |(title, text): (&str, String)| {
        let start = format!("*{title}*\n");
        mrkdwn(format!("{start}{}", escaped(&text, FIELD_MAX - start.len())))
    };
    all.into_iter().filter(|(_, text)| !text.is_empty()).map(field).collect()
}

/// A line with a link for each item, as many as there is room for, and how many more there are.
fn items(notification: &Notification) -> String {
    /// Room for the last line.
    const REST: usize = 40;
    let data = &notification.data;
    let mut text = String::new();
    let mut shown = 0;
    for Sample { id, deadline, step, url, .. } in &data.items {
        let step = step.as_ref().map(|step| format!(" at {}", escaped(step, FIELD_MAX))).unwrap_or_default();
        let line = format!("• {}{step}, due {deadline}\n", link(url, id));
        if text.chars().count() + line.chars().count() > TEXT_MAX - REST {
            break;
        }
        text.push_str(&line);
        shown += 1;
    }
    let more = (data.items.len() as u64 - shown) + data.truncated;
    if more > 0 {
        text.push_str(&format!("and {more} more"));
    }
    text
}

fn links(notification: &Notification) -> Vec<Value> {
    let data = &notification.data;
    let incident = Some(link(&data.url, "Incident"));
    let runbook = data.runbook_url.as_ref().map(|url| link(url, "What to do"));
    // The longest addresses are left out rather than cut.
    let fits = |link: &String| link.chars().count() <= TEXT_MAX;
    let mut links: Vec<Value> = [incident, runbook].into_iter().flatten().filter(fits).map(mrkdwn).collect();
    links.push(mrkdwn(escaped(&data.id, FIELD_MAX)));
    links
}

/// A text that is shown as it stands: nothing in it is made a link that is not one.
fn mrkdwn(text: String) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// A link. What would end it early is percent-encoded in the address.
fn link(url: &str, label: &str) -> String {
    let url = url.replace('|', "%7C").replace('<', "%3C").replace('>', "%3E").replace('&', "&amp;");
    format!("<{url}|{}>", escaped(label, TEXT_MAX))
}

/// A text with Slack's three special characters escaped, in at most so many characters.
fn escaped(text: &str, characters: usize) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut length = 0;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let mut buffer = [0; 4];
        let written = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            other => other.encode_utf8(&mut buffer),
        };
        length += written.chars().count();
        // Room is kept for the sign of the cut, unless this is the end.
        if length + usize::from(rest.peek().is_some()) > characters {
            escaped.push('…');
            return escaped;
        }
        escaped.push_str(written);
    }
    escaped
}
