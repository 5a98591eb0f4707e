//! The canonical text of a query: one form for one tree, which parses to the same tree again.

use super::ast::{Body, Expr, ExprKind, FieldRef, Filter, Item, Literal, Query};
use super::lexer::is_plain_ident;
use crate::func::Arithmetic;
use crate::lang::Cut;
use std::fmt::Write;

/// The text of a query: one line for events, one line for each item and pipe otherwise.
pub fn query(query: &Query) -> String {
    let mut out = String::new();
    match &query.body {
        Body::Event(f) => filter(&mut out, f),
        Body::Sequence(s) => {
            out.push_str("sequence");
            keys(&mut out, &s.keys);
            if let Some(m) = s.maxspan {
                let _ = write!(out, " with maxspan={}{}", m.amount, m.unit.text());
            }
            items(&mut out, &s.items, s.until.as_ref());
        }
        Body::Sample(g) | Body::Join(g) => {
            out.push_str(if matches!(query.body, Body::Join(_)) { "join" } else { "sample" });
            keys(&mut out, &g.keys);
            items(&mut out, &g.items, g.until.as_ref());
        }
    }
    for pipe in &query.pipes {
        let Cut { tail, limit } = pipe.cut;
        let _ = write!(out, "\n| {} {limit}", if tail { "tail" } else { "head" });
    }
    out
}

fn keys(out: &mut String, keys: &[FieldRef]) {
    for (i, key) in keys.iter().enumerate() {
        out.push_str(if i == 0 { " by " } else { ", " });
        field(out, key);
    }
}

fn items(out: &mut String, items: &[Item], until: Option<&Item>) {
    for (item, word) in items.iter().map(|i| (i, "")).chain(until.map(|i| (i, "until "))) {
        let _ = write!(out, "\n  {word}{}", if item.missing { "![" } else { "[" });
        filter(out, &item.filter);
        out.push(']');
        keys(out, &item.keys);
        if item.runs != 1 {
            let _ = write!(out, " with runs={}", item.runs);
        }
    }
}

fn filter(out: &mut String, f: &Filter) {
    match &f.category {
        None => out.push_str("any"),
        Some(name) if is_plain_ident(&name.text) => out.push_str(&name.text),
        Some(name) => out.push_str(&string(&name.text, false)),
    }
    out.push_str(" where ");
    put(out, &f.condition, 0);
}

fn field(out: &mut String, f: &FieldRef) {
    if f.optional {
        out.push('?');
    }
    out.push_str(&name(&f.name));
}

/// A field name, in backticks where it needs them.
pub fn name(name: &str) -> String {
    if name.split('.').all(is_plain_ident) {
        name.to_owned()
    } else {
        format!("`{}`", name.replace('`', "``"))
    }
}

/// Whether a text can be written as a raw string.
pub(super) fn fits_raw(text: &str) -> bool {
    let plain = !text.is_empty() && !text.contains(|c: char| c.is_control());
    plain && !text.contains("\"\"\"") && (text.len() != 2 || text != "\"\"")
}

/// A string literal: raw where that was asked for and is possible, else with escapes.
pub(super) fn string(text: &str, raw: bool) -> String {
    if raw && fits_raw(text) {
        return format!("\"\"\"{text}\"\"\"");
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{{{:02x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A constant as the query writes it.
pub(super) fn literal(l: &Literal) -> String {
    match l {
        Literal::Str(s, raw) => string(s, *raw),
        Literal::Int(i) => i.to_string(),
        Literal::Float(f) => format!("{f:?}"),
        Literal::Bool(b) => b.to_string(),
        Literal::Null => "null".to_owned(),
    }
}

/// How tightly an expression binds; the parser's levels.
fn level(e: &Expr) -> u8 {
    match &e.kind {
        ExprKind::Or(_) => 1,
        ExprKind::And(_) => 2,
        ExprKind::Not(_) => 3,
        ExprKind::Compare(..) => 4,
        ExprKind::Arithmetic(Arithmetic::Add | Arithmetic::Subtract, ..) => 5,
        ExprKind::Arithmetic(..) => 6,
        ExprKind::Negate(_) => 7,
        ExprKind::In(..) | ExprKind::Match(..) => 8,
        ExprKind::Literal(Literal::Int(i)) if *i < 0 => 7,
        ExprKind::Literal(Literal::Float(f)) if f.is_sign_negative() => 7,
        _ => 9,
    }
}

fn put(out: &mut String, e: &Expr, least: u8) {
    let own = level(e);
    if own < least {
        out.push('(');
        put(out, e, 0);
        out.push(')');
        return;
    }
    match &e.kind {
        ExprKind::Literal(l) => out.push_str(&literal(l)),
        ExprKind::Field(f) => field(out, f),
        ExprKind::Call(name, insensitive, args) => {
            out.push_str(&name.text);
            out.push_str(if *insensitive { "~" } else { "" });
            list(out, args);
        }
        ExprKind::Negate(inner) => {
            out.push('-');
            put(out, inner, 8);
        }
        ExprKind::Arithmetic(op, a, b) => {
            put(out, a, own);
            let _ = write!(out, " {} ", op.symbol());
            put(out, b, own + 1);
        }
        ExprKind::Compare(op, a, b) => {
            put(out, a, 5);
            let _ = write!(out, " {} ", op.text());
            put(out, b, 5);
        }
        ExprKind::In(value, op, items) => {
            put(out, value, 9);
            let _ = write!(out, " {} ", op.text());
            list(out, items);
        }
        ExprKind::Match(value, op, patterns) => {
            put(out, value, 9);
            let _ = write!(out, " {} ", op.text());
            let all: Vec<String> = patterns.iter().map(|(p, _)| literal(p)).collect();
            match all.as_slice() {
                [one] => out.push_str(one),
                _ => {
                    let _ = write!(out, "({})", all.join(", "));
                }
            }
        }
        ExprKind::Not(inner) => {
            out.push_str("not ");
            put(out, inner, 3);
        }
        ExprKind::And(parts) => joined(out, parts, " and ", 3),
        ExprKind::Or(parts) => joined(out, parts, " or ", 2),
    }
}

fn joined(out: &mut String, parts: &[Expr], word: &str, least: u8) {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push_str(word);
        }
        put(out, part, least);
    }
}

fn list(out: &mut String, items: &[Expr]) {
    out.push('(');
    joined(out, items, ", ", 0);
    out.push(')');
}
