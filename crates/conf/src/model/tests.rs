//! The model, told by configurations.

use super::*;
use crate::fixture::model;
use crate::{Address, PeerAddress};

/// The innermost context opened by a line with this label.
fn context<'m>(model: &'m Model, label: &str) -> &'m Context {
    let mut contexts = model.contexts().iter().rev();
    contexts
        .find(|c| model.location_label(c.id) == label)
        .unwrap_or_else(|| panic!("no context {label}"))
}

fn in_force(model: &Model, label: &str, name: &str) -> Vec<String> {
    let directives = model.in_force(context(model, label).id, name);
    directives
        .into_iter()
        .map(|at| model.text(at).to_string())
        .collect()
}

fn target(model: &Model, target: &Target) -> String {
    match target {
        Target::Upstream(id) => format!(
            "upstream {}",
            model.upstream(*id).expect("an upstream").name
        ),
        Target::Address(address) => address.to_string(),
        Target::Variable {
            text,
            candidates,
            exhaustive,
        } => {
            let candidates: Vec<_> = candidates
                .iter()
                .map(|candidate| self::target(model, candidate))
                .collect();
            format!(
                "{text} -> [{}]{}",
                candidates.join(", "),
                if *exhaustive { "" } else { " and more" }
            )
        }
        Target::Unreadable(text) => format!("? {text}"),
    }
}

/// Each pass: where, what is spoken, to whom, whether with a URI.
fn passes(model: &Model) -> Vec<String> {
    let show = |pass: &Pass| {
        let label = model.location_label(pass.context);
        let uri = if pass.uri { " with URI" } else { "" };
        format!(
            "{label}: {} {}{uri}",
            pass.protocol,
            target(model, &pass.target)
        )
    };
    model.passes().iter().map(show).collect()
}

#[test]
fn contexts_nest_and_includes_dissolve() {
    let model = model(
        "//- /etc/nginx/nginx.conf
user www;
http {
  include sites/*;
}
//- /etc/nginx/sites/a
server { server_name a a.example; listen 80; include snippets/l; }
//- /etc/nginx/sites/b
server { server_name b; location /b { if ($x) { include snippets/p; } limit_except GET { deny all; } } include snippets/l; }
//- /etc/nginx/snippets/l
location /l { include snippets/p; }
//- /etc/nginx/snippets/p
proxy_pass http://127.0.0.1:1;
",
    );
    let shown: Vec<String> = model
        .contexts()
        .iter()
        .map(|c| {
            model
                .chain(c.id)
                .map(|c| model.location_label(c.id))
                .collect::<Vec<_>>()
                .join(" < ")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "main",
            "http < main",
            "server < http < main",
            "location /l < server < http < main",
            "server < http < main",
            "location /b < server < http < main",
            "if ($x) < location /b < server < http < main",
            "limit_except GET < location /b < server < http < main",
            "location /l < server < http < main",
        ]
    );
    let names: Vec<Vec<String>> = model
        .passes()
        .iter()
        .map(|pass| {
            model
                .servers_of(pass.context)
                .iter()
                .map(ToString::to_string)
                .collect()
        })
        .collect();
    assert_eq!(names, [vec!["a", "a.example"], vec!["b"], vec!["b"]]);
    let pass = model.passes()[0].directive;
    assert_eq!(
        model.path(pass).expect("a path"),
        std::path::Path::new("/etc/nginx/snippets/p")
    );
    assert_eq!(model.contexts_holding(pass).count(), 3);
    assert_eq!(
        model.arg(pass, 0).expect("an argument"),
        "http://127.0.0.1:1"
    );
}

#[test]
fn locations_tell_how_they_match() {
    use LocationModifier::{Exact, Named, Prefix, PrefixFinal, Regex, RegexCaseless};
    for (written, modifier, pattern) in [
        ("/a", Prefix, "/a"),
        ("= /a", Exact, "/a"),
        ("=/a", Exact, "/a"),
        ("^~ /a", PrefixFinal, "/a"),
        ("^~/a", PrefixFinal, "/a"),
        ("~ \\.php$", Regex, "\\.php$"),
        ("~\\.php$", Regex, "\\.php$"),
        ("~* \\.php$", RegexCaseless, "\\.php$"),
        ("@app", Named, "@app"),
        ("\"/a b\"", Prefix, "/a b"),
    ] {
        let model = model(&format!("http {{ server {{ location {written} {{ }} }} }}"));
        let location = model.locations().next().expect("a location").id;
        assert_eq!(
            model.location_pattern(location),
            Some((modifier, BStr::new(pattern))),
            "{written}"
        );
    }
}

#[test]
fn the_innermost_level_with_any_replaces_the_outer_ones() {
    let model = model(
        "error_log /main;
http {
  proxy_read_timeout 10s; proxy_set_header A 1; proxy_set_header B 2; add_header X 1; allow 10.0.0.1; root /http;
  server {
    proxy_set_header C 3;
    location /keeps { }
    location /replaces { proxy_set_header D 4; proxy_read_timeout 20s; deny all; alias /x;
      location /replaces/inner { proxy_set_header E 5; proxy_set_header F 6; } }
  }
  server { error_log /other; location /other { } }
}",
    );
    for (label, name, expected) in [
        (
            "location /keeps",
            "proxy_set_header",
            &["proxy_set_header C 3;"][..],
        ),
        (
            "location /keeps",
            "proxy_read_timeout",
            &["proxy_read_timeout 10s;"],
        ),
        ("location /keeps", "add_header", &["add_header X 1;"]),
        ("location /keeps", "allow", &["allow 10.0.0.1;"]),
        ("location /keeps", "error_log", &["error_log /main;"]),
        ("location /keeps", "proxy_send_timeout", &[]),
        (
            "location /replaces",
            "proxy_set_header",
            &["proxy_set_header D 4;"],
        ),
        (
            "location /replaces",
            "proxy_read_timeout",
            &["proxy_read_timeout 20s;"],
        ),
        // One list with `deny`, one value with `alias`.
        ("location /replaces", "allow", &[]),
        ("location /replaces", "root", &[]),
        (
            "location /replaces/inner",
            "proxy_set_header",
            &["proxy_set_header E 5;", "proxy_set_header F 6;"],
        ),
        (
            "location /replaces/inner",
            "proxy_read_timeout",
            &["proxy_read_timeout 20s;"],
        ),
        ("location /replaces/inner", "alias", &["alias /x;"]),
        ("location /other", "error_log", &["error_log /other;"]),
        (
            "http",
            "proxy_set_header",
            &["proxy_set_header A 1;", "proxy_set_header B 2;"],
        ),
    ] {
        assert_eq!(in_force(&model, label, name), expected, "{name} in {label}");
    }
    let keeps = context(&model, "location /keeps").id;
    let level = model
        .level_in_force(keeps, "proxy_read_timeout")
        .expect("a level");
    assert_eq!(model.location_label(level), "http");
    let (value, _) = model
        .value_in_force(keeps, "proxy_read_timeout")
        .expect("a value");
    assert_eq!(value, "10s");
}

#[test]
fn a_pass_is_inherited_by_nameless_locations_only() {
    let model = model(
        "http { server { location / {
  proxy_pass http://127.0.0.1:1;
  location /nested { }
  if ($a) { set $b c; }
  if ($own) { fastcgi_pass 127.0.0.1:2; }
  limit_except GET { deny all; }
} } }",
    );
    for (label, proxy, fastcgi) in [
        ("location /nested", 0, 0),
        ("if ($a)", 1, 0),
        ("if ($own)", 0, 1),
        ("limit_except GET", 1, 0),
        ("location /", 1, 0),
    ] {
        assert_eq!(
            in_force(&model, label, "proxy_pass").len(),
            proxy,
            "{label}"
        );
        assert_eq!(
            in_force(&model, label, "fastcgi_pass").len(),
            fastcgi,
            "{label}"
        );
        let pass = model.pass_in_force(context(&model, label).id);
        assert_eq!(pass.is_some(), proxy + fastcgi > 0, "{label}");
    }
}

#[test]
fn every_kind_of_pass_is_found() {
    let model = model(
        "http {
  upstream app { server 127.0.0.1:9; }
  server {
    location /http { proxy_pass http://127.0.0.1; }
    location /https { proxy_pass https://[::1]/; }
    location /name { proxy_pass http://LocalHost:8000/x; }
    location /group { proxy_pass http://App; }
    location /group-uri { proxy_pass http://app/x; }
    location /unix { proxy_pass http://unix:/run/a.sock; }
    location /unix-uri { proxy_pass http://unix:/run/a.sock:/x; }
    location /fcgi { fastcgi_pass localhost:9000; }
    location /fcgi-unix { fastcgi_pass unix:/run/php.sock; }
    location /fcgi-group { fastcgi_pass app; }
    location /fcgi-colon { fastcgi_pass unix:/run/php.sock:/x; }
    location /fcgi-uri { fastcgi_pass localhost:9000/x; }
    location /fcgi-bad { fastcgi_pass nowhere; }
    location /uwsgi { uwsgi_pass 127.0.0.1:3031; }
    location /suwsgi { uwsgi_pass suwsgi://127.0.0.1:3031; }
    location /scgi { scgi_pass 127.0.0.1:4000; }
    location /grpc { grpc_pass 127.0.0.1:50051; }
    location /grpcs { grpc_pass grpcs://127.0.0.1:443; }
    location /mc { memcached_pass 127.0.0.1:11211; }
    location /if { if ($a) { proxy_pass http://127.0.0.1:1; } limit_except GET { proxy_pass http://127.0.0.1:2; } }
    location @named { proxy_pass http://127.0.0.1:3; }
    location /no-scheme { proxy_pass 127.0.0.1:4; }
  }
}
stream {
  upstream app { server 127.0.0.1:5; }
  server { listen 1; proxy_pass app; }
}",
    );
    assert_eq!(
        passes(&model),
        [
            "location /http: http 127.0.0.1:80",
            "location /https: https [::1]:443 with URI",
            "location /name: http localhost:8000 with URI",
            "location /group: http upstream app",
            "location /group-uri: http upstream app with URI",
            "location /unix: http unix:/run/a.sock",
            "location /unix-uri: http unix:/run/a.sock with URI",
            "location /fcgi: fastcgi localhost:9000",
            "location /fcgi-unix: fastcgi unix:/run/php.sock",
            "location /fcgi-group: fastcgi upstream app",
            "location /fcgi-colon: fastcgi unix:/run/php.sock:/x",
            "location /fcgi-uri: fastcgi ? localhost:9000/x",
            "location /fcgi-bad: fastcgi ? nowhere",
            "location /uwsgi: uwsgi 127.0.0.1:3031",
            "location /suwsgi: suwsgi 127.0.0.1:3031",
            "location /scgi: scgi 127.0.0.1:4000",
            "location /grpc: grpc 127.0.0.1:50051",
            "location /grpcs: grpcs 127.0.0.1:443",
            "location /mc: memcached 127.0.0.1:11211",
            "if ($a): http 127.0.0.1:1",
            "limit_except GET: http 127.0.0.1:2",
            "location @named: http 127.0.0.1:3",
            "location /no-scheme: http ? 127.0.0.1:4",
            "server: stream upstream app",
        ]
    );
    let last = model.passes().last().expect("the stream's pass");
    let Target::Upstream(id) = last.target else {
        panic!("an upstream")
    };
    assert_eq!(
        model.upstream(id).expect("an upstream").protocol,
        ContextKind::Stream
    );
    assert_eq!(model.passes_to(id).count(), 1);
}

#[test]
fn variables_lead_where_literals_tell() {
    for (before, pass, expected) in [
        (
            "set $b 127.0.0.1:1;",
            "proxy_pass http://$b;",
            "http $b -> [127.0.0.1:1]",
        ),
        (
            "set $b 127.0.0.1:1;",
            "proxy_pass http://${B}/x$uri;",
            "http ${B}/x$uri -> [127.0.0.1:1]",
        ),
        (
            "set $b 127.0.0.1;",
            "proxy_pass http://$b:81$request_uri;",
            "http $b:81$request_uri -> [127.0.0.1:81]",
        ),
        (
            "set $b app;",
            "proxy_pass http://$b;",
            "http $b -> [upstream app]",
        ),
        ("set $b https://h;", "proxy_pass $b;", "https $b -> [h:443]"),
        (
            "set $b x; set $b y;",
            "proxy_pass http://$b;",
            "http $b -> [x:80, y:80]",
        ),
        (
            "set $a h; set $b $a:82;",
            "proxy_pass http://$b;",
            "http $b -> [h:82]",
        ),
        (
            "set $b $b;",
            "proxy_pass http://$b;",
            "http $b -> [] and more",
        ),
        (
            "set $b h$arg_x;",
            "proxy_pass http://$b;",
            "http $b -> [] and more",
        ),
        (
            "set $b h; auth_request_set $b $x;",
            "proxy_pass http://$b;",
            "http $b -> [h:80] and more",
        ),
        (
            "set $b h; if ($uri ~ \"/(?<b>.*)\") { }",
            "proxy_pass http://$b;",
            "http $b -> [h:80] and more",
        ),
        (
            "",
            "proxy_pass http://127.0.0.1:1$uri;",
            "http 127.0.0.1:1$uri -> [127.0.0.1:1]",
        ),
        (
            "",
            "proxy_pass http://app/$arg_x;",
            "http app/$arg_x -> [upstream app]",
        ),
        ("", "proxy_pass http://$host;", "http $host -> [] and more"),
        (
            "",
            "proxy_pass $scheme://h:1;",
            "http $scheme://h:1 -> [h:1]",
        ),
        (
            "",
            "proxy_pass http://$mapped;",
            "http $mapped -> [upstream app, m:1]",
        ),
        (
            "",
            "proxy_pass http://$split;",
            "http $split -> [s:80, t:80]",
        ),
        (
            "",
            "fastcgi_pass unix:/run/$v.sock;",
            "fastcgi unix:/run/$v.sock -> [unix:/run/7.sock, unix:/run/8.sock]",
        ),
    ] {
        let model = model(&format!(
            "http {{ upstream app {{ server 127.0.0.1:9; }}
map $uri $mapped {{ volatile; default app; ~^/m m:1; /gone ''; }}
split_clients $uri $split {{ 50% s; * t; }}
geo $v {{ default 8; 10.0.0.0/8 7; delete 10.0.0.1; }}
server {{ {before} location / {{ {pass} }} }}
server {{ set $b elsewhere; }} }}
stream {{ map $remote_addr $mapped {{ default elsewhere:1; }} }}"
        ));
        assert_eq!(
            passes(&model),
            [format!("location /: {expected}")],
            "{before} {pass}"
        );
    }
}

#[test]
fn upstreams_tell_their_servers_and_keepalive() {
    let model = model(
        "http { keepalive_timeout 65; resolver 10.0.0.1; upstream app {
  zone app 64k; least_conn;
  server 127.0.0.1:8000 weight=3 max_fails=0 fail_timeout=1m;
  server [::1] backup;
  server unix:/run/a.sock down max_conns=5;
  server name.example:81 resolve service=http;
  server $bad;
  keepalive 16; keepalive_timeout 30s; keepalive_requests 10;
} upstream plain { server a; } }
stream { upstream s { hash $remote_addr consistent; server a:1; server b; } }",
    );
    let names: Vec<String> = model
        .upstreams()
        .iter()
        .map(|u| u.name.to_string())
        .collect();
    assert_eq!(names, ["app", "plain", "s"]);
    let app = model
        .upstream_named(ContextKind::Http, b"APP")
        .expect("app");
    let shown = |upstream: &Upstream| -> Vec<Option<String>> {
        upstream
            .servers
            .iter()
            .map(|line| line.address.as_ref().map(ToString::to_string))
            .collect()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        shown(app),
        [
            text("127.0.0.1:8000"),
            text("[::1]:80"),
            text("unix:/run/a.sock"),
            text("name.example:81"),
            None
        ]
    );
    let seconds = |line: &ServerLine| line.fail_timeout.as_secs();
    let first = &app.servers[0];
    assert_eq!(
        (
            first.weight,
            first.max_fails,
            seconds(first),
            first.max_conns
        ),
        (3, 0, 60, 0)
    );
    let second = &app.servers[1];
    assert_eq!(
        (
            second.weight,
            second.max_fails,
            seconds(second),
            second.backup
        ),
        (1, 1, 10, true)
    );
    assert_eq!((app.servers[2].down, app.servers[2].max_conns), (true, 5));
    assert_eq!(
        (app.servers[3].resolve, app.servers[3].service.clone()),
        (true, Some("http".into()))
    );
    assert_eq!(app.keepalive.map(|k| k.connections), Some(16));
    assert_eq!(
        app.keepalive_timeout,
        Some(std::time::Duration::from_secs(30))
    );
    assert_eq!(
        (app.keepalive_requests, app.zone.clone()),
        (Some(10), Some("app".into()))
    );
    assert_eq!(
        app.balancing.map(|at| model.name(at).to_string()),
        text("least_conn")
    );
    let plain = &model.upstreams()[1];
    // The timeout of `http` is for clients.
    assert_eq!(model.in_force(plain.context, "keepalive_timeout"), []);
    assert_eq!(model.in_force(plain.context, "resolver").len(), 1);
    assert_eq!(
        (plain.keepalive, plain.zone.clone(), plain.balancing),
        (None, None, None)
    );
    // Without a default port in stream, `server b` is nothing nginx accepts.
    assert_eq!(shown(&model.upstreams()[2]), [text("a:1"), None]);
    assert!(model.upstream_named(ContextKind::Http, b"s").is_none());
}

#[test]
fn dialers_are_found_by_address_and_by_name() {
    let model = model(
        "http {
  upstream app { server 127.0.0.1:8000; server localhost:8001; }
  upstream unused { server 127.0.0.1:8000; }
  server {
    location /a { proxy_pass http://app; }
    location /b { proxy_pass http://127.0.0.1:8000; }
    location /c { proxy_pass http://localhost:8001; }
    location /d { fastcgi_pass unix:/run/php.sock; }
    location /e { set $x 127.0.0.1:8000; proxy_pass http://$x; }
  }
}",
    );
    let shown = |dialers: Vec<Dialer<'_>>| -> Vec<String> {
        let show = |dialer: Dialer<'_>| {
            let via = dialer
                .server_line
                .map(|line| format!(" via {}", line.text))
                .unwrap_or_default();
            model.location_label(dialer.pass.context) + &via
        };
        dialers.into_iter().map(show).collect()
    };
    let peer = |text: &str| PeerAddress::parse(text.as_bytes()).expect("a peer");
    let by_address = |text: &str| shown(model.dialers(&peer(text)));
    assert_eq!(
        by_address("127.0.0.1:8000"),
        [
            "location /a via 127.0.0.1:8000",
            "location /b",
            "location /e"
        ]
    );
    let lines = model.server_lines_at(&peer("127.0.0.1:8000"));
    let upstreams: Vec<_> = lines
        .iter()
        .map(|(upstream, _)| upstream.name.to_string())
        .collect();
    assert_eq!(upstreams, ["app", "unused"]);
    assert_eq!(by_address("127.0.0.1:8001"), [""; 0]);
    assert_eq!(by_address("unix:/run/php.sock"), ["location /d"]);
    assert_eq!(by_address("unix:/run/php"), [""; 0]);
    let localhost = |name: &str, ip: std::net::IpAddr| name == "localhost" && ip.is_loopback();
    let resolved = shown(model.dialers_with(&peer("[::1]:8001"), &localhost));
    assert_eq!(resolved, ["location /a via localhost:8001", "location /c"]);
    assert_eq!(
        shown(model.dialers_of_name("LOCALHOST")),
        ["location /a via localhost:8001", "location /c"]
    );
}

#[test]
fn logs_in_force_are_told() {
    let model = model(
        "error_log logs/error.log warn;
http {
  log_format timed escape=json '$uri ' '$upstream_header_time';
  access_log logs/a.log timed buffer=4k if=$loggable;
  server { error_log syslog:server=10.0.0.1 crit; error_log stderr; location /off { access_log off; error_log off; } }
  server { access_log /b.log; access_log syslog:server=x combined; location /$x { } }
}",
    );
    let errors = |label: &str| -> Vec<(LogSink, String)> {
        let logs = model.error_logs(context(&model, label).id);
        logs.into_iter()
            .map(|log| (log.sink, log.level.to_string()))
            .collect()
    };
    let file = |name: &str| LogSink::File(name.into());
    assert_eq!(
        errors("http"),
        [(file("logs/error.log"), "warn".to_owned())]
    );
    assert_eq!(errors("location /off"), [(file("off"), "error".to_owned())]);
    let server = model.servers().next().expect("a server").id;
    let sinks: Vec<LogSink> = model
        .error_logs(server)
        .into_iter()
        .map(|log| log.sink)
        .collect();
    assert_eq!(
        sinks,
        [LogSink::Syslog("server=10.0.0.1".into()), LogSink::Stderr]
    );
    assert_eq!(
        model.access_logs(context(&model, "location /off").id),
        AccessLogs::Off
    );
    assert_eq!(model.access_logs(model.main_context()), AccessLogs::Default);
    let AccessLogs::To(logs) = model.access_logs(server) else {
        panic!("logs")
    };
    let log = &logs[0];
    assert_eq!(
        (&log.sink, &log.format, log.buffered),
        (&file("logs/a.log"), &"timed".into(), true)
    );
    assert_eq!(log.condition, Some("$loggable".into()));
    let AccessLogs::To(logs) = model.access_logs(context(&model, "location /$x").id) else {
        panic!("logs")
    };
    let formats: Vec<String> = logs.iter().map(|log| log.format.to_string()).collect();
    assert_eq!(formats, ["combined", "combined"]);
    let format = model.log_format(BStr::new("timed")).expect("timed");
    assert_eq!(
        (format.template.to_string().as_str(), format.escape),
        ("$uri $upstream_header_time", Escape::Json)
    );
    assert!(
        model
            .log_format(BStr::new("combined"))
            .is_some_and(|format| format.directive.is_none())
    );
    let prefix = std::path::Path::new("/usr/share/nginx");
    for (sink, path) in [
        (file("logs/e"), Some("/usr/share/nginx/logs/e")),
        (file("/v/e"), Some("/v/e")),
        (file("/v/$host"), None),
        (LogSink::Stderr, None),
    ] {
        assert_eq!(sink.path(prefix).as_deref(), path.map(std::path::Path::new));
    }
}

#[test]
fn settings_of_the_whole_are_told() {
    let full = model(
        "user www-data adm; worker_processes auto; worker_rlimit_nofile 4096; pid run/n.pid; daemon off; master_process off;
env PATH; env TZ=UTC; events { worker_connections 99; } http { server { listen 127.0.0.1:81 ssl default_server; listen unix:/s; } }",
    );
    let user = full.user().expect("a user");
    assert_eq!(
        (user.name.to_string(), user.group.to_string()),
        ("www-data".to_owned(), "adm".to_owned())
    );
    assert_eq!(full.worker_processes(), Some(BStr::new("auto")));
    assert_eq!(
        (full.worker_rlimit_nofile(), full.worker_connections()),
        (Some(4096), Some(99))
    );
    assert_eq!(
        (full.pid(), full.env("TZ"), full.env("PATH")),
        (Some(BStr::new("run/n.pid")), Some(BStr::new("UTC")), None)
    );
    assert!(!full.is_daemon() && !full.has_workers());
    let server = full.servers().next().expect("a server").id;
    let listens = full.listens(server);
    assert_eq!(listens[0].address.to_string(), "127.0.0.1:81");
    assert!(listens[0].ssl && listens[0].default_server && !listens[0].udp);
    assert_eq!(listens[1].address, Address::Unix("/s".into()));

    let empty = model("user nobody;");
    assert_eq!(empty.user().expect("a user").group, "nobody");
    assert_eq!(
        (empty.worker_connections(), empty.worker_processes()),
        (None, None)
    );
    assert!(empty.is_daemon() && empty.has_workers());
}

#[test]
fn the_text_of_g_counts_for_the_main_context() {
    let files = crate::fixture::Files::of("//- /n/c\nworker_processes 2;");
    let (main, prefix) = (std::path::Path::new("/n/c"), std::path::Path::new("/n"));
    let configuration = Configuration::assemble(main, prefix, b"daemon off; error_log /g;", &files);
    let model = Model::of(&configuration);
    assert!(!model.is_daemon());
    assert_eq!(model.error_logs(model.main_context()).len(), 1);
    let daemon = model.main_directive("daemon").expect("daemon");
    assert_eq!(
        model.path(daemon),
        Some(std::path::Path::new("command line"))
    );
}

#[test]
fn a_lone_file_gets_the_contexts_it_lacks() {
    for (text, passes_found, servers) in [
        ("proxy_pass http://127.0.0.1:1;", 1, 1),
        ("location / { proxy_pass http://127.0.0.1:1; }", 1, 1),
        (
            "server { location / { proxy_pass http://127.0.0.1:1; } }",
            1,
            1,
        ),
        ("server { listen 1; proxy_pass 127.0.0.1:1; }", 1, 1),
        ("upstream u { server a; }", 0, 0),
    ] {
        let model = Model::of(&Configuration::from_dump(text.as_bytes()));
        assert_eq!(
            (model.passes().len(), model.servers().count()),
            (passes_found, servers),
            "{text}"
        );
    }
    let model = Model::of(&Configuration::from_dump(
        b"server 127.0.0.1:1; keepalive 2;",
    ));
    assert_eq!(model.upstreams()[0].servers.len(), 1);
}

#[test]
fn rows_of_tables_are_no_directives() {
    let model = model(
        "http { map $uri $x { proxy_pass http://a; server b; } types { error_log log; } server { location / { } } }",
    );
    assert_eq!(model.passes().len(), 0);
    assert_eq!(in_force(&model, "location /", "error_log"), [""; 0]);
}
