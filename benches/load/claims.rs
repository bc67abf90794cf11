//! Claimants, and the rate at which they get items.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connection::{Connection, post};
use super::failure::Failure;
use super::statistics::quantile;
use super::together::together;

/// What claimants saw.
pub struct Claims {
    pub items_per_second: f64,
    pub claims_per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

/// Has claimants ask for items in this state for a while, each for the next ones when the last ones are
/// there, until the while is over, each has its share of `most` items, or there are no more. They are given
/// back by nobody.
pub async fn claim(
    address: SocketAddr,
    state: &str,
    claimants: usize,
    max: usize,
    window: Duration,
    most: usize,
) -> Result<Claims, Failure> {
    let document = format!(r#"{{"states":["{state}"],"max":{max},"ttl":"24h"}}"#);
    let share = most.div_ceil(claimants);
    let began = Instant::now();
    let claimant = || {
        let request = post(address, "/v1/leases", &document);
        async move {
            let mut connection = Connection::open(address).await?;
            let (mut items, mut took) = (0, Vec::new());
            while began.elapsed() < window && items < share {
                let asked = Instant::now();
                let status = connection.exchange(&request).await?;
                took.push(asked.elapsed());
                let text = String::from_utf8_lossy(connection.body());
                let claimed = text.matches("\"id\":\"lse_").count();
                if claimed == 0 && status == 200 {
                    // A fast machine has claimed all that there is.
                    break;
                }
                // Each lease is named in itself and in its item.
                if status != 200 || claimed > 2 * max {
                    return Err(Failure::Answer(format!(
                        "{status} to a claim, {claimed} leases: {text:.300}"
                    )));
                }
                items += claimed / 2;
            }
            Ok::<_, Failure>((items, took))
        }
    };
    let (mut items, mut took) = (0, Vec::new());
    for (more, times) in together(claimants, claimant).await? {
        items += more;
        took.extend(times);
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Claims {
        items_per_second: items as f64 / seconds,
        claims_per_second: took.len() as f64 / seconds,
        p50: quantile(&mut took, 0.5),
        p99: quantile(&mut took, 0.99),
    })
}
