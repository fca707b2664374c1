//! A packet of a connection, and whether the tests of a rule hold for it.

use std::net::{IpAddr, SocketAddr};

use super::{Field, Kind, State, Test, Value, bits};

/// How a test ends: `None` is not known.
pub(super) type Holds = Option<bool>;

/// A TCP connection that a process of this host makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The address it is sent from.
    pub from: IpAddr,
    /// Where to.
    pub to: SocketAddr,
    /// The device it leaves by; `lo` for an address of the host's own.
    pub device: String,
    /// Whether it stays on this host.
    pub is_local: bool,
    /// The process's user, where known.
    pub user: Option<u32>,
    /// The process's group, where known.
    pub group: Option<u32>,
    /// The ports that the kernel gives to connections that ask for none (`ip_local_port_range`).
    pub ports: (u16, u16),
}

/// One packet of the connection on one side of the host.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    /// The connection.
    pub(super) connection: &'a Connection,
    /// It comes from the peer; else it goes there.
    pub(super) is_answer: bool,
    /// It carries data of the connection that is there; else it is one of the two that make it.
    pub(super) is_data: bool,
    /// It comes in; else it goes out.
    pub(super) is_inbound: bool,
}

/// A field's value in a packet.
enum Has {
    /// Somewhere in this range.
    Number(u128, u128),
    Name(String),
    /// The packet has no such field: no test of it holds.
    Nothing,
    Unknown,
}

impl Packet<'_> {
    /// Whether all tests hold.
    pub(super) fn holds_all(&self, tests: &[Test], is_mark_known: bool, is_tracked: bool) -> Holds {
        let mut all = Some(true);
        for test in tests {
            match self.holds(test, is_mark_known, is_tracked) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => all = None,
            }
        }
        all
    }

    fn holds(&self, test: &Test, is_mark_known: bool, is_tracked: bool) -> Holds {
        let (any, negated) = match test {
            Test::Never => return Some(false),
            Test::Unknown(_) => return None,
            Test::Any { groups, negated } => {
                let holds = groups
                    .iter()
                    .map(|group| self.holds_all(group, is_mark_known, is_tracked));
                (any(holds), negated)
            }
            Test::Is {
                field,
                values,
                negated,
            } => {
                let has = self.has(*field, is_mark_known, is_tracked);
                if matches!(has, Has::Nothing) {
                    return Some(false);
                }
                (any(values.iter().map(|value| has.is(value))), negated)
            }
        };
        any.map(|any| any != *negated)
    }

    fn has(&self, field: Field, is_mark_known: bool, is_tracked: bool) -> Has {
        let Connection {
            from,
            to,
            device,
            is_local,
            user,
            group,
            ports: (first, last),
        } = self.connection;
        let one = |number: u128| Has::Number(number, number);
        let (source, destination) = if self.is_answer {
            (to.ip(), *from)
        } else {
            (*from, to.ip())
        };
        let address = |address: IpAddr, is_ipv6: bool| {
            if address.is_ipv6() == is_ipv6 {
                one(bits(address))
            } else {
                Has::Nothing
            }
        };
        // Where there is no device, its name is empty (`nft_meta_store_ifname`, `ip_packet_match`).
        let named = |is_there: bool| {
            Has::Name(if is_there {
                device.clone()
            } else {
                String::new()
            })
        };
        let ephemeral = || Has::Number((*first).into(), (*last).into());
        let port = || one(to.port().into());
        // A packet that comes in has no socket yet; which one an answer goes out by is the application's affair.
        let owner = |id: Option<u32>| match id {
            _ if self.is_inbound => Has::Nothing,
            Some(id) if !self.is_answer => one(id.into()),
            _ => Has::Unknown,
        };
        let own = |is_own: bool| one(if is_own { Kind::LOCAL } else { Kind::UNICAST });
        match field {
            Field::Version => one(if to.is_ipv6() { 6 } else { 4 }),
            Field::Protocol => one(6),
            Field::Source4 => address(source, false),
            Field::Destination4 => address(destination, false),
            Field::Source6 => address(source, true),
            Field::Destination6 => address(destination, true),
            Field::SourcePort if self.is_answer => port(),
            Field::DestinationPort if !self.is_answer => port(),
            Field::SourcePort | Field::DestinationPort => ephemeral(),
            Field::InDevice => named(self.is_inbound),
            Field::OutDevice => named(!self.is_inbound),
            Field::User => owner(*user),
            Field::Group => owner(*group),
            Field::State if !is_tracked => one(State::UNTRACKED),
            Field::State if self.is_answer || self.is_data => one(State::ESTABLISHED),
            Field::State => one(State::NEW),
            Field::Mark(_) if is_mark_known && (*is_local || !self.is_inbound) => one(0),
            Field::Mark(_) => Has::Unknown,
            // Data has ACK; PSH may be set, and with the last of it FIN.
            Field::Flags(mask) if self.is_data => {
                Has::Number((0x10 & mask).into(), (0x19 & mask).into())
            }
            Field::Flags(mask) => {
                let flags = if self.is_answer { 0x12 } else { 0x02 };
                one(u128::from(flags & mask))
            }
            Field::DestinationKind => own(*is_local || self.is_answer),
            Field::SourceKind => own(*is_local || !self.is_answer),
            Field::ReversePath if *is_local => one(1),
            Field::ReversePath => Has::Unknown,
            Field::PacketType => one(0),
        }
    }
}

impl Has {
    fn is(&self, value: &Value) -> Holds {
        match (self, value) {
            (Self::Number(low, high), Value::Range(range)) => {
                if range.contains(low) && range.contains(high) {
                    Some(true)
                } else if high < range.start() || low > range.end() {
                    Some(false)
                } else {
                    None
                }
            }
            (Self::Number(low, high), Value::Bits(bits)) if low == high => Some(low & bits != 0),
            (Self::Name(name), Value::Name(pattern)) => Some(match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == pattern,
            }),
            _ => None,
        }
    }
}

/// Whether one holds.
fn any(holds: impl Iterator<Item = Holds>) -> Holds {
    let mut any = Some(false);
    for one in holds {
        match one {
            Some(true) => return Some(true),
            Some(false) => {}
            None => any = None,
        }
    }
    any
}
