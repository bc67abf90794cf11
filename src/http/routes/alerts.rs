//! Alerts: incidents, silences, deliveries and receivers.

use warden_api::Problem::{
    DeliveryNotFound, DeliveryPending, IncidentNotFound, IncidentOpen, IncidentResolved, ReceiverNotFound,
    SilenceNotFound, TooManySilences,
};
use warden_api::alert::{AcknowledgeRequest, CommentRequest, ReceiverTest, SilenceRequest, SnoozeRequest};
use warden_api::word::Scope;
use warden_api::{Delivery, Incident, Receiver, Silence, path};

use crate::http::openapi::{document, json, no_body, optional_document, page};
use crate::http::parameter::{
    KEY_OF_SILENCE, ORDER_OF_INCIDENTS, PAGING, RECEIVER, STATUS_OF_DELIVERIES, STATUS_OF_INCIDENTS,
    STATUS_OF_SILENCES, WORKFLOWS,
};
use crate::http::route::Route;
use crate::http::server::{AnyWorkflow, Everything, InBody, OfDelivery, OfIncident, OfSilence};
use crate::http::{deliveries, incidents, receivers, silences};

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(path::INCIDENTS, "list_incidents")
            .needs::<AnyWorkflow>(Scope::Read)
            .about(
                "List incidents, newest first; or open ones by severity, the most severe first, then the \
                oldest.",
            )
            .takes(&[&[STATUS_OF_INCIDENTS, WORKFLOWS, ORDER_OF_INCIDENTS], PAGING])
            .answers(200, "A page", page::<Incident>())
            .to(incidents::list),
        Route::get(path::INCIDENT, "get_incident")
            .needs::<OfIncident>(Scope::Read)
            .about("Get an incident.")
            .answers(200, "The incident", json::<Incident>())
            .refuses(&[IncidentNotFound])
            .to(incidents::get),
        Route::get(path::INCIDENT_DELIVERIES, "list_incident_deliveries")
            .needs::<OfIncident>(Scope::Read)
            .about("List an incident's deliveries, oldest first.")
            .takes(&[PAGING])
            .answers(200, "A page", page::<Delivery>())
            .refuses(&[IncidentNotFound])
            .to(incidents::deliveries),
        Route::post(path::INCIDENT_ACKNOWLEDGE, "acknowledge_incident")
            .needs::<OfIncident>(Scope::Recover)
            .about("Acknowledge an open incident: a person works on it, and it is not escalated further.")
            .body(optional_document::<AcknowledgeRequest>())
            .answers(200, "The incident", json::<Incident>())
            .refuses(&[IncidentNotFound, IncidentResolved])
            .to(incidents::acknowledge),
        Route::post(path::INCIDENT_SNOOZE, "snooze_incident")
            .needs::<OfIncident>(Scope::Recover)
            .about(
                "Snooze an open incident: reminders and escalations are deferred until the snooze ends. Its \
                resolution is still notified.",
            )
            .body(document::<SnoozeRequest>())
            .answers(200, "The incident", json::<Incident>())
            .refuses(&[IncidentNotFound, IncidentResolved])
            .to(incidents::snooze),
        Route::post(path::INCIDENT_COMMENTS, "comment_incident")
            .needs::<OfIncident>(Scope::Recover)
            .about("Comment on an open or resolved incident.")
            .body(document::<CommentRequest>())
            .answers(200, "The incident", json::<Incident>())
            .refuses(&[IncidentNotFound])
            .to(incidents::comment),
        Route::get(path::DELIVERIES, "list_deliveries")
            .needs::<AnyWorkflow>(Scope::Read)
            .about(
                "List the deliveries of all incidents, newest first.\n\n\
                Filtering by status or receiver scans all deliveries: a page may have fewer entries than \
                `limit`, even none, and still have a `next_cursor`.",
            )
            .takes(&[&[STATUS_OF_DELIVERIES, RECEIVER], PAGING])
            .answers(200, "A page", page::<Delivery>())
            .to(deliveries::list),
        Route::post(path::DELIVERY_RESEND, "resend_delivery")
            .needs::<OfDelivery>(Scope::Admin)
            .about(
                "Resend a delivery that was delivered or is dead.\n\n\
                It is sent with the same id and body, and retried for up to another day.",
            )
            .answers(200, "The delivery, pending again", json::<Delivery>())
            .refuses(&[DeliveryNotFound, DeliveryPending, IncidentResolved, IncidentOpen])
            .to(deliveries::resend),
        Route::get(path::RECEIVERS, "list_receivers")
            .needs::<AnyWorkflow>(Scope::Read)
            .about(
                "List receivers and their status, by name.\n\n\
                A receiver is `failing` if its last five or more attempts have all failed. Then one \
                attempt is made at a time, at least every minute while there are deliveries for it. It is \
                also `failing` if it sent a `Retry-After` of more than a minute. It is `paused` after it \
                answered 410, until it is resumed, a test succeeds, or the warden restarts. A token that \
                is limited to some workflows does not see `reason` and `last_attempt`, which may concern \
                others.",
            )
            .takes(&[PAGING])
            .answers(200, "A page", page::<Receiver>())
            .to(receivers::list),
        Route::post(path::RECEIVER_TEST, "test_receiver")
            .needs::<Everything>(Scope::Admin)
            .about(
                "Test a receiver: send a notification of type `receiver.test` now and return the \
                response.\n\n\
                A success ends the back-off of the receiver.",
            )
            .answers(200, "The result of the attempt", json::<ReceiverTest>())
            .refuses(&[ReceiverNotFound])
            .to(receivers::test),
        Route::post(path::RECEIVER_RESUME, "resume_receiver")
            .needs::<Everything>(Scope::Admin)
            .about(
                "Resume a receiver: attempt all its pending deliveries at once, whether it was paused, \
                failing, or in back-off.",
            )
            .answers(200, "The receiver", json::<Receiver>())
            .refuses(&[ReceiverNotFound])
            .to(receivers::resume),
        Route::get(path::SILENCES, "list_silences")
            .needs::<AnyWorkflow>(Scope::Read)
            .about(
                "List silences. Expired ones are listed only on request (`status=expired`). A token that is \
                limited to some workflows sees those that it could have created.",
            )
            .takes(&[&[STATUS_OF_SILENCES], PAGING])
            .answers(200, "A page", page::<Silence>())
            .to(silences::list),
        Route::post(path::SILENCES, "create_silence")
            .needs::<InBody>(Scope::Recover)
            .about(
                "Create a silence: matching incidents do not notify while it is active. Resolutions are \
                still notified.",
            )
            .takes(&[&[KEY_OF_SILENCE]])
            .body(document::<SilenceRequest>())
            .answers(201, "Created", json::<Silence>())
            .refuses(&[TooManySilences])
            .to(silences::post),
        Route::get(path::SILENCE, "get_silence")
            .needs::<OfSilence>(Scope::Read)
            .about("Get a silence.")
            .answers(200, "The silence", json::<Silence>())
            .refuses(&[SilenceNotFound])
            .to(silences::get),
        Route::delete(path::SILENCE, "end_silence")
            .needs::<OfSilence>(Scope::Recover)
            .about("End a silence now. Incidents that are still open notify. Ending it again succeeds.")
            .answers(204, "Ended", no_body())
            .refuses(&[SilenceNotFound])
            .to(silences::delete),
    ]
}
