//! The clock of requests and leases: that of the machine, which also counts the time while it is suspended.

use futures_util::future::BoxFuture;

use crate::model::{Clock, SystemClock, Timestamp};

impl warden_client::Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Clock::now(self)
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        Clock::sleep_until(self, instant)
    }
}
