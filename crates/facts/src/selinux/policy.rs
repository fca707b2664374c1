//! The policy the kernel has loaded, as `/sys/fs/selinux/policy` gives it: which port bears which type, and which
//! boolean would let a domain through.
//!
//! No program is needed for that, and none is on every host: `semanage` and `sesearch` come with packages that servers
//! often lack. What is allowed *now* the kernel says itself (`ProbeRequest::SelinuxAccess`), so only rules that hang on
//! booleans are kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::reader::{Bits, Reader};

/// What is kept of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Types, attributes and aliases by name.
    pub(super) types: HashMap<String, u32>,
    /// The names of types and attributes by value.
    pub(super) names: BTreeMap<u32, String>,
    /// The values of attributes: each stands for types, and is none.
    pub(super) groups: BTreeSet<u32>,
    pub(super) classes: HashMap<String, Class>,
    /// Booleans by value.
    pub(super) booleans: BTreeMap<u32, String>,
    pub(super) conditional: Vec<Conditional>,
    pub(super) ports: Vec<PortLabel>,
    /// For each type, by value less one, itself and its attributes.
    pub(super) attributes: Vec<Bits>,
}

/// A class and the bits of its permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) value: u32,
    pub(super) permissions: HashMap<String, u32>,
}

/// Rules that hold while one boolean is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conditional {
    pub(super) boolean: u32,
    pub(super) when: bool,
    pub(super) rules: Vec<Rule>,
}

/// An `allow` rule; source and target may be attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) source: u32,
    pub(super) target: u32,
    pub(super) class: u32,
    pub(super) permissions: u32,
}

/// Ports and their type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortLabel {
    pub(super) low: u32,
    pub(super) high: u32,
    pub(super) kind: u32,
}

/// A boolean that, set so, lets a domain through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub name: String,
    /// What it has to be.
    pub on: bool,
    /// How many types it opens besides: the fewer, the narrower.
    pub opens: usize,
}

impl Policy {
    /// Reads a kernel policy; `None` where it is none, or of a version that is not known.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut policy = Self::default();
        policy.read(&mut reader)?;
        Some(policy)
    }

    /// The type of a TCP port; the first entry that holds it counts, as in `security_port_sid`.
    pub fn tcp_port(&self, port: u16) -> Option<&str> {
        let label = self.ports.iter().find(|label| label.holds(port))?;
        self.name(label.kind)
    }

    /// Whether exactly this TCP port has an entry of its own, which `semanage port -m` changes; else `-a` adds one.
    pub fn has_own_label(&self, port: u16) -> bool {
        let port = u32::from(port);
        self.ports
            .iter()
            .any(|label| label.low == port && label.high == port)
    }

    /// The TCP ports of a type as `semanage port -l` shows them.
    pub fn ports_of(&self, kind: &str) -> String {
        let kind = self.types.get(kind);
        let of_kind = self.ports.iter().filter(|label| Some(&label.kind) == kind);
        let shown = of_kind.map(|label| {
            if label.low == label.high {
                label.low.to_string()
            } else {
                format!("{}-{}", label.low, label.high)
            }
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Whether the policy has a type of this name.
    pub fn has_type(&self, name: &str) -> bool {
        self.types.contains_key(name)
    }

    /// The type that a name stands for, which may be an alias.
    pub fn real_name(&self, name: &str) -> Option<&str> {
        self.name(*self.types.get(name)?)
    }

    /// The booleans each of which alone would let `source` do this to `target`, the one that opens least first.
    pub fn switches(
        &self,
        source: &str,
        target: &str,
        class: &str,
        permission: &str,
    ) -> Vec<Switch> {
        self.switches_of(source, target, class, permission)
            .unwrap_or_default()
    }

    fn switches_of(
        &self,
        source: &str,
        target: &str,
        class: &str,
        permission: &str,
    ) -> Option<Vec<Switch>> {
        let (source, target) = (*self.types.get(source)?, *self.types.get(target)?);
        let class = self.classes.get(class)?;
        let bit = class.permissions.get(permission)?;
        let wanted = Rule {
            source,
            target,
            class: class.value,
            permissions: 1_u32.checked_shl(bit.checked_sub(1)?)?,
        };
        let mut switches: Vec<Switch> = Vec::new();
        for conditional in &self.conditional {
            let name = self.booleans.get(&conditional.boolean)?;
            let lets = |rule: &&Rule| self.covers(rule, &wanted);
            let is_new = !switches
                .iter()
                .any(|switch| switch.name == *name && switch.on == conditional.when);
            if is_new && conditional.rules.iter().any(|rule| lets(&rule)) {
                switches.push(Switch {
                    name: name.clone(),
                    on: conditional.when,
                    opens: self.opened(conditional.boolean, conditional.when, &wanted),
                });
            }
        }
        switches.sort_by(|one, other| (one.opens, &one.name).cmp(&(other.opens, &other.name)));
        Some(switches)
    }

    /// How many types a boolean lets the source do the wanted to.
    fn opened(&self, boolean: u32, when: bool, wanted: &Rule) -> usize {
        let rules = self
            .conditional
            .iter()
            .filter(|conditional| (conditional.boolean, conditional.when) == (boolean, when))
            .flat_map(|conditional| &conditional.rules);
        let mut opened = BTreeSet::new();
        for rule in rules {
            let is_alike = rule.class == wanted.class
                && rule.permissions & wanted.permissions != 0
                && self.is_a(wanted.source, rule.source);
            if is_alike {
                let types = (1..).zip(&self.attributes);
                let held = types.filter(|(value, attributes)| {
                    attributes.has(rule.target) && !self.groups.contains(value)
                });
                opened.extend(held.map(|(value, _): (u32, _)| value));
            }
        }
        opened.len()
    }

    fn covers(&self, rule: &Rule, wanted: &Rule) -> bool {
        rule.class == wanted.class
            && rule.permissions & wanted.permissions != 0
            && self.is_a(wanted.source, rule.source)
            && self.is_a(wanted.target, rule.target)
    }

    /// Whether a type is, or bears, another.
    fn is_a(&self, kind: u32, of: u32) -> bool {
        let place = usize::try_from(kind)
            .ok()
            .and_then(|kind| kind.checked_sub(1));
        let attributes = place.and_then(|place| self.attributes.get(place));
        kind == of || attributes.is_some_and(|attributes| attributes.has(of))
    }

    fn name(&self, value: u32) -> Option<&str> {
        self.names.get(&value).map(String::as_str)
    }
}

impl PortLabel {
    fn holds(&self, port: u16) -> bool {
        (self.low..=self.high).contains(&u32::from(port))
    }
}
