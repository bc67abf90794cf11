//! What a rule has found, and the report of it.

use std::fmt::Write as _;

/// A place that does not keep a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    pub message: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

/// Whether an exempt path covers another: the file itself, or a folder, which ends with a slash.
fn covers(exempt: &str, path: &str) -> bool {
    path == exempt || exempt.ends_with('/') && path.starts_with(exempt)
}

/// What to mend, a line each; empty if every finding is under an exempt path and every exempt path has a
/// finding.
pub fn report(rule: &str, findings: &[Finding], exempt: &[&str]) -> String {
    let mut report = String::new();
    for Finding { path, line, message } in findings {
        if !exempt.iter().any(|exempt| covers(exempt, path)) {
            let _ = writeln!(report, "{path}:{line}: {message}");
        }
    }
    for stale in exempt {
        if !findings.iter().any(|finding| covers(stale, &finding.path)) {
            let _ = writeln!(report, "{stale} keeps the rule {rule:?}: remove it from NOT_YET");
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_reported_unless_its_path_is_exempt() {
        let findings = [Finding::new("src/a.rs", 3, "is long"), Finding::new("src/b/c.rs", 1, "is longer")];
        assert_eq!(report("r", &findings, &["src/b/"]), "src/a.rs:3: is long\n");
        assert_eq!(report("r", &findings, &["src/b/", "src/a.rs"]), "");
        assert_eq!(report("r", &findings, &["src/"]), "");
    }

    #[test]
    fn an_exempt_path_without_a_finding_is_reported() {
        let findings = [Finding::new("src/a.rs", 3, "is long")];
        let report = report("r", &findings, &["src/a.rs", "src/b.rs", "src/a"]);
        assert_eq!(
            report,
            "src/b.rs keeps the rule \"r\": remove it from NOT_YET\n\
             src/a keeps the rule \"r\": remove it from NOT_YET\n"
        );
    }
}
