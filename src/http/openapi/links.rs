//! Links between operations that share an id, where the names of parameters alone do not show it.

use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::{OpenApi, RefOr};

/// The operation and its status, the linked operation, its parameter, and the source in the response.
const LINKS: &[(&str, &str, &str, &str, &str)] = &[
    ("start_replay", "202", "get_replay", "id", "$response.body#/id"),
    ("start_replay", "202", "pause_replay", "id", "$response.body#/id"),
    ("start_replay", "202", "resume_replay", "id", "$response.body#/id"),
    ("start_replay", "202", "cancel_replay", "id", "$response.body#/id"),
    ("claim", "200", "heartbeat", "id", "$response.body#/leases/0/id"),
    ("claim", "200", "complete", "id", "$response.body#/leases/0/id"),
    ("claim", "200", "fail", "id", "$response.body#/leases/0/id"),
    ("claim", "200", "release", "id", "$response.body#/leases/0/id"),
    ("list_deliveries", "200", "resend_delivery", "id", "$response.body#/data/0/id"),
    ("create_silence", "201", "end_silence", "id", "$response.body#/id"),
];

pub fn add(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            for (from, status, to, parameter, place) in LINKS {
                if operation.operation_id.as_deref() == Some(from)
                    && let Some(RefOr::T(response)) = operation.responses.responses.get_mut(*status)
                {
                    let link = LinkBuilder::new().operation_id(*to).parameter(*parameter, *place);
                    response.links.insert((*to).to_owned(), RefOr::T(link.build()));
                }
            }
        }
    }
}
