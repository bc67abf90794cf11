//! Payloads: byte for byte, whole and in ranges, and removed with the close.

use warden::model::ItemNumber;

use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{at, close, create, created, payload};

on_every_engine! {
    a_payload_of_any_size_comes_back_byte_for_byte_until_the_close,
    any_range_of_a_payload_can_be_read,
    an_empty_payload_is_there_until_the_close,
    there_is_no_payload_where_there_is_no_item,
    payloads_of_one_list_of_commands_do_not_mix,
}

const PIECE: usize = 4096;
const SIZES: [usize; 10] =
    [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 1 << 20, (1 << 20) + 1, (2 << 20) + 7, 9 << 20];

async fn a_payload_of_any_size_comes_back_byte_for_byte_until_the_close(engine: Engine) {
    let mut engine = engine;
    let mut items = Vec::new();
    for size in SIZES {
        items.push(created(engine.one(create(&size.to_string(), payload(size))).await));
    }
    for restarted in [false, true] {
        if restarted {
            engine = engine.restarted();
        }
        for (item, size) in items.iter().zip(SIZES) {
            let found = engine.whole_payload(item).await.unwrap();
            assert!(found == payload(size), "the payload of {size} bytes is another, of {}", found.len());
        }
    }
    for (item, size) in items.iter().zip(SIZES) {
        engine.one(close(&size.to_string(), at(10))).await;
        assert_eq!(engine.whole_payload(item).await, None, "{size} bytes");
    }
    engine = engine.restarted();
    for (item, size) in items.iter().zip(SIZES) {
        assert_eq!(engine.whole_payload(item).await, None, "{size} bytes");
    }
}

async fn any_range_of_a_payload_can_be_read(engine: Engine) {
    let whole = payload(2 * PIECE + 100);
    let item = created(engine.one(create("a", whole.clone())).await);
    let end = whole.len();
    let near =
        [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 99, end, end + 1, 3 * PIECE, 1 << 40];
    for offset in near {
        for length in near.into_iter().chain([usize::MAX]) {
            let start = offset.min(end);
            let expected = whole.slice(start..start.saturating_add(length).min(end));
            let found = engine.payload(item.number, offset as u64, length).await.unwrap();
            assert!(found.as_ref() == Some(&expected), "{length} bytes from {offset}: {found:?}");
        }
    }
    let found = engine.payload(item.number, u64::MAX, usize::MAX).await.unwrap();
    assert_eq!(found.unwrap(), "");
}

async fn an_empty_payload_is_there_until_the_close(engine: Engine) {
    let item = created(engine.one(create("a", "")).await);
    assert_eq!(engine.payload(item.number, 0, 0).await.unwrap().unwrap(), "");
    assert_eq!(engine.payload(item.number, 0, 100).await.unwrap().unwrap(), "");
    engine.one(close("a", at(10))).await;
    assert_eq!(engine.payload(item.number, 0, 100).await.unwrap(), None);
}

async fn there_is_no_payload_where_there_is_no_item(engine: Engine) {
    for number in [0, 1, u64::MAX] {
        assert_eq!(engine.payload(ItemNumber(number), 0, 10).await.unwrap(), None);
    }
}

async fn payloads_of_one_list_of_commands_do_not_mix(engine: Engine) {
    let names: Vec<String> = (0..40).map(|index| format!("item-{index}")).collect();
    let sizes = || (0..40).map(|index| (index * 7919) % 70_000);
    let commands = names.iter().zip(sizes()).map(|(name, size)| create(name, payload(size))).collect();
    let items: Vec<_> = engine.all(commands).await.into_iter().map(created).collect();
    let engine = engine.restarted();
    for (item, size) in items.iter().zip(sizes()) {
        assert!(engine.whole_payload(item).await.unwrap() == payload(size), "{size} bytes");
    }
}
