//! The canonical text of a KQL query over several lines: what fits on a line stays on one, else each
//! condition gets a line of its own, and value lists are filled.

use super::ast::{Node, NodeKind, Query, Term};
use super::print::{common_field, flat, term_text};
use std::sync::Arc;

/// The query in lines of at most `width` characters, as far as its values allow; empty for the empty
/// query. It parses to the same tree.
pub fn layout(query: &Query, width: usize) -> String {
    let mut layout = Layout { width, out: String::new() };
    if let Some(root) = &query.root {
        layout.node(root, None, 0);
    }
    layout.out
}

struct Layout {
    width: usize,
    out: String,
}

impl Layout {
    fn room_for(&self, text: &str) -> bool {
        let column = self.out.chars().rev().take_while(|c| *c != '\n').count();
        column + text.chars().count() <= self.width
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// `list`: the field whose value list is being written.
    fn node(&mut self, n: &Node, list: Option<&Arc<Term>>, indent: usize) {
        let text = flat(n, list, false);
        if self.room_for(&text) {
            self.out.push_str(&text);
            return;
        }
        match &n.kind {
            NodeKind::And(parts) | NodeKind::Or(parts) => {
                if let (None, Some(field)) = (list, common_field(n)) {
                    self.out.push_str(&term_text(&field.value));
                    self.out.push_str(": ");
                    return self.block("(", n, Some(field), indent, ")");
                }
                let is_and = matches!(&n.kind, NodeKind::And(_));
                for (i, part) in parts.iter().enumerate() {
                    let needed = match &part.kind {
                        NodeKind::And(_) => is_and,
                        NodeKind::Or(_) => true,
                        _ => false,
                    };
                    let needed = needed && (list.is_some() || common_field(part).is_none());
                    if i > 0 {
                        let word = if is_and { "and " } else { "or " };
                        let fits =
                            list.is_some() && self.room_for(&format!(" {word}{}", flat(part, list, needed)));
                        // at the top the first condition stands out
                        if fits {
                            self.out.push(' ')
                        } else {
                            self.line(indent.max(2))
                        }
                        self.out.push_str(word);
                    }
                    self.part(part, list, needed, if i > 0 { indent.max(2) } else { indent });
                }
            }
            NodeKind::Not(child) => {
                self.out.push_str("not ");
                let group = matches!(child.kind, NodeKind::And(_) | NodeKind::Or(_));
                let needed = matches!(child.kind, NodeKind::Not(_))
                    || (group && (list.is_some() || common_field(child).is_none()));
                self.part(child, list, needed, indent);
            }
            NodeKind::Nested { path, child } => {
                self.out.push_str(&term_text(&path.value));
                self.out.push_str(": ");
                self.block("{", child, None, indent, "}");
            }
            NodeKind::Is { .. } | NodeKind::Range { .. } => self.out.push_str(&text),
        }
    }

    fn part(&mut self, n: &Node, list: Option<&Arc<Term>>, brackets: bool, indent: usize) {
        if !brackets {
            return self.node(n, list, indent);
        }
        let text = flat(n, list, true);
        if self.room_for(&text) {
            return self.out.push_str(&text);
        }
        self.block("(", n, list, indent, ")");
    }

    fn block(&mut self, open: &str, n: &Node, list: Option<&Arc<Term>>, indent: usize, close: &str) {
        self.out.push_str(open);
        self.line(indent + 2);
        self.node(n, list, indent + 2);
        self.line(indent);
        self.out.push_str(close);
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn laid_out(text: &str, width: usize) -> String {
        layout(&parse(text).query.unwrap(), width)
    }

    #[test]
    fn what_fits_stays_on_a_line_and_the_rest_is_broken_at_its_operators() {
        assert_eq!(laid_out("a:x   and\nb:y", 40), "a: x and b: y");
        assert_eq!(laid_out("a:x and b:(y or z) and not c:1", 20), "a: x\n  and b: (y or z)\n  and not c: 1");
        assert_eq!(
            laid_out("field:(alpha or beta or gamma or delta)", 24),
            "field: (\n  alpha or beta or gamma\n  or delta\n)"
        );
        assert_eq!(
            laid_out("a:x and not (bbbb:yyyy or cccc:zzzz) and n:{dddd:eeee and ffff:gggg}", 16),
            "a: x\n  and not (\n    bbbb: yyyy\n    or cccc: zzzz\n  )\n  and n: {\n    dddd: eeee\n    and ffff: gggg\n  }"
        );
        assert_eq!(laid_out("", 10), "");
    }
}
