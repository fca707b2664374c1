//! The form of a kernel policy, as `policydb_read` reads it (security/selinux/ss/policydb.c): versions 24 to 35; what a
//! later version brings is refused, not guessed. What is kept is [`Policy`]'s business.

use std::collections::HashMap;

use super::policy::{Class, Conditional, Policy, PortLabel, Rule};
use super::reader::Reader;
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

impl Policy {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Option<()> {
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
