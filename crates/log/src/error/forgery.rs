//! Signs that a line, or a part of it, was not written by nginx.
//!
//! error.log escapes nothing: a decoded path or an application's text may hold a line feed and then a
//! perfect line. A sign is no proof, and its absence proves nothing: a line is a hint either way.

/// A sign of forgery. The line is still parsed; whoever counts, counts it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forgery {
    /// It stands inside the text of a line before it, which a client or an application wrote.
    InsideText,
    /// Its upstream has no scheme: nginx prints one, and squeezes the `//` of a URI.
    NoScheme,
    /// A field stands twice where nginx writes it once, so that nobody can tell which is nginx's.
    FieldTwice,
    /// Its free text holds a whole second set of fields.
    SecondTail,
}

impl Forgery {
    /// What the sign is, in words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsideText => "stands inside the text of another line",
            Self::NoScheme => "its upstream has no scheme",
            Self::FieldTwice => "a field stands twice",
            Self::SecondTail => "its text holds a second set of fields",
        }
    }
}

/// A part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Time, level, pid, tid and connection.
    Head,
    /// The class, the errno and the action.
    Failure,
    /// The words of the message.
    Message,
    /// `client:`
    Client,
    /// `server:`
    Server,
    /// `request:`
    Request,
    /// `subrequest:`
    Subrequest,
    /// The peer in `upstream:`
    Peer,
    /// The URI in `upstream:`
    Uri,
    /// `host:`
    Host,
    /// `referrer:`
    Referrer,
}

/// Who wrote a part of an event, if the line as a whole is nginx's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Author {
    /// nginx, the kernel or its configuration.
    Nginx,
    /// The peer: its response or its certificate.
    Peer,
    /// A client, directly or through what an application echoes.
    Client,
}
