//! What a command is told about its item: the names and values of environment variables.

use super::lease::Lease;

/// What the variables for labels begin with.
pub const LABEL_PREFIX: &str = "WARDEN_LABEL_";

/// The variables for a command that recovers this item. Where two labels have the name of one variable, the last in the
/// order of their names counts.
pub fn variables(lease: &Lease) -> Vec<(String, String)> {
    let item = &lease.item;
    let own = [
        ("WARDEN_WORKFLOW", item.workflow.clone()),
        ("WARDEN_ITEM_ID", item.id.clone()),
        ("WARDEN_STEP", item.step.clone().unwrap_or_default()),
        ("WARDEN_ATTEMPT", lease.attempt.to_string()),
        ("WARDEN_LEASE", lease.id.clone()),
        ("WARDEN_CONTENT_TYPE", item.payload.content_type.clone()),
    ];
    let labels = item.labels.iter().map(|(name, value)| (label_variable(name), value.clone()));
    own.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(labels).collect()
}

fn label_variable(name: &str) -> String {
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    name.chars()
        .fold(LABEL_PREFIX.to_owned(), |variable, character| variable + &letter(character).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::lease::tests::lease;
    use super::*;

    #[test]
    fn a_command_is_told_all_that_identifies_its_item_and_its_labels() {
        let text: Vec<String> = variables(&lease("uploads", "a/ä b"))
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let expected = [
            "WARDEN_WORKFLOW=uploads",
            "WARDEN_ITEM_ID=a/ä b",
            "WARDEN_STEP=copy",
            "WARDEN_ATTEMPT=2",
            "WARDEN_LEASE=lse_a/ä b",
            "WARDEN_CONTENT_TYPE=text/plain",
            "WARDEN_LABEL_COST_CENTER_A=12",
            "WARDEN_LABEL_REGION=eu",
        ];
        assert_eq!(text, expected);
    }

    #[test]
    fn an_item_without_a_step_has_an_empty_one() {
        let mut lease = lease("uploads", "a");
        lease.item.step = None;
        assert!(variables(&lease).contains(&("WARDEN_STEP".to_owned(), String::new())));
    }
}
