//! What is said to a person when a request failed, and the exit code.

use warden_api::{Problem as Kind, ProblemDocument};
use warden_client::{Error as ClientError, Refusal};

use crate::cli::terminal::exit::Exit;
use crate::cli::terminal::table::escaped;

pub type Problem = ProblemDocument<'static>;

/// Which daemon, what went wrong, and what to do.
pub fn worded(error: &ClientError) -> String {
    match error {
        ClientError::Unreachable { base, cause } => format!(
            "cannot reach a warden at {base}: is it running? start it with `warden serve`, or point --url / \
             WARDEN_URL at it ({cause})"
        ),
        ClientError::Refused(refusal) => refused(refusal),
        ClientError::Unexpected { .. } => format!("{error}; is --url / WARDEN_URL right?"),
        ClientError::Invalid(_)
        | ClientError::Setup(_)
        | ClientError::BrokenOff { .. }
        | ClientError::Lost(_) => error.to_string(),
    }
}

pub fn exit(error: &ClientError) -> Exit {
    match error {
        ClientError::Invalid(_) => Exit::Usage,
        ClientError::Setup(_) => Exit::Internal,
        ClientError::Unreachable { .. } | ClientError::BrokenOff { .. } | ClientError::Unexpected { .. } => {
            Exit::Unavailable
        }
        ClientError::Lost(_) => Exit::Refused,
        ClientError::Refused(refusal) => {
            let by_problem = error.problem().and_then(Exit::of_problem);
            by_problem.unwrap_or_else(|| Exit::of_status(refusal.problem.status))
        }
    }
}

fn refused(refusal: &Refusal) -> String {
    let problem = &refusal.problem;
    if problem.status == 401 {
        // The daemon's text speaks of headers.
        let detail = token_advice(refusal.with_token).into();
        return in_one_line(&Problem { detail, ..problem.clone() }, None);
    }
    if problem.problem() == Some(Kind::ConfigurationInvalid) {
        return in_lines(problem);
    }
    in_one_line(problem, problem.problem().and_then(list_of))
}

/// A line for each problem of a configuration, as `warden check` prints them.
fn in_lines(problem: &Problem) -> String {
    let mut lines: Vec<String> = problem.detail.lines().map(escaped).collect();
    lines.extend(problem.instance.iter().map(|id| format!("(request {})", escaped(id))));
    lines.join("\n")
}

fn token_advice(with_token: bool) -> &'static str {
    if with_token {
        "the token in WARDEN_TOKEN or --token is unknown to this warden; use one of its configuration"
    } else {
        "this warden requires a token: set WARDEN_TOKEN to one of its configuration (`warden token new` \
         generates them)"
    }
}

/// A problem in one line.
pub fn describe(problem: &Problem) -> String {
    in_one_line(problem, None)
}

fn in_one_line(problem: &Problem, advice: Option<&str>) -> String {
    let (title, detail) = (escaped(&problem.title), escaped(&problem.detail));
    let mut text = match (&*title, &*detail) {
        (title, "") => title.to_owned(),
        ("", detail) => detail.to_owned(),
        (_, detail) if stands_alone(problem) => detail.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    };
    if let Some(advice) = advice {
        text.push_str(&format!("; {advice}"));
    }
    if let Some(id) = &problem.instance {
        text.push_str(&format!(" (request {})", escaped(id)));
    }
    text
}

/// Whether the detail says what the title does.
fn stands_alone(problem: &Problem) -> bool {
    match problem.problem() {
        Some(Kind::PayloadGone) | None => false,
        // Their details are the causes.
        Some(kind) => kind.status() < 500,
    }
}

/// Where those that exist are listed.
fn list_of(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::ItemNotFound => "`warden items --all` lists those that there are",
        Kind::IncidentNotFound => "`warden incidents --status any` lists those that there are",
        Kind::DeliveryNotFound => "`warden deliveries` lists those that there are",
        Kind::SilenceNotFound => "`warden silence list` lists those that there are",
        Kind::ReplayNotFound => "`warden replay list` lists those that there are",
        Kind::RunNotFound => "`warden runs` lists those that there are",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16) -> Problem {
        Problem {
            status,
            title: "The item is closed".into(),
            detail: "the item is closed since\n2026".into(),
            instance: Some("0198".into()),
            ..Problem::default()
        }
    }

    #[test]
    fn each_problem_of_a_configuration_has_its_line() {
        let detail = "the former configuration stays in force:\na.toml:1:1: x\na.toml:2:1: \u{7}y".into();
        let kind = format!("/problems/{}", Kind::ConfigurationInvalid.slug()).into();
        let error = refusal(Problem { kind, detail, ..problem(409) });
        let lines = "the former configuration stays in force:\na.toml:1:1: x\na.toml:2:1: \\u{7}y\n\
                     (request 0198)";
        assert_eq!((worded(&error).as_str(), exit(&error)), (lines, Exit::Data));
    }

    fn refusal(problem: Problem) -> ClientError {
        ClientError::Refused(Box::new(Refusal { problem, retry_after: None, with_token: false }))
    }

    #[test]
    fn a_problem_is_one_line_with_the_request_it_belongs_to() {
        let unknown = "The item is closed: the item is closed since\\n2026 (request 0198)";
        assert_eq!(describe(&problem(409)), unknown);
        let of = |kind: Kind, detail: &'static str| Problem {
            kind: format!("/problems/{}", kind.slug()).into(),
            status: kind.status(),
            title: kind.title().into(),
            detail: detail.into(),
            ..Problem::default()
        };
        assert_eq!(describe(&of(Kind::ItemClosed, "the item is closed")), "the item is closed");
        assert_eq!(describe(&of(Kind::ItemClosed, "")), "The item is closed");
        assert_eq!(describe(&of(Kind::PayloadGone, "it went")), "The payload is gone: it went");
        assert_eq!(describe(&of(Kind::StoreFailed, "look again")), "The store failed: look again");
        let problem = of(Kind::ReplayNotFound, "there is no such replay");
        let missing = "there is no such replay; `warden replay list` lists those that there are";
        assert_eq!(worded(&refusal(problem)), missing);
        let bare = Problem { title: "Not found".into(), ..Problem::default() };
        assert_eq!(describe(&bare), "Not found");
    }

    #[test]
    fn an_invalid_request_exits_like_a_wrong_command_line() {
        let refused = |kind: Kind| {
            let kind = format!("/problems/{}", kind.slug()).into();
            exit(&refusal(Problem { kind, ..problem(400) }))
        };
        assert_eq!(refused(Kind::InvalidRequest), Exit::Usage);
        assert_eq!(refused(Kind::IncompleteBody), Exit::Refused);
    }

    #[test]
    fn where_nobody_listens_is_said_with_what_to_do() {
        let base = "http://localhost:1".to_owned();
        let error = ClientError::Unreachable { base, cause: "refused".to_owned() };
        assert_eq!(exit(&error), Exit::Unavailable);
        let expected = "cannot reach a warden at http://localhost:1: is it running? start it with `warden \
                        serve`, or point --url / WARDEN_URL at it (refused)";
        assert_eq!(worded(&error), expected);
    }
}
