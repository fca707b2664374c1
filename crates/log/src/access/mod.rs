//! Lines of access.log, read with the `log_format` that wrote them.
//!
//! A format is compiled once; a line is then cut into the format's variables without a regex or an allocation.
//! What a value means for an incident is not decided here.

mod attempts;
mod cut;
mod format;
mod value;

pub use attempts::{Attempt, Attempts};
pub use format::{Escape, Format};
pub use value::unescape;

pub(crate) use cut::{Cut, Cutter};

use crate::time::LocalTime;
use bstr::{BStr, ByteSlice as _};
use format::{Known, MAX_VALUES};

/// One line, cut into variables.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    format: &'a Format,
    values: [&'a [u8]; MAX_VALUES],
}

impl<'a> Access<'a> {
    /// A variable's value as it stands in the line, still escaped; `None` when the format does not hold it on its own.
    pub fn get(&self, variable: &str) -> Option<&'a BStr> {
        self.at(self.format.index_of(variable)?)
    }

    /// When nginx wrote the line, in UTC seconds since 1970: `$msec`, else `$time_iso8601`, else `$time_local`.
    pub fn time(&self) -> Option<i64> {
        self.time_milliseconds().map(|time| time.div_euclid(1000))
    }

    /// As [`Access::time`], in milliseconds; only `$msec` is that exact.
    pub fn time_milliseconds(&self) -> Option<i64> {
        let msec = || i64::try_from(value::milliseconds(self.known(Known::Msec)?)?).ok();
        let iso = || Some(value::iso8601(self.known(Known::TimeIso8601)?)? * 1000);
        let local = || Some(value::time_local(self.known(Known::TimeLocal)?)? * 1000);
        msec().or_else(iso).or_else(local)
    }

    /// When nginx wrote the line, by its own clock: `$time_local`, else `$time_iso8601`, else `$msec`, which is UTC.
    pub fn local_time(&self) -> Option<LocalTime> {
        let known = |known| self.format.known(known);
        let at = cut::TIMES.into_iter().find_map(known)?;
        value::local_time(self.at(at)?)
    }

    /// The status that the client got; nginx writes `009` for an answer without one.
    pub fn status(&self) -> Option<u16> {
        value::status(self.known(Known::Status)?)
    }

    /// The attempts at peers, in order; empty when no upstream was tried or the format tells nothing of them.
    pub fn attempts(&self) -> Attempts<'a> {
        let list = |known| self.known(known).map(|list| list.as_bytes());
        Attempts::new(
            list(Known::UpstreamAddr),
            list(Known::UpstreamStatus),
            list(Known::UpstreamConnectTime),
            list(Known::UpstreamHeaderTime),
            list(Known::UpstreamResponseTime),
        )
    }

    /// How long the request took, in milliseconds.
    pub fn request_time(&self) -> Option<u64> {
        value::milliseconds(self.known(Known::RequestTime)?)
    }

    /// The request line.
    pub fn request(&self) -> Option<&'a BStr> {
        self.known(Known::Request)
    }

    /// The Host header, or the server's name.
    pub fn host(&self) -> Option<&'a BStr> {
        self.known(Known::Host)
    }

    /// The first name of the server that was chosen.
    pub fn server_name(&self) -> Option<&'a BStr> {
        self.known(Known::ServerName)
    }

    /// The client's address.
    pub fn remote_addr(&self) -> Option<&'a BStr> {
        self.known(Known::RemoteAddr)
    }

    fn known(&self, known: Known) -> Option<&'a BStr> {
        self.at(self.format.known(known)?)
    }

    fn at(&self, idx: usize) -> Option<&'a BStr> {
        self.values.get(idx).map(|value| value.as_bstr())
    }
}
