//! What an item asks of a join key, its partners must satisfy too: Elasticsearch adds such clauses to
//! the other items. With one value a key that changes nothing; of an event with several, it leaves out
//! those that the clause does not concern.

use super::check::{Checked, Key};
use super::typed::{Column, Node, NodeKind};

/// The clauses that each item gets from the others. `keys` are the whole keys of each item, `open` tells
/// which items give and take: those whose events must come.
pub(super) fn clauses<'s>(
    items: &[Checked<'s>],
    keys: &[Vec<&Key<'s>>],
    open: &dyn Fn(usize) -> bool,
) -> Vec<Vec<Node<'s>>> {
    let mut out: Vec<Vec<Node<'s>>> = items.iter().map(|_| Vec::new()).collect();
    for (from, (item, own)) in items.iter().zip(keys).enumerate().filter(|(i, _)| open(*i)) {
        for clause in conjuncts(&item.condition) {
            let Some(column) = only_column(clause) else { continue };
            let is_key = |k: &&Key<'s>| k.column.as_ref().is_some_and(|c| c.name == column.name);
            let Some(position) = own.iter().position(is_key) else { continue };
            for (to, theirs) in keys.iter().enumerate().filter(|(i, _)| *i != from && open(*i)) {
                let Some(their) = theirs.get(position).and_then(|k| k.column.as_ref()) else { continue };
                if let Some(added) = out.get_mut(to) {
                    added.push(replaced(clause, their));
                }
            }
        }
    }
    out
}

/// The clauses of a condition that must all be true and hold no `or`.
fn conjuncts<'n, 's>(node: &'n Node<'s>) -> Vec<&'n Node<'s>> {
    match &node.kind {
        NodeKind::And(parts) => parts.iter().flat_map(conjuncts).collect(),
        _ if parts(node).iter().any(|p| holds_or(p)) || matches!(node.kind, NodeKind::Or(_)) => Vec::new(),
        _ => vec![node],
    }
}

fn holds_or(node: &Node<'_>) -> bool {
    matches!(node.kind, NodeKind::Or(_)) || parts(node).iter().any(|p| holds_or(p))
}

fn parts<'n, 's>(node: &'n Node<'s>) -> Vec<&'n Node<'s>> {
    match &node.kind {
        NodeKind::Const(_) | NodeKind::Column(_) => Vec::new(),
        NodeKind::Call(_, parts, _) | NodeKind::And(parts) | NodeKind::Or(parts) => parts.iter().collect(),
        NodeKind::Arithmetic(_, a, b) | NodeKind::Compare(_, a, b) => vec![a, b],
        NodeKind::IsNull(e)
        | NodeKind::In(e, ..)
        | NodeKind::Like(e, ..)
        | NodeKind::Regexp(e, ..)
        | NodeKind::Not(e) => vec![e],
    }
}

/// The column of a clause that reads one and no other.
fn only_column<'n, 's>(node: &'n Node<'s>) -> Option<&'n Column<'s>> {
    fn collect<'n, 's>(node: &'n Node<'s>, out: &mut Vec<&'n Column<'s>>) {
        out.extend(node.column());
        parts(node).into_iter().for_each(|p| collect(p, out));
    }
    let mut columns = Vec::new();
    collect(node, &mut columns);
    let (first, rest) = columns.split_first()?;
    rest.iter().all(|c| c.name == first.name).then_some(first)
}

/// The clause with another column.
fn replaced<'s>(node: &Node<'s>, column: &Column<'s>) -> Node<'s> {
    let go = |n: &Node<'s>| replaced(n, column);
    let boxed = |n: &Node<'s>| Box::new(replaced(n, column));
    let kind = match &node.kind {
        NodeKind::Const(v) => NodeKind::Const(v.clone()),
        NodeKind::Column(_) => NodeKind::Column(Box::new(column.clone())),
        NodeKind::Call(f, args, case) => NodeKind::Call(f, args.iter().map(go).collect(), *case),
        NodeKind::Arithmetic(op, a, b) => NodeKind::Arithmetic(*op, boxed(a), boxed(b)),
        NodeKind::Compare(op, a, b) => NodeKind::Compare(*op, boxed(a), boxed(b)),
        NodeKind::IsNull(e) => NodeKind::IsNull(boxed(e)),
        NodeKind::In(e, list, case) => NodeKind::In(boxed(e), list.clone(), *case),
        NodeKind::Like(e, patterns, case) => NodeKind::Like(boxed(e), patterns.clone(), *case),
        NodeKind::Regexp(e, text, case) => NodeKind::Regexp(boxed(e), text.clone(), *case),
        NodeKind::Not(e) => NodeKind::Not(boxed(e)),
        NodeKind::And(parts) => NodeKind::And(parts.iter().map(go).collect()),
        NodeKind::Or(parts) => NodeKind::Or(parts.iter().map(go).collect()),
    };
    Node { kind, ty: node.ty, span: node.span }
}
