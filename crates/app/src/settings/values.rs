//! The kinds of values that settings hold. Each is checked when it is read, so that what templates get has no character
//! that means anything in the files they make.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Defines a checked text.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub(crate) struct $name(String);

        impl $name {
            /// The text.
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// The name of an application or a template: part of file names and of nginx's names.
    Name,
    check_name
);
text!(
    /// A user of the host.
    UserName,
    check_account
);
text!(
    /// A group of the host.
    GroupName,
    check_account
);
text!(
    /// An absolute path.
    AbsolutePath,
    check_path
);
text!(
    /// Where an application's own code begins: `shop:application`, `config.ru`.
    Module,
    check_module
);
text!(
    /// The path of a URL, without query.
    UrlPath,
    check_url_path
);
text!(
    /// A version of PHP.
    PhpVersion,
    check_php
);
text!(
    /// A unit of systemd that is there already.
    UnitName,
    check_unit
);
text!(
    /// A name of a host.
    HostName,
    check_host
);
text!(
    /// A word of a command line.
    Word,
    check_word
);

impl UserName {
    /// nginx's on Debian.
    pub(crate) fn of_nginx() -> Self {
        Self("www-data".to_owned())
    }
}

impl From<&UserName> for GroupName {
    /// The group that bears the user's name.
    fn from(user: &UserName) -> Self {
        Self(user.0.clone())
    }
}

fn only(text: &str, allowed: impl Fn(char) -> bool, what: &str, write: &str) -> Result<(), String> {
    match text.chars().find(|&c| !allowed(c)) {
        _ if text.is_empty() => Err(format!("{what} is empty: write {write}")),
        Some(c) => Err(format!("{what} cannot hold {c:?}: write {write}")),
        None => Ok(()),
    }
}

fn check_name(text: &str) -> Result<(), String> {
    let write = "lower-case letters, digits, '-' and '_', such as shop";
    only(
        text,
        |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'),
        "a name",
        write,
    )?;
    if text.starts_with(['-', '_']) || text.len() > 60 {
        return Err(format!(
            "a name begins with a letter or a digit and has at most 60 characters: write {write}"
        ));
    }
    Ok(())
}

fn check_account(text: &str) -> Result<(), String> {
    only(
        text,
        |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'),
        "a user or group",
        "a name such as www-data",
    )?;
    if text.starts_with('-') {
        return Err("a user or group does not begin with '-'".to_owned());
    }
    Ok(())
}

/// Characters that mean nothing in any of the files that are made.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+' | '@' | '=')
}

fn check_path(text: &str) -> Result<(), String> {
    only(
        text,
        is_plain,
        "a path",
        "an absolute path of letters, digits and '-_./+@=', such as /srv/shop",
    )?;
    if !text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(format!(
            "'{text}' is no absolute path without '..': write one such as /srv/shop"
        ));
    }
    Ok(())
}

fn check_module(text: &str) -> Result<(), String> {
    only(
        text,
        |c| is_plain(c) && c != '@' || c == ':',
        "a module",
        "one such as shop:application, shop.wsgi:application or config.ru",
    )?;
    if text.starts_with('-') {
        return Err("a module does not begin with '-'".to_owned());
    }
    Ok(())
}

fn check_url_path(text: &str) -> Result<(), String> {
    only(
        text,
        |c| is_plain(c) || c == '~',
        "the path of a URL",
        "one of letters, digits and '-_./+@=~', such as /healthz",
    )?;
    if !text.starts_with('/') {
        return Err(format!("'{text}' is no path of a URL: write /{text}"));
    }
    Ok(())
}

fn check_php(text: &str) -> Result<(), String> {
    let is_version = text
        .split_once('.')
        .is_some_and(|(major, minor)| [major, minor].iter().all(|part| is_number(part)));
    if is_version {
        Ok(())
    } else {
        Err(format!(
            "'{text}' is no version of PHP: write one such as \"8.2\""
        ))
    }
}

fn is_number(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_unit(text: &str) -> Result<(), String> {
    let write = "the service's name, such as shop.service";
    only(
        text,
        |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':'),
        "a unit",
        write,
    )?;
    if !text.ends_with(".service") || text.starts_with(['-', '.']) {
        return Err(format!("'{text}' is no service: write {write}"));
    }
    Ok(())
}

fn check_host(text: &str) -> Result<(), String> {
    only(
        text,
        |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'),
        "a host's name",
        "one such as shop.internal",
    )
}

fn check_word(text: &str) -> Result<(), String> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("a word of a command cannot hold {c:?}")),
        None => Ok(()),
    }
}

/// A duration in whole seconds, between a second and a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Seconds(pub(crate) u32);

impl TryFrom<String> for Seconds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no duration between 1s and 1d in whole seconds: write one such as \"30s\" or \"2m\""
            )
        };
        let duration = conf::units::parse_time(text.as_bytes()).ok_or_else(wrong)?;
        let is_whole = duration.subsec_nanos() == 0;
        if !is_whole || duration.is_zero() || duration > Duration::from_hours(24) {
            return Err(wrong());
        }
        u32::try_from(duration.as_secs())
            .map(Self)
            .map_err(|_| wrong())
    }
}

/// The size of a buffer in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Kibibytes(pub(crate) u32);

impl TryFrom<String> for Kibibytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text
            .strip_suffix(['k', 'K'])
            .and_then(|number| number.parse().ok());
        match number {
            Some(kibibytes @ 4..=1024) => Ok(Self(kibibytes)),
            _ => Err(format!(
                "'{text}' is no size between 4k and 1024k: write one such as \"16k\""
            )),
        }
    }
}

/// The mode of a file, in octal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FileMode(pub(crate) u32);

impl TryFrom<String> for FileMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= 0o777 && (3..=4).contains(&text.len()) => Ok(Self(mode)),
            _ => Err(format!("'{text}' is no mode: write one such as \"0640\"")),
        }
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a list of texts")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let one = T::deserialize(serde::de::value::StrDeserializer::<E>::new(text))?;
                Ok(OneOrMany(vec![one]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                if all.is_empty() {
                    return Err(serde::de::Error::custom("the list is empty"));
                }
                Ok(OneOrMany(all))
            }
        }

        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}
