//! The causes' pages.

use super::*;

#[test]
fn a_causes_page_links_to_its_source_and_to_what_it_refines() {
    let page = crate::pages::cause(cause("peer-port-mismatch"));
    assert!(
        page.starts_with("# peer-port-mismatch\n\nThe application listens on another port"),
        "{page}"
    );
    assert!(page.contains("\n## Confirmed when\n"), "{page}");
    assert!(
        page.contains("Says more than: [peer-not-listening](peer-not-listening.md).\n"),
        "{page}"
    );
    assert!(
        page.contains("causes/peer_port_mismatch.rs`](../../"),
        "{page}"
    );
    assert!(page.ends_with(".rs).\n"), "{page}");
}
