//! Ten thousand items of every kind move from one daemon to another.

use std::collections::BTreeMap;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::{PATIENCE, text};
use crate::cli::command;
use crate::support::{DaemonProcess, client};

const COUNT: usize = 10_000;
const MIB: usize = 1024 * 1024;

/// An item as it was handed in.
struct Original {
    workflow: String,
    id: String,
    payload: Vec<u8>,
    content_type: &'static str,
    content_encoding: Option<&'static str>,
    labels: BTreeMap<String, String>,
    step: Option<&'static str>,
    deadline: &'static str,
}

fn original(number: usize) -> Original {
    let mut random = StdRng::seed_from_u64(number as u64);
    let mut bytes = |size: usize| {
        let mut bytes = vec![0; size];
        random.fill_bytes(&mut bytes);
        bytes
    };
    let (payload, content_type) = match number {
        1_000 | 5_000 => (bytes(MIB), "application/octet-stream"),
        2_000 => ("\"\\\n\u{1}".repeat(MIB / 4).into_bytes(), "text/x-escaped; q=\"\\\"\""),
        3_000 => ("<p>\u{e9}\u{1f980}</p>".repeat(MIB / 13).into_bytes(), "text/html"),
        9_999 => (vec![0; MIB], "application/x-zeros"),
        _ => match number % 5 {
            0 => (Vec::new(), "application/x-nothing"),
            1 => (bytes(number % 1_500), "application/octet-stream"),
            2 => (
                format!("line {number}\r\n\t\"\\ \u{0} \u{7f} \u{2028} h\u{e9}llo").into_bytes(),
                "text/plain; charset=utf-8",
            ),
            3 => (
                format!("{{ \"number\" : {number}.0e+2, \"nested\":[[]] }}\n").into_bytes(),
                "application/json",
            ),
            // Nearly UTF-8.
            _ => ([&b"caf\xc3\xa9 "[..], &bytes(3), b"\xc3"].concat(), "text/plain"),
        },
    };
    let mut labels = BTreeMap::new();
    if !number.is_multiple_of(3) {
        labels.insert("region".to_owned(), ["eu", "us:east \"1\""][number % 2].to_owned());
        labels.insert("number".to_owned(), number.to_string());
    }
    Original {
        workflow: ["uploads", "reports.daily", "x"][number % 3].to_owned(),
        id: format!("{number}/a b%\u{e9}\"{}", number % 7),
        payload,
        content_type,
        content_encoding: [None, Some("gzip"), Some("br, x-own")][number % 3],
        labels,
        step: [None, Some("copy"), Some("backup")][number % 3],
        deadline: ["90d", "1h", "0s", "2031-01-01T00:00:00.123Z"][number % 4],
    }
}

fn line(original: &Original) -> String {
    let mut line = json!({
        "op": "create", "workflow": original.workflow, "id": original.id,
        "content_type": original.content_type,
        "labels": original.labels, "deadline": original.deadline,
        "payload_base64": STANDARD.encode(&original.payload),
    });
    if let Some(step) = original.step {
        line["step"] = step.into();
    }
    if let Some(encoding) = original.content_encoding {
        line["content_encoding"] = encoding.into();
    }
    format!("{line}\n")
}

async fn answered(request: RequestBuilder) -> Vec<u8> {
    let response = request.send().await.expect("an answer");
    assert!(response.status().is_success(), "{}", response.status());
    response.bytes().await.expect("a body").into()
}

/// All items of a daemon, by workflow and id, as far as they are what was handed in.
async fn items(daemon: &DaemonProcess) -> BTreeMap<(String, String), Value> {
    let mut items = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = answered(daemon.request(Method::GET, &format!("/v1/items?limit=1000{cursor}"))).await;
        let page: Value = serde_json::from_slice(&page).expect("a page");
        for item in page["data"].as_array().expect("items") {
            let name = |field: &str| item[field].as_str().expect("a name").to_owned();
            let kept = ["deadline", "labels", "step", "payload"].map(|field| item[field].clone());
            items.insert((name("workflow"), name("id")), Value::from(kept.to_vec()));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

async fn fetched(http: &Client, daemon: &DaemonProcess, original: &Original) -> (Vec<u8>, String) {
    let id = percent_encoding::utf8_percent_encode(&original.id, percent_encoding::NON_ALPHANUMERIC);
    let path = format!("/v1/workflows/{}/items/{id}/payload", original.workflow);
    let response = http.get(daemon.url(&path)).send().await.expect("an answer");
    assert_eq!(response.status(), 200, "{path}");
    let content_type = response.headers()["content-type"].to_str().expect("a text").to_owned();
    (response.bytes().await.expect("a payload").into(), content_type)
}

/// Runs a command to its end, which may take longer than other things.
async fn done(mut command: Command) -> String {
    let ended = tokio::task::spawn_blocking(move || command.output().expect("the binary can be run"));
    let output = tokio::time::timeout(PATIENCE, ended).await.expect("an end").expect("no panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_items_of_every_sort_move_to_another_daemon_bit_for_bit() {
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [from, to] = directories.each_ref().map(|directory| DaemonProcess::on(directory.path()));
    let http = client();
    for first in (0..COUNT).step_by(2_000) {
        let lines: String = (first..first + 2_000).map(|number| line(&original(number))).collect();
        let answers = answered(from.request(Method::POST, "/v1/batch").body(lines)).await;
        let created = String::from_utf8(answers).expect("text").matches("\"status\":201").count();
        assert_eq!(created, 2_000);
    }
    let file = directories[0].path().join("export.zst");
    done(command(&from.url(""), &["export", "--compress", "zstd", "--file", text(&file)])).await;
    let import = || done(command(&to.url(""), &["import", "--output", "json", "--file", text(&file)]));
    let summary: Value = serde_json::from_str(&import().await).expect("a summary");
    assert_eq!((&summary["created"], &summary["complete"]), (&json!(COUNT), &json!(true)), "{summary}");

    let (originals, copies) = (items(&from).await, items(&to).await);
    assert_eq!((originals.len(), copies.len()), (COUNT, COUNT));
    for (key, item) in &originals {
        assert_eq!(copies.get(key), Some(item), "{key:?}");
    }
    let mut payloads = stream::iter(0..COUNT)
        .map(|number| {
            let (http, to) = (&http, &to);
            async move {
                let original = original(number);
                let (payload, content_type) = fetched(http, to, &original).await;
                assert!(payload == original.payload, "the payload of {} came out otherwise", original.id);
                assert_eq!(content_type, original.content_type, "{}", original.id);
            }
        })
        .buffer_unordered(16);
    while payloads.next().await.is_some() {}

    // Once more changes nothing, and an export of the copy is that of the original but for the places in it.
    let summary: Value = serde_json::from_str(&import().await).expect("a summary");
    assert_eq!((&summary["existed"], &summary["created"]), (&json!(COUNT), &json!(0)), "{summary}");
    assert_eq!(items(&to).await, copies);
    let without_cursors = |bytes: Vec<u8>| -> Vec<Value> {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let mut line: Value = serde_json::from_slice(line).expect("a line");
                line.as_object_mut().expect("an object").remove("cursor");
                line
            })
            .collect()
    };
    let again = answered(to.request(Method::GET, "/v1/export")).await;
    let first = answered(from.request(Method::GET, "/v1/export")).await;
    assert!(without_cursors(again) == without_cursors(first));
}
