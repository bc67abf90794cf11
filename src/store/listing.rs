//! Pages of items and deliveries, for engines that scan.
//!
//! A page by creation ends as soon as it is full. One by deadline has to read every item and keep the best
//! ones; overdue items are therefore listed from the in-memory index.

use std::collections::BinaryHeap;

use super::{DeliveryPage, ListDeliveries, ListItems};
use crate::model::{Delivery, DeliveryId, Item, ItemNumber, Order, Page, Position, Timestamp};

/// The records that are read for one page, so that a rare match among millions of items does not block a
/// thread for seconds.
pub const SCAN_MAX: usize = 200_000;
/// The same for deliveries, which are larger.
pub const DELIVERIES_SCAN_MAX: usize = 5_000;

/// Where a scan by number begins.
pub(super) fn scan_from(question: &ListItems) -> ItemNumber {
    match (question.order, question.after) {
        (Order::Created, Some(position)) => ItemNumber(position.number.0.saturating_add(1)),
        _ => ItemNumber(0),
    }
}

/// Selects a page from items in the order of their numbers, beginning at [`scan_from`].
pub(super) fn page<E>(
    question: &ListItems,
    items: impl Iterator<Item = Result<Item, E>>,
) -> Result<Page<Item>, E> {
    match question.order {
        Order::Created => page_by_number(question, items),
        Order::Deadline => page_by_deadline(question, items),
    }
}

fn place(question: &ListItems, item: &Item) -> Position {
    Position { deadline: question.now.steady(item.deadline), number: item.number }
}

fn page_by_number<E>(
    question: &ListItems,
    items: impl Iterator<Item = Result<Item, E>>,
) -> Result<Page<Item>, E> {
    let mut data = Vec::new();
    for (looked_at, item) in items.enumerate() {
        let item = item?;
        let here = place(question, &item);
        if question.filter.admits(&item, question.now) {
            if data.len() == question.limit {
                let next = data.last().map(|item| place(question, item));
                return Ok(Page { data, next });
            }
            data.push(item);
        }
        if looked_at + 1 >= SCAN_MAX {
            // The number is enough to continue; the deadline may be that of an item which the caller may not
            // see.
            let here = Position { deadline: Timestamp::from_millis(0), ..here };
            return Ok(Page { data, next: Some(here) });
        }
    }
    Ok(Page { data, next: None })
}

/// Ordered by deadline, so that the latest is at the top of the heap and replaced first.
struct Candidate(Position, Item);

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Candidate {}
impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

fn page_by_deadline<E>(
    question: &ListItems,
    items: impl Iterator<Item = Result<Item, E>>,
) -> Result<Page<Item>, E> {
    let mut best = BinaryHeap::new();
    for item in items {
        let item = item?;
        let place = place(question, &item);
        if question.after.is_none_or(|after| place > after) && question.filter.admits(&item, question.now) {
            best.push(Candidate(place, item));
            // One more than the page shows whether another page follows.
            if best.len() > question.limit + 1 {
                best.pop();
            }
        }
    }
    let more = best.len() > question.limit;
    if more {
        best.pop();
    }
    let data: Vec<Item> = best.into_sorted_vec().into_iter().map(|candidate| candidate.1).collect();
    let next = if more { data.last().map(|item| place(question, item)) } else { None };
    Ok(Page { data, next })
}

/// Whether the page may contain a delivery with this id, judged by age alone.
pub(super) fn is_in_range(question: &ListDeliveries, id: &str) -> bool {
    question.before.as_ref().is_none_or(|before| id < &*before.0)
}

/// Selects a page from deliveries, which come newest first. One that is removed meanwhile is skipped.
pub(super) fn page_of_deliveries<E>(
    question: &ListDeliveries,
    newest_first: impl Iterator<Item = (DeliveryId, Result<Option<Delivery>, E>)>,
) -> Result<DeliveryPage, E> {
    let admits = |delivery: &Delivery| {
        question.status.is_none_or(|status| delivery.status == status)
            && question.receiver.as_ref().is_none_or(|receiver| delivery.receiver == *receiver)
    };
    let mut data: Vec<Delivery> = Vec::new();
    for (looked_at, (id, delivery)) in newest_first.enumerate() {
        if let Some(delivery) = delivery?.filter(&admits) {
            if data.len() == question.limit {
                let next = data.last().map(|last| last.id.clone());
                return Ok(DeliveryPage { data, next });
            }
            data.push(delivery);
        }
        if looked_at + 1 >= DELIVERIES_SCAN_MAX {
            return Ok(DeliveryPage { data, next: Some(id) });
        }
    }
    Ok(DeliveryPage { data, next: None })
}
