//! What those who work on items are to do.

use tokio::sync::watch;

/// What is to be done; later ones are stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Go on.
    Run,
    /// Finish what is running, begin nothing.
    Finish,
    /// End what is running, within the grace.
    Terminate,
    /// End it at once.
    Kill,
}

/// Gives an order, unless a stronger one was given.
pub fn give(orders: &watch::Sender<Order>, order: Order) {
    orders.send_if_modified(|given| {
        let stronger = order > *given;
        *given = order.max(*given);
        stronger
    });
}

/// Waits for an order that is at least as strong, and gives it; waits for ever if nobody gives any more.
pub async fn reaches(orders: &mut watch::Receiver<Order>, least: Order) -> Order {
    let given = orders.wait_for(|order| *order >= least).await.map(|order| *order);
    match given {
        Ok(order) => order,
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_order_is_never_weakened() {
        let (orders, mut ordered) = watch::channel(Order::Run);
        give(&orders, Order::Terminate);
        give(&orders, Order::Finish);
        assert_eq!(reaches(&mut ordered, Order::Finish).await, Order::Terminate);
    }
}
