//! The two formats of metrics: OpenMetrics, as the library writes it, and the Prometheus text format,
//! converted from that.
//!
//! They differ in the names of counters: OpenMetrics describes a counter `x` whose sample is `x_total`, the
//! text format describes `x_total` itself. A reader of one would find no description of the counters in the
//! other.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The Prometheus text format, the default.
    Text,
    OpenMetrics,
}

impl Form {
    /// The format that `Accept` prefers; the text format unless OpenMetrics has a higher quality.
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

    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Converts OpenMetrics to the Prometheus text format.
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
                // The suffix depends on the type, which is in the next line.
                let kind = lines.peek().and_then(|next| next.rsplit(' ').next()).unwrap_or_default();
                push(&mut text, &["# HELP ", name, suffix(kind), " ", rest]);
            }
            Some("TYPE") => {
                let kind = if rest == "info" { "gauge" } else { rest };
                push(&mut text, &["# TYPE ", name, suffix(rest), " ", kind]);
            }
            // The text format has no UNIT and EOF.
            _ => {}
        }
    }
    text
}

/// The suffix of sample names for a type.
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
    fn open_metrics_is_sent_only_with_the_highest_quality() {
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
    fn the_text_format_describes_the_names_of_its_samples() {
        let open_metrics = "# HELP a Some.\n# TYPE a counter\na_total{x=\"# HELP\"} 1\n\
            # HELP b_seconds Time.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 0.5\n\
            # HELP c Built.\n# TYPE c info\nc_info{version=\"1\"} 1\n# EOF\n";
        let text = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"# HELP\"} 1\n\
                    # HELP b_seconds Time.\n# TYPE b_seconds gauge\nb_seconds 0.5\n# HELP c_info Built.\n\
                    # TYPE c_info gauge\nc_info{version=\"1\"} 1\n";
        assert_eq!(to_text(open_metrics), text);
    }
}
