//! `cargo xtask`: the project's own chores, each one command that works on a fresh checkout.
//!
//! It holds no knowledge of causes or hosts; what it tests and shows lives in the other crates.

mod bench;
mod check;
mod corpus;
mod demo;
mod fuzz;
#[cfg(test)]
mod layers;
mod packages;
mod pages;
mod run;
#[cfg(test)]
mod scenarios;

use std::process::ExitCode;

use bench::Bench;
use fuzz::Fuzz;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test                 install what the tests need, then format, lint, build, test
  test --repeat N lab  run the lab N times and count what does not hold every time
  lab vm               run only what needs a kernel of its own: virtual machines with SELinux and
                       with AppArmor (the first time it makes them, which takes some minutes)
  accuracy             run the lab once and print what was true against what was answered
  accuracy --corpus    judge the corpus, print the same of it, and write docs/accuracy.md
  corpus [CAUSE[::SCENARIO]]...
                       record scenarios of the lab anew as cases of the corpus
  gen                  write the cause pages in docs/causes anew
  demo                 break a real nginx on loopback and let why502 explain it
  bench [diagnose|conf|gate|logs]
                       measure speed and memory, and hold them against their bounds
  bench logs --big     the same of logs, and the memory for one of 20 GB
  fuzz [TARGET] [--seconds N]
                       look for input that the parsers do not bear (needs nightly)
";

enum Task {
    Test,
    RepeatLab(u32),
    Accuracy,
    AccuracyOfCorpus,
    Corpus(Vec<String>),
    LabVm,
    Gen,
    Demo,
    Bench(Bench),
    Fuzz(Fuzz),
}

impl Task {
    fn parse(args: &[&str]) -> Option<Self> {
        Some(match args {
            ["test"] => Self::Test,
            ["test", "--repeat", count, "lab"] => Self::RepeatLab(count.parse().ok()?),
            ["accuracy"] => Self::Accuracy,
            ["accuracy", "--corpus"] => Self::AccuracyOfCorpus,
            ["lab", "vm"] => Self::LabVm,
            ["corpus", wanted @ ..] => {
                Self::Corpus(wanted.iter().map(ToString::to_string).collect())
            }
            ["gen"] => Self::Gen,
            ["demo"] => Self::Demo,
            ["bench", rest @ ..] => Self::Bench(Bench::parse(rest)?),
            ["fuzz", rest @ ..] => Self::Fuzz(Fuzz::parse(rest)?),
            _ => return None,
        })
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Some(task) = Task::parse(&args) else {
        run::complain(USAGE);
        return ExitCode::from(2);
    };
    let done = match task {
        Task::Test => check::test(),
        Task::RepeatLab(count) => check::repeat_lab(count),
        Task::Accuracy => check::accuracy(),
        Task::AccuracyOfCorpus => corpus::accuracy(),
        Task::LabVm => check::lab_vm(),
        Task::Corpus(wanted) => corpus::record(&wanted),
        Task::Gen => pages::write(),
        Task::Demo => demo::run(),
        Task::Bench(what) => bench::run(&what),
        Task::Fuzz(what) => fuzz::run(&what),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::complain(&format!("xtask: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_commands_are_taken() {
        assert!(matches!(Task::parse(&["test"]), Some(Task::Test)));
        assert!(matches!(
            Task::parse(&["test", "--repeat", "3", "lab"]),
            Some(Task::RepeatLab(3))
        ));
        assert!(matches!(Task::parse(&["demo"]), Some(Task::Demo)));
        assert!(matches!(Task::parse(&["lab", "vm"]), Some(Task::LabVm)));
        assert!(matches!(
            Task::parse(&["bench", "conf"]),
            Some(Task::Bench(Bench::Conf))
        ));
        for wrong in [
            &[][..],
            &["bench", "everything"],
            &["test", "lab"],
            &["test", "--repeat", "x", "lab"],
            &["demo", "now"],
        ] {
            assert!(Task::parse(wrong).is_none(), "{wrong:?} was taken");
        }
    }
}
