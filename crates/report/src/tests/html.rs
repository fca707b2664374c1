//! The page: complete, closed, self-contained.

use super::*;

pub(super) fn page(diagnosis: &Diagnosis) -> String {
    let mut out = Vec::new();
    crate::html::write(&mut out, diagnosis).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_page_holds_what_the_terminal_shows() {
    let page = page(&diagnosis(vec![port_mismatch(), undetermined()]));
    for text in [
        "<title>why502 web1: 2 incidents, 1 confirmed, 1 undetermined</title>",
        "<b class=\"status\">502</b> shop.example.com → http://127.0.0.1:8000",
        "1,284 failed attempts since 14:02:11, 8/s, still failing",
        "gunicorn listens on 127.0.0.1:8001, nginx dials 127.0.0.1:8000 <code>peer-port-mismatch</code>",
        "<pre>    proxy_pass http://<mark>127.0.0.1:8000</mark>;</pre><p>nothing listens here</p>",
        "<del>- proxy_pass http://127.0.0.1:8000;</del>\n<ins>+ proxy_pass http://127.0.0.1:8001;</ins>",
        "<pre>systemctl reload nginx</pre>",
        "<li>node (pid 77) listens on 127.0.0.1:8001</li>",
        "<pre>sudo nft list ruleset</pre>",
        "would tell: peer-not-listening, peer-family-mismatch",
        "2 causes ruled out",
    ] {
        assert!(page.contains(text), "{text} is not in\n{page}");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page(&diagnosis(vec![port_mismatch()]));
    assert!(page.contains("default-src 'none'"));
    for outside in [
        "<script", "<link", "<img", " src=", " href=", "@import", "url(",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn every_element_is_closed_in_order() {
    let page = page(&diagnosis(vec![port_mismatch(), undetermined()]));
    let mut open = Vec::new();
    for tag in page
        .split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap())
    {
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "in {tag}"),
            None if name.starts_with('!') || name == "meta" => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}
