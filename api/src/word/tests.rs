use super::*;

#[test]
fn a_word_that_a_later_daemon_added_is_shown_as_it_came() {
    for (text, known) in [("\"overdue\"", Some(ItemState::Overdue)), ("\"suspended\"", None)] {
        let word: Word<ItemState> = serde_json::from_str(text).unwrap();
        assert_eq!(word.known(), known);
        assert_eq!(serde_json::to_string(&word).unwrap(), text);
    }
}

#[test]
fn a_request_takes_none_but_the_words_of_the_list() {
    assert!(serde_json::from_str::<ItemState>("\"suspended\"").is_err());
    let refusal = "late".parse::<ItemState>().unwrap_err().to_string();
    assert_eq!(refusal, "it must be one of open, overdue, failed, held, closed, interrupted");
}

#[test]
fn a_word_is_written_as_it_is_listed() {
    for event in Event::ALL {
        assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
        assert_eq!(event.as_str().parse(), Ok(event));
    }
}
