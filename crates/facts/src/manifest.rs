//! The wire types of a snapshot's manifest: what was asked, and where the raw answer stands.
//!
//! A type of its own, so that the vocabulary may change without the format. Fields are added, never changed; a change
//! of meaning is a new [`SCHEMA`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Answer, Stat};

/// The format that this version writes.
pub const SCHEMA: &str = "why502.snapshot/1";

/// The manifest, `manifest.json` in the archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of why502 that made it.
    pub version: String,
    /// When the capture began: the clock of a replay.
    pub captured_at: Timestamp,
    /// The host's name.
    pub hostname: String,
    /// What the capture was told, a JSON object, for the replay to be told the same. Its meaning is the caller's.
    #[serde(default)]
    pub options: serde_json::Value,
    /// Every question with its answer, in the order asked.
    pub entries: Vec<Entry>,
}

/// What a manifest of any version has, so that it can be told which version it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// See [`Manifest::schema`].
    pub schema: Option<String>,
}

/// One question with its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The request's canonical text, unique in a manifest.
    pub ask: String,
    /// When it was answered.
    pub at: Timestamp,
    /// The answer, without its bytes.
    #[serde(flatten)]
    pub answer: Form,
}

/// An answer without its bytes, which stand in files of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Form {
    /// See [`Answer::File`].
    File {
        /// The bytes.
        bytes: Content,
        /// More was there than the limit allowed.
        cut: bool,
        /// The whole file's `stat`.
        stat: FileStat,
    },
    /// See [`Answer::Bytes`].
    Bytes {
        /// The bytes.
        bytes: Content,
    },
    /// See [`Answer::Exit`].
    Exit {
        /// The exit status; none when a signal ended the program.
        code: Option<i32>,
        /// Standard output.
        stdout: Content,
        /// Standard error.
        stderr: Content,
    },
    /// See [`Answer::Errno`].
    Errno {
        /// The number, as Linux numbers it on most architectures.
        errno: i32,
    },
    /// See [`Answer::TimedOut`].
    TimedOut,
}

/// Where bytes stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The name in the archive, such as `records/00012-file`; none for no bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How many bytes.
    pub length: u64,
}

/// See [`Stat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of the contents.
    pub modified: Timestamp,
    /// Last change of contents, owner or mode.
    pub changed: Timestamp,
}

impl From<Stat> for FileStat {
    fn from(stat: Stat) -> Self {
        Self {
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            device: stat.device,
            inode: stat.inode,
            size: stat.size,
            modified: stat.modified,
            changed: stat.changed,
        }
    }
}

impl From<FileStat> for Stat {
    fn from(stat: FileStat) -> Self {
        Self {
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            device: stat.device,
            inode: stat.inode,
            size: stat.size,
            modified: stat.modified,
            changed: stat.changed,
        }
    }
}

impl Form {
    /// Takes an answer apart; `store` keeps bytes, told apart by a suffix, and says where they stand. `None` for what
    /// was never asked.
    pub fn of<'a>(
        answer: &'a Answer,
        mut store: impl FnMut(&'static str, &'a [u8]) -> Content,
    ) -> Option<Self> {
        Some(match answer {
            Answer::File { bytes, cut, stat } => Self::File {
                bytes: store("", bytes),
                cut: *cut,
                stat: (*stat).into(),
            },
            Answer::Bytes(bytes) => Self::Bytes {
                bytes: store("", bytes),
            },
            Answer::Exit {
                code,
                stdout,
                stderr,
            } => Self::Exit {
                code: *code,
                stdout: store("-stdout", stdout),
                stderr: store("-stderr", stderr),
            },
            Answer::Errno(errno) => Self::Errno { errno: *errno },
            Answer::TimedOut => Self::TimedOut,
            Answer::NotRecorded => return None,
        })
    }

    /// Where the answer's bytes stand.
    pub fn contents(&self) -> Vec<&Content> {
        match self {
            Self::File { bytes, .. } | Self::Bytes { bytes } => vec![bytes],
            Self::Exit { stdout, stderr, .. } => vec![stdout, stderr],
            Self::Errno { .. } | Self::TimedOut => Vec::new(),
        }
    }

    /// Puts the answer together again; `fetch` gives the bytes.
    pub fn answer<E>(
        self,
        mut fetch: impl FnMut(&Content) -> Result<Vec<u8>, E>,
    ) -> Result<Answer, E> {
        Ok(match self {
            Self::File { bytes, cut, stat } => Answer::File {
                bytes: fetch(&bytes)?,
                cut,
                stat: stat.into(),
            },
            Self::Bytes { bytes } => Answer::Bytes(fetch(&bytes)?),
            Self::Exit {
                code,
                stdout,
                stderr,
            } => Answer::Exit {
                code,
                stdout: fetch(&stdout)?,
                stderr: fetch(&stderr)?,
            },
            Self::Errno { errno } => Answer::Errno(errno),
            Self::TimedOut => Answer::TimedOut,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_manifest_stays() {
        let text = r#"{
  "schema": "why502.snapshot/1",
  "version": "0.1.0",
  "captured_at": "2026-06-23T14:05:00Z",
  "hostname": "web1",
  "options": {
    "since": "1h"
  },
  "entries": [
    {
      "ask": "file host /etc/nginx/nginx.conf 16777216",
      "at": "2026-06-23T14:05:00.000000001Z",
      "answer": "file",
      "bytes": {
        "file": "records/00000-file",
        "length": 7
      },
      "cut": false,
      "stat": {
        "mode": 33188,
        "uid": 0,
        "gid": 0,
        "device": 65025,
        "inode": 12,
        "size": 7,
        "modified": "2026-06-23T14:02:10Z",
        "changed": "2026-06-23T14:02:10Z"
      }
    },
    {
      "ask": "command systemctl show",
      "at": "2026-06-23T14:05:00Z",
      "answer": "exit",
      "code": 1,
      "stdout": {
        "length": 0
      },
      "stderr": {
        "file": "records/00001-command-stderr",
        "length": 3
      }
    },
    {
      "ask": "socket-owners",
      "at": "2026-06-23T14:05:00Z",
      "answer": "errno",
      "errno": 13
    },
    {
      "ask": "connect host 127.0.0.1:8000",
      "at": "2026-06-23T14:05:00Z",
      "answer": "timed-out"
    }
  ]
}"#;
        let manifest: Manifest = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&manifest).unwrap(), text);
    }

    #[test]
    fn what_was_never_asked_has_no_form() {
        let stored = |_, _: &[u8]| unreachable!();
        assert_eq!(Form::of(&Answer::NotRecorded, stored), None);
    }
}
