//! From JSON to a rule file: a new one in the layout of the pack, or the changes of an existing one,
//! in which everything else stays byte by byte what it was.

use serde_json::{Map, Value};
use std::fmt::Write;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table};

/// Keys whose line breaks matter: they are written over several lines.
const TEXTS: [&str; 4] = ["query", "note", "setup", "message"];

/// How deep the values of a rule may nest.
pub const MAX_DEPTH: usize = 48;

/// The longest array that stands on one line, in characters.
const WIDTH: usize = 100;

/// Why something cannot be written as TOML.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteError {
    /// A number without a TOML form; JSON pointer.
    #[error("the number at `{0}` does not fit into 64 bits")]
    Number(String),
    /// It nests too deep; JSON pointer.
    #[error("`{0}` nests deeper than {MAX_DEPTH} levels")]
    Depth(String),
    /// The existing text is no TOML.
    #[error("the file is not valid TOML: {0}")]
    Toml(String),
    /// What should be a table is none.
    #[error("`{0}` is no table")]
    NoTable(String),
}

/// Takes what TOML has no form for out of a value: entries that are `null`. Gives their JSON pointers,
/// below `pointer`.
///
/// # Errors
/// For numbers that do not fit, and values that nest too deep.
pub fn strip_nulls(value: &mut Value, pointer: &str, gone: &mut Vec<String>) -> Result<(), WriteError> {
    strip(value, pointer, gone, 0)
}

fn strip(value: &mut Value, pointer: &str, gone: &mut Vec<String>, depth: usize) -> Result<(), WriteError> {
    if depth > MAX_DEPTH {
        return Err(WriteError::Depth(pointer.to_owned()));
    }
    let below = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(map) => {
            gone.extend(map.iter().filter(|(_, v)| v.is_null()).map(|(k, _)| below(k)));
            map.retain(|_, v| !v.is_null());
            map.iter_mut().try_for_each(|(k, v)| strip(v, &below(k), gone, depth + 1))
        }
        Value::Array(items) => {
            let nulls = items.iter().enumerate().filter(|(_, v)| v.is_null());
            gone.extend(nulls.map(|(i, _)| format!("{pointer}/{i}")));
            items.retain(|v| !v.is_null());
            let mut each = items.iter_mut().enumerate();
            each.try_for_each(|(i, v)| strip(v, &format!("{pointer}/{i}"), gone, depth + 1))
        }
        Value::Number(n) if n.is_u64() && !n.is_i64() => Err(WriteError::Number(pointer.to_owned())),
        _ => Ok(()),
    }
}

/// A file with the given tables, each as `[name]`: keys sorted, long texts and tables last. The values
/// hold no `null` (see [`strip_nulls`]).
pub fn document(tables: &[(&str, &Map<String, Value>)]) -> String {
    let mut out = String::new();
    for (name, map) in tables {
        table(&mut out, &key(name), "[", map);
    }
    out
}

/// Lists of tables, each as `[[name]]`.
pub fn lists(root: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (name, list) in root {
        for entry in list.as_array().into_iter().flatten().filter_map(Value::as_object) {
            table(&mut out, &key(name), "[[", entry);
        }
    }
    out
}

/// One table of a list, as `[[name]]`, its keys in the order that they have.
pub fn entry(name: &str, map: &Map<String, Value>) -> String {
    let lines = map.iter().map(|(k, v)| format!("{} = {}\n", key(k), value(k, v)));
    format!("[[{}]]\n{}", key(name), lines.collect::<String>())
}

fn table(out: &mut String, path: &str, bracket: &str, map: &Map<String, Value>) {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    entries.sort_by(|a, b| a.0.cmp(b.0));
    let (tables, mut plain): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(_, v)| is_table(v));
    // the query is what one looks for: it stands by itself, below the rest
    plain.sort_by_key(|(k, v)| *k == "query" && v.is_string());
    if !plain.is_empty() || tables.is_empty() || bracket == "[[" {
        if !out.is_empty() {
            out.push('\n');
        }
        let close = if bracket == "[" { "]" } else { "]]" };
        let _ = writeln!(out, "{bracket}{path}{close}");
    }
    let count = plain.len();
    for (i, (k, v)) in plain.into_iter().enumerate() {
        let alone = k == "query" && i > 0 && i + 1 == count && v.as_str().is_some_and(|t| t.contains('\n'));
        let _ = writeln!(out, "{}{} = {}", if alone { "\n" } else { "" }, key(k), value(k, v));
    }
    let (lists, single): (Vec<_>, Vec<_>) = tables.into_iter().partition(|(_, v)| v.is_array());
    // what a rule is about in ATT&CK comes first, and the list before its items
    let list = |out: &mut String, k: &str, v: &Value| {
        let path = format!("{path}.{}", key(k));
        for entry in v.as_array().into_iter().flatten().filter_map(Value::as_object) {
            table(out, &path, "[[", entry);
        }
    };
    let one = |out: &mut String, k: &str, v: &Value| {
        if let Some(below) = v.as_object() {
            table(out, &format!("{path}.{}", key(k)), "[", below);
        }
    };
    let first = |k: &str| k == "threat" || k == "container";
    single.iter().filter(|(k, _)| first(k)).for_each(|(k, v)| one(out, k, v));
    lists.iter().filter(|(k, _)| first(k)).for_each(|(k, v)| list(out, k, v));
    lists.iter().filter(|(k, _)| !first(k)).for_each(|(k, v)| list(out, k, v));
    single.iter().filter(|(k, _)| !first(k)).for_each(|(k, v)| one(out, k, v));
}

/// Whether a value stands below a header of its own.
fn is_table(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_object),
        _ => false,
    }
}

/// A key, quoted where it must be.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { escaped(name) }
}

/// A value behind `key =`.
fn value(key: &str, v: &Value) -> String {
    match v {
        Value::String(text) if TEXTS.contains(&key) => block(text),
        Value::Array(items) => {
            let parts: Vec<String> = items.iter().map(inline).collect();
            let line = format!("[{}]", parts.join(", "));
            if line.chars().count() <= WIDTH {
                return line;
            }
            format!("[\n{}]", parts.iter().map(|p| format!("    {p},\n")).collect::<String>())
        }
        other => inline(other),
    }
}

/// A value within a line.
fn inline(v: &Value) -> String {
    match v {
        Value::String(text) => line(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let parts: Vec<String> = map.iter().map(|(k, v)| format!("{} = {}", key(k), inline(v))).collect();
            format!("{{ {} }}", parts.join(", "))
        }
        other => other.to_string(),
    }
}

/// A string in one line.
fn line(text: &str) -> String {
    let plain = !text.chars().any(|c| c.is_control() && c != '\t');
    if plain && text.contains(['\\', '"']) && !text.contains('\'') {
        return format!("'{text}'");
    }
    // `\n` may be a line break of wrapping for `generate`; this one is meant
    let lines: Vec<String> = text.split('\n').map(escaped).collect();
    let inside = lines.iter().filter_map(|l| l.strip_prefix('"')?.strip_suffix('"'));
    format!("\"{}\"", inside.collect::<Vec<_>>().join("\\u000A"))
}

/// A string over several lines, if it has some and can be.
fn block(text: &str) -> String {
    let plain = !text.chars().any(|c| c.is_control() && c != '\t' && c != '\n');
    if !text.contains('\n') || !plain {
        return line(text);
    }
    if !text.contains("'''") && !text.ends_with('\'') {
        return format!("'''\n{text}'''");
    }
    if !text.contains(['\\']) && !text.contains("\"\"\"") && !text.ends_with('"') {
        return format!("\"\"\"\n{text}\"\"\"");
    }
    escaped(text)
}

/// A string with escapes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// An existing file with the `[rule]` table changed from `old` to `new`, and the keys that changed, in
/// the order of `new`, those that are gone last. `old` is what the file stands for today; a value that is
/// the same in both is not touched, so its comments, its quotes and its place stay. `fixed` keys are
/// left alone whatever `new` says.
///
/// # Errors
/// When the text is no TOML or has no `[rule]`.
pub fn change(
    text: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    fixed: &[&str],
) -> Result<(String, Vec<String>), WriteError> {
    let keep = |k: &&String| !fixed.contains(&k.as_str());
    let mut changed: Vec<String> = Vec::new();
    let out = edit(text, "rule", |rule| {
        for (k, v) in new.iter().filter(|(k, v)| keep(k) && old.get(*k) != Some(v)) {
            set(rule, k, old.get(k), v);
            changed.push(k.clone());
        }
        for k in old.keys().filter(keep).filter(|k| !new.contains_key(*k)) {
            remove(rule, k);
            changed.push(k.clone());
        }
    })?;
    Ok((out, changed))
}

/// An existing file with one key of a table set; the table is made if it is not there.
///
/// # Errors
/// When the text is no TOML.
pub fn with_key(text: &str, table: &str, name: &str, new: &Value) -> Result<String, WriteError> {
    edit(text, table, |t| set(t, name, None, new))
}

/// An existing file with a key above all tables, or a table itself, changed from `old`.
///
/// # Errors
/// When the text is no TOML.
pub fn with_root(text: &str, name: &str, old: Option<&Value>, new: &Value) -> Result<String, WriteError> {
    edit_document(text, |d| {
        set(d.as_item_mut(), name, old, new);
        Ok(())
    })
}

/// Edits a top-level table of a file.
fn edit(text: &str, table: &str, change: impl FnOnce(&mut Item)) -> Result<String, WriteError> {
    edit_document(text, |document| {
        let item = document.entry(table).or_insert_with(|| Item::Table(Table::new()));
        if !item.is_table_like() {
            return Err(WriteError::NoTable(table.to_owned()));
        }
        change(item);
        Ok(())
    })
}

/// Edits a file, whatever its line ends.
fn edit_document(
    text: &str,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), WriteError>,
) -> Result<String, WriteError> {
    let crlf = text.contains("\r\n");
    let unix = if crlf { text.replace("\r\n", "\n") } else { text.to_owned() };
    let mut document: DocumentMut =
        unix.parse().map_err(|e: toml_edit::TomlError| WriteError::Toml(e.message().to_owned()))?;
    change(&mut document)?;
    let out = document.to_string();
    Ok(if crlf { out.replace('\n', "\r\n") } else { out })
}

fn remove(table: &mut Item, name: &str) {
    if let Some(t) = table.as_table_like_mut() {
        t.remove(name);
    }
}

/// Gives a key of a table a new value.
fn set(table: &mut Item, name: &str, old: Option<&Value>, new: &Value) {
    let Some(own) = table.as_table_like_mut() else { return };
    if let Some(item) = own.get_mut(name) {
        return replace(item, name, old, new);
    }
    let inside = matches!(table, Item::Value(_));
    let Some(item) = parsed(name, new, inside) else { return };
    let Item::Table(own) = table else {
        if let Some(own) = table.as_table_like_mut() {
            own.insert(name, item);
        }
        return;
    };
    // a plain key goes before the first one that sorts behind it; the query stands last by custom
    let plain: Vec<String> = own.iter().filter(|(_, i)| i.is_value()).map(|(k, _)| k.to_owned()).collect();
    let at = plain.iter().position(|k| k.as_str() > name || k == "query");
    let later = at.filter(|_| item.is_value()).map_or(&[][..], |at| plain.get(at..).unwrap_or(&[]));
    let held: Vec<_> = later.iter().filter_map(|k| own.remove_entry(k)).collect();
    own.insert(name, item);
    for (k, i) in held {
        own.insert_formatted(&k, i);
    }
}

/// What an entry of a new file would be parsed to, fit for the place of another one.
fn parsed(name: &str, new: &Value, inside: bool) -> Option<Item> {
    let mut text = String::new();
    if is_table(new) && !inside {
        let map: Map<String, Value> = std::iter::once((name.to_owned(), new.clone())).collect();
        table(&mut text, "x", "[", &map);
    } else {
        let written = if inside { inline(new) } else { value(name, new) };
        text = format!("[x]\n{} = {written}\n", key(name));
    }
    let mut document: DocumentMut = text.parse().ok()?;
    let mut item = document.get_mut("x")?.as_table_like_mut()?.remove(name)?;
    unplace(&mut item);
    Some(item)
}

/// Takes the place in its former file from an item, so that it follows its new neighbours.
fn unplace(item: &mut Item) {
    let each = |t: &mut Table| {
        t.set_position(None);
        t.iter_mut().for_each(|(_, i)| unplace(i));
    };
    match item {
        Item::Table(t) => each(t),
        Item::ArrayOfTables(list) => list.iter_mut().for_each(each),
        _ => {}
    }
}

/// Replaces a value by another, as little of it as differs.
fn replace(item: &mut Item, name: &str, old: Option<&Value>, new: &Value) {
    match (&mut *item, old, new) {
        (Item::ArrayOfTables(list), Some(Value::Array(old)), Value::Array(new)) if is_list(new) => {
            return replace_tables(list, name, old, new);
        }
        (Item::Value(toml_edit::Value::Array(list)), Some(Value::Array(old)), Value::Array(new)) => {
            return replace_values(list, old, new);
        }
        (was, Some(Value::Object(old)), Value::Object(new)) if was.is_table_like() && !new.is_empty() => {
            for (k, v) in new.iter().filter(|(k, v)| old.get(*k) != Some(v)) {
                set(was, k, old.get(k), v);
            }
            for k in old.keys().filter(|k| !new.contains_key(*k)) {
                remove(was, k);
            }
            return;
        }
        _ => {}
    }
    // what stands in a line of its table stays there, for a header would end that table
    let inside = matches!(item, Item::Value(_)) && is_table(new);
    let Some(mut fresh) = parsed(name, new, inside) else { return };
    if let (Item::Value(was), Item::Value(is)) = (&*item, &mut fresh) {
        *is.decor_mut() = was.decor().clone();
    }
    *item = fresh;
}

fn is_list(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(Value::is_object)
}

/// For each new entry, the old one that it continues: the next equal one, or else that of its own place,
/// unless that one lives on elsewhere. The second part says whether they are equal.
fn heirs(old: &[Value], new: &[Value]) -> Vec<Option<(usize, bool)>> {
    let mut from = 0;
    let equal: Vec<Option<usize>> = new
        .iter()
        .map(|v| {
            let at = old.iter().enumerate().skip(from).find(|(_, o)| *o == v).map(|(i, _)| i)?;
            from = at + 1;
            Some(at)
        })
        .collect();
    let lives = |i: usize| equal.contains(&Some(i));
    let place = |(i, at): (usize, &Option<usize>)| match at {
        Some(at) => Some((*at, true)),
        None => (i < old.len() && !lives(i)).then_some((i, false)),
    };
    equal.iter().enumerate().map(place).collect()
}

fn replace_tables(list: &mut ArrayOfTables, name: &str, old: &[Value], new: &[Value]) {
    let was: Vec<Table> = list.iter().cloned().collect();
    let fresh = |v: &Value| {
        let item = parsed(name, &Value::Array(vec![v.clone()]), false)?;
        item.as_array_of_tables()?.get(0).cloned()
    };
    let moved = old.len() != new.len()
        || heirs(old, new).iter().enumerate().any(|(i, h)| h.is_none_or(|(o, _)| o != i));
    list.clear();
    for (v, heir) in new.iter().zip(heirs(old, new)) {
        let table = match heir.and_then(|(i, equal)| Some((was.get(i)?.clone(), i, equal))) {
            Some((table, _, true)) => Some(table),
            Some((table, i, false)) => {
                let mut item = Item::Table(table);
                replace(&mut item, name, old.get(i), v);
                item.into_table().ok()
            }
            None => fresh(v),
        };
        let Some(table) = table else { continue };
        let mut item = Item::Table(table);
        if moved {
            unplace(&mut item);
        }
        list.extend(item.into_table().ok());
    }
}

fn replace_values(list: &mut Array, old: &[Value], new: &[Value]) {
    let was: Vec<toml_edit::Value> = list.iter().cloned().collect();
    let breaks =
        |v: &toml_edit::Value| v.decor().prefix().and_then(|p| p.as_str()).is_some_and(|p| p.contains('\n'));
    let over_lines = was.iter().any(breaks);
    list.clear();
    for (v, heir) in new.iter().zip(heirs(old, new)) {
        let held = heir.and_then(|(i, equal)| Some((was.get(i)?, equal)));
        if let Some((held, true)) = held {
            list.push_formatted(held.clone());
            continue;
        }
        let Some(mut fresh) = parsed("x", v, true).and_then(|i| i.into_value().ok()) else { continue };
        fresh.decor_mut().clear();
        match held {
            Some((held, _)) => *fresh.decor_mut() = held.decor().clone(),
            None if over_lines => fresh.decor_mut().set_prefix("\n    "),
            None if list.is_empty() => {}
            None => fresh.decor_mut().set_prefix(" "),
        }
        list.push_formatted(fresh);
    }
}

#[cfg(test)]
mod tests;
