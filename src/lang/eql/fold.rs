//! Constant folding: an expression without fields becomes its value, by three-valued logic.

use super::lower::computed;
use super::typed::{Node, NodeKind, Ty};
use crate::diag::{Code, Diagnostic};
use crate::es::Context;
use crate::plan::FieldId;
use crate::value::Value;

/// The node itself, or its value where all of its parts are constant. A calculation that fails is
/// reported.
pub(super) fn fold<'s>(node: Node<'s>, context: &Context, found: &mut Vec<Diagnostic>) -> Option<Node<'s>> {
    if !constant_parts(&node.kind) {
        return Some(node);
    }
    // there is no field to look up
    let expr = computed(&node, context, &mut |_| FieldId(u32::MAX));
    match expr.eval(&|_| Value::Null) {
        Ok(value) => {
            let ty = if value.is_null() { node.ty } else { Ty::of_value(&value) };
            Some(Node { kind: NodeKind::Const(value), ty, span: node.span })
        }
        Err(e) => {
            found.push(Diagnostic::new(Code::RP0404, "this constant expression fails").at(node.span, e.0));
            None
        }
    }
}

fn constant_parts(kind: &NodeKind<'_>) -> bool {
    let constant = |n: &Node<'_>| n.value().is_some();
    match kind {
        NodeKind::Const(_) | NodeKind::Column(_) => false,
        NodeKind::Call(_, parts, _) | NodeKind::And(parts) | NodeKind::Or(parts) => {
            parts.iter().all(constant)
        }
        NodeKind::Arithmetic(_, a, b) | NodeKind::Compare(_, a, b) => constant(a) && constant(b),
        NodeKind::IsNull(e)
        | NodeKind::In(e, ..)
        | NodeKind::Like(e, ..)
        | NodeKind::Regexp(e, ..)
        | NodeKind::Not(e) => constant(e),
    }
}
