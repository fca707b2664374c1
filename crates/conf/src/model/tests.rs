use super::*;
use crate::{Address, PeerAddress};

fn model(text: &str) -> Model {
    let configuration = Configuration::from_dump(text.as_bytes());
    assert_eq!(configuration.troubles(), [], "{text}");
    Model::of(&configuration)
}

#[test]
fn an_address_is_dialled_by_its_pass() {
    let model = model("http { server { location / { proxy_pass http://127.0.0.1:8000; } } }");
    let dialers = model.dialers(&PeerAddress::parse(b"127.0.0.1:8000").expect("peer"));
    assert_eq!(dialers.len(), 1);
    assert!(matches!(
        &dialers[0].pass.target,
        Target::Address(Address::Tcp { port: 8000, .. })
    ));
}
