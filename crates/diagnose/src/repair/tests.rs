//! Tests of plans: which fixes become one, how each command is undone, and that nothing else of a file changes.

use proptest::prelude::*;

use super::*;

fn fix(safety: Safety, steps: Vec<Step>) -> Fix {
    Fix {
        summary: "mend it".to_owned(),
        safety,
        steps,
        verify: None,
    }
}

fn command(text: &str) -> Step {
    Step::Command {
        argv: text.split(' ').map(str::to_owned).collect(),
    }
}

fn edit(file: &str, line: usize, old: &str, new: &str) -> Step {
    Step::Edit {
        file: PathBuf::from(file),
        line,
        old: old.to_owned(),
        new: new.to_owned(),
    }
}

fn advice(text: &str) -> Step {
    Step::Advice {
        text: text.to_owned(),
    }
}

#[test]
fn a_file_is_written_once_then_tested_and_reloaded() {
    let plan = Repair::of(&fix(
        Safety::Unsafe,
        vec![
            edit("/a", 1, "x;", "y;"),
            edit("/b", 1, "x;", "y;"),
            edit("/a", 9, "x;", "y;"),
            command("nginx -p /p -c /c -t"),
            command("systemctl reload web.service"),
            advice("make it last"),
        ],
    ))
    .unwrap();
    let [
        Act::Write { hunks, .. },
        Act::Write { .. },
        Act::Test { .. },
        Act::Reload { unit },
    ] = plan.acts.as_slice()
    else {
        panic!("{plan:?}")
    };
    assert_eq!(hunks.len(), 2);
    assert_eq!(unit.as_deref(), Some("web.service"));
    assert_eq!(plan.remarks, ["make it last"]);
}

#[test]
fn what_a_person_has_to_judge_or_do_first_is_no_plan() {
    let run = || command("chmod 660 /run/x.sock");
    let unfit = |safety, steps| Repair::of(&fix(safety, steps)).unwrap_err();
    assert!(matches!(
        unfit(Safety::DisplayOnly, vec![run()]),
        Unfit::ShownOnly(_)
    ));
    assert!(matches!(
        unfit(Safety::Unsafe, vec![advice("look"), run()]),
        Unfit::PersonFirst(_)
    ));
    // nginx tests what it is told to take, so nobody has to look first.
    let reload = vec![
        advice("look"),
        command("nginx -t"),
        command("nginx -s reload"),
    ];
    assert_eq!(
        Repair::of(&fix(Safety::Unsafe, reload)).unwrap().remarks,
        ["look"]
    );
    assert!(matches!(
        unfit(Safety::Unsafe, vec![advice("look")]),
        Unfit::ShownOnly(_)
    ));
    assert!(matches!(
        unfit(Safety::Unsafe, vec![command("nginx -t")]),
        Unfit::ShownOnly(_)
    ));
}

#[test]
fn a_command_without_a_way_back_is_not_run() {
    for text in [
        "kill -QUIT 17",
        "semodule -i nginx_local.cil",
        "rm -rf /",
        "sh -c true",
        "chmod 660 run/x.sock",
        "setsebool -P -x 1",
        "kill -CONT 1 -9",
        "semanage port -m -t http_port_t -p tcp 8000",
        "ip route del unreachable 10.0.0.0/8",
        "nsenter -t 1x -n sysctl -w a=b",
        "systemctl start --root=/x",
    ] {
        let plan = Repair::of(&fix(Safety::Unsafe, vec![command(text)]));
        assert_eq!(plan, Err(Unfit::NoWayBack(text.to_owned())), "{text}");
    }
}

#[test]
fn each_command_knows_its_way_back() {
    let undo = |text: &str| {
        let plan = Repair::of(&fix(Safety::Unsafe, vec![command(text)])).unwrap();
        match plan.acts.into_iter().next() {
            Some(Act::Run(command)) => command.undo,
            other => panic!("{text}: {other:?}"),
        }
    };
    for (text, back) in [
        (
            "systemctl start shop.service",
            "systemctl stop shop.service",
        ),
        ("kill -CONT 17 18", "kill -STOP 17 18"),
        (
            "setsebool -P httpd_can_network_connect 1",
            "setsebool -P httpd_can_network_connect 0",
        ),
        (
            "semanage port -a -t http_port_t -p tcp 8000",
            "semanage port -d -t http_port_t -p tcp 8000",
        ),
        ("chattr -i /var/lib/nginx", "chattr +i /var/lib/nginx"),
        (
            "iptables -t filter -I OUTPUT 1 -p tcp -d 10.77.0.2 --dport 9000 -j ACCEPT",
            "iptables -t filter -D OUTPUT -p tcp -d 10.77.0.2 --dport 9000 -j ACCEPT",
        ),
        (
            "nsenter -t 9 -n iptables -t filter -A INPUT -p tcp -j ACCEPT",
            "nsenter -t 9 -n iptables -t filter -D INPUT -p tcp -j ACCEPT",
        ),
        (
            "ufw prepend allow out proto tcp to 10.77.0.2 port 9000",
            "ufw delete allow out proto tcp to 10.77.0.2 port 9000",
        ),
    ] {
        assert_eq!(
            undo(text),
            Undo::Run(back.split(' ').map(str::to_owned).collect()),
            "{text}"
        );
    }
    assert_eq!(
        undo("chgrp www-data /run/x.sock"),
        Undo::Attributes(PathBuf::from("/run/x.sock"))
    );
    assert_eq!(undo("systemctl restart shop.service"), Undo::Again);
}

#[test]
fn a_text_is_looked_for_on_its_own_line_only() {
    let file = b"a x;\nb x;\nc x; x;\nd {\n  e;\n}\n";
    let change = |line, old, new| edited(file, &[Hunk::new(line, old, new)]);
    assert_eq!(
        change(2, "x;", "y;").unwrap(),
        "a x;\nb y;\nc x; x;\nd {\n  e;\n}\n"
    );
    assert_eq!(
        change(4, "d {\n  e;\n}", "d;").unwrap(),
        "a x;\nb x;\nc x; x;\nd;\n"
    );
    assert_eq!(change(3, "x;", "y;"), Err(Misfit::Twice(3)));
    assert_eq!(change(1, "b x;", "y;"), Err(Misfit::Gone(1)));
    assert_eq!(change(99, "x;", "y;"), Err(Misfit::Gone(99)));
    let both = [Hunk::new(1, "a x;", "y;"), Hunk::new(1, "x;", "z;")];
    assert_eq!(edited(file, &both), Err(Misfit::Overlap(1)));
}

#[test]
fn new_lines_end_as_those_of_the_file() {
    let new = edited(b"a;\r\nb;\r\n", &[Hunk::new(1, "a;", "a;\nc;")]).unwrap();
    assert_eq!(new, "a;\r\nc;\r\nb;\r\n");
}

proptest! {
    #[test]
    fn nothing_else_of_a_file_changes(lines in prop::collection::vec("[ab;{}\r ]{0,6}", 1..8), at in 0_usize..8) {
        let at = at % lines.len();
        let mut lines = lines;
        lines[at].insert_str(0, "OLD");
        let file = lines.join("\n");
        let new = edited(file.as_bytes(), &[Hunk::new(at + 1, "OLD", "NEW")]).unwrap();
        prop_assert_eq!(new, file.replace("OLD", "NEW"));
    }
}

#[test]
fn a_rule_is_found_by_its_comment() {
    let listing = b"table inet f { # handle 1\n\tchain out {\n\t\tip daddr 10.0.0.2 tcp dport 9000 accept comment \"why502-ab12\" # handle 7\n\t\tdrop # handle 4\n\t}\n}\n";
    assert_eq!(handle_of(listing, "why502-ab12"), Some(7));
    assert_eq!(handle_of(listing, "why502-ab1"), None);
}
