//! Slack's incoming webhooks: a line of text, and an attachment in the colour of the incident.
//!
//! Invariants: in names chosen by clients `&`, `<` and `>` are always escaped, so that they cannot form a
//! link or a mention; every text stays within Slack's limits, and is never cut within an escape.

use serde_json::{Value, json};

use super::{Rendered, outcomes, post, steps};
use crate::model::{CloseOutcome, Event, IncidentStatus, ItemNotification, Notification, Sample, Severity};

/// Slack's limit of a message and of a section, in characters.
const TEXT_MAX: usize = 3000;
/// Slack's limit of a field, in characters.
const FIELD_MAX: usize = 2000;

pub(super) fn render(notification: &Notification) -> Rendered {
    let data = &notification.data;
    let severity = data.severity.as_str();
    let start = format!("*{}* [{severity}] ", title(notification));
    let text = format!("{start}{}", escaped(&data.summary, TEXT_MAX - start.len()));
    let mut blocks = vec![json!({ "type": "section", "fields": fields(notification) })];
    if !data.items.is_empty() {
        blocks.push(json!({ "type": "section", "text": mrkdwn(items(notification)) }));
    }
    blocks.push(json!({ "type": "context", "elements": links(notification) }));
    let attachment = json!({ "color": colour(notification), "blocks": blocks });
    post("application/json", &json!({ "text": text, "attachments": [attachment] }))
}

/// An event of an item.
pub(super) fn render_item(notification: &ItemNotification) -> Rendered {
    let data = &notification.data;
    let (title, colour) = match (notification.event, data.outcome) {
        (Event::RunStarted, _) => ("Started", "#439fe0"),
        (Event::RunCompleted, _) => ("Succeeded", "#2eb67d"),
        (Event::RunFailed, _) => ("Failed", "#c8102e"),
        (Event::RunAborted, _) => ("Discarded", "#ecb22e"),
        (Event::RunOverdue, _) => ("Overdue", "#e8590c"),
        (Event::ItemClosed, Some(CloseOutcome::Failed)) => ("Closed", "#c8102e"),
        (Event::ItemClosed, Some(CloseOutcome::Discarded)) => ("Closed", "#ecb22e"),
        (Event::ItemClosed, _) => ("Closed", "#2eb67d"),
        _ => ("Test", "#439fe0"),
    };
    let start = format!("*{title}* ");
    let text = format!("{start}{}", escaped(&data.summary, TEXT_MAX - start.len()));
    let labels = data.labels.iter().map(|(name, value)| format!("{name}: {value}"));
    let all = [
        ("Workflow", data.workflow.to_string()),
        ("Item", data.id.to_string()),
        ("Labels", labels.collect::<Vec<_>>().join(", ")),
    ];
    let fields: Vec<Value> = all.into_iter().filter_map(field).collect();
    let fits = |link: &String| link.chars().count() <= TEXT_MAX;
    let item = Some(link(&data.url, "Item")).filter(fits).unwrap_or_else(|| escaped(&data.id, FIELD_MAX));
    let blocks = json!([
        { "type": "section", "fields": fields },
        { "type": "context", "elements": [mrkdwn(item)] },
    ]);
    let attachment = json!({ "color": colour, "blocks": blocks });
    post("application/json", &json!({ "text": text, "attachments": [attachment] }))
}

const fn title(notification: &Notification) -> &'static str {
    match notification.event {
        // Must not look like an all-clear.
        Event::Resolved if notification.data.continued_in.is_some() => "Continued elsewhere",
        Event::Opened => "Opened",
        Event::Grown => "Grown",
        Event::Reminder => "Still open",
        Event::Escalated => "Escalated",
        Event::Acknowledged => "Acknowledged",
        Event::Resolved => "Resolved",
        _ => "Test",
    }
}

const fn colour(notification: &Notification) -> &'static str {
    let data = &notification.data;
    match (data.status, data.severity) {
        (IncidentStatus::Resolved, _) if data.continued_in.is_none() => "#2eb67d",
        (_, Severity::Info) => "#439fe0",
        (_, Severity::Warning) => "#ecb22e",
        (_, Severity::Error) => "#e8590c",
        (_, Severity::Critical) => "#c8102e",
    }
}

fn fields(notification: &Notification) -> Vec<Value> {
    let data = &notification.data;
    let group = data.group.iter().map(|(name, value)| format!("{name}: {value}"));
    let all = [
        ("Workflow", data.workflow.to_string()),
        ("Group", group.collect::<Vec<_>>().join(", ")),
        ("Items", format!("{}, at most {}", data.count, data.peak)),
        ("Outcome", outcomes(notification)),
        ("Continued in", data.continued_in.as_deref().unwrap_or_default().to_owned()),
        ("Stuck at", steps(notification)),
        ("Oldest deadline", data.oldest_deadline.map(|at| at.to_string()).unwrap_or_default()),
        ("Acknowledged by", data.acknowledged_by.as_deref().unwrap_or_default().to_owned()),
    ];
    all.into_iter().filter_map(field).collect()
}

/// Nothing for an empty text.
fn field((title, text): (&str, String)) -> Option<Value> {
    let start = format!("*{title}*\n");
    let text = Some(text).filter(|text| !text.is_empty())?;
    Some(mrkdwn(format!("{start}{}", escaped(&text, FIELD_MAX - start.len()))))
}

/// A line with a link for each item, as many as fit, and the number of the rest.
fn items(notification: &Notification) -> String {
    /// Kept free for the last line, in characters.
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
    // A link that is too long is omitted, since it cannot be cut.
    let fits = |link: &String| link.chars().count() <= TEXT_MAX;
    let mut links: Vec<Value> = [incident, runbook].into_iter().flatten().filter(fits).map(mrkdwn).collect();
    links.push(mrkdwn(escaped(&data.id, FIELD_MAX)));
    links
}

/// A text in which Slack does not turn names and URLs into links.
fn mrkdwn(text: String) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// A link. Characters that would end it are percent-encoded in the URL.
fn link(url: &str, label: &str) -> String {
    let url = url.replace('|', "%7C").replace('<', "%3C").replace('>', "%3E").replace('&', "&amp;");
    format!("<{url}|{}>", escaped(label, TEXT_MAX))
}

/// Escapes Slack's three special characters, and cuts to at most this many characters.
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
        // Leaves room for the ellipsis, unless this is the end.
        if length + usize::from(rest.peek().is_some()) > characters {
            escaped.push('…');
            return escaped;
        }
        escaped.push_str(written);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;
    use crate::notifier::Format;

    fn field(text: &str) -> Value {
        mrkdwn(text.to_owned())
    }

    #[test]
    fn an_opened_incident_is_a_line_and_what_is_known_of_it() {
        let expected = json!({
            "text": "*Opened* [critical] 3 items of uploads (region eu) are overdue; 2 stuck at backup, the \
                     oldest for 14m",
            "attachments": [{
                "color": "#c8102e",
                "blocks": [
                    { "type": "section", "fields": [
                        field("*Workflow*\nuploads"),
                        field("*Group*\nregion: eu"),
                        field("*Items*\n3, at most 4"),
                        field("*Stuck at*\nno step: 1, backup: 2"),
                        field("*Oldest deadline*\n2026-01-01T00:00:00.000Z"),
                    ]},
                    { "type": "section", "text": field(
                        "• <https://warden.example.com/v1/workflows/uploads/items/file%2D1|file-1> at \
                         backup, due 2026-01-01T00:00:00.000Z\nand 2 more",
                    )},
                    { "type": "context", "elements": [
                        field("<https://warden.example.com/v1/incidents/inc_1|Incident>"),
                        field("<https://wiki.example.com/uploads|What to do>"),
                        field("inc_1"),
                    ]},
                ],
            }],
        });
        assert_eq!(document(&Format::Slack, &opened()), expected);
        assert_eq!(rendered(&Format::Slack, &opened()).headers["content-type"], "application/json");
    }

    #[test]
    fn its_end_is_green_and_short() {
        let expected = json!({
            "text": "*Resolved* [critical] no item of uploads (region eu) is overdue any more; the peak was \
                     4 items",
            "attachments": [{
                "color": "#2eb67d",
                "blocks": [
                    { "type": "section", "fields": [
                        field("*Workflow*\nuploads"),
                        field("*Group*\nregion: eu"),
                        field("*Items*\n0, at most 4"),
                    ]},
                    { "type": "context", "elements": [
                        field("<https://warden.example.com/v1/incidents/inc_1|Incident>"),
                        field("<https://wiki.example.com/uploads|What to do>"),
                        field("inc_1"),
                    ]},
                ],
            }],
        });
        assert_eq!(document(&Format::Slack, &resolved()), expected);
    }

    #[test]
    fn an_end_that_is_no_end_of_the_trouble_is_not_green_and_says_where_it_goes_on() {
        let document = document(&Format::Slack, &continued());
        let start = "*Continued elsewhere* [critical] 3 overdue items of uploads (region eu) have failed";
        assert!(document["text"].as_str().unwrap().starts_with(start), "{document}");
        let attachment = &document["attachments"][0];
        assert_eq!(attachment["color"], "#c8102e");
        let fields = attachment["blocks"][0]["fields"].as_array().unwrap();
        assert!(fields.contains(&field("*Outcome*\nclosed: 1, failed: 3")), "{fields:?}");
        assert!(fields.contains(&field("*Continued in*\ninc_2")), "{fields:?}");
    }

    #[test]
    fn every_severity_has_a_colour_of_its_own() {
        let mut colours = Vec::new();
        for severity in [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical] {
            let mut notification = opened();
            notification.data.severity = severity;
            let document = document(&Format::Slack, &notification);
            assert!(document["text"].as_str().unwrap().contains(severity.as_str()));
            colours.push(document["attachments"][0]["color"].clone());
        }
        colours.dedup();
        assert_eq!(colours.len(), 4);
    }

    #[test]
    fn nothing_that_clients_have_chosen_becomes_a_mention_or_a_link() {
        let document = document(&Format::Slack, &hostile());
        for text in texts(&document) {
            for (position, _) in text.match_indices('<') {
                assert!(text[position..].starts_with("<https://"), "{text}");
            }
            let plain = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            assert!(!plain.contains('&'), "{text}");
        }
    }

    #[test]
    fn every_text_stays_within_the_limits_of_slack() {
        let document = document(&Format::Slack, &hostile());
        assert!(document["text"].as_str().unwrap().chars().count() <= TEXT_MAX);
        let blocks = document["attachments"][0]["blocks"].as_array().unwrap();
        let fields = blocks[0]["fields"].as_array().unwrap();
        assert!(fields.len() <= 10);
        for field in fields {
            assert!(field["text"].as_str().unwrap().chars().count() <= FIELD_MAX);
        }
        let items = blocks[1]["text"]["text"].as_str().unwrap();
        assert!(items.chars().count() <= TEXT_MAX);
        let shown = items.matches('•').count();
        assert!(shown > 0 && items.ends_with(&format!("and {} more", 22 - shown)), "{items}");
    }

    #[test]
    fn an_address_too_long_for_a_text_is_left_out_and_not_cut() {
        let mut notification = opened();
        let base = format!("https://warden.example.com/{}", "x".repeat(TEXT_MAX));
        notification.data.url = format!("{base}/v1/incidents/inc_1");
        notification.data.items[0].url = format!("{base}/v1/workflows/uploads/items/file-1");
        let document = document(&Format::Slack, &notification);
        let blocks = document["attachments"][0]["blocks"].as_array().unwrap();
        assert_eq!(blocks[1]["text"]["text"], "and 3 more");
        assert_eq!(blocks[2]["elements"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_address_cannot_end_a_link_early() {
        assert_eq!(link("https://x/?a=1&b=<|>", "a<b>|c"), "<https://x/?a=1&amp;b=%3C%7C%3E|a&lt;b&gt;|c>");
    }

    #[test]
    fn a_text_is_cut_between_escapes() {
        assert_eq!(escaped("a<b", 6), "a&lt;b");
        assert_eq!(escaped("a<b", 5), "a…");
        assert_eq!(escaped("a<bc", 6), "a&lt;…");
        assert_eq!(escaped("äöü", 3), "äöü");
        assert_eq!(escaped("äöüß", 3), "äö…");
        assert_eq!(escaped("", 0), "");
        for length in 1..400 {
            assert!(escaped(&HOSTILE.repeat(5), length).chars().count() <= length);
        }
    }
}
