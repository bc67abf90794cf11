//! Whether a recovery goes on after its first items: the canary.

use super::summary::Counts;

/// What follows from how the first items went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The rest is recovered as well.
    GoOn,
    /// It stops, and this is why.
    Stop(String),
    /// Somebody is asked this.
    Ask(String),
}

/// What follows from how the first items went. `rest` is how many are behind them, if that is known.
pub fn judge(first: Counts, rest: Option<u64>, somebody_is_there: bool) -> Next {
    let done = first.done;
    let items = first.items();
    if somebody_is_there && rest != Some(0) {
        let others = match rest {
            Some(rest) => format!("the other {rest}"),
            None => "the rest".to_owned(),
        };
        return Next::Ask(format!("{done} of the first {items} are done. Go on with {others}?"));
    }
    if done == items {
        Next::GoOn
    } else {
        Next::Stop(format!("stopped after the canary: only {done} of the first {items} are done"))
    }
}

/// Whether an answer is a yes. Everything that is not counts as no.
pub fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::worker::report::Ending;

    fn counts(endings: &[Ending]) -> Counts {
        let mut counts = Counts::default();
        endings.iter().for_each(|ending| counts.count(*ending));
        counts
    }

    #[test]
    fn where_nobody_is_there_it_goes_on_only_if_all_are_done() {
        let done = counts(&[Ending::Done, Ending::Done]);
        assert_eq!(judge(done, Some(7), false), Next::GoOn);
        for bad in [Ending::Failed, Ending::Retry, Ending::Lost, Ending::Skipped] {
            let told = "stopped after the canary: only 1 of the first 2 are done".to_owned();
            assert_eq!(judge(counts(&[Ending::Done, bad]), Some(7), false), Next::Stop(told));
        }
    }

    #[test]
    fn whoever_is_there_decides_and_is_told_what_there_is_to_decide() {
        let counts = counts(&[Ending::Done, Ending::Failed]);
        let asked = |text: &str| Next::Ask(text.to_owned());
        let question = "1 of the first 2 are done. Go on with the other 7?";
        assert_eq!(judge(counts, Some(7), true), asked(question));
        let question = "1 of the first 2 are done. Go on with the rest?";
        assert_eq!(judge(counts, None, true), asked(question));
        assert!(matches!(judge(counts, Some(0), true), Next::Stop(_)), "there is nothing to ask about");
    }

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes("y\n") && is_yes(" Yes \n"));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("no") && !is_yes("yeah"));
    }
}
