//! What `why502 render` makes runs: applications under the rendered units and settings, nginx with the rendered
//! snippets, 200 through all of it. What has to be run after rendering is what render says, and nothing else.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use why502_lab::{Lab, Machine, Process};

/// Each of the machine's applications at an address of another kind.
const HOST: &str = r#"
[applications.shop]
kind = "gunicorn"
listen = "unix:/run/shop/shop.sock"
user = "shop"
directory = "/srv/shop"
module = "shop:application"

[applications.till]
kind = "gunicorn"
listen = "unix:/run/till.sock"
socket-activation = true
path = "/till/"
user = "shop"
directory = "/srv/shop"
module = "shop:application"

[applications.blog]
kind = "php-fpm"
php = "8.2"
listen = "unix:/run/blog/blog.sock"
path = "/blog/"
user = "shop"
directory = "/srv/www"
health = "/ping"

[applications.news]
kind = "php-fpm"
php = "8.2"
listen = "127.0.0.1:9000"
path = "/news/"
user = "shop"
directory = "/srv/www"

[applications.chat]
kind = "node"
listen = "[::1]:3000"
path = "/chat/"
user = "shop"
directory = "/srv/chat"
command = ["/usr/local/bin/node", "chat.js", "it's $HOME at 100%"]
"#;

/// Answers well only if it was started with the very words of the settings.
const CHAT: &str = "\
const words = process.argv[2] === \"it's $HOME at 100%\";
require('http').createServer((request, response) => {
  response.writeHead(words ? 200 : 500);
  response.end('ok\\n');
}).listen(Number(process.env.PORT), process.env.HOST);
";

const SITE: &str = "\
server {
    listen 80;
    include snippets/shop.conf;
    include snippets/till.conf;
    include snippets/blog.conf;
    include snippets/news.conf;
    include snippets/chat.conf;
}
";

/// What systemd only warns of is wrong too.
const VERIFY: &str = "\
cd /etc/systemd/system
said=$(systemd-analyze verify --man=no shop.service till.service till.socket chat.service php8.2-fpm.service 2>&1)
[ -z \"$said\" ] || { echo \"$said\"; false; }
";

const ADDRESSES: [&str; 5] = [
    "/run/shop/shop.sock",
    "/run/till.sock",
    "/run/blog/blog.sock",
    "127.0.0.1:9000",
    "[::1]:3000",
];

const PATHS: [&str; 5] = [
    "/",
    "/till/",
    "/blog/index.php",
    "/news/index.php/more",
    "/chat/",
];

#[test]
fn a_host_runs_from_what_was_rendered() -> Result<()> {
    let lab = &Lab::new()?;
    let machine = lab.machine()?;
    let settings = "/etc/why502.toml";
    machine.run("useradd --system shop")?;
    machine.write(settings, HOST)?;
    machine.write("/srv/www/blog/index.php", "<?php echo 'ok';\n")?;
    machine.write(
        "/srv/www/news/index.php",
        "<?php echo $_SERVER['PATH_INFO'] === '/more' ? 'ok' : header('HTTP/1.1 500');\n",
    )?;
    machine.write("/srv/chat/chat.js", CHAT)?;
    machine.run("systemctl start php8.2-fpm nginx")?;

    let then = render(&machine)?;
    machine.write("/etc/nginx/sites-enabled/shop", SITE)?;
    machine.run(VERIFY)?;
    machine.run("php-fpm8.2 -t && nginx -t")?;
    follow(&machine, &then)?;
    for address in ADDRESSES {
        machine.accepting(address)?;
    }
    for path in PATHS {
        answers(&machine, path)?;
    }
    machine.run("why502 render --check")?;
    for judge in ["why502 lint", "why502 gate"] {
        machine.run(judge)?;
    }
    machine.diagnose(&[])?;
    imports_what_runs(&machine)?;

    // The addresses of two applications move, and their peers with them.
    let moved = HOST
        .replace("/run/shop/shop.sock", "/run/shop/moved.sock")
        .replace("/run/till.sock", "/run/till/moved.sock");
    machine.write(settings, &moved)?;
    ensure!(
        machine.run("why502 render --check").is_err(),
        "changed settings are drift"
    );
    let then = render(&machine)?;
    ensure!(
        then == [
            "systemctl daemon-reload",
            "systemctl stop till.service && systemctl restart till.socket",
            "systemctl restart shop.service",
            "systemctl restart till.service",
            "nginx -t && systemctl reload nginx"
        ],
        "{then:?}"
    );
    follow(&machine, &then)?;
    machine.accepting("/run/shop/moved.sock")?;
    machine.accepting("/run/till/moved.sock")?;
    answers(&machine, "/")?;
    answers(&machine, "/till/")?;

    // Somebody edits where nginx dials: told, and undone.
    machine
        .run("sed -i s/moved/other/ /etc/nginx/conf.d/why502-upstreams.conf && nginx -s reload")?;
    ensure!(
        machine.run("why502 render --check").is_err(),
        "an edit is drift"
    );
    follow(&machine, &render(&machine)?)?;
    machine.run("why502 render --check")?;
    answers(&machine, "/")
}

/// The settings that this host begins with say what runs there, and can be rendered.
fn imports_what_runs(machine: &Machine<'_>) -> Result<()> {
    let begun = machine.run("why502 render --import --settings -")?;
    for said in [
        "[applications.shop]",
        "kind = \"gunicorn\"\nlisten = \"unix:/run/shop/shop.sock\"",
        "module = \"shop:application\"",
        "unit = \"shop.service\"",
        "user = \"shop\"",
        "kind = \"php-fpm\"\nlisten = \"unix:/run/blog/blog.sock\"\nprotocol = \"fastcgi\"",
        "timeout = \"30s\"",
        "php = \"8.2\"",
        "directory = \"/srv/www\"",
        "listen = \"[::1]:3000\"",
        "socket-activation = true",
    ] {
        ensure!(begun.contains(said), "{said} is not in\n{begun}");
    }
    machine.write("/root/why502.toml", &begun)?;
    let told = machine.run("cd /root && mkdir -p host && why502 render --root host --settings why502.toml && why502 render --root host --settings why502.toml --check")?;
    ensure!(told.contains("no drift"), "{told}");
    Ok(())
}

/// A host as somebody set it up by hand.
const BY_HAND: &str = "\
upstream shop {
    server 127.0.0.1:8000;
}
server {
    listen 80;
    location / {
        proxy_pass http://shop;
    }
    location /php {
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME /srv/www/php/index.php;
        fastcgi_pass unix:/run/php/php8.2-fpm.sock;
    }
}
";

/// The same once its applications are rendered. What the import could not take in full stays as it was.
const BY_RENDER: &str = "\
server {
    listen 80;
    include snippets/shop.conf;
    location /php {
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME /srv/www/php/index.php;
        fastcgi_pass www;
    }
}
";

#[test]
fn a_host_goes_on_from_its_imported_settings() -> Result<()> {
    let lab = &Lab::new()?;
    let machine = lab.machine()?;
    machine.run("useradd --system crm")?;
    machine.write("/srv/www/php/index.php", "<?php echo 'ok';\n")?;
    let unit = "[Service]\nUser=crm\nEnvironment=SECRET=hunter2\nExecStart=/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 --workers 3 shop:application\n";
    machine.unit("crm.service", unit)?;
    machine.run("systemctl start crm php8.2-fpm")?;
    machine.nginx_site(BY_HAND)?;
    machine.accepting("127.0.0.1:8000")?;

    machine.run("cd /etc && why502 render --import")?;
    ensure!(
        machine.run("cd /etc && why502 render --import").is_err(),
        "settings that are there are kept"
    );
    let begun = machine.run("cat /etc/why502.toml")?;
    for said in [
        "kind = \"gunicorn\"",
        "workers = 3",
        "user = \"crm\"",
        "unit = \"crm.service\"",
        "[applications.www]",
    ] {
        ensure!(begun.contains(said), "{said} is not in\n{begun}");
    }
    ensure!(!begun.contains("hunter2"), "{begun}");
    // As the import says: the pool's own file, and the upstreams, make room.
    machine.run("rm /etc/php/8.2/fpm/pool.d/www.conf")?;
    let settings = begun.replace(
        "[applications.www]\n",
        "[applications.www]\ndirectory = \"/srv/www\"\n",
    );
    machine.write(
        "/etc/why502.toml",
        &settings.replace("127.0.0.1:8000", "127.0.0.1:8010"),
    )?;
    machine.write("/etc/nginx/sites-enabled/shop", BY_RENDER)?;
    follow(&machine, &render(&machine)?)?;
    for address in ["127.0.0.1:8010", "/run/php/php8.2-fpm.sock"] {
        machine.accepting(address)?;
    }
    for path in ["/", "/php"] {
        answers(&machine, path)?;
    }
    machine.run("why502 render --check")?;
    // A worker that had not been told yet may have dialled the old address: that is over.
    machine.run("why502").map(drop)
}

/// Renders in the machine; gives what is to be run.
fn render(machine: &Machine<'_>) -> Result<Vec<String>> {
    then(&machine.run("why502 render --format json")?)
}

fn then(told: &str) -> Result<Vec<String>> {
    let told: Value = serde_json::from_str(told)?;
    let then = told
        .get("then")
        .and_then(Value::as_array)
        .context("no then")?;
    Ok(then
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect())
}

fn follow(machine: &Machine<'_>, then: &[String]) -> Result<()> {
    then.iter()
        .try_for_each(|command| machine.run(command).map(drop))
}

/// Waits until a path is answered well, time after time: units of type exec are up before they listen, and a worker of
/// nginx that was told to go may take one more connection.
fn answers(machine: &Machine<'_>, path: &str) -> Result<()> {
    let mut in_a_row = 0;
    for _ in 0..100 {
        if machine.request("GET", path)? == 200 {
            in_a_row += 1;
        } else {
            in_a_row = 0;
        }
        if in_a_row == 5 {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    machine.expect(5, "GET", path, 200)
}

const ASGI: &str = "\
async def application(scope, receive, send):
    if scope['type'] != 'http':
        return
    while (await receive()).get('more_body'):
        pass
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'3')]})
    await send({'type': 'http.response.body', 'body': b'ok\\n'})
";

const WSGI: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '3')])
    return [b'ok\\n']
";

const RACK: &str = "run lambda { |env| [200, { 'Content-Type' => 'text/plain', 'Content-Length' => '3' }, [\"ok\\n\"]] }\n";

/// The servers that the machine does not have, over TCP and over unix sockets.
#[test]
fn servers_run_from_their_rendered_settings() -> Result<()> {
    let lab = &Lab::new()?;
    let root = lab.directory("root")?;
    for (file, text) in [
        ("wiki/wiki.py", WSGI),
        ("api/api.py", ASGI),
        ("forum/config.ru", RACK),
    ] {
        let (directory, _) = file.split_once('/').context("a directory")?;
        open(&lab.directory(directory)?)?;
        lab.file(file, text)?;
    }
    lab.directory("nginx")?;
    for name in ["uwsgi_params", "fastcgi_params"] {
        lab.file(
            &format!("nginx/{name}"),
            &fs::read_to_string(Path::new("/etc/nginx").join(name))?,
        )?;
    }
    let uvicorn = why502_lab::environment()?.join("uvicorn");
    for transport in [Transport::Tcp, Transport::Unix] {
        let listen = |name: &str| listen(lab, name, transport);
        let settings = format!(
            "{}{}{}",
            application(
                lab,
                "wiki",
                &listen("wiki")?,
                "kind = \"uwsgi\"\nmodule = \"wiki\"\nplugin = \"python3\""
            ),
            application(
                lab,
                "api",
                &listen("api")?,
                &format!(
                    "kind = \"uvicorn\"\nmodule = \"api:application\"\nprogram = \"{}\"",
                    uvicorn.display()
                )
            ),
            application(lab, "forum", &listen("forum")?, "kind = \"puma\""),
        );
        rendered(lab, &root, &settings)?;
        let mut running = Vec::new();
        for name in ["wiki", "api", "forum"] {
            running.push(start(lab, &root, name)?);
        }
        let site = "\
include @root/etc/nginx/conf.d/*.conf;
server {
    listen @listen;
    include @root/etc/nginx/snippets/*.conf;
}
";
        let nginx = lab.nginx(site, &[("root", &root.display())])?;
        for (name, process) in ["wiki", "api", "forum"].into_iter().zip(&mut running) {
            let path = format!("/{name}/");
            process.await_ready(|| nginx.expect(1, "GET", &path, 200).ok())?;
            nginx.expect(5, "GET", &path, 200)?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Transport {
    Tcp,
    Unix,
}

fn listen(lab: &Lab, name: &str, transport: Transport) -> Result<String> {
    Ok(match transport {
        Transport::Tcp => format!("127.0.0.1:{}", lab.port()?),
        // A lab stands beneath /tmp, where render lets no socket be. By this name it is another place.
        Transport::Unix => format!(
            "unix:/proc/self/root{}",
            lab.path(&format!("{name}/{name}.sock")).display()
        ),
    })
}

fn application(lab: &Lab, name: &str, listen: &str, more: &str) -> String {
    // The lab's Python may stand where only root may go.
    let user = if name == "api" { "root" } else { "www-data" };
    format!(
        "[applications.{name}]\nlisten = \"{listen}\"\nuser = \"{user}\"\npath = \"/{name}/\"\ndirectory = \"{}\"\n{more}\n",
        lab.path(name).display()
    )
}

/// Starts what the rendered unit starts, as the user and group that it names.
fn start(lab: &Lab, root: &Path, name: &str) -> Result<Process> {
    let unit = fs::read_to_string(root.join(format!("etc/systemd/system/{name}.service")))?;
    let setting = |key: &str| {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.with_context(|| format!("no {key}= in\n{unit}"))
    };
    let mut args: Vec<OsString> = vec![
        format!("--reuid={}", setting("User")?).into(),
        format!("--regid={}", setting("Group")?).into(),
        "--init-groups".into(),
        "--".into(),
    ];
    let settings = format!("{}/etc/why502", root.display());
    let words = setting("ExecStart")?.split(' ');
    args.extend(words.map(|word| OsString::from(word.replace("/etc/why502", &settings))));
    lab.start(name, "setpriv", args)
}

/// The application makes its socket in its directory, as it does in the one that its unit makes.
fn open(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777))?;
    Ok(())
}

fn why502(words: &[&str], args: &[OsString]) -> Result<Output> {
    let mut command = Command::new(why502_lab::why502()?);
    command.args(words).args(args).env_clear();
    Ok(command.output()?)
}

/// One application for each way in which nginx speaks to one.
const PROTOCOLS: &str = r#"
[applications.live]
kind = "external"
listen = ["192.0.2.1:8000", "192.0.2.2:8000", "[2001:db8::1]:8000"]
path = "/live/"
websocket = true
keepalive = 8
keepalive-timeout = "20s"
header-buffer = "64k"

[applications.secure]
kind = "external"
listen = "192.0.2.1:8443"
protocol = "https"
path = "/secure/"
tls-name = "secure.internal"
tls-ca = "/etc/ssl/certs/ca-certificates.crt"

[applications.open]
kind = "external"
listen = "192.0.2.1:8444"
protocol = "https"
path = "/open/"

[applications.rpc]
kind = "other"
listen = "unix:/run/rpc/rpc.sock"
protocol = "grpc"
path = "/rpc.Service/"
user = "www-data"
command = ["/usr/bin/rpc", "--listen={socket}"]

[applications.fast]
kind = "external"
listen = "192.0.2.1:9000"
protocol = "fastcgi"
path = "/fast/"

[applications.old]
kind = "external"
listen = "192.0.2.1:9001"
protocol = "uwsgi"
path = "/old/"
connect-timeout = "10s"
timeout = "2m"
"#;

#[test]
fn nginx_and_the_lints_take_every_protocol() -> Result<()> {
    let lab = &Lab::new()?;
    let root = lab.directory("root")?;
    rendered(lab, &root, PROTOCOLS)?;
    lab.directory("nginx")?;
    for name in ["uwsgi_params", "fastcgi_params"] {
        lab.file(
            &format!("nginx/{name}"),
            &fs::read_to_string(Path::new("/etc/nginx").join(name))?,
        )?;
    }
    // A CA that is read when nginx starts may not be there.
    let ca = lab.certificate("ca.internal")?.certificate;
    let secure = root.join("etc/nginx/snippets/secure.conf");
    let text = fs::read_to_string(&secure)?;
    ensure!(text.contains("proxy_ssl_verify on;"), "{text}");
    fs::write(
        &secure,
        text.replace(
            "/etc/ssl/certs/ca-certificates.crt",
            &ca.display().to_string(),
        ),
    )?;
    let site = "\
include @root/etc/nginx/conf.d/*.conf;
server {
    listen @listen;
    include @root/etc/nginx/snippets/*.conf;
}
";
    // The peers are not there: only of an nginx that runs that is a finding.
    drop(lab.nginx(site, &[("root", &root.display())])?);
    let config = lab.path("nginx/nginx.conf");
    let output = why502(&["lint", "--config"], &[config.into()])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

/// Text that an interpreter would take for something else, if it could.
const HOSTILE: [&str; 9] = [
    "it's",
    "say \"so\"",
    "back\\slash\\",
    "\\",
    "#{`id`} #$0 #@x",
    "$(id) `id` $HOME ${HOME}",
    "%s %(x)s {x} {{ 7 * 7 }}",
    "'; import os; os.abort() #",
    "ünïcode – \\u0041 \\x41 \\n",
];

#[test]
fn literals_are_read_back_by_their_own_interpreters() -> Result<()> {
    let lab = &Lab::new()?;
    let root = lab.directory("root")?;
    let texts = serde_json::to_string(&HOSTILE)?;
    let settings = format!(
        "[applications.shop]\nkind = \"external\"\nlisten = \"127.0.0.1:8000\"\nvars = {{ texts = {texts} }}\n"
    );
    let each = |before: &str, line: &str| {
        format!("{before}{{% for text in app.vars.texts %}}\n{line}\n{{% endfor %}}\n")
    };
    let languages = [
        (
            "python",
            "python3",
            each(
                "import sys\n",
                "sys.stdout.write({{ text | quoted }} + '|')",
            ),
        ),
        (
            "ruby",
            "ruby",
            each("", "$stdout.write({{ text | quoted }} + '|')"),
        ),
        ("shell", "sh", each("", "printf '%s|' {{ text | quoted }}")),
    ];
    let mut all = settings;
    for (syntax, _, template) in &languages {
        lab.file(&format!("{syntax}.j2"), template)?;
        all.extend([
            "[templates.",
            syntax,
            "]\nsource = \"",
            syntax,
            ".j2\"\npath = \"/",
            syntax,
            "\"\nsyntax = \"",
            syntax,
            "\"\n",
        ]);
    }
    rendered(lab, &root, &all)?;
    for (syntax, interpreter, _) in &languages {
        let output = Command::new(interpreter)
            .arg(root.join(syntax))
            .env("LANG", "C.UTF-8")
            .output()?;
        let expected = HOSTILE.map(|text| format!("{text}|")).concat();
        ensure!(
            output.stdout == expected.as_bytes(),
            "{syntax}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// Renders these settings beneath `root`.
fn rendered(lab: &Lab, root: &Path, settings: &str) -> Result<()> {
    let file = lab.file("why502.toml", settings)?;
    let output = why502(
        &["render", "--root"],
        &[
            root.as_os_str().to_owned(),
            "--settings".into(),
            file.into(),
        ],
    )?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
