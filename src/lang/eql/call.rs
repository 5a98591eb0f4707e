//! Calls against the function table: the name, the number of arguments and their types.

use super::ast::{Expr, Name};
use super::check::Checker;
use super::parser::shorten;
use super::typed::{Node, NodeKind, Ty, article};
use crate::diag::{Code, Diagnostic, Safety, did_you_mean};
use crate::es::Case;
use crate::func::{self, Arithmetic, Function, Param, Type};
use crate::schema::Kind;
use crate::source::Span;
use crate::value::Value;

impl<'s> Checker<'s> {
    /// A call of a function, in any case of its letters.
    pub(super) fn call(
        &mut self,
        name: &Name,
        insensitive: bool,
        args: &[Expr],
        span: Span,
    ) -> Option<Node<'s>> {
        let Some(function) = func::find(&name.text, func::Language::Eql) else {
            self.unknown_function(name);
            args.iter().for_each(|a| drop(self.expr(a)));
            return None;
        };
        let mut whole = true;
        if insensitive && !function.case_form {
            self.found.push(
                Diagnostic::new(Code::RP0405, format!("`{}` has no case-insensitive form", function.name))
                    .at(name.at.0, "")
                    .fix(name.at.0, function.name, Safety::Suggested),
            );
            whole = false;
        }
        let (least, most) = function.arity();
        if args.len() < least || most.is_some_and(|m| args.len() > m) {
            let takes = match most {
                Some(m) if m == least => format!("{least}"),
                Some(m) if m == least + 1 => format!("{least} or {m}"),
                Some(m) => format!("{least} to {m}"),
                None => format!("at least {least}"),
            };
            let last = most.unwrap_or(least);
            let plural = if last == 1 { "" } else { "s" };
            self.found.push(
                Diagnostic::new(
                    Code::RP0402,
                    format!("`{}` takes {takes} argument{plural}, found {}", function.name, args.len()),
                )
                .at(span, "")
                .note(format!("`{}` {}", signature(function), function.summary)),
            );
            whole = false;
        }
        let nodes: Vec<Option<Node<'s>>> = args.iter().map(|a| self.expr(a)).collect();
        for (i, node) in nodes.iter().enumerate() {
            if let (Some(node), Some(param)) = (node, function.param(i)) {
                whole &= self.argument(function, param, node);
            }
        }
        let nodes: Option<Vec<Node<'s>>> = nodes.into_iter().collect();
        let mut nodes = nodes.filter(|_| whole)?;
        let calculation = Arithmetic::ALL.into_iter().find(|a| a.function() == function.name);
        if let Some(op) = calculation {
            let (b, a) = (nodes.pop()?, nodes.pop()?);
            return self.arithmetic(op, a, b, span);
        }
        let ty = match function.returns {
            Type::String => Ty::String,
            Type::Integer => Ty::Integer,
            Type::Number => Ty::Number,
            Type::Boolean => Ty::Boolean,
            Type::Ip => Ty::Of(Kind::Ip),
            Type::Any => Ty::Unknown,
        };
        let case = if insensitive { Case::Insensitive } else { Case::Sensitive };
        self.node(NodeKind::Call(function, nodes, case), ty, span)
    }

    fn argument(&mut self, function: &Function, param: &Param, node: &Node<'s>) -> bool {
        if param.constant && node.value().is_none() {
            let message = format!("the argument `{}` of `{}` must be a constant", param.name, function.name);
            self.found.push(
                Diagnostic::new(Code::RP0307, message)
                    .at(node.span, "this depends on a field")
                    .note(format!("the call is `{}`", signature(function))),
            );
            return false;
        }
        let address = param.ty == Type::Ip && matches!(node.value(), Some(Value::Str(_)));
        if !node.ty.fits(param.ty) && !address {
            let wanted = article(param.ty.name());
            let message = format!("the argument `{}` of `{}` must be {wanted}", param.name, function.name);
            self.found.push(
                Diagnostic::new(Code::RP0403, message)
                    .at(node.span, format!("this is {}", node.article()))
                    .note(format!("the call is `{}`", signature(function))),
            );
            return false;
        }
        if function.name == "cidrMatch"
            && param.constant
            && let Some(Value::Str(block)) = node.value()
            && func::cidr_block(block).is_none()
        {
            let message = format!("`{}` is no CIDR block", shorten(block));
            self.found.push(
                Diagnostic::new(Code::RP0403, message).at(node.span, "").help("write it like `10.0.0.0/8`"),
            );
            return false;
        }
        true
    }

    fn unknown_function(&mut self, name: &Name) {
        let text = self.source(name.at.0);
        let mut d = Diagnostic::new(Code::RP0401, format!("unknown function `{text}`")).at(name.at.0, "");
        let lower = name.text.to_ascii_lowercase();
        let known = func::all().filter(|f| f.languages.contains(&func::Language::Eql)).map(|f| f.name);
        d = match lower.as_str() {
            "wildcard" => d.help("write `field : \"…\"`, or `field like \"…\"` to tell cases apart"),
            "match" | "matchlite" => d.help("write `field regex \"…\"`"),
            "arraycontains" | "arraysearch" | "arraycount" => {
                d.help("a comparison already holds if any value of an array satisfies it")
            }
            _ => match did_you_mean(&name.text, known) {
                Some(near) => {
                    let tilde = if text.ends_with('~') { "~" } else { "" };
                    d.help(format!("did you mean `{near}{tilde}`?")).fix(
                        name.at.0,
                        format!("{near}{tilde}"),
                        Safety::Suggested,
                    )
                }
                None => d,
            },
        };
        self.found.push(d);
    }
}

/// `between(source, left, right[, greedy])`.
fn signature(f: &Function) -> String {
    let mut out = format!("{}(", f.name);
    for (i, p) in f.params.iter().enumerate() {
        out.push_str(match (p.optional, i) {
            (false, 0) => "",
            (false, _) => ", ",
            (true, 0) => "[",
            (true, _) => "[, ",
        });
        out.push_str(p.name);
    }
    if f.variadic {
        out.push_str(", …");
    }
    for _ in f.params.iter().filter(|p| p.optional) {
        out.push(']');
    }
    out.push(')');
    out
}
