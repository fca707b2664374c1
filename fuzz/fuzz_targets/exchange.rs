//! What peers answer to a request, and the addresses that people ask for.
#![no_main]

use facts::Url;
use facts::exchange::{self, Exchange};
use facts::url::without_query;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let exchange = Exchange::parse(data);
    if let Some(head) = &exchange.head {
        assert_eq!(exchange.status(), Some(head.status));
        assert_eq!(head.largest().is_some(), !head.headers.is_empty());
    }
    let again = Exchange::parse(exchange.to_text().as_bytes());
    assert_eq!(again.status(), exchange.status());
    exchange::is_page_of_nginx(data, 502);
    if let Ok(text) = std::str::from_utf8(data) {
        let hidden = without_query(text);
        assert_eq!(hidden.len(), text.len());
        let query = hidden.split_once('?').map_or("", |(_, query)| query);
        assert!(query.bytes().all(|byte| byte == b'*'));
        if let Ok(url) = Url::parse(text) {
            assert!(url.target().starts_with('/') && url.path().starts_with(b"/"));
            assert!(!url.raw_path().contains('?'));
            url.query();
            url.ip();
            url.authority();
        }
    }
});
