//! `why502 lint` as it is run: what it reads, exit statuses, formats, edits, settings. What each lint finds is tested beside
//! the lint.
#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a test's own helper fails the test"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const BROKEN: &str = "events {}\nhttp {\n    upstream shop { server 127.0.0.1:8000; keepalive 16; }\n    server {\n        location / {\n            proxy_pass http://shop;\n        }\n    }\n}\n";
const CLEAN: &str = "events {}\nhttp { server { listen 80; return 204; } }\n";

/// `why502 lint` in this directory.
fn lint(dir: &Path, args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("why502"))
        .arg("lint")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that needs no input may have ended before it is written.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn in_directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn ids(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["id"].as_str().unwrap())
        .collect()
}

fn configs(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/configs")
        .join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn the_status_tells_findings_from_none_and_from_failure() {
    let dir = in_directory(&[("broken.conf", BROKEN), ("clean.conf", CLEAN)]);
    for (args, status) in [
        (&["--config", "broken.conf"][..], 1),
        (&["broken.conf"], 1),
        (&["clean.conf"], 0),
        (&["--config", "missing.conf"], 2),
        (&["--config", "."], 2),
        (&["--format", "pdf"], 2),
        (&["--fix", "-"], 2),
        (&["clean.conf", "--settings", "missing.toml"], 2),
        (&["clean.conf", "--nginx-version", "new"], 2),
    ] {
        let (told, _, errors) = lint(dir.path(), args, BROKEN);
        assert_eq!(told, Some(status), "{args:?}: {errors}");
        assert_eq!(errors.is_empty(), status != 2, "{args:?}: {errors}");
    }
}

#[test]
fn healthy_configurations_are_clean() {
    let dir = tempfile::tempdir().unwrap();
    for path in configs("healthy") {
        let name = path.to_str().unwrap();
        for version in ["1.22.1", "1.30.0"] {
            let args = ["--format", "json", "--nginx-version", version, name];
            let (status, out, errors) = lint(dir.path(), &args, "");
            let found = json(&out);
            assert_eq!(
                (ids(&found), status),
                (vec![], Some(0)),
                "{name}: {out} {errors}"
            );
        }
    }
}

#[test]
fn broken_configurations_give_the_finding_they_are_named_for_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    for path in configs("broken") {
        let expected = path.file_stem().unwrap().to_str().unwrap();
        let args = [
            "--format",
            "json",
            "--nginx-version",
            "1.22.1",
            path.to_str().unwrap(),
        ];
        let (status, out, _) = lint(dir.path(), &args, "");
        let found = json(&out);
        assert_eq!((ids(&found), status), (vec![expected], Some(1)), "{out}");
    }
}

#[test]
fn recorded_hosts_on_which_all_is_well_are_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/healthy");
    let snapshots = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut n_snapshots = 0;
    for path in snapshots.filter(|path| path.extension().is_some_and(|end| end == "snapshot")) {
        n_snapshots += 1;
        let args = ["--format", "json", "--snapshot", path.to_str().unwrap()];
        let (status, out, errors) = lint(Path::new("/"), &args, "");
        assert_eq!(status, Some(0), "{}: {out} {errors}", path.display());
    }
    assert!(n_snapshots > 0);
}

#[test]
fn a_dump_of_nginx_and_a_part_are_read_from_a_file_or_standard_input() {
    let dump = format!(
        "nginx: configuration file /etc/nginx/nginx.conf test is successful\n# configuration file /etc/nginx/nginx.conf:\nevents {{}}\nhttp {{ include conf.d/*.conf; }}\n\n# configuration file /etc/nginx/conf.d/a.conf:\n{}\n",
        "upstream shop { server 127.0.0.1:8000; keepalive 16; }\nserver { location / { proxy_pass http://shop; } }\n"
    );
    let part = "upstream shop { server 127.0.0.1:8000; keepalive 16; }\nserver { location / { proxy_http_version 1.0; proxy_pass http://shop; } }\n";
    let dir = in_directory(&[("dump", &dump), ("part.conf", part)]);
    for (args, input, file, line) in [
        (&["dump"][..], "", "/etc/nginx/conf.d/a.conf", 2),
        (&["-"], dump.as_str(), "/etc/nginx/conf.d/a.conf", 2),
        (&["--config", "-"], part, "-", 2),
    ] {
        let args = [args, &["--format", "json"]].concat();
        let (status, out, _) = lint(dir.path(), &args, input);
        let found = json(&out);
        assert_eq!(
            (ids(&found), status),
            (vec!["keepalive-without-http11"], Some(1)),
            "{out}"
        );
        assert_eq!(found["findings"][0]["file"], file);
        assert_eq!(found["findings"][0]["line"], line);
        assert_eq!(found["host"]["source"], "file");
    }
    let (_, out, _) = lint(dir.path(), &["part.conf"], "");
    assert!(out.contains("a part of a configuration"), "{out}");
}

/// What the package of nginx brings, as nginx itself prints it.
#[test]
fn the_installed_configuration_is_clean() {
    let Ok(printed) = Command::new("nginx").arg("-T").output() else {
        // Nothing is installed.
        return;
    };
    let dump = String::from_utf8(printed.stdout).unwrap();
    assert!(dump.contains("# configuration file "), "nginx -T as root");
    let args = ["--format", "json", "--nginx-version", "1.22.1", "-"];
    let (status, out, _) = lint(Path::new("/"), &args, &dump);
    assert_eq!((ids(&json(&out)), status), (vec![], Some(0)), "{out}");
}

#[test]
fn what_is_not_looked_at_is_said() {
    let dir = in_directory(&[(
        "site.conf",
        "events {}\nhttp { server { location / { proxy_pass http://127.0.0.1:8000; } } }\n",
    )]);
    let (status, out, _) = lint(dir.path(), &["site.conf"], "");
    assert_eq!(status, Some(0));
    let line = "not looked at  peer-not-listening-now";
    assert!(out.contains(line) && out.contains("--host"), "{out}");
}

#[test]
fn the_report_is_of_the_schema_of_a_diagnosis() {
    let dir = in_directory(&[("broken.conf", BROKEN)]);
    let (_, out, _) = lint(dir.path(), &["--format", "json", "broken.conf"], "");
    let report = json(&out);
    assert_eq!(report["schema"], "why502.report/1");
    for key in [
        "generated_at",
        "host",
        "nginx",
        "window",
        "incidents",
        "findings",
    ] {
        assert!(report.get(key).is_some(), "{key}");
    }
    let finding = &report["findings"][0];
    assert_eq!(finding["severity"], "warning");
    assert_eq!(
        (&finding["line"], &finding["column"]),
        (&6.into(), &24.into())
    );
    assert_eq!(finding["chain"][0]["text"], "keepalive 16;");
    assert_eq!(finding["fixes"][0]["safety"], "safe");
    let step = &finding["fixes"][0]["steps"][0];
    assert_eq!(step["kind"], "edit");
    assert_eq!(
        step["new"],
        "            proxy_pass http://shop;\n            proxy_http_version 1.1;"
    );
}

#[test]
fn sarif_and_github_name_paths_as_the_repository_has_them() {
    let dir = in_directory(&[("nginx/a b.conf", BROKEN)]);
    let (_, out, _) = lint(dir.path(), &["--format", "sarif", "nginx/a b.conf"], "");
    let log = json(&out);
    assert_eq!(log["version"], "2.1.0");
    let result = &log["runs"][0]["results"][0];
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    let rule = &log["runs"][0]["tool"]["driver"]["rules"][index];
    assert_eq!(rule["id"], result["ruleId"]);
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "nginx/a%20b.conf");
    assert_eq!(place["region"]["startLine"], 6);
    let (_, out, _) = lint(dir.path(), &["--format", "github", "nginx/a b.conf"], "");
    assert!(
        out.starts_with("::warning file=nginx/a b.conf,line=6,endLine=6,col=24,endColumn=35,title=keepalive-without-http11::"),
        "{out}"
    );
}

#[test]
fn safe_edits_are_shown_first_and_made_only_when_agreed() {
    let dir = in_directory(&[("site.conf", BROKEN)]);
    let path = dir.path().join("site.conf");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let (status, _, shown) = lint(dir.path(), &["--fix", "site.conf"], "y\n");
    assert_eq!(status, Some(2), "there is no terminal to ask at");
    assert!(
        shown.contains("+            proxy_http_version 1.1;"),
        "{shown}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), BROKEN);
    // The second edit is one that the first leads to.
    let (status, out, shown) = lint(dir.path(), &["--fix", "--yes", "site.conf"], "");
    assert_eq!(status, Some(0), "{out} {shown}");
    assert_eq!(shown.matches("changed 1 file").count(), 2, "{shown}");
    let mended = BROKEN.replace(
        "http://shop;\n",
        "http://shop;\n            proxy_set_header Connection \"\";\n            proxy_http_version 1.1;\n",
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), mended);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_secret_in_a_file_is_neither_shown_nor_lost() {
    let with_secret = BROKEN.replace(
        "        location / {\n",
        "        proxy_set_header Authorization \"Bearer s3cr3tt0k3n\";\n        location / {\n",
    );
    let dir = in_directory(&[("site.conf", &with_secret)]);
    let (_, out, shown) = lint(dir.path(), &["--fix", "--yes", "site.conf"], "");
    assert!(
        !out.contains("s3cr3tt0k3n") && !shown.contains("s3cr3tt0k3n"),
        "{out}{shown}"
    );
    let after = fs::read_to_string(dir.path().join("site.conf")).unwrap();
    assert!(
        after.contains("s3cr3tt0k3n") && after.contains("proxy_http_version 1.1;"),
        "{after}"
    );
}

#[test]
fn settings_choose_severities_paths_and_places() {
    let site = "upstream shop { server 127.0.0.1:8000; keepalive 16; }\nserver { location / { proxy_pass http://shop; } }\n";
    let dir = in_directory(&[
        (
            "nginx/nginx.conf",
            "events {}\nhttp { include /etc/nginx/conf.d/*.conf; }\n",
        ),
        ("nginx/conf.d/a.conf", site),
        (
            "nginx/conf.d/vendor.conf",
            site.replace("shop", "other").as_str(),
        ),
        (
            "why502.toml",
            "[lint]\nignore-paths = [\"nginx/conf.d/vendor*\"]\n[lint.severity]\nkeepalive-without-http11 = \"error\"\n[lint.path-map]\n\"/etc/nginx\" = \"nginx\"\n[applications.shop]\nlisten = \"127.0.0.1:8000\"\n",
        ),
        (
            "off.toml",
            "[lint]\ndisable = [\"keepalive-without-http11\"]\n[lint.path-map]\n\"/etc/nginx\" = \"nginx\"\n",
        ),
        ("wrong.toml", "[lint]\ndisable = [\"nothing\"]\n"),
    ]);
    let (status, out, _) = lint(dir.path(), &["--format", "github", "nginx/nginx.conf"], "");
    assert_eq!(status, Some(1));
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(
        out.starts_with("::error file=nginx/conf.d/a.conf,line=2,"),
        "{out}"
    );
    let (status, _, _) = lint(
        dir.path(),
        &["--settings", "off.toml", "nginx/nginx.conf"],
        "",
    );
    assert_eq!(status, Some(0));
    let (status, _, errors) = lint(
        dir.path(),
        &["--settings", "wrong.toml", "nginx/nginx.conf"],
        "",
    );
    assert_eq!(status, Some(2));
    assert!(
        errors.contains("wrong.toml:2:12: there is no lint 'nothing'"),
        "{errors}"
    );
}

#[test]
fn the_page_of_a_lint_is_shown() {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("why502"))
        .args(["explain", "keepalive-without-http11"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.starts_with("keepalive-without-http11\n"), "{out}");
    assert!(out.contains("Silent when"), "{out}");
}

#[test]
fn no_format_lets_a_configuration_move_the_cursor_or_end_a_command() {
    let hostile = "events {}\nhttp { server { location / { proxy_pass http://localhost:8000/\u{1b}[31m\u{202e}%0A::error::x; } } }\n";
    let dir = in_directory(&[("site.conf", hostile), ("a\u{1b}\n::error::x", hostile)]);
    for file in ["site.conf", "a\u{1b}\n::error::x"] {
        for format in ["term", "json", "sarif", "github"] {
            let (status, out, errors) = lint(dir.path(), &["--format", format, file], "");
            assert_eq!(status, Some(1), "{errors}");
            let is_safe = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
            assert!(out.chars().all(is_safe), "{format}: {out:?}");
            assert!(
                !out.lines().any(|line| line.starts_with("::error::")),
                "{out}"
            );
        }
    }
}
