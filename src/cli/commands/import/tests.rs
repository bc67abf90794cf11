use super::*;

#[test]
fn what_became_of_the_lines_is_counted_and_the_first_refusals_are_told() {
    let mut summary = Summary::default();
    let mut line = 0;
    let mut count = |answer: &str, times: u64| {
        for _ in 0..times {
            line += 1;
            summary.count(line, serde_json::from_str(answer).unwrap());
        }
    };
    count(r#"{"status":201,"workflow":"uploads","id":"a","version":1,"state":"open"}"#, 3);
    count(r#"{"status":201,"workflow":"uploads","id":"a","version":1,"state":"failed"}"#, 2);
    count(r#"{"status":201,"workflow":"uploads","id":"a","version":1,"state":"closed"}"#, 1);
    count(r#"{"status":200,"workflow":"uploads","id":"a","version":1}"#, 2);
    count(r#"{"status":204,"workflow":"uploads","id":"a"}"#, 1);
    count(
        r#"{"line":7,"type":"/problems/item-closed","title":"The item is closed","status":409,"detail":"the item is closed"}"#,
        12,
    );
    let Summary { lines, created, existed, closed, refused, complete, .. } = summary;
    assert_eq!((lines, created, existed, closed, refused, complete), (21, 6, 2, 1, 12, None));
    assert_eq!(by_state(created, &summary.created_by_state), "6 (1 closed, 2 failed)");
    assert_eq!(by_state(existed, &summary.existed_by_state), "2");
    let refusals = summary.refusals;
    assert_eq!(refusals.len(), REFUSALS_MAX);
    assert_eq!(refusals[0], Refusal { line: 10, status: 409, reason: "the item is closed".to_owned() });
}

#[test]
fn an_answer_without_a_status_is_none() {
    assert!(serde_json::from_str::<LineAnswer>(r#"{"title":"x"}"#).is_err());
}
