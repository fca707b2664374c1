//! `why502 render` as it is run: what it writes, what it refuses, and how it tells of drift.
#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a test's own helper fails the test"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const SHOP: &str = r#"
[applications.shop]
kind = "gunicorn"
listen = "127.0.0.1:8000"
user = "shop"
directory = "/srv/shop"
module = "shop:application"
"#;

const UPSTREAMS: &str = "etc/nginx/conf.d/why502-upstreams.conf";
const LOCATION: &str = "etc/nginx/snippets/shop.conf";
const SERVICE: &str = "etc/systemd/system/shop.service";

/// Settings, and the root that is rendered to.
struct Host(TempDir);

impl Host {
    fn new(settings: &str) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir(host.0.path().join("root")).unwrap();
        host.settings(settings);
        host
    }

    fn settings(&self, text: &str) {
        fs::write(self.0.path().join("why502.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("root").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn edit(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert!(text.contains(old), "{text}");
        fs::write(self.path(name), text.replace(old, new)).unwrap();
    }

    /// The exit status and both outputs.
    fn render(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("why502"))
            .args(["render", "--root", "root"])
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn rendered(&self) {
        let (status, out, errors) = self.render(&[]);
        assert_eq!((status, errors.as_str()), (0, ""), "{out}");
    }

    /// Requires drift, and gives what is said of it.
    fn drift(&self) -> String {
        let (status, out, errors) = self.render(&["--check"]);
        assert_eq!((status, errors.as_str()), (1, ""), "{out}");
        out
    }

    fn clean(&self) {
        let (status, out, errors) = self.render(&["--check"]);
        assert_eq!((status, errors.as_str()), (0, ""), "{out}");
    }

    /// All files beneath the root with their contents, but for the lock.
    fn all(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(dir: &Path, all: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, all);
                } else if !path.ends_with("why502/lock") {
                    all.push((path.clone(), fs::read(&path).unwrap()));
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.path(""), &mut all);
        all.sort();
        all
    }
}

#[test]
fn what_was_rendered_is_clean_and_is_not_written_again() {
    let host = Host::new(SHOP);
    let (status, out, _) = host.render(&[]);
    assert_eq!(status, 0);
    for said in [
        "created  /etc/systemd/system/shop.service",
        "4 of 4 files written",
        "systemctl daemon-reload",
        "systemctl enable --now shop.service",
        "nginx -t && systemctl reload nginx",
    ] {
        assert!(out.contains(said), "{said:?} is not in:\n{out}");
    }
    for name in [UPSTREAMS, LOCATION, SERVICE] {
        let header = "# made by why502 render from why502.toml; edits are lost\n";
        assert!(host.read(name).starts_with(header), "{name}");
    }
    host.clean();
    let inode = fs::metadata(host.path(SERVICE)).unwrap().ino();
    let (_, out, _) = host.render(&[]);
    assert_eq!(out, "nothing to write: 4 files as why502.toml asks for\n");
    assert_eq!(fs::metadata(host.path(SERVICE)).unwrap().ino(), inode);
}

#[test]
fn drift_is_told_in_either_direction_and_mended() {
    let host = Host::new(SHOP);
    let drift = host.drift();
    assert!(
        drift.contains("missing  /etc/nginx/snippets/shop.conf"),
        "{drift}"
    );
    assert!(host.all().is_empty(), "a check writes nothing");
    host.rendered();

    host.edit(UPSTREAMS, "127.0.0.1:8000", "127.0.0.1:8001");
    let before = host.all();
    let drift = host.drift();
    for said in [
        "it was edited by hand",
        "\n-    server 127.0.0.1:8001;\n+    server 127.0.0.1:8000;\n",
    ] {
        assert!(drift.contains(said), "{drift}");
    }
    assert_eq!(host.all(), before, "a check writes nothing");
    host.rendered();
    host.clean();

    host.settings(&SHOP.replace(":8000", ":8002"));
    let drift = host.drift();
    for said in [
        "the settings changed",
        "-    server 127.0.0.1:8000;\n+    server 127.0.0.1:8002;\n",
        "-bind = [\"127.0.0.1:8000\"]\n+bind = [\"127.0.0.1:8002\"]\n",
    ] {
        assert!(drift.contains(said), "{drift}");
    }
    host.rendered();
    host.clean();

    fs::remove_file(host.path(LOCATION)).unwrap();
    assert!(
        host.drift()
            .contains("missing  /etc/nginx/snippets/shop.conf")
    );
    host.rendered();
    host.clean();
}

#[test]
fn what_nothing_asks_for_any_more_is_left_over_and_removed() {
    let two = format!(
        "{SHOP}{}",
        SHOP.replace("shop", "wiki").replace("8000", "8001")
    );
    let host = Host::new(&two);
    host.rendered();
    host.settings(SHOP);
    let drift = host.drift();
    assert!(
        drift.contains("left over  /etc/nginx/snippets/wiki.conf"),
        "{drift}"
    );
    let edited = "etc/systemd/system/wiki.service";
    host.edit(edited, "Restart=always", "Restart=no");
    let (status, _, errors) = host.render(&[]);
    assert_eq!(status, 2, "{errors}");
    assert!(errors.contains("edited by hand"), "{errors}");
    assert!(
        host.path("etc/nginx/snippets/wiki.conf").exists(),
        "nothing is written"
    );
    let (status, out, _) = host.render(&["--force"]);
    assert_eq!(status, 0);
    assert!(
        out.contains("removed  /etc/nginx/snippets/wiki.conf"),
        "{out}"
    );
    assert!(
        out.contains("systemctl disable --now wiki.service"),
        "{out}"
    );
    assert!(!host.path(edited).exists());
    host.clean();
}

#[test]
fn what_render_did_not_make_is_kept() {
    let host = Host::new(SHOP);
    fs::create_dir_all(host.path("etc/systemd/system")).unwrap();
    fs::write(host.path(SERVICE), "[Service]\nExecStart=/bin/mine\n").unwrap();
    assert!(host.drift().contains("in the way"));
    let (status, out, errors) = host.render(&[]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(
        errors.contains("root/etc/systemd/system/shop.service: it was not made by why502 render"),
        "{errors}"
    );
    assert_eq!(host.all().len(), 1, "nothing is written");
    let (status, ..) = host.render(&["--force"]);
    assert_eq!(status, 0);
    host.clean();
}

#[test]
fn a_unit_of_the_hosts_own_is_not_hidden() {
    let host = Host::new(&SHOP.replace("applications.shop", "applications.ssh"));
    fs::create_dir_all(host.path("usr/lib/systemd/system")).unwrap();
    fs::write(
        host.path("usr/lib/systemd/system/ssh.service"),
        "[Service]\n",
    )
    .unwrap();
    let (status, _, errors) = host.render(&[]);
    assert_eq!(status, 2);
    assert!(
        errors.contains("the host has a unit of that name"),
        "{errors}"
    );
    assert!(
        host.drift()
            .contains("in the way  /etc/systemd/system/ssh.service")
    );
}

#[test]
fn what_is_gone_by_itself_is_forgotten() {
    let wiki = SHOP.replace("shop", "wiki").replace("8000", "8001");
    let host = Host::new(&format!("{SHOP}{wiki}"));
    host.rendered();
    host.settings(SHOP);
    for file in [
        "etc/nginx/snippets/wiki.conf",
        "etc/systemd/system/wiki.service",
        "etc/why502/wiki/gunicorn.conf.py",
    ] {
        fs::remove_file(host.path(file)).unwrap();
    }
    host.rendered();
    assert!(!host.read("var/lib/why502/render.json").contains("wiki"));
    host.clean();
}

#[test]
fn two_do_not_render_at_once() {
    let host = Host::new(SHOP);
    host.rendered();
    let lock = fs::File::open(host.path("var/lib/why502/lock")).unwrap();
    lock.lock().unwrap();
    let (status, _, errors) = host.render(&[]);
    assert_eq!(status, 2);
    assert!(
        errors.contains("another why502 fix or render is at work"),
        "{errors}"
    );
    host.clean();
}

#[test]
fn what_stands_in_a_unit_already_is_only_added_to() {
    let host = Host::new(&format!(
        "{}unit = \"crm@1.service\"\n",
        SHOP.replace("127.0.0.1:8000", "unix:/run/shop/shop.sock")
    ));
    host.rendered();
    assert!(!host.path(SERVICE).exists());
    assert_eq!(
        host.read("etc/systemd/system/crm@1.service.d/why502-shop.conf"),
        "\
# made by why502 render from why502.toml; edits are lost
[Service]
Type=notify
User=shop
Group=www-data
WorkingDirectory=/srv/shop
RuntimeDirectory=shop
# nginx's group may look into it, and nobody else.
RuntimeDirectoryMode=0750
UMask=0007
ExecStart=
ExecStart=/usr/bin/gunicorn --config /etc/why502/shop/gunicorn.conf.py shop:application
ExecReload=
ExecReload=/bin/kill -s HUP $MAINPID
"
    );
}

#[test]
fn what_fails_half_way_is_said_and_gone_on_from() {
    let host = Host::new(SHOP);
    fs::create_dir_all(host.path(UPSTREAMS)).unwrap();
    let (status, _, errors) = host.render(&["--force"]);
    assert_eq!(status, 2);
    assert!(errors.contains("is a directory"), "{errors}");
    fs::remove_dir(host.path(UPSTREAMS)).unwrap();
    // Where a directory cannot be made.
    fs::write(host.path("etc/why502"), "a file").unwrap();
    let (status, _, errors) = host.render(&[]);
    assert_eq!(status, 2);
    assert!(
        errors.contains("1 of 4 files are as they should; then: cannot make"),
        "{errors}"
    );
    fs::remove_file(host.path("etc/why502")).unwrap();
    host.rendered();
    host.clean();
}

#[test]
fn a_link_is_not_written_through() {
    let host = Host::new(SHOP);
    fs::create_dir_all(host.path("etc/systemd/system")).unwrap();
    fs::write(host.path("mine"), "mine").unwrap();
    symlink(host.path("mine"), host.path(SERVICE)).unwrap();
    assert_eq!(host.render(&[]).0, 2);
    assert_eq!(host.render(&["--force"]).0, 0);
    assert_eq!(host.read("mine"), "mine");
    host.clean();
}

#[test]
fn other_settings_do_not_take_files_away() {
    let host = Host::new(SHOP);
    host.rendered();
    fs::write(
        host.0.path().join("other.toml"),
        SHOP.replace("8000", "9000"),
    )
    .unwrap();
    let (status, _, errors) = host.render(&["--settings", "other.toml"]);
    assert_eq!(status, 2);
    assert!(errors.contains("made from other settings"), "{errors}");
    // What is gone claims nothing.
    fs::remove_file(host.0.path().join("why502.toml")).unwrap();
    assert_eq!(host.render(&["--settings", "other.toml"]).0, 0);
}

#[test]
fn the_mode_is_kept_or_set_as_declared() {
    let host = Host::new(SHOP);
    host.rendered();
    let mode = || fs::metadata(host.path(SERVICE)).unwrap().mode() & 0o777;
    assert_eq!(mode(), 0o644);
    fs::set_permissions(host.path(SERVICE), fs::Permissions::from_mode(0o600)).unwrap();
    host.clean();
    host.settings(&SHOP.replace("shop\"\ndirectory", "other\"\ndirectory"));
    host.rendered();
    assert_eq!(mode(), 0o600);
    host.settings(&format!(
        "{SHOP}\n[outputs]\nservice = {{ mode = \"0640\" }}\n"
    ));
    host.rendered();
    assert_eq!(mode(), 0o640);
    fs::set_permissions(host.path(SERVICE), fs::Permissions::from_mode(0o666)).unwrap();
    let drift = host.drift();
    assert!(drift.contains("its mode is 0666, not 0640"), "{drift}");
    host.rendered();
    assert_eq!(mode(), 0o640);
}

#[test]
fn wrong_settings_are_told_with_their_place() {
    let shop = |line: &str| format!("{SHOP}{line}\n");
    let other = |old: &str, new: &str| SHOP.replace(old, new);
    for (settings, place, why) in [
        (shop("workerz = 2"), "8:1", "unknown field `workerz`"),
        (shop("workers = \"2\""), "8:11", "invalid type"),
        (
            shop("timeout = \"soon\""),
            "8:11",
            "write one such as \"30s\"",
        ),
        (shop("timeout = \"1500ms\""), "8:11", "whole seconds"),
        (
            shop("protocol = \"fastcgi\""),
            "8:12",
            "gunicorn does not speak fastcgi: write http",
        ),
        (shop("path = \"/a b\""), "8:8", "cannot hold ' '"),
        (
            shop("socket-mode = \"rw\""),
            "8:15",
            "write one such as \"0640\"",
        ),
        (
            shop("command = [\"/bin/x\"]"),
            "8:11",
            "made from program and module",
        ),
        (shop("[lint"), "8:6", ""),
        (
            shop("[aplications.x]"),
            "8:2",
            "unknown field `aplications`",
        ),
        (
            shop("[outputs]\nservise = false"),
            "9:1",
            "unknown variant `servise`",
        ),
        (
            other("127.0.0.1:8000", "localhost:8000"),
            "4:10",
            "localhost is 127.0.0.1 for one and ::1 for another",
        ),
        (other("127.0.0.1:8000", "app:8000"), "4:10", "is a name"),
        (other("127.0.0.1:8000", "127.0.0.1"), "4:10", "has no port"),
        (
            other("127.0.0.1:8000", "unix:/tmp/shop.sock"),
            "4:10",
            "PrivateTmp",
        ),
        (
            other("127.0.0.1:8000", "unix:/run/shop.sock"),
            "4:10",
            "unix:/run/shop/shop.sock",
        ),
        (
            other("gunicorn", "gunikorn"),
            "3:8",
            "unknown variant `gunikorn`",
        ),
        (other("/srv/shop", "srv/shop"), "6:13", "no absolute path"),
        (other("/srv/shop", "/srv/../shop"), "6:13", "without '..'"),
        (
            other("user = \"shop\"\n", ""),
            "2:15",
            "write user = \"NAME\"",
        ),
        (
            other("module = \"shop:application\"\n", ""),
            "2:15",
            "write module =",
        ),
        (
            other("applications.shop", "applications.Shop"),
            "2:15",
            "lower-case letters",
        ),
        (
            format!(
                "{SHOP}{}",
                SHOP.replace(".shop]", ".wiki]")
                    .replace("127.0.0.1", "0.0.0.0")
            ),
            "11:10",
            "shop listens on 127.0.0.1:8000 already",
        ),
    ] {
        let host = Host::new(&settings);
        let (status, out, errors) = host.render(&[]);
        assert_eq!((status, out.as_str()), (2, ""), "{settings}\n{errors}");
        assert!(
            errors.contains(&format!("/why502.toml:{place}: ")),
            "{place}: {errors}"
        );
        assert!(errors.contains(why), "{why:?}: {errors}");
        assert!(host.all().is_empty());
    }
}

#[test]
fn no_settings_no_directory() {
    let host = Host::new(SHOP);
    for (args, why) in [
        (&["--settings", "missing.toml"][..], "missing.toml"),
        (&["--root", "missing"], "missing is no directory"),
        (&["--check", "--force"], "cannot be used with"),
    ] {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("why502"))
            .arg("render")
            .args(args)
            .current_dir(host.0.path())
            .env_clear()
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(why), "{errors}");
    }
}

#[test]
fn programs_are_told_the_same() {
    let host = Host::new(SHOP);
    let json = |args: &[&str]| -> (i32, Value) {
        let (status, out, _) = host.render(&[args, &["--format", "json"]].concat());
        (status, serde_json::from_str(&out).unwrap())
    };
    let (status, told) = json(&["--check"]);
    assert_eq!(status, 1);
    assert_eq!(told["schema"], "why502.render/1");
    assert_eq!(
        (&told["mode"], &told["clean"]),
        (&Value::from("check"), &Value::from(false))
    );
    let (status, told) = json(&[]);
    assert_eq!(status, 0);
    assert_eq!(told["files"][0]["path"], "/etc/systemd/system/shop.service");
    assert_eq!(told["files"][0]["application"], "shop");
    assert_eq!(told["files"][0]["done"], "created");
    assert_eq!(told["then"][0], "systemctl daemon-reload");
    let (status, told) = json(&["--check"]);
    assert_eq!((status, &told["clean"]), (0, &Value::from(true)));
}

const OWN: &str = r#"
[templates.haproxy]
source = "haproxy.j2"
path = "/etc/haproxy/{name}.cfg"
for-each = "application"
then = "systemctl reload haproxy"
mode = "0640"
"#;

#[test]
fn templates_of_the_users_are_rendered_too() {
    let host = Host::new(&format!(
        "{SHOP}vars = {{ weight = 3, label = \"blue green\" }}\n{OWN}"
    ));
    let template = |text: &str| fs::write(host.0.path().join("haproxy.j2"), text).unwrap();
    template(
        "{% for peer in app.peers %}\nserver {{ app.name }} {{ peer.text }} weight {{ app.vars.weight }}\n{% endfor %}\n",
    );
    let (status, out, errors) = host.render(&[]);
    assert_eq!(status, 0, "{errors}");
    assert!(out.contains("  systemctl reload haproxy\n"), "{out}");
    assert_eq!(
        host.read("etc/haproxy/shop.cfg"),
        "# made by why502 render from why502.toml; edits are lost\nserver shop 127.0.0.1:8000 weight 3\n"
    );
    for (text, why) in [
        (
            "\n{{ app.pears }}",
            "haproxy.j2:2: `app.pears` is undefined",
        ),
        (
            "{{ app.vars.label }}",
            "\"blue green\" cannot stand in a file of plain: ' ' means something there",
        ),
        ("{{ app.vars.label | quoted }}", "not even in quotes"),
        ("{{ app.vars.label | safe }}", "safe"),
        (
            "{% autoescape false %}{{ app.vars.label }}{% endautoescape %}",
            "autoescape cannot be switched",
        ),
        ("{{ app.listen }}", "cannot be written"),
        ("{% for %}", "haproxy.j2:1: "),
    ] {
        template(text);
        let before = host.all();
        let (status, _, errors) = host.render(&[]);
        assert_eq!(status, 2, "{text}");
        assert!(errors.contains(why), "{text}: {errors}");
        assert_eq!(host.all(), before);
    }
}

/// One recorded host of each folder: many kinds of applications, dead ones, and much that cannot be said.
#[test]
fn every_recorded_host_begins_settings_that_render() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let mut begun = 0;
    for folder in fs::read_dir(corpus).unwrap() {
        let Ok(cases) = fs::read_dir(folder.unwrap().path()) else {
            continue;
        };
        let mut cases: Vec<_> = cases.map(|case| case.unwrap().path()).collect();
        cases.retain(|case| case.extension().is_some_and(|ending| ending == "snapshot"));
        cases.sort();
        let Some(case) = cases.first().and_then(|case| case.to_str()) else {
            continue;
        };
        let host = Host::new("");
        let import = ["--import", "--snapshot", case, "--settings"];
        let (status, _, errors) = host.render(&[&import[..], &["begun.toml"]].concat());
        if status == 2 {
            assert!(
                errors.contains("nothing to begin the settings from"),
                "{case}: {errors}"
            );
            continue;
        }
        begun += 1;
        let (status, _, errors) = host.render(&["--settings", "begun.toml"]);
        assert_eq!((status, errors.as_str()), (0, ""), "{case}");
        // What is there is kept.
        let (status, _, errors) = host.render(&[&import[..], &["begun.toml"]].concat());
        assert_eq!(status, 2, "{case}");
        assert!(errors.contains("--force overwrites"), "{errors}");
    }
    assert!(begun > 40, "{begun} of the recorded hosts");
}

#[test]
fn an_import_says_what_runs_and_no_secret() {
    let host = Host::new("");
    let case = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus/application-worker-timeout/gunicorn_unit_timeout.snapshot");
    let case = case.to_str().unwrap();
    let (status, begun, errors) = host.render(&["--import", "--snapshot", case, "--settings", "-"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    for said in [
        "[applications.shop]\n# dialled by /etc/nginx/sites-enabled/shop:1\n",
        "listen = \"127.0.0.1:8000\"\nprotocol = \"http\"\npath = \"/\"\n",
        "shop.service",
    ] {
        assert!(begun.contains(said), "{said} is not in:\n{begun}");
    }
    assert!(!begun.contains("--bind"), "a command line: {begun}");
}
