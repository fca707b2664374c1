//! What settings and templates may not do, whatever stands in them.

use std::path::Path;

use minijinja::context;
use proptest::prelude::*;

use super::engine;
use super::plan::{Planned, plan};
use super::syntax::{Syntax, exec_word};
use crate::settings::Settings;

/// Every setting that is a text, with a value that passes.
const TEXTS: [(&str, &str); 22] = [
    ("APP_USER", "shop"),
    ("APP_GROUP", "web"),
    ("APP_DIRECTORY", "/srv/shop"),
    ("APP_MODULE", "shop:application"),
    ("APP_PROGRAM", "/opt/gunicorn"),
    ("APP_PATH", "/shop/"),
    ("APP_HEALTH", "/healthz"),
    ("APP_SOCKET", "unix:/run/shop/shop.sock"),
    ("APP_ENVIRONMENT", "/etc/shop.env"),
    ("PHP_VERSION", "8.2"),
    ("PHP_SOCKET", "unix:/run/blog/blog.sock"),
    ("PLUGIN", "python3"),
    ("UNIT", "wiki.service"),
    ("TLS_NAME", "search.internal"),
    ("TLS_CA", "/etc/ssl/ca.pem"),
    ("PEER", "10.0.0.5:9200"),
    ("COMMAND", "--flag"),
    ("NGINX_USER", "www-data"),
    ("NGINX_GROUP", "www-data"),
    ("OUTPUT", "/etc/nginx/snippets/{name}.conf"),
    ("TIMEOUT", "30s"),
    ("MODE", "0660"),
];

const ALL: &str = r#"
[nginx]
user = NGINX_USER
group = NGINX_GROUP
[outputs]
location = OUTPUT
selinux = true
apparmor = true
[applications.shop]
kind = "gunicorn"
listen = APP_SOCKET
user = APP_USER
group = APP_GROUP
directory = APP_DIRECTORY
module = APP_MODULE
program = APP_PROGRAM
path = APP_PATH
health = APP_HEALTH
environment-file = APP_ENVIRONMENT
timeout = TIMEOUT
socket-mode = MODE
[applications.blog]
kind = "php-fpm"
php = PHP_VERSION
listen = PHP_SOCKET
user = APP_USER
directory = APP_DIRECTORY
health = APP_HEALTH
[applications.wiki]
kind = "uwsgi"
listen = "127.0.0.1:8001"
user = APP_USER
directory = APP_DIRECTORY
module = APP_MODULE
plugin = PLUGIN
unit = UNIT
[applications.forum]
kind = "puma"
listen = "127.0.0.1:8002"
user = APP_USER
directory = APP_DIRECTORY
module = APP_MODULE
[applications.chat]
kind = "node"
listen = "127.0.0.1:8003"
user = APP_USER
command = ["/usr/bin/node", COMMAND]
[applications.api]
kind = "uvicorn"
listen = "127.0.0.1:8004"
user = APP_USER
directory = APP_DIRECTORY
module = APP_MODULE
[applications.search]
kind = "external"
protocol = "https"
listen = PEER
tls-name = TLS_NAME
tls-ca = TLS_CA
"#;

/// The settings with one text replaced.
fn settings(name: &str, value: &str) -> String {
    let mut text = ALL.to_owned();
    // The longest names first: some begin others.
    let mut texts = TEXTS;
    texts.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (other, usual) in texts {
        let value = if other == name { value } else { usual };
        // What JSON escapes, TOML reads alike.
        text = text.replace(other, &serde_json::to_string(value).unwrap());
    }
    text
}

fn made(text: &str) -> Option<Vec<Planned>> {
    let settings = Settings::parse(Path::new("/etc/why502.toml"), text).ok()?;
    plan(&settings).ok()
}

/// What a file says, without the values: directives and their nesting, or the keys of its lines.
fn shape(file: &Planned) -> Vec<String> {
    if file.syntax == Syntax::Nginx {
        let tree = conf::Tree::parse(file.text.clone().into_bytes());
        assert!(tree.troubles().is_empty(), "{}", file.text);
        return tree
            .all()
            .map(|directive| format!("{} {}", directive.name(), directive.args().len()))
            .collect();
    }
    let key = |line: &str| -> String {
        let end = line.find(['=', ' ', '"']).unwrap_or(line.len());
        line.chars().take(end).collect()
    };
    file.text
        .split(['\n', '\r', '\u{2028}'])
        .filter(|line| !line.starts_with("Environment="))
        .map(key)
        .collect()
}

/// Text that would break out, if anything could.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\""),
        Just("'"),
        Just("\\"),
        Just("\n"),
        Just("\r"),
        Just(";"),
        Just("}"),
        Just("{"),
        Just("#"),
        Just("$host"),
        Just("${x}"),
        Just("%h"),
        Just("%(x)"),
        Just("#{`id`}"),
        Just("`id`"),
        Just("$(id)"),
        Just(" "),
        Just("\t"),
        Just("\0"),
        Just("\u{2028}"),
        Just("\u{85}"),
        Just("é"),
        Just("/"),
        Just(".."),
        Just("a"),
        Just("="),
        Just("[x]"),
        Just("*"),
        Just("@"),
        Just(":"),
        Just("8"),
        Just("{name}"),
        Just("{{ 7 * 7 }}"),
        Just("{% raw %}"),
        Just("-"),
        Just("~"),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_setting_breaks_out_of_its_place(
        at in 0..TEXTS.len(),
        hostile in hostile(),
        is_behind in any::<bool>(),
    ) {
        let (name, usual) = TEXTS[at];
        let value = if is_behind { format!("{usual}{hostile}") } else { hostile };
        let usual: Vec<_> = made(&settings("", "")).unwrap().iter().map(shape).collect();
        let Some(planned) = made(&settings(name, &value)) else {
            return Ok(());
        };
        let shapes: Vec<_> = planned.iter().map(shape).collect();
        prop_assert_eq!(shapes, usual, "{} = {:?}", name, value);
        for file in &planned {
            prop_assert!(!file.path.as_str().contains(".."), "{}", file.path);
        }
    }

    #[test]
    fn a_command_is_started_with_its_very_words(word in hostile()) {
        let Ok(written) = exec_word(&word) else {
            return Ok(());
        };
        prop_assert_eq!(words_of_systemd(&written), vec![word]);
    }

    #[test]
    fn what_is_quoted_for_nginx_is_one_word_and_the_same(value in hostile()) {
        let Ok(quoted) = Syntax::Nginx.quoted(&value) else {
            return Ok(());
        };
        let tree = conf::Tree::parse(format!("set {quoted};").into_bytes());
        prop_assert!(tree.troubles().is_empty());
        let directive = tree.all().next().unwrap();
        prop_assert_eq!(directive.args().len(), 1);
        prop_assert_eq!(directive.value(0).unwrap().to_string(), value);
    }

    #[test]
    fn a_bare_value_means_nothing_in_any_syntax(value in hostile(), at in 0..Syntax::ALL.len()) {
        let syntax = Syntax::ALL[at];
        let mut environment = engine::environment().unwrap();
        let name = engine::template_name(syntax, "own");
        for template in ["key = {{ value }}\nend", "key = \"{{ value }}\"\nend", "{{ value ~ '' }}", "{% set x %}{{ value }}{% endset %}{{ x }}",
            "{{ [value] | join(value) }}", "{{ value | upper }}", "{{ value | quoted ~ value }}",] {
            environment.add_template_owned(name.clone(), template.to_owned()).unwrap();
            let Ok(text) = environment.get_template(&name).unwrap().render(context! { value => &value }) else {
                continue;
            };
            let may_mean = "'\\;{}#$`()\n\r\t\0";
            let literal = syntax.quoted(&value).unwrap_or_default();
            let rest = if template.contains("quoted") {
                text.strip_prefix(&literal).unwrap().to_owned()
            } else {
                text.replace("key = ", "").replace("\nend", "")
            };
            prop_assert_eq!(rest.matches('"').count(), template.matches('"').count(), "{:?} {}: {:?}", syntax, template, text);
            prop_assert!(!rest.contains(|c| may_mean.contains(c)), "{syntax:?} {template}: {text:?}");
        }
    }
}

/// The words of a command line, as systemd.service(5) and systemd.syntax(7) say that they are read.
fn words_of_systemd(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            _ if quote == Some(c) => quote = None,
            ' ' | '\t' if quote.is_none() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(chars.next().unwrap()),
            '$' => {
                assert_eq!(chars.next(), Some('$'), "a variable: {line}");
                word.get_or_insert_default().push('$');
            }
            '%' => {
                assert_eq!(chars.next(), Some('%'), "a specifier: {line}");
                word.get_or_insert_default().push('%');
            }
            ';' if quote.is_none() => panic!("a separator: {line}"),
            _ => word.get_or_insert_default().push(c),
        }
    }
    assert_eq!(quote, None, "{line}");
    words.extend(word);
    words
}

#[test]
fn the_hostile_texts_reach_what_they_are_meant_to_break() {
    // A property over refusals alone would hold of anything.
    for (name, usual) in TEXTS {
        assert!(made(&settings(name, usual)).is_some(), "{name}");
    }
    let planned = made(&settings("COMMAND", "a\"; b $HOME %h 'c'")).unwrap();
    let unit = planned
        .iter()
        .find(|file| file.path.as_str().ends_with("chat.service"))
        .unwrap();
    assert!(
        unit.text
            .contains("ExecStart=/usr/bin/node \"a\\\"; b $$HOME %%h 'c'\"\n"),
        "{}",
        unit.text
    );
}

#[test]
fn each_syntax_has_its_own_literals() {
    for (syntax, quoted) in [
        (Syntax::Nginx, Some(r#""it's 100% \"so\"""#)),
        (Syntax::Systemd, Some(r#""it's 100%% \"so\"""#)),
        (Syntax::Python, Some(r#""it's 100% \"so\"""#)),
        (Syntax::Ruby, Some(r#"'it\'s 100% "so"'"#)),
        (Syntax::Shell, Some(r#"'it'\''s 100% "so"'"#)),
        (Syntax::Json, Some(r#""it's 100% \"so\"""#)),
        (Syntax::Php, None),
        (Syntax::Uwsgi, None),
        (Syntax::Apparmor, None),
        (Syntax::Plain, None),
    ] {
        let literal = syntax.quoted("it's 100% \"so\"").ok();
        assert_eq!(literal.as_deref(), quoted, "{syntax:?}");
    }
}
