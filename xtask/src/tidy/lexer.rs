//! Splits Rust source into code and comments, so that a rule about code does not trip over a word
//! in a comment or a string.
//!
//! Not a parser: it knows comments, strings and character literals, which is all the rules need.
//! Invariant: both outputs have the lines of the input, so a line number means the same in each.

/// Source with everything else blanked out.
#[derive(Debug)]
pub(super) struct Split {
    /// Code alone.
    pub(super) code: String,
    /// Comments alone, documentation included.
    pub(super) comments: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Splits a source file.
pub(super) fn split(source: &str) -> Split {
    let mut split = Split { code: String::new(), comments: String::new() };
    let mut rest = source;
    while !rest.is_empty() {
        let (length, kind) = token(rest);
        // The fallback cannot happen: every length below ends at a character.
        let (text, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        for character in text.chars() {
            let blank = if character == '\n' { '\n' } else { ' ' };
            split.code.push(if kind == Kind::Code { character } else { blank });
            split.comments.push(if kind == Kind::Comment { character } else { blank });
        }
        rest = after;
    }
    split
}

/// True for characters of names.
pub(super) fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Length in bytes and kind of the first token.
fn token(rest: &str) -> (usize, Kind) {
    if rest.starts_with("//") {
        (rest.find('\n').unwrap_or(rest.len()), Kind::Comment)
    } else if rest.starts_with("/*") {
        (block_comment(rest), Kind::Comment)
    } else if let Some(length) = raw_string(rest) {
        (length, Kind::Literal)
    } else if rest.starts_with('"') {
        (quoted(rest, '"'), Kind::Literal)
    } else if is_character_literal(rest) {
        (quoted(rest, '\''), Kind::Literal)
    } else {
        // A name is taken whole: the r at the end of `for` starts no raw string.
        let name = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        let first = rest.chars().next().map_or(0, char::len_utf8);
        (name.max(first), Kind::Code)
    }
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut after_mark = 0;
    for (at, pair) in rest.as_bytes().windows(2).enumerate() {
        if at < after_mark {
            continue;
        }
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth = depth.saturating_sub(1),
            _ => continue,
        }
        after_mark = at + 2;
        if depth == 0 {
            return after_mark;
        }
    }
    rest.len()
}

/// `r"..."`, `br#"..."#` and so on; `None` if this is something else.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| after.starts_with(['"', '#']))
    })?;
    let after_prefix = rest.strip_prefix(prefix)?;
    let body = after_prefix.trim_start_matches('#');
    let hashes = after_prefix.len() - body.len();
    let body = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opening = prefix.len() + hashes + 1;
    Some(body.find(&end).map_or(rest.len(), |at| opening + at + end.len()))
}

/// A literal in quotes with backslash escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_character_literal(rest: &str) -> bool {
    let mut characters = rest.chars();
    characters.next() == Some('\'')
        && (characters.next() == Some('\\') || characters.next() == Some('\''))
}

#[cfg(test)]
mod tests;
