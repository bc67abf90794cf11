//! Requirements for text formats of small values. See [`crate::fuzzing`].

use std::fmt::{Debug, Display};
use std::str::{FromStr, from_utf8};

use super::{
    Backoff, CronSchedule, DURATION_MAX, ItemId, LeaseId, StepName, Timestamp, WorkflowName, parse_duration,
    quote,
};

/// Durations, backoffs, instants, ids and names: what can be parsed is formatted and parsed as the same.
pub fn values(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    match parse_duration(text) {
        Ok(duration) => {
            assert!(duration <= DURATION_MAX && duration.subsec_nanos().is_multiple_of(1_000_000));
            let written = humantime::format_duration(duration).to_string();
            assert_eq!(parse_duration(&written), Ok(duration));
        }
        Err(error) => assert!(error.to_string().starts_with(&quote(text).to_string()), "{error}"),
    }
    again::<Backoff>(text);
    if again::<LeaseId>(text) {
        assert_eq!(text.len(), 36);
    }
    name(text, WorkflowName::new(text), |name| name.as_str());
    name(text, StepName::new(text), |name| name.as_str());
    name(text, ItemId::new(text), |name| name.as_str());
    if let Ok(instant) = Timestamp::parse(text) {
        // With an offset, text can denote instants outside of the range in UTC.
        if (Timestamp::MIN..=Timestamp::MAX).contains(&instant) {
            assert_eq!(Timestamp::parse(&instant.to_string()), Ok(instant));
        }
        let written = serde_json::to_string(&instant).expect("an instant can be written");
        let read: Timestamp = serde_json::from_str(&written).expect("and read");
        assert_eq!(read, instant.clamp(Timestamp::MIN, Timestamp::MAX));
    }
}

/// Whether it can be parsed.
fn again<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) -> bool {
    match text.parse::<T>() {
        Ok(value) => {
            assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value), "{value}");
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn name<T, E: Display>(text: &str, name: Result<T, E>, shown: impl Fn(&T) -> &str) {
    match name {
        Ok(name) => assert!(shown(&name) == text && !text.chars().any(char::is_control)),
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
}

/// Cron schedules: lines with the pattern, the time zone and an instant in milliseconds. The last and the
/// next occurrence enclose the instant, with none between them.
pub fn schedules(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let (pattern, zone) = (lines.next().unwrap_or_default(), lines.next().unwrap_or("UTC"));
    let at = lines.next().and_then(|text| text.parse().ok()).unwrap_or(1_767_225_600_000);
    let at = Timestamp::from_millis(at);
    let schedule = match CronSchedule::parse(pattern, zone) {
        Ok(schedule) => schedule,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let again = CronSchedule::parse(schedule.pattern(), schedule.zone().name());
    assert_eq!(again.as_ref(), Ok(&schedule), "it is kept as it can be read");
    let (last, next) = (schedule.last_until(at), schedule.next_after(at));
    assert!(last.is_none_or(|last| last <= at) && next.is_none_or(|next| at < next));
    if let (Some(last), Some(next)) = (last, next) {
        assert_eq!(schedule.next_after(last), Some(next), "nothing lies between {last} and {next}");
        assert_eq!(schedule.last_until(next), Some(next), "{next} is an occurrence");
    }
}
