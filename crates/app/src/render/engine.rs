//! MiniJinja, set up so that a template cannot be filled with what would mean something else in its file.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use super::syntax::{Syntax, exec_word};

/// Filters that write a text as it is, or as HTML or JSON have it.
const LEFT_OUT: [&str; 4] = ["safe", "escape", "e", "tojson"];

/// The environment of all templates, which are named `SYNTAX:NAME`.
pub(crate) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    environment.set_auto_escape_callback(|name| AutoEscape::Custom(syntax_of(name).name().into()));
    environment.set_formatter(|output, state, value| {
        let text = written(state, value)?;
        output.write_str(&text).map_err(Error::from)
    });
    for filter in LEFT_OUT {
        environment.remove_filter(filter);
    }
    environment.add_filter("quoted", quoted);
    environment.add_filter("exec", exec);
    environment.add_function("pad", |columns: usize| {
        Value::from_safe_string(" ".repeat(columns.min(80)))
    });
    Ok(environment)
}

/// The name of a template in the environment.
pub(crate) fn template_name(syntax: Syntax, name: &str) -> String {
    format!("{}:{name}", syntax.name())
}

fn syntax_of(template: &str) -> Syntax {
    template
        .split_once(':')
        .and_then(|(syntax, _)| Syntax::named(syntax))
        .unwrap_or(Syntax::Plain)
}

/// The syntax in force, which a template cannot switch off.
fn syntax(state: &State<'_, '_>) -> Result<Syntax, Error> {
    match state.auto_escape() {
        AutoEscape::Custom(name) => Ok(Syntax::named(name).unwrap_or(Syntax::Plain)),
        _ => Err(Error::new(
            ErrorKind::InvalidOperation,
            "autoescape cannot be switched: name the file's syntax with syntax = \"...\"",
        )),
    }
}

/// A value as it is written by `{{ }}`.
fn written(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let syntax = syntax(state)?;
    if value.is_undefined() {
        return Err(Error::new(
            ErrorKind::UndefinedError,
            "there is no such value",
        ));
    }
    if let Some(text) = value.as_str() {
        // Made by a filter or a macro, whose values were looked at.
        if value.is_safe() {
            return Ok(text.to_owned());
        }
        return match syntax.meaning(text) {
            None => Ok(text.to_owned()),
            Some(c) => Err(refused(
                syntax,
                text,
                c,
                "write it with | quoted, or change it",
            )),
        };
    }
    if let Ok(truth) = bool::try_from(value.clone()) {
        let (yes, no) = match syntax {
            Syntax::Python => ("True", "False"),
            _ => ("true", "false"),
        };
        return Ok(if truth { yes } else { no }.to_owned());
    }
    if value.is_number() {
        return Ok(value.to_string());
    }
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!(
            "a {} cannot be written: write what stands in it",
            value.kind()
        ),
    ))
}

fn refused(syntax: Syntax, text: &str, c: char, then: &str) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!(
            "{text:?} cannot stand in a file of {}: {c:?} means something there: {then}",
            syntax.name()
        ),
    )
}

fn quoted(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let syntax = syntax(state)?;
    let text = text_of(value)?;
    syntax
        .quoted(&text)
        .map(Value::from_safe_string)
        .map_err(|c| refused(syntax, &text, c, "not even in quotes: change it"))
}

/// A word of `ExecStart=`.
fn exec(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let syntax = syntax(state)?;
    if syntax != Syntax::Systemd {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "exec is for units of systemd",
        ));
    }
    let text = text_of(value)?;
    exec_word(&text)
        .map(Value::from_safe_string)
        .map_err(|c| refused(syntax, &text, c, "not even in quotes: change it"))
}

fn text_of(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::new(
            ErrorKind::UndefinedError,
            "there is no such value",
        ));
    }
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_number() => Ok(value.to_string()),
        None => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a {} cannot be quoted", value.kind()),
        )),
    }
}
