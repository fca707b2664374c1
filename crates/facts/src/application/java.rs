//! The settings of Java programs: Tomcat's `server.xml` (10.1). Of others nothing is known.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::ByteSlice as _;

use super::settings::{
    Bind, Bound, Limit, Origin, Setting, Settings, SettingsSource, SpokenProtocol,
};
use crate::text::owned;

/// Tomcat's main class.
const BOOTSTRAP: &str = "org.apache.catalina.startup.Bootstrap";

/// How long Tomcat keeps an idle connection when nothing says so (`connectionTimeout`).
const KEEP_ALIVE: Duration = Duration::from_mins(1);

pub(super) fn settings(source: &SettingsSource<'_>) -> Settings {
    let args: Vec<String> = source.args.iter().skip(1).map(|arg| owned(arg)).collect();
    if args.iter().any(|arg| arg == BOOTSTRAP) {
        return tomcat(source, &args);
    }
    // What another program is told stands in files of its own, in its jar and in its code.
    let mut settings = Settings::default();
    settings.doubt_all();
    settings
}

fn tomcat(source: &SettingsSource<'_>, args: &[String]) -> Settings {
    // No time-out of its own ends a request.
    let mut settings = Settings {
        timeout: Setting::default(Limit::Never),
        ..Settings::default()
    };
    let named = args
        .iter()
        .position(|arg| arg == "-config")
        .and_then(|at| args.get(at + 1))
        .map(PathBuf::from);
    let base = ["-Dcatalina.base=", "-Dcatalina.home="]
        .iter()
        .find_map(|prefix| args.iter().rev().find_map(|arg| arg.strip_prefix(prefix)));
    let file = named.unwrap_or_else(|| PathBuf::from("conf/server.xml"));
    let file = base.map_or_else(|| file.clone(), |base| Path::new(base).join(&file));
    settings.config_files.push(file.clone());
    match source.file(&file) {
        Some(Some(text)) => read(&mut settings, &file, text),
        _ => settings.doubt_all(),
    }
    settings
}

fn read(settings: &mut Settings, file: &Path, text: &[u8]) {
    let text = text.to_str_lossy();
    let connectors: Vec<Element> = elements(&text, "Connector")
        .into_iter()
        .filter(|connector| {
            // AJP is nothing that nginx speaks.
            !connector
                .value("protocol")
                .is_some_and(|protocol| protocol.contains("AJP") || protocol.contains("Ajp"))
        })
        .collect();
    for connector in &connectors {
        let origin = Origin::File(file.to_owned(), connector.line);
        let is_tls = connector.value("SSLEnabled") == Some("true");
        let protocol = if is_tls {
            SpokenProtocol::Https
        } else {
            SpokenProtocol::Http
        };
        let port = connector.value("port").and_then(|port| port.parse().ok());
        let address = connector.value("address").unwrap_or_default();
        match port.and_then(|port| Bind::parts(address, port)) {
            Some(bind) if !address.contains('$') => {
                settings.binds.push(bound(bind, protocol, origin));
            }
            _ => settings.doubt("bind"),
        }
    }
    match connectors.as_slice() {
        [connector] => settings.keepalive = keepalive(connector, file),
        _ => settings.doubt("keepalive"),
    }
}

/// `keepAliveTimeout`; without it, `connectionTimeout`.
fn keepalive(connector: &Element, file: &Path) -> Option<Setting<Duration>> {
    let set = ["keepAliveTimeout", "connectionTimeout"]
        .iter()
        .find_map(|name| connector.value(name));
    match set {
        // -1 is for ever.
        Some(value) => Setting::of(
            value.parse().ok().map(Duration::from_millis),
            &Origin::File(file.to_owned(), connector.line),
        ),
        None => Setting::default(KEEP_ALIVE),
    }
}

fn bound(bind: Bind, protocol: SpokenProtocol, origin: Origin) -> Bound {
    Bound {
        bind,
        protocol,
        origin,
    }
}

/// An element's start tag.
struct Element {
    attributes: Vec<(String, String)>,
    /// From 1.
    line: usize,
}

impl Element {
    fn value(&self, name: &str) -> Option<&str> {
        let attribute = self.attributes.iter().find(|(known, _)| known == name)?;
        Some(&attribute.1)
    }
}

/// The start tags of this name that stand in no comment.
fn elements(text: &str, name: &str) -> Vec<Element> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let tag = rest.get(at + 1..).unwrap_or_default();
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let is_it = tag.strip_prefix(name).is_some_and(|after| {
            after.starts_with(|c: char| c.is_whitespace() || c == '/' || c == '>')
        });
        if is_it {
            let before = text.len().saturating_sub(tag.len());
            let line = text
                .get(..before)
                .map_or(1, |before| before.matches('\n').count() + 1);
            let attributes = attributes(tag.get(name.len()..).unwrap_or_default());
            found.push(Element { attributes, line });
        }
        rest = tag;
    }
    found
}

/// `NAME="VALUE"` up to the tag's end.
fn attributes(tag: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = tag.trim_start();
    while !rest.starts_with(['>', '/']) {
        let Some((name, after)) = rest.split_once('=') else {
            break;
        };
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            break;
        };
        let Some((value, after)) = after.get(1..).and_then(|value| value.split_once(quote)) else {
            break;
        };
        found.push((name.trim().to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Kind;
    use super::*;

    /// Debian's, shortened.
    const SERVER: &str = "<?xml version=\"1.0\"?>
<Server port=\"8005\" shutdown=\"SHUTDOWN\">
  <Service name=\"Catalina\">
    <!-- <Connector port=\"8443\" SSLEnabled=\"true\" /> -->
    <Connector port=\"9303\" protocol=\"HTTP/1.1\"
               connectionTimeout=\"20000\"
               redirectPort=\"8443\" />
    <Connector protocol=\"AJP/1.3\" address=\"::1\" port=\"8009\" />
  </Service>
</Server>
";

    fn told(line: &str, file: Option<&str>) -> Settings {
        let args: Vec<_> = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
        let path = PathBuf::from("/srv/shop/conf/server.xml");
        let files: Vec<_> = file
            .map(|text| (path, Some(text.as_bytes().to_vec())))
            .into_iter()
            .collect();
        let source = SettingsSource {
            args: &args,
            environment: &[],
            files: &files,
        };
        Settings::of(Kind::Java, &source)
    }

    const TOMCAT: &str = "/usr/bin/java -Xmx64m -classpath bootstrap.jar -Dcatalina.base=/srv/shop -Dcatalina.home=/usr/share/tomcat10 org.apache.catalina.startup.Bootstrap start";

    #[test]
    fn tomcats_file_says_where_it_listens_and_how_long_it_keeps_a_connection() {
        let settings = told(TOMCAT, Some(SERVER));
        let [bound] = settings.binds.as_slice() else {
            panic!("{:?}", settings.binds);
        };
        assert_eq!(
            (&bound.bind, bound.protocol),
            (&Bind::AnyAddress(9303), SpokenProtocol::Http)
        );
        let path = PathBuf::from("/srv/shop/conf/server.xml");
        assert_eq!(bound.origin, Origin::File(path, 5));
        assert_eq!(
            settings.keepalive.as_ref().unwrap().value,
            Duration::from_secs(20)
        );
        assert!(settings.is_certain("keepalive") && settings.is_certain("bind"));
    }

    #[test]
    fn what_is_not_read_or_a_variable_is_not_certain() {
        assert!(!told(TOMCAT, None).is_certain("bind"));
        let variable = SERVER.replace("9303", "${port.http}");
        assert!(!told(TOMCAT, Some(&variable)).is_certain("bind"));
        assert_eq!(told("java -jar shop.jar", None).binds, []);
        assert!(!told("java -jar shop.jar", None).is_certain("bind"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[<>!/a-zC=\" -]{0,80}") {
            elements(&text.replace('C', "<Connector "), "Connector");
        }
    }
}
