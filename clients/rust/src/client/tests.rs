use super::*;

#[test]
fn an_address_that_is_none_is_refused() {
    for url in [
        "",
        "ftp://localhost",
        "http://",
        "http://localhost/?a",
        "localhost:8470/#a",
        "localhost:port",
        "a b",
    ] {
        let error = Client::new(url, None).unwrap_err();
        assert!(error.to_string().contains("is not the URL of a warden"), "{url}: {error}");
    }
    assert!(Client::new("http://localhost", Some("a\nb")).is_err());
}

#[test]
fn an_address_without_a_scheme_is_one_of_http() {
    for (url, base) in [
        ("127.0.0.1:8470", "http://127.0.0.1:8470"),
        ("localhost:8470", "http://localhost:8470"),
        ("[::1]:8470", "http://[::1]:8470"),
        ("warden.internal/prefix/", "http://warden.internal/prefix"),
        ("https://warden.internal", "https://warden.internal"),
        ("HTTP://LOCALHOST:1/", "http://localhost:1"),
    ] {
        assert_eq!(Client::new(url, None).unwrap().base(), base);
    }
}

#[test]
fn an_item_is_asked_for_below_the_path_of_the_address() {
    let client = Client::new("http://localhost:1/warden/", None).unwrap();
    let workflow = WorkflowName::new("uploads").unwrap();
    let url = |id: &str| {
        let id = ItemId::new(id).unwrap();
        let query = vec![("outcome", "a b&c".to_owned())];
        let request = client.item_request(Method::GET, (&workflow, &id), "/payload", &query)?;
        Ok::<_, Error>(request.build().unwrap().url().to_string())
    };
    let items = "http://localhost:1/warden/v1/workflows/uploads/items";
    assert_eq!(url("a/../ä").unwrap(), format!("{items}/a%2F..%2F%C3%A4/payload?outcome=a+b%26c"));
    assert_eq!(url("...").unwrap(), format!("{items}/.../payload?outcome=a+b%26c"));
}

#[test]
fn a_loopback_address_is_known_in_all_its_forms() {
    for (url, expected) in [
        ("http://localhost:1", true),
        ("http://127.1", true),
        ("http://[::1]:8470", true),
        ("http://warden.example.com", false),
        ("http://10.0.0.1", false),
    ] {
        assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
    }
}

#[test]
fn an_excerpt_is_one_short_line() {
    assert_eq!(excerpt(" a\nb\u{1b}[2J\u{202e} "), "a\\nb\\u{1b}[2J\\u{202e}");
    assert_eq!(excerpt(&"ä".repeat(300)).chars().count(), EXCERPT_MAX + 1);
}

#[tokio::test]
async fn where_nobody_listens_nothing_can_have_been_done() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    let client = Client::new(&url, None).unwrap();
    let request = client.request(Method::GET, "/v1/items", &Query::new()).unwrap();
    let error = client.send(request).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot reach a warden at {url}: ")), "{error}");
    assert!(error.is_transient() && !error.may_have_taken_effect());
}
