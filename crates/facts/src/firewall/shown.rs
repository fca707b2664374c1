//! What `nft -j` says, as `nft` writes it for people.

use serde_json::Value as Json;

use super::nft::{plain, text};

/// A statement as `nft` writes it, near enough for people; what only counts is left out.
pub(super) fn shown(statement: &Json) -> Option<String> {
    let (name, what) = statement.as_object()?.iter().next()?;
    Some(match name.as_str() {
        "counter" => return None,
        "match" => shown_match(what),
        "reject" if what.is_null() => name.clone(),
        "reject" if text(what, "type") == "tcp reset" => "reject with tcp reset".to_owned(),
        "reject" => format!("reject with {} {}", text(what, "type"), text(what, "expr")),
        "jump" | "goto" => format!("{name} {}", text(what, "target")),
        "dnat" | "redirect" => destination(name, what),
        "vmap" => {
            let key = what.get("key").map(shown_key).unwrap_or_default();
            let data = what.get("data").map(shown_value).unwrap_or_default();
            format!("{key} vmap {data}")
        }
        "xt" => format!("xt {} {}", text(what, "type"), text(what, "name")),
        _ => name.clone(),
    })
}

/// A match.
pub(super) fn shown_match(what: &Json) -> String {
    let left = what.get("left").map(shown_key).unwrap_or_default();
    let right = what.get("right").map(shown_value).unwrap_or_default();
    match text(what, "op") {
        "==" | "in" => format!("{left} {right}"),
        op => format!("{left} {op} {right}"),
    }
}

fn shown_key(key: &Json) -> String {
    let of = |object: &str, name: &str| key.get(object).map(|object| text(object, name).to_owned());
    let joined = |keys: &Json, with: &str| {
        let keys = keys.as_array().into_iter().flatten();
        keys.map(shown_key).collect::<Vec<_>>().join(with)
    };
    if let Some(protocol) = of("payload", "protocol") {
        return format!("{protocol} {}", of("payload", "field").unwrap_or_default());
    }
    if let Some(name) = of("meta", "key") {
        return format!("meta {name}");
    }
    if let Some(name) = of("ct", "key") {
        return format!("ct {name}");
    }
    if let Some(keys) = key.get("concat") {
        return joined(keys, " . ");
    }
    if let Some(masked) = key.get("&") {
        return joined(masked, " & ");
    }
    shown_value(key)
}

fn shown_value(value: &Json) -> String {
    let joined = |values: &[Json], with: &str| {
        values
            .iter()
            .map(|value| shown_value(plain(value)))
            .collect::<Vec<_>>()
            .join(with)
    };
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        Json::Array(values) => joined(values, ","),
        Json::Object(fields) => match fields.iter().next() {
            Some((name, Json::Array(values))) if name == "set" => {
                format!("{{ {} }}", joined(values, ", "))
            }
            Some((name, Json::Array(values))) if name == "range" => joined(values, "-"),
            Some((name, Json::Array(values))) if name == "concat" => joined(values, " . "),
            Some((name, Json::Array(values))) if name == "|" => joined(values, "|"),
            Some((name, prefix)) if name == "prefix" => {
                let length = prefix.get("len").and_then(Json::as_u64).unwrap_or(0);
                format!("{}/{length}", text(prefix, "addr"))
            }
            Some((name, what)) if what.is_null() => name.clone(),
            Some((name, what)) => format!("{name} {}", text(what, "target"))
                .trim_end()
                .to_owned(),
            None => String::new(),
        },
        other => other.to_string(),
    }
}

/// Where a rule sends a connection.
pub(super) fn destination(name: &str, what: &Json) -> String {
    let address = what.get("addr").map(shown_value).unwrap_or_default();
    let port = what
        .get("port")
        .map(|port| format!(":{}", shown_value(port)))
        .unwrap_or_default();
    format!("{name} to {address}{port}")
}
