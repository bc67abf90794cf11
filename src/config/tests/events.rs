//! Which receivers are told of which events.

use super::*;
use crate::model::Event;

#[test]
fn a_receiver_is_told_what_it_asks_for_and_otherwise_what_its_format_is_for() {
    let config = load(file(
        "[receivers.all]\nurl = \"http://x\"\nevents = [\"incident\", \"run.failed\", \"item.closed\"]\n\
         [receivers.chain]\nurl = \"http://x\"\nevents = [\"run.completed\"]\n\
         [receivers.lineage]\nurl = \"http://x\"\nformat = \"openlineage\"\n\
         [receivers.oncall]\nurl = \"http://x\"\n\
         [alerting]\nreceivers = [\"all\", \"lineage\"]\n\
         [workflows.nightly]\nreceivers = [\"chain\", \"oncall\", \"all\"]\n",
    ));
    let asked: Vec<(bool, usize)> = config
        .receivers
        .iter()
        .map(|receiver| (receiver.min_severity.is_some(), receiver.events.iter().count()))
        .collect();
    assert_eq!(asked, [(true, 2), (false, 1), (false, 5), (true, 0)]);
    let of = |policy: &crate::model::Policy, event| {
        policy.events.of(event).map(ToString::to_string).collect::<Vec<_>>()
    };
    let (nightly, default) = (&config.policies.configured["nightly"], &config.policies.default);
    assert_eq!(of(nightly, Event::RunCompleted), ["chain"]);
    assert_eq!(of(nightly, Event::ItemClosed), ["all"]);
    assert_eq!(of(default, Event::RunFailed), ["all", "lineage"]);
    let told = |policy: &crate::model::Policy| {
        policy.alerting.receivers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        (told(nightly), told(default)),
        (vec!["oncall".to_owned(), "all".to_owned()], vec!["all".to_owned()])
    );
}
