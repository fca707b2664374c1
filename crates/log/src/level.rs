//! The levels of error.log, as `ngx_log.h` numbers them.
//!
//! Says nothing about what a line means: `crit` is where a missing socket stands.

use std::fmt;

/// A level of error.log. The graver the greater: `Level::Crit > Level::Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Debugging; hidden unless asked for.
    Debug,
    /// Client aborts, idle WebSocket connections.
    Info,
    /// Reloads and exits.
    Notice,
    /// `upstream server temporarily disabled` among others.
    Warn,
    /// The default threshold of `error_log`.
    Error,
    /// Includes a missing socket (2) and a denied one (13).
    Crit,
    /// Out of descriptors or connections.
    Alert,
    /// nginx cannot go on, or refuses a configuration.
    Emerg,
}

impl Level {
    /// Every level, gravest first.
    pub const ALL: [Self; 8] = [
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Error,
        Self::Warn,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// What nginx hides when `error_log FILE;` names no level: everything below this.
    pub const DEFAULT_THRESHOLD: Self = Self::Error;

    /// The level that nginx spells so.
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"error" => Self::Error,
            b"crit" => Self::Crit,
            b"warn" => Self::Warn,
            b"alert" => Self::Alert,
            b"emerg" => Self::Emerg,
            b"notice" => Self::Notice,
            b"info" => Self::Info,
            b"debug" => Self::Debug,
            _ => return None,
        })
    }

    /// nginx's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emerg => "emerg",
            Self::Alert => "alert",
            Self::Crit => "crit",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// Whether a log with this threshold shows lines of `other`.
    pub fn shows(self, other: Self) -> bool {
        other >= self
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graver_is_greater_and_names_round_trip() {
        for pair in Level::ALL.windows(2) {
            assert!(pair[0] > pair[1], "{} and {}", pair[0], pair[1]);
        }
        for level in Level::ALL {
            assert_eq!(Level::from_bytes(level.as_str().as_bytes()), Some(level));
        }
        assert_eq!(Level::from_bytes(b"Error"), None);
        assert!(Level::DEFAULT_THRESHOLD.shows(Level::Crit));
        assert!(!Level::DEFAULT_THRESHOLD.shows(Level::Warn));
    }
}
