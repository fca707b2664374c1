//! The policy the kernel has loaded, as `/sys/fs/selinux/policy` gives it: which port bears which type, and which
//! boolean would let a domain through.
//!
//! No program is needed for that, and none is on every host: `semanage` and `sesearch` come with packages that servers
//! often lack. What is allowed *now* the kernel says itself (`ProbeRequest::SelinuxAccess`), so only rules that hang on
//! booleans are kept. The form is that of `policydb_read` (security/selinux/ss/policydb.c), versions 24 to 35; what a
//! later version brings is refused, not guessed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::reader::{Bits, Reader};
use crate::text::owned;

/// `SELINUX_MAGIC` and the string after it.
const MAGIC: u32 = 0xf97c_ff8c;
const IDENTITY: &[u8] = b"SE Linux";
/// Since Linux 2.6.28 (`POLICYDB_VERSION_BOUNDARY`) and the newest that is known (`POLICYDB_VERSION_NEVERAUDIT`).
const VERSIONS: std::ops::RangeInclusive<u32> = 24..=35;
const ROLE_TRANSITION_CLASS: u32 = 26;
const NEW_OBJECT_DEFAULTS: u32 = 27;
const DEFAULT_TYPE: u32 = 28;
const CONSTRAINT_NAMES: u32 = 29;
const COMPRESSED_TRANSITIONS: u32 = 33;
const NEVER_AUDIT: u32 = 35;
/// `AVTAB_ALLOWED` and the rules with 256 permissions (`AVTAB_XPERMS`).
const ALLOWED: u16 = 0x1;
const EXTENDED: u16 = 0x700;
/// `COND_BOOL` and `COND_NOT` of a condition in postfix.
const COND_BOOL: u32 = 1;
const COND_NOT: u32 = 2;
/// `IPPROTO_TCP`.
const TCP: u32 = 6;

/// What is kept of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Types, attributes and aliases by name.
    types: HashMap<String, u32>,
    /// The names of types and attributes by value.
    names: BTreeMap<u32, String>,
    /// The values of attributes: each stands for types, and is none.
    groups: BTreeSet<u32>,
    classes: HashMap<String, Class>,
    /// Booleans by value.
    booleans: BTreeMap<u32, String>,
    conditional: Vec<Conditional>,
    ports: Vec<PortLabel>,
    /// For each type, by value less one, itself and its attributes.
    attributes: Vec<Bits>,
}

/// A class and the bits of its permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Class {
    value: u32,
    permissions: HashMap<String, u32>,
}

/// Rules that hold while one boolean is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Conditional {
    boolean: u32,
    when: bool,
    rules: Vec<Rule>,
}

/// An `allow` rule; source and target may be attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    source: u32,
    target: u32,
    class: u32,
    permissions: u32,
}

/// Ports and their type.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PortLabel {
    low: u32,
    high: u32,
    kind: u32,
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

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        if reader.u32()? != MAGIC {
            return None;
        }
        let length = reader.u32()?;
        if reader.bytes(length)? != IDENTITY {
            return None;
        }
        let version = Some(reader.u32()?).filter(|version| VERSIONS.contains(version))?;
        let (_config, symbols, contexts) = (reader.u32()?, reader.u32()?, reader.u32()?);
        // Capabilities, permissive domains and, later, domains that are never audited.
        let sets = if version >= NEVER_AUDIT { 3 } else { 2 };
        for _ in 0..sets {
            reader.bits()?;
        }
        let n_types = self.symbols(reader, symbols, version)?;
        let mut unconditional = Vec::new();
        reader.times(|reader| rule(reader, &mut unconditional))?;
        drop(unconditional);
        let n_conditions = reader.u32()?;
        for _ in 0..n_conditions {
            self.condition(reader)?;
        }
        transitions(reader, version)?;
        self.contexts(reader, contexts)?;
        // Names in file systems without labels of their own, and ranges that programs start with.
        reader.times(|reader| {
            reader.string()?;
            reader.times(|reader| {
                reader.string()?;
                reader.skip(1)?;
                context(reader).map(drop)
            })
        })?;
        reader.times(|reader| {
            reader.skip(3)?;
            range(reader)
        })?;
        for _ in 0..n_types {
            self.attributes.push(reader.bits()?);
        }
        Some(())
    }

    /// Commons, classes, roles, types, users, booleans, levels and categories; the number of types.
    fn symbols(&mut self, reader: &mut Reader<'_>, tables: u32, version: u32) -> Option<u32> {
        let mut n_types = 0;
        let mut commons = HashMap::new();
        // A class has the permissions of its common too.
        let mut sharing = Vec::new();
        for table in 0..tables {
            let primary = reader.u32()?;
            let entries = reader.u32()?;
            for _ in 0..entries {
                match table {
                    0 => {
                        let (name, permissions) = common(reader)?;
                        commons.insert(name, permissions);
                    }
                    1 => {
                        let (name, common, class) = class(reader, version)?;
                        sharing.push((name.clone(), common));
                        self.classes.insert(name, class);
                    }
                    2 => role(reader)?,
                    3 => self.kind(reader)?,
                    4 => user(reader)?,
                    5 => self.boolean(reader)?,
                    6 => {
                        let length = reader.u32()?;
                        reader.skip(1)?;
                        reader.bytes(length)?;
                        level(reader)?;
                    }
                    7 => {
                        let length = reader.u32()?;
                        reader.skip(2)?;
                        reader.bytes(length)?;
                    }
                    _ => return None,
                }
            }
            if table == 3 {
                n_types = primary;
            }
        }
        for (class, common) in sharing {
            let shared = commons.get(&common).cloned().unwrap_or_default();
            if let Some(class) = self.classes.get_mut(&class) {
                class.permissions.extend(shared);
            }
        }
        Some(n_types)
    }

    /// A type, an attribute or an alias.
    fn kind(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (length, value) = (reader.u32()?, reader.u32()?);
        let properties = reader.u32()?;
        reader.skip(1)?;
        let name = owned(reader.bytes(length)?);
        // `TYPEDATUM_PROPERTY_PRIMARY` or `_ATTRIBUTE`; an alias is neither.
        if properties & 3 != 0 {
            self.names.insert(value, name.clone());
        }
        if properties & 2 != 0 {
            self.groups.insert(value);
        }
        self.types.insert(name, value);
        Some(())
    }

    fn boolean(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let value = reader.u32()?;
        reader.skip(1)?;
        let length = reader.u32()?;
        self.booleans.insert(value, owned(reader.bytes(length)?));
        Some(())
    }

    /// A condition with the rules that hold when it is true, then those that hold when it is not.
    fn condition(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        reader.skip(1)?;
        let mut expression = Vec::new();
        reader.times(|reader| {
            expression.push((reader.u32()?, reader.u32()?));
            Some(())
        })?;
        let alone = match expression.as_slice() {
            [(COND_BOOL, boolean)] => Some((*boolean, true)),
            [(COND_BOOL, boolean), (COND_NOT, _)] => Some((*boolean, false)),
            // More than one boolean decides: none of them alone lets anything through.
            _ => None,
        };
        for is_true in [true, false] {
            let mut rules = Vec::new();
            reader.times(|reader| rule(reader, &mut rules))?;
            if let Some((boolean, when)) = alone.filter(|_| !rules.is_empty()) {
                self.conditional.push(Conditional {
                    boolean,
                    when: when == is_true,
                    rules,
                });
            }
        }
        Some(())
    }

    /// The contexts of what the kernel itself labels: initial, file systems, ports, interfaces, hosts and InfiniBand.
    fn contexts(&mut self, reader: &mut Reader<'_>, tables: u32) -> Option<()> {
        for table in 0..tables {
            let entries = reader.u32()?;
            for _ in 0..entries {
                match table {
                    0 => reader.skip(1)?,
                    1 | 3 => {
                        reader.string()?;
                        context(reader)?;
                    }
                    2 => {
                        let protocol = reader.u32()?;
                        let (low, high) = (reader.u32()?, reader.u32()?);
                        let kind = context(reader)?;
                        if protocol == TCP {
                            self.ports.push(PortLabel { low, high, kind });
                        }
                        continue;
                    }
                    4 => reader.skip(2)?,
                    5 => {
                        reader.skip(1)?;
                        reader.string()?;
                    }
                    6 => reader.skip(8)?,
                    7 => reader.skip(4)?,
                    8 => {
                        let length = reader.u32()?;
                        reader.skip(1)?;
                        reader.bytes(length)?;
                    }
                    _ => return None,
                }
                context(reader)?;
            }
        }
        Some(())
    }
}

impl PortLabel {
    fn holds(&self, port: u16) -> bool {
        (self.low..=self.high).contains(&u32::from(port))
    }
}

fn common(reader: &mut Reader<'_>) -> Option<(String, HashMap<String, u32>)> {
    let length = reader.u32()?;
    reader.skip(2)?;
    let n_permissions = reader.u32()?;
    let name = owned(reader.bytes(length)?);
    Some((name, permissions(reader, n_permissions)?))
}

/// A class with its name and the name of its common, which may be empty.
fn class(reader: &mut Reader<'_>, version: u32) -> Option<(String, String, Class)> {
    let (length, common_length) = (reader.u32()?, reader.u32()?);
    let value = reader.u32()?;
    reader.skip(1)?;
    let (n_permissions, n_constraints) = (reader.u32()?, reader.u32()?);
    let name = owned(reader.bytes(length)?);
    let common = owned(reader.bytes(common_length)?);
    let permissions = permissions(reader, n_permissions)?;
    for _ in 0..n_constraints {
        constraint(reader, version)?;
    }
    reader.times(|reader| constraint(reader, version))?;
    if version >= NEW_OBJECT_DEFAULTS {
        reader.skip(3)?;
    }
    if version >= DEFAULT_TYPE {
        reader.skip(1)?;
    }
    Some((name, common, Class { value, permissions }))
}

fn permissions(reader: &mut Reader<'_>, count: u32) -> Option<HashMap<String, u32>> {
    let mut permissions = HashMap::new();
    for _ in 0..count {
        let (length, value) = (reader.u32()?, reader.u32()?);
        permissions.insert(owned(reader.bytes(length)?), value);
    }
    Some(permissions)
}

fn constraint(reader: &mut Reader<'_>, version: u32) -> Option<()> {
    reader.skip(1)?;
    reader.times(|reader| {
        let kind = reader.u32()?;
        reader.skip(2)?;
        // `CEXPR_NAMES`.
        if kind == 5 {
            reader.bits()?;
            if version >= CONSTRAINT_NAMES {
                reader.bits()?;
                reader.bits()?;
                reader.skip(1)?;
            }
        }
        Some(())
    })
}

fn role(reader: &mut Reader<'_>) -> Option<()> {
    let length = reader.u32()?;
    reader.skip(2)?;
    reader.bytes(length)?;
    reader.bits()?;
    reader.bits().map(drop)
}

fn user(reader: &mut Reader<'_>) -> Option<()> {
    let length = reader.u32()?;
    reader.skip(2)?;
    reader.bytes(length)?;
    reader.bits()?;
    range(reader)?;
    level(reader)
}

fn level(reader: &mut Reader<'_>) -> Option<()> {
    reader.skip(1)?;
    reader.bits().map(drop)
}

fn range(reader: &mut Reader<'_>) -> Option<()> {
    let items = reader.u32()?;
    reader.skip(items)?;
    for _ in 0..items {
        reader.bits()?;
    }
    Some(())
}

/// A context; its type.
fn context(reader: &mut Reader<'_>) -> Option<u32> {
    reader.skip(2)?;
    let kind = reader.u32()?;
    range(reader)?;
    Some(kind)
}

/// A rule of access, kept where it is an `allow`.
fn rule(reader: &mut Reader<'_>, rules: &mut Vec<Rule>) -> Option<()> {
    let (source, target) = (reader.u16()?, reader.u16()?);
    let (class, specified) = (reader.u16()?, reader.u16()?);
    if specified & EXTENDED != 0 {
        // Kind and driver, a byte each, and 256 bits.
        reader.bytes(2)?;
        return reader.skip(8);
    }
    let permissions = reader.u32()?;
    if specified & ALLOWED != 0 {
        rules.push(Rule {
            source: source.into(),
            target: target.into(),
            class: class.into(),
            permissions,
        });
    }
    Some(())
}

/// How roles and the types of new files change; nothing of it is kept.
fn transitions(reader: &mut Reader<'_>, version: u32) -> Option<()> {
    let of_role = if version >= ROLE_TRANSITION_CLASS {
        4
    } else {
        3
    };
    reader.times(|reader| reader.skip(of_role))?;
    reader.times(|reader| reader.skip(2))?;
    if version < 25 {
        return Some(());
    }
    reader.times(|reader| {
        reader.string()?;
        if version < COMPRESSED_TRANSITIONS {
            return reader.skip(4);
        }
        reader.skip(2)?;
        reader.times(|reader| {
            reader.bits()?;
            reader.skip(1)
        })
    })
}
