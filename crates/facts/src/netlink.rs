//! The framing that raw netlink records share: messages one after another, each with attributes.

use netlink_packet_core::{NetlinkBuffer, NlaBuffer, NlasIterator};

/// One message of a dump.
pub(crate) struct Message<'a> {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    /// What follows the netlink header.
    pub(crate) payload: &'a [u8],
}

/// The messages of a dump, and whether the bytes were messages to their end.
pub(crate) fn messages(mut bytes: &[u8]) -> (Vec<Message<'_>>, bool) {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let Ok(frame) = NetlinkBuffer::new_checked(bytes) else {
            return (messages, false);
        };
        messages.push(Message {
            kind: frame.message_type(),
            payload: frame.payload(),
        });
        // NLMSG_ALIGN; the last message of a record may lack its padding.
        let length = usize::try_from(frame.length()).unwrap_or(usize::MAX);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    (messages, true)
}

/// Hands each attribute's type and value to `take`; stops at the first that is malformed, and then says `false`.
pub(crate) fn attributes(bytes: &[u8], mut take: impl FnMut(u16, &[u8])) -> bool {
    for attribute in NlasIterator::new(bytes) {
        let Ok(attribute) = attribute else {
            return false;
        };
        let attribute: NlaBuffer<&[u8]> = attribute;
        take(attribute.kind(), attribute.value());
    }
    true
}

/// The first four bytes of a value in the host's order.
pub(crate) fn native_u32(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|&bytes| u32::from_ne_bytes(bytes))
}

/// The first four bytes of a value in the network's order.
pub(crate) fn network_u32(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|&bytes| u32::from_be_bytes(bytes))
}
