//! What peers answer to a hello, and the certificates that they show.
#![no_main]

use facts::certificate::Certificate;
use facts::handshake::Greeting;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    Greeting::parse(data).to_text();
    let answered = Greeting {
        received: data.to_vec(),
        ..Greeting::default()
    };
    answered.tongue();
    if let Some(certificate) = Certificate::parse(data) {
        assert!(certificate.names.iter().all(|name| name.contains('*') || certificate.is_for(name)));
    }
});
