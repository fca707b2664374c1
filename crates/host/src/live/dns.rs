//! A question to a name server over UDP.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use facts::dns::{Reply, question};
use facts::{Answer, RecordKind};
use jiff::Timestamp;
use rustix::io::{self, Errno};

use super::namespace;

/// A datagram may be lost: it is sent again once half of the budget is spent.
const SENT: u32 = 2;
/// What the asker keeps of the budget for itself.
const SLACK: Duration = Duration::from_millis(100);
/// The most that a datagram holds.
const LONGEST: usize = 64 << 10;

pub(super) fn ask(
    netns: Option<u32>,
    server: SocketAddr,
    name: &str,
    kind: RecordKind,
    budget: Duration,
) -> io::Result<Answer> {
    let [.., high, low] = Timestamp::now().as_nanosecond().to_be_bytes();
    let id = u16::from_be_bytes([high, low]);
    let message = question(name, kind, id).ok_or(Errno::INVAL)?;
    let patience = budget.saturating_sub(SLACK) / SENT;
    namespace::in_network(netns, || {
        let asked = exchange(server, &message, id, patience);
        asked.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })
}

fn exchange(
    server: SocketAddr,
    message: &[u8],
    id: u16,
    patience: Duration,
) -> std::io::Result<Answer> {
    let own: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(own)?;
    // Connected, it takes answers of this server alone, and is told when nobody listens there.
    socket.connect(server)?;
    let mut received = vec![0; LONGEST];
    for _ in 0..SENT {
        socket.send(message)?;
        let deadline = Instant::now() + patience;
        while let Some(left) = deadline
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut received) {
                Ok(length) => {
                    let answer = received.get(..length).unwrap_or_default();
                    if Reply::parse(answer).is_some_and(|reply| reply.id == id) {
                        return Ok(Answer::Bytes(answer.to_vec()));
                    }
                }
                Err(error) if is_time_out(&error) => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Answer::TimedOut)
}

fn is_time_out(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const BUDGET: Duration = Duration::from_millis(500);

    #[test]
    fn the_answer_of_the_server_is_told_as_it_came() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = server.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let mut asked = [0; 512];
            let (length, from) = server.recv_from(&mut asked).unwrap();
            // A stranger's answer first, then the own: the same message with "no such name".
            server.send_to(&[0; 12], from).unwrap();
            let mut answer = asked[..length].to_vec();
            answer[2] = 0x81;
            answer[3] = 0x83;
            server.send_to(&answer, from).unwrap();
        });
        let answer = ask(None, address, "shop.example", RecordKind::A, BUDGET).unwrap();
        serving.join().unwrap();
        let Answer::Bytes(bytes) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(Reply::parse(&bytes).unwrap().code, 3);
    }

    #[test]
    fn silence_and_refusal_are_told_apart() {
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = silent.local_addr().unwrap();
        let ask = || ask(None, address, "shop.example", RecordKind::Aaaa, BUDGET);
        assert_eq!(ask(), Ok(Answer::TimedOut));
        drop(silent);
        assert_eq!(ask(), Err(Errno::CONNREFUSED));
    }
}
