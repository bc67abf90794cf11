//! The heartbeat's call to a dead man's switch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::{Endpoint, Outbound, OutboundRequest, Transport};

/// Calls the endpoint once, with GET.
///
/// # Errors
/// It did not respond with 2xx within `timeout`. The message contains no secrets.
pub async fn ping(
    outbound: &dyn Outbound,
    endpoint: &Endpoint,
    timeout: Duration,
    transport: &Arc<Transport>,
) -> Result<(), String> {
    let request = OutboundRequest {
        receiver: "heartbeat".into(),
        method: Method::GET,
        url: endpoint.clone(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout,
        transport: transport.clone(),
    };
    match outbound.send(request).await {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => Err(format!("it answered {}", answer.told())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::outbound::{OutboundError, OutboundResponse};

    struct Answering(Result<u16, OutboundError>);

    impl Outbound for Answering {
        fn send(&self, request: OutboundRequest) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
            assert_eq!((request.method, request.body.len()), (Method::GET, 0));
            let answer = |status| OutboundResponse {
                status,
                retry_after: None,
                location: None,
                excerpt: String::new(),
            };
            Box::pin(std::future::ready(self.0.clone().map(answer)))
        }
    }

    #[tokio::test]
    async fn a_sign_of_life_has_arrived_when_it_was_answered_with_2xx() {
        let timeout = Duration::from_secs(1);
        for (answer, error) in [
            (Ok(200), None),
            (Ok(299), None),
            (Ok(199), Some("it answered 199")),
            (Ok(302), Some("it answered 302")),
            (Err(OutboundError::Timeout(timeout)), Some("no answer within 1s")),
        ] {
            let endpoint = "http://127.0.0.1/".parse().unwrap();
            let pinged = ping(&Answering(answer), &endpoint, timeout, &Arc::default()).await;
            assert_eq!(pinged.err().as_deref(), error);
        }
    }
}
