//! Owner and mode along a path, and POSIX access control lists.
#![no_main]

use facts::walk::{Acl, ConnectAccess, Credentials, Walk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    Acl::parse(data);
    let walk = Walk::parse(data);
    let somebody = Credentials {
        uid: 33,
        gid: 33,
        groups: vec![4, 33],
    };
    let root = Credentials {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
    };
    for who in [&somebody, &root] {
        let access = walk.connect_access(who);
        // Nobody is let through where the walk itself was not.
        if walk.broken_at().is_some() {
            assert!(!matches!(access, Some(ConnectAccess::Granted)));
        }
        for node in walk
            .components
            .iter()
            .filter_map(|component| component.node.as_ref().ok())
        {
            node.can_search(who);
            node.can_write(who);
        }
    }
    walk.end();
});
