//! Just enough Lua to find the `}` that ends a `*_by_lua_block`: strings, long brackets and comments may hold
//! braces. It must not try to understand more.

/// The index of the closing `}`, given the bytes after the opening `{`.
pub(crate) fn block_len(lua: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = lua.get(at) {
        at = match byte {
            b'{' => {
                depth += 1;
                at + 1
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => {
                depth -= 1;
                at + 1
            }
            b'"' | b'\'' => string_end(lua, at + 1, byte)?,
            b'-' if lua.get(at + 1) == Some(&b'-') => comment_end(lua, at + 2)?,
            b'[' => match long_bracket(lua, at) {
                Some(level) => long_end(lua, at + level + 2, level)?,
                None => at + 1,
            },
            _ => at + 1,
        };
    }
    None
}

/// After the closing quote. A Lua string may hold a line end only behind a backslash, yet one without its partner
/// is not ended at the line here: lua-nginx-module's lexer does not either.
fn string_end(lua: &[u8], mut at: usize, mark: u8) -> Option<usize> {
    loop {
        at += memchr::memchr2(mark, b'\\', lua.get(at..)?)?;
        if lua.get(at) == Some(&mark) {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// After the comment whose `--` was read.
fn comment_end(lua: &[u8], at: usize) -> Option<usize> {
    if let Some(level) = long_bracket(lua, at) {
        return long_end(lua, at + level + 2, level);
    }
    Some(at + memchr::memchr(b'\n', lua.get(at..)?)? + 1)
}

/// The number of `=` in `[==[`, if such a bracket begins here.
fn long_bracket(lua: &[u8], at: usize) -> Option<usize> {
    let rest = lua.get(at..)?.strip_prefix(b"[")?;
    let level = rest.iter().take_while(|&&byte| byte == b'=').count();
    (rest.get(level) == Some(&b'[')).then_some(level)
}

/// After the `]==]` of this level.
fn long_end(lua: &[u8], at: usize, level: usize) -> Option<usize> {
    let mut close = vec![b'='; level + 2];
    if let Some(first) = close.first_mut() {
        *first = b']';
    }
    if let Some(last) = close.last_mut() {
        *last = b']';
    }
    let found = memchr::memmem::find(lua.get(at..)?, &close)?;
    Some(at + found + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_ends_at_its_own_brace() {
        for (lua, rest) in [
            ("}", ""),
            (" local t = { a = {} } } x", " x"),
            (" s = \"}\" }!", "!"),
            (" s = '}\\'}' }!", "!"),
            (" s = \"\\\\\" }!", "!"),
            (" -- it's }\n }!", "!"),
            (" --[[ } ]] }!", "!"),
            (" --[==[ } ]] ]=] } ]==] }!", "!"),
            (" s = [[ } ]] }!", "!"),
            (" s = [=[ ]] } ]=] }!", "!"),
            (" t[i] = t[t[1]] }!", "!"),
            (" a = 1 - -1 }!", "!"),
            (" --[ not long }\n }!", "!"),
        ] {
            let len = block_len(lua.as_bytes()).expect(lua);
            assert_eq!(lua.get(len + 1..), Some(rest), "{lua}");
        }
    }

    #[test]
    fn an_open_block_has_no_end() {
        for lua in ["", "{}", "\"}", "[[ }", "--[[ }", "-- }", "'\\"] {
            assert_eq!(block_len(lua.as_bytes()), None, "{lua}");
        }
    }
}
