//! The two forms in which figures are written: OpenMetrics, as the library does, and the older text of Prometheus, which
//! is made of that.
//!
//! They differ in the names of descriptions: OpenMetrics describes a counter `x` whose sample is `x_total`, the older
//! text describes `x_total` itself. A reader of the one finds no description for the counters of the other.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// How figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// What `promtool`, `curl` and most others read.
    Text,
    /// What asks for itself by name.
    OpenMetrics,
}

impl Form {
    /// The form that a client prefers by its `Accept`; the older text unless it rates OpenMetrics higher.
    pub fn wanted(headers: &HeaderMap) -> Self {
        let mut best = [0.0_f64; 2];
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let place = match parts.next().unwrap_or_default() {
                range if range.eq_ignore_ascii_case("application/openmetrics-text") => 1,
                "*/*" | "text/*" => 0,
                range if range.eq_ignore_ascii_case("text/plain") => 0,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            let quality: f64 = quality.map_or(1.0, |text| text.trim().parse().unwrap_or(0.0));
            best[place] = quality.max(best[place]);
        }
        if best[1] > best[0] { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of this form.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes in the older text of Prometheus what is written in OpenMetrics.
pub fn to_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let mut words = line.splitn(4, ' ');
        let (hash, keyword) = (words.next(), words.next());
        if hash != Some("#") {
            push(&mut text, &[line]);
            continue;
        }
        let (name, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match keyword {
            Some("HELP") => {
                // The type, by which the name is written, stands in the next line.
                let kind = lines.peek().and_then(|next| next.rsplit(' ').next()).unwrap_or_default();
                push(&mut text, &["# HELP ", name, suffix(kind), " ", rest]);
            }
            Some("TYPE") => {
                let kind = if rest == "info" { "gauge" } else { rest };
                push(&mut text, &["# TYPE ", name, suffix(rest), " ", kind]);
            }
            // UNIT and EOF are unknown there.
            _ => {}
        }
    }
    text
}

/// What the name of a sample has behind that of its family.
fn suffix(kind: &str) -> &'static str {
    match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    }
}

fn push(text: &mut String, parts: &[&str]) {
    text.extend(parts.iter().copied());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_rate_it_highest() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
                          version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, form) in [
            (None, Form::Text),
            (Some("*/*"), Form::Text),
            (Some(prometheus), Form::OpenMetrics),
            (Some("application/openmetrics-text"), Form::OpenMetrics),
            (Some("Application/OpenMetrics-Text; Q=0.9, text/html"), Form::OpenMetrics),
            (Some("application/openmetrics-text;q=0"), Form::Text),
            (Some("application/openmetrics-text;q=x"), Form::Text),
            (Some("text/plain, application/openmetrics-text"), Form::Text),
            (Some("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), Form::Text),
            (Some("application/json"), Form::Text),
        ] {
            let headers = accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))).into_iter();
            assert_eq!(Form::wanted(&headers.collect()), form, "{accept:?}");
        }
    }

    #[test]
    fn the_older_text_describes_what_its_samples_are_called() {
        let open_metrics = "# HELP a Some.\n# TYPE a counter\na_total{x=\"# HELP\"} 1\n# HELP b_seconds Time.\n\
                            # TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 0.5\n# HELP c Built.\n\
                            # TYPE c info\nc_info{version=\"1\"} 1\n# EOF\n";
        let text = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"# HELP\"} 1\n\
                    # HELP b_seconds Time.\n# TYPE b_seconds gauge\nb_seconds 0.5\n# HELP c_info Built.\n\
                    # TYPE c_info gauge\nc_info{version=\"1\"} 1\n";
        assert_eq!(to_text(open_metrics), text);
    }
}
