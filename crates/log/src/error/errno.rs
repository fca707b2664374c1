//! errno numbers as they stand in a line, and what they mean while connecting, reading and writing.
//!
//! The number decides, not the text: musl words it differently. Only where a number and a text together
//! are those of FreeBSD or macOS is the number translated; Windows' numbers are its own.

use super::class::Class;

/// The errno of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno<'a> {
    /// As printed.
    pub(super) number: u16,
    pub(super) text: &'a [u8],
}

impl Errno<'_> {
    /// The number that Linux gives to the same error.
    pub(super) fn linux(self) -> u16 {
        match (self.number, self.text) {
            (61, b"Connection refused") => 111,
            (35, b"Resource temporarily unavailable") => 11,
            (49, b"Can't assign requested address") => 99,
            (51, b"Network is unreachable") => 101,
            (65, b"No route to host") => 113,
            (50, b"Network is down") => 100,
            (64, b"Host is down") => 112,
            (54, b"Connection reset by peer") => 104,
            (60, b"Operation timed out") => 110,
            (47, _) if self.text.starts_with(b"Address family not supported") => 97,
            (41, b"Protocol wrong type for socket") => 91,
            (55, b"No buffer space available") => 105,
            (48, b"Address already in use") => 98,
            (53, b"Software caused connection abort") => 103,
            // Windows' sockets (winsock2.h): no other system has numbers of this size.
            (10013, _) => 13,
            (10048, _) => 98,
            (10049, _) => 99,
            (10050, _) => 100,
            (10051, _) => 101,
            (10054, _) => 104,
            (10055, _) => 105,
            (10060, _) => 110,
            (10061, _) => 111,
            (10064, _) => 112,
            (10065, _) => 113,
            (number, _) => number,
        }
    }
}

/// What a failed `connect()` means.
pub(super) fn connect(errno: Option<u16>) -> Class {
    match errno {
        Some(1) => Class::OperationNotPermitted,
        Some(2) => Class::SocketMissing,
        Some(11) => Class::UnixBacklogFull,
        Some(12 | 105) => Class::NoBuffers,
        Some(13) => Class::PermissionDenied,
        Some(20) => Class::NotADirectory,
        Some(22) => Class::ConnectInvalid,
        Some(23 | 24) => Class::FdExhaustion,
        Some(32 | 104) => Class::ConnectionReset,
        Some(91) => Class::WrongSocketType,
        Some(97) => Class::AddressFamily,
        Some(98) => Class::AddressInUse,
        Some(99) => Class::EphemeralPorts,
        Some(100) => Class::NetworkDown,
        Some(101) => Class::NetworkUnreachable,
        Some(110) => Class::ConnectTimeoutKernel,
        Some(111) => Class::ConnectRefused,
        Some(112) => Class::HostDown,
        Some(113) => Class::HostUnreachable,
        _ => Class::ConnectError,
    }
}

/// What a failed `socket()` means.
pub(super) fn socket(errno: Option<u16>) -> Class {
    match errno {
        Some(23 | 24) => Class::FdExhaustion,
        Some(97) => Class::AddressFamily,
        Some(12 | 105) => Class::NoBuffers,
        Some(13) => Class::PermissionDenied,
        Some(1) => Class::OperationNotPermitted,
        _ => Class::LocalSocketSetup,
    }
}

/// What a failed read or write on an upstream connection means.
pub(super) fn io(errno: Option<u16>) -> Class {
    match errno {
        Some(32 | 104) => Class::ConnectionReset,
        Some(110) => Class::IoTimeoutKernel,
        // A datagram's earlier send was answered by ICMP.
        Some(111) => Class::ConnectRefused,
        Some(100) => Class::NetworkDown,
        Some(101) => Class::NetworkUnreachable,
        Some(112) => Class::HostDown,
        Some(113) => Class::HostUnreachable,
        Some(28) => Class::TempFileIo,
        _ => Class::IoError,
    }
}

/// What a failed `accept()` means.
pub(super) fn accept(errno: Option<u16>) -> Class {
    match errno {
        Some(23 | 24) => Class::FdExhaustion,
        Some(103) => Class::AcceptAborted,
        _ => Class::Accept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn musl_words_change_nothing_and_bsd_numbers_are_translated() {
        for (number, text, linux) in [
            (110, "Operation timed out", 110),
            (99, "Address not available", 99),
            (61, "Connection refused", 111),
            (61, "No data available", 61),
            (60, "Operation timed out", 110),
            (
                10061,
                "No connection could be made because the target machine actively refused it",
                111,
            ),
            (10060, "", 110),
        ] {
            assert_eq!(
                Errno {
                    number,
                    text: text.as_bytes()
                }
                .linux(),
                linux,
                "{number} {text}"
            );
        }
    }
}
