//! The canonical text of a query; it parses to the same tree.

use super::ast::{
    Assign, Command, CommandKind, Expr, ExprKind, Literal, MapEntry, MapValue, Name, NamePattern, Query, Text,
};
use super::lexer::RESERVED;
use std::fmt::Write;

/// A query, one command a line.
pub fn print(query: &Query) -> String {
    let commands: Vec<String> = query.commands.iter().map(command).collect();
    commands.join("\n| ")
}

fn joined<T>(items: &[T], f: impl Fn(&T) -> String) -> String {
    items.iter().map(f).collect::<Vec<_>>().join(", ")
}

fn is_plain(part: &str) -> bool {
    let mut chars = part.chars();
    let first = match chars.next() {
        Some(c) if c.is_ascii_alphabetic() => true,
        Some('_' | '@') => part.len() > 1,
        _ => false,
    };
    first
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.iter().any(|r| r.eq_ignore_ascii_case(part))
}

/// A column's name, in backquotes where one of its parts needs them.
pub fn name(text: &str) -> String {
    if !text.is_empty() && text.split('.').all(is_plain) {
        text.to_owned()
    } else {
        format!("`{}`", text.replace('`', "``"))
    }
}

fn names(list: &[Name]) -> String {
    joined(list, |n| n.text.clone())
}

fn pattern(p: &NamePattern) -> String {
    match p.exact() {
        // `as` separates names in RENAME
        Some(exact) if exact.eq_ignore_ascii_case("as") => format!("`{exact}`"),
        Some(exact) => name(exact),
        None => {
            let plain = |s: &str| s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let text = p.text();
            let safe = text.split('.').all(|part| {
                let first = part.chars().next();
                !part.is_empty()
                    && plain(&part.replace('*', ""))
                    && first
                        .is_some_and(|c| c.is_ascii_alphabetic() || c == '*' || (c == '_' && part.len() > 1))
            });
            if safe {
                return text;
            }
            let quoted = p
                .parts
                .iter()
                .map(|s| if s.is_empty() { String::new() } else { format!("`{}`", s.replace('`', "``")) });
            quoted.collect::<Vec<_>>().join("*")
        }
    }
}

fn new_name(n: &Name) -> String {
    if n.text.eq_ignore_ascii_case("as") { format!("`{}`", n.text) } else { name(&n.text) }
}

fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out + "\""
}

fn assign(item: &Assign) -> String {
    match &item.name {
        Some(n) => format!("{} = {}", name(&n.text), expr(&item.value)),
        None => expr(&item.value),
    }
}

fn text(t: &Text) -> String {
    string(&t.text)
}

fn command(command: &Command) -> String {
    match &command.kind {
        CommandKind::From { series, indices, metadata } => {
            let mut out =
                format!("{} {}", if *series { "TS" } else { "FROM" }, joined(indices, |i| source(&i.text)));
            if !metadata.is_empty() {
                let _ = write!(out, " METADATA {}", names(metadata));
            }
            out
        }
        CommandKind::Row(items) => format!("ROW {}", joined(items, assign)),
        CommandKind::Show => "SHOW INFO".to_owned(),
        CommandKind::Where(e) => format!("WHERE {}", expr(e)),
        CommandKind::Eval(items) => format!("EVAL {}", joined(items, assign)),
        CommandKind::Keep(patterns) => format!("KEEP {}", joined(patterns, pattern)),
        CommandKind::Drop(patterns) => format!("DROP {}", joined(patterns, pattern)),
        CommandKind::Rename(pairs) => {
            format!(
                "RENAME {}",
                joined(pairs, |(old, new)| format!("{} AS {}", new_name(old), new_name(new)))
            )
        }
        CommandKind::Stats { inline, aggregates, by } => {
            let mut out = if *inline { "INLINE STATS" } else { "STATS" }.to_owned();
            let items = joined(aggregates, |a| match &a.filter {
                Some(f) => format!("{} WHERE {}", assign(&a.item), expr(f)),
                None => assign(&a.item),
            });
            if !items.is_empty() {
                let _ = write!(out, " {items}");
            }
            if !by.is_empty() {
                let _ = write!(out, " BY {}", joined(by, assign));
            }
            out
        }
        CommandKind::Sort(keys) => {
            let key = |k: &super::ast::SortKey| {
                let mut out = expr(&k.expr);
                out.push_str(match k.descending {
                    None => "",
                    Some(false) => " ASC",
                    Some(true) => " DESC",
                });
                out.push_str(match k.nulls_first {
                    None => "",
                    Some(true) => " NULLS FIRST",
                    Some(false) => " NULLS LAST",
                });
                out
            };
            format!("SORT {}", joined(keys, key))
        }
        CommandKind::Limit(e) => format!("LIMIT {}", expr(e)),
        CommandKind::Expand(n) => format!("MV_EXPAND {}", name(&n.text)),
        CommandKind::Dissect { input, pattern, separator } => {
            let mut out = format!("DISSECT {} {}", primary(input), text(pattern));
            if let Some(s) = separator {
                let _ = write!(out, " APPEND_SEPARATOR = {}", text(s));
            }
            out
        }
        CommandKind::Grok { input, patterns } => {
            format!("GROK {} {}", primary(input), joined(patterns, text))
        }
        CommandKind::Completion { target, prompt, options } => {
            let target = target.as_ref().map(|n| format!("{} = ", name(&n.text))).unwrap_or_default();
            let with = if options.is_empty() { String::new() } else { format!(" WITH {}", map(options)) };
            format!("COMPLETION {target}{}{with}", primary(prompt))
        }
        CommandKind::Enrich { policy, on, with } => {
            let mut out = format!("ENRICH {}", source(&policy.text));
            if let Some(on) = on {
                let _ = write!(out, " ON {}", new_name(on));
            }
            if !with.is_empty() {
                let item = |(new, field): &(Option<Name>, Name)| match new {
                    Some(new) => format!("{} = {}", new_name(new), new_name(field)),
                    None => new_name(field),
                };
                let _ = write!(out, " WITH {}", joined(with, item));
            }
            out
        }
        CommandKind::Lookup { index, on } => {
            format!("LOOKUP JOIN {} ON {}", source(&index.text), joined(on, expr))
        }
        CommandKind::Opaque { name, text } if text.is_empty() => (*name).to_owned(),
        CommandKind::Opaque { name, text } => format!("{name} {text}"),
    }
}

/// An index name; quoted where its characters would end it.
fn source(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || "\"=|,[]()`<".contains(c))
        && !text.contains("//")
        && !text.contains("/*")
        && !text.eq_ignore_ascii_case("metadata");
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

fn map(entries: &[MapEntry]) -> String {
    let value = |v: &MapValue| match v {
        MapValue::Constant(l) => literal(l),
        MapValue::Map(entries) => map(entries),
    };
    format!("{{{}}}", joined(entries, |e| format!("{}: {}", string(&e.key), value(&e.value))))
}

fn literal(l: &Literal) -> String {
    match l {
        Literal::Null => "null".to_owned(),
        Literal::Bool(b) => b.to_string(),
        Literal::Integer(text) => text.clone(),
        Literal::Decimal(d) => decimal(*d),
        Literal::Str(s) => string(s),
        Literal::Span(n, unit) => format!("{n} {unit}"),
        Literal::Array(items) => format!("[{}]", joined(items, literal)),
    }
}

fn decimal(d: f64) -> String {
    let text = d.to_string();
    if text.contains(['.', 'e', 'E']) { text } else { text + ".0" }
}

/// How tightly an expression holds together: from `OR` to a primary.
fn strength(e: &Expr) -> u8 {
    match &e.kind {
        ExprKind::Or(_) => 0,
        ExprKind::And(_) => 1,
        ExprKind::Not(_) => 2,
        ExprKind::In(..) | ExprKind::Like { .. } | ExprKind::IsNull(..) | ExprKind::Match(..) => 3,
        ExprKind::Compare(..) => 4,
        ExprKind::Arithmetic(crate::plan::Arithmetic::Add | crate::plan::Arithmetic::Subtract, ..) => 5,
        ExprKind::Arithmetic(..) => 6,
        ExprKind::Sign(..) => 7,
        _ => 8,
    }
}

/// An expression in parentheses where it is weaker than its place needs.
fn at_least(least: u8, e: &Expr) -> String {
    if strength(e) < least { format!("({})", expr(e)) } else { expr(e) }
}

fn primary(e: &Expr) -> String {
    at_least(8, e)
}

/// An expression.
pub fn expr(e: &Expr) -> String {
    match &e.kind {
        ExprKind::Literal(l) => literal(l),
        ExprKind::Column(text) => name(text),
        ExprKind::Param(p) => p.clone(),
        ExprKind::Call { name: function, star, args, options } => {
            let mut inside = if *star { "*".to_owned() } else { joined(args, expr) };
            if !options.is_empty() {
                let _ = write!(inside, ", {}", map(options));
            }
            format!("{}({inside})", call_name(&function.text))
        }
        ExprKind::Sign(minus, inner) => format!("{}{}", if *minus { "-" } else { "+" }, at_least(7, inner)),
        ExprKind::Arithmetic(op, a, b) => {
            let own = strength(e);
            format!("{} {} {}", at_least(own, a), op.symbol(), at_least(own + 1, b))
        }
        ExprKind::Compare(op, a, b) => format!("{} {} {}", at_least(5, a), op.symbol(), at_least(5, b)),
        ExprKind::And(parts) => parts.iter().map(|p| at_least(2, p)).collect::<Vec<_>>().join(" AND "),
        ExprKind::Or(parts) => parts.iter().map(|p| at_least(1, p)).collect::<Vec<_>>().join(" OR "),
        ExprKind::Not(inner) => format!("NOT {}", at_least(2, inner)),
        ExprKind::In(negated, value, list) => {
            let not = if *negated { " NOT" } else { "" };
            format!("{}{not} IN ({})", at_least(4, value), joined(list, |i| at_least(4, i)))
        }
        ExprKind::IsNull(negated, value) => {
            format!("{} IS{} NULL", at_least(4, value), if *negated { " NOT" } else { "" })
        }
        ExprKind::Like { negated, regex, value, patterns, list } => {
            let word = if *regex { "RLIKE" } else { "LIKE" };
            let not = if *negated { " NOT" } else { "" };
            let patterns = joined(patterns, text);
            let patterns = if *list { format!("({patterns})") } else { patterns };
            format!("{}{not} {word} {patterns}", at_least(4, value))
        }
        ExprKind::Cast(inner, ty) => format!("{}::{}", primary(inner), name(&ty.text)),
        ExprKind::Match(field, value) => format!("{} : {}", expr(field), literal(value)),
    }
}

fn call_name(text: &str) -> String {
    let pick = text.eq_ignore_ascii_case("first") || text.eq_ignore_ascii_case("last");
    if pick { text.to_owned() } else { name(text) }
}
