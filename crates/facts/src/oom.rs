//! Processes that the kernel killed for lack of memory, from its log (`mm/oom_kill.c`, `mm/memcontrol.c`).
//!
//! A process names itself: its name is told apart from the kernel's own words, and never leads to a cgroup or a pid.

use std::collections::VecDeque;

use bstr::ByteSlice as _;
use jiff::Timestamp;

use crate::kernel_log::KernelLine;
use crate::process::Cgroup;
use crate::text::holes;

/// Lines of one report: what comes before a kill and belongs to it. A report lists every process of the host.
const RECENT: usize = 64;

/// A killed process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomKill {
    /// When.
    pub at: Timestamp,
    /// The process, as the host's first pid namespace numbers it.
    pub pid: u32,
    /// What it called itself: 15 bytes at most.
    pub name: String,
    /// Where it stood in the tree of control groups, where the kernel says so (4.19 on).
    pub cgroup: Option<Cgroup>,
    /// The control group that had reached its limit; `None` where it was the host, or is not said.
    pub limit: Option<String>,
    /// That limit in KiB.
    pub limit_kib: Option<u64>,
    /// Whether it was a control group's limit, and not the host that had no more.
    pub is_of_cgroup: bool,
    /// Whether it was this process that asked for the memory: an idle one asks for none. `false` also where the log does
    /// not say who did.
    pub asked_itself: bool,
    /// The line.
    pub text: String,
}

/// The kernel's word on where the next killed process stands.
struct Context {
    pid: u32,
    cgroup: Cgroup,
    limit: Option<String>,
}

/// The kills in a kernel's log.
pub fn kills(lines: &[KernelLine]) -> Vec<OomKill> {
    let mut kills = Vec::new();
    let mut contexts: VecDeque<Context> = VecDeque::new();
    let mut limit_kib = None;
    let (mut is_begun, mut asker) = (false, None);
    for line in lines {
        let text = line.text.as_bytes();
        if text.contains_str(INVOKED) {
            (is_begun, asker) = (true, None);
        } else if let Some(pid) = of_current(text).filter(|_| is_begun) {
            (is_begun, asker) = (false, Some(pid));
        } else if let Some(limit) = limit_of(text) {
            limit_kib = Some(limit);
        } else if let Some(context) = context(text) {
            contexts.push_back(context);
            if contexts.len() > RECENT {
                contexts.pop_front();
            }
        } else if let Some(killed) = killed(text) {
            let context = contexts
                .iter()
                .rposition(|context| context.pid == killed.pid);
            let context = context.and_then(|idx| contexts.remove(idx));
            let limit = context.as_ref().and_then(|context| context.limit.clone());
            kills.push(OomKill {
                at: line.at,
                pid: killed.pid,
                name: killed.name,
                limit_kib: limit_kib.take().filter(|_| killed.is_of_cgroup),
                limit,
                cgroup: context.map(|context| context.cgroup),
                is_of_cgroup: killed.is_of_cgroup,
                // A report may be left out where there are many: it is of the next kill alone.
                asked_itself: asker.take() == Some(killed.pid),
                text: line.text.clone(),
            });
        }
    }
    kills
}

struct Killed {
    pid: u32,
    name: String,
    is_of_cgroup: bool,
}

/// `Memory cgroup out of memory: Killed process 390 (python3) total-vm:93884kB, ...`; with `, UID 1000` before the
/// numbers in some kernels, and no prefix before 5.0.
fn killed(text: &[u8]) -> Option<Killed> {
    const PREFIXES: [(&str, bool); 4] = [
        ("Memory cgroup out of memory: ", true),
        ("Out of memory: ", false),
        ("Out of memory (oom_kill_allocating_task): ", false),
        ("", false),
    ];
    let (rest, is_of_cgroup) = PREFIXES.iter().find_map(|(prefix, is_of_cgroup)| {
        let rest = text.strip_prefix(prefix.as_bytes())?;
        Some((rest.strip_prefix(b"Killed process ")?, *is_of_cgroup))
    })?;
    let [pid, rest] = holes(rest, "{} ({}")?;
    // The name may hold anything: it ends where the kernel goes on.
    let end = rest
        .rfind(b") total-vm:")
        .or_else(|| rest.rfind(b"), UID "))?;
    Some(Killed {
        pid: crate::text::number(pid)?,
        name: crate::text::owned(rest.get(..end)?),
        is_of_cgroup,
    })
}

/// `oom-kill:constraint=...,oom_memcg=/a,task_memcg=/a,task=python3,pid=390,uid=0`.
fn context(text: &[u8]) -> Option<Context> {
    let [head, cgroup, rest] = holes(text, "oom-kill:constraint={},task_memcg={},task={}")?;
    // Who may name a control group could write such words into its name.
    if rest.contains_str(",task_memcg=") || cgroup.contains(&b',') {
        return None;
    }
    let (_, pid) = rest.rsplit_once_str(",pid=")?;
    let pid = pid.split(|&byte| byte == b',').next()?;
    let limit = head
        .rsplit_once_str(",oom_memcg=")
        .map(|(_, limit)| crate::text::owned(limit));
    Some(Context {
        pid: crate::text::number(pid)?,
        cgroup: Cgroup::parse(&[b"0::", cgroup].concat()),
        limit,
    })
}

/// What a report begins with, after the name of the process that asked for memory: `gunicorn invoked oom-killer: ...`.
const INVOKED: &str = " invoked oom-killer: gfp_mask=";

/// Whose process the report was made in: `CPU: 0 UID: 0 PID: 4119 Comm: gunicorn Not tainted ...`, without `UID` before
/// 6.12 (`dump_stack_print_info`). It is the number of a thread: of a process's first one, the process's own.
fn of_current(text: &[u8]) -> Option<u32> {
    let [_, pid, _] = holes(text, "CPU: {}PID: {} Comm: {}")?;
    crate::text::number(pid)
}

/// `memory: usage 65536kB, limit 65536kB, failcnt 21`.
fn limit_of(text: &[u8]) -> Option<u64> {
    let [_, limit, _] = holes(text, "memory: usage {}kB, limit {}kB, failcnt {}")?;
    crate::text::number(limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str) -> Vec<KernelLine> {
        let line = |text: &str| KernelLine {
            at: Timestamp::UNIX_EPOCH,
            text: text.to_owned(),
        };
        text.lines().map(line).collect()
    }

    fn one(text: &str) -> OomKill {
        let mut kills = kills(&lines(text));
        assert_eq!(kills.len(), 1, "{text}");
        kills.remove(0)
    }

    /// Linux 6.1 (Debian 12), cgroup v2, the numbers of each process left out.
    const OF_A_UNIT: &str = "\
python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
memory: usage 61440kB, limit 61440kB, failcnt 84
swap: usage 0kB, limit 9007199254740988kB, failcnt 0
Memory cgroup stats for /system.slice/usock.service:
oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/usock.service,task_memcg=/system.slice/usock.service,task=python3,pid=398,uid=0
Memory cgroup out of memory: Killed process 398 (python3) total-vm:218960kB, anon-rss:61064kB, file-rss:4368kB, shmem-rss:0kB, UID:0 pgtables:184kB oom_score_adj:0
oom_reaper: reaped process 398 (python3), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB
";

    #[test]
    fn a_kill_at_a_units_limit_names_unit_and_limit() {
        let kill = one(OF_A_UNIT);
        assert_eq!((kill.pid, kill.name.as_str()), (398, "python3"));
        assert_eq!(kill.cgroup.unwrap().unit.as_deref(), Some("usock.service"));
        assert_eq!(kill.limit.as_deref(), Some("/system.slice/usock.service"));
        assert_eq!((kill.limit_kib, kill.is_of_cgroup), (Some(61440), true));
    }

    #[test]
    fn who_asked_for_the_memory_is_told_of_the_next_kill_alone() {
        let asked = |report: &str| {
            let text = format!(
                "{report}\nOut of memory: Killed process 7 (a) total-vm:1kB\nOut of memory: Killed process 7 (a) total-vm:1kB"
            );
            let kills = kills(&lines(&text));
            kills
                .iter()
                .map(|kill| kill.asked_itself)
                .collect::<Vec<_>>()
        };
        let invoked =
            "a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n";
        for (current, expected) in [
            ("CPU: 0 UID: 33 PID: 7 Comm: a Not tainted 6.18.44 #1", true),
            ("CPU: 1 PID: 7 Comm: a Not tainted 6.1.0 #1", true),
            (
                "CPU: 1 PID: 8 Comm: PID: 7 Comm: Not tainted 6.1.0 #1",
                false,
            ),
            ("memory: usage 1kB, limit 1kB, failcnt 1", false),
        ] {
            assert_eq!(
                asked(&format!("{invoked}{current}")),
                [expected, false],
                "{current}"
            );
            // Without a report before it the line is of something else.
            assert_eq!(asked(current), [false, false], "{current}");
        }
    }

    #[test]
    fn other_kernels_lines_are_read() {
        for (text, name, is_of_cgroup) in [
            (
                "Out of memory: Killed process 7 (java) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
                "java",
                false,
            ),
            (
                "Killed process 7 (java) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB",
                "java",
                false,
            ),
            (
                "Killed process 7 (java), UID 1001, total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB",
                "java",
                false,
            ),
            (
                "Memory cgroup out of memory: Killed process 7 (a) total-vm:b) total-vm:1kB",
                "a) total-vm:b",
                true,
            ),
        ] {
            let kill = one(text);
            assert_eq!(
                (kill.pid, kill.name.as_str(), kill.is_of_cgroup),
                (7, name, is_of_cgroup),
                "{text}"
            );
            assert_eq!((kill.cgroup, kill.limit), (None, None), "{text}");
        }
    }

    #[test]
    fn the_host_has_no_limit_to_name() {
        let kill = one("\
oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=shop.service,mems_allowed=0,global_oom,task_memcg=/system.slice/shop.service,task=ruby,pid=7,uid=33
Out of memory: Killed process 7 (ruby) total-vm:1kB, anon-rss:1kB");
        assert_eq!(kill.cgroup.unwrap().unit.as_deref(), Some("shop.service"));
        assert_eq!((kill.limit, kill.is_of_cgroup), (None, false));
    }

    #[test]
    fn a_name_that_looks_like_the_kernels_words_leads_nowhere() {
        for line in [
            "oom-kill:constraint=CONSTRAINT_NONE,global_oom,task_memcg=/x,task_memcg=/system.slice/shop.service,task=a,pid=7,uid=33",
            "oom-kill:constraint=CONSTRAINT_NONE,global_oom,task_memcg=/x,task=b,task_memcg=/y,task=a,pid=7,uid=33",
            "oom-kill:constraint=CONSTRAINT_NONE,global_oom,task_memcg=/system.slice/shop.service,task=a,pid=8,uid=33",
        ] {
            let kill = one(&format!(
                "{line}\nOut of memory: Killed process 7 (a) total-vm:1kB"
            ));
            assert_eq!(kill.cgroup, None, "{line}");
        }
        assert_eq!(
            kills(&lines(
                "x Out of memory: Killed process 7 (a) total-vm:1kB\nOut of memory: Killed process seven (a) total-vm:1kB"
            )),
            []
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(rest in "[ -~]{0,60}", start in 0usize..4) {
            const STARTS: [&str; 4] = [
                "oom-kill:constraint=x,task_memcg=",
                "Out of memory: Killed process 7 (",
                "memory: usage 1kB, limit ",
                "",
            ];
            kills(&lines(&format!("{}{rest}", STARTS[start])));
        }
    }
}
