//! The checker of Lucene: names against the schema, and what about a clause is likely a mistake.
//! Elasticsearch is lenient here: what does not fit a field matches nothing, so it is a warning.

use super::ast::{Clause, Name, Term};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::wildcard::Pattern;
use crate::lang::{FieldUse, Settings, resolve};
use crate::schema::{Field, Resolved, Schema};
use crate::source::Span;

/// The fields of a clause; any of them may satisfy it.
pub(super) enum Target<'s> {
    /// A field that the schema knows.
    Field(Resolved<'s>),
    /// A field that the schema leaves room for.
    Untyped,
    /// The fields of a pattern, or below an object.
    Fields(Vec<&'s Field>),
    /// None: the clause matches nothing.
    None,
}

/// What is found while names are resolved.
pub(super) struct Checker<'a> {
    pub(super) schema: &'a Schema,
    pub(super) settings: &'a Settings,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) fields: Vec<FieldUse>,
}

impl<'a> Checker<'a> {
    /// What a name stands for. `exists`: the clause only asks whether there is a value.
    pub(super) fn target(&mut self, name: &str, span: Span, exists: bool) -> Target<'a> {
        let known = FieldUse { name: name.to_owned(), span };
        if !self.fields.contains(&known) {
            self.fields.push(known);
        }
        let schema = self.schema;
        if name.contains('*') {
            return self.pattern(name, span);
        }
        if let Some(resolved) = schema.resolve(name).filter(|r| !r.field.kind().is_object()) {
            if let Some(path) = &resolved.field.nested {
                self.diagnostics.push(
                    Diagnostic::new(
                        Code::RP0203,
                        format!("`{name}` is a nested field, which Lucene never sees"),
                    )
                    .severity(Severity::Warning)
                    .at(span, "never matches")
                    .help(format!("in KQL, write `{path}: {{ … }}`")),
                );
                return Target::None;
            }
            return Target::Field(resolved);
        }
        if schema.is_object(name) {
            if exists {
                let is_below =
                    |f: &Field| f.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
                let below = schema.iter().filter(|f| {
                    f.nested.is_none() && f.parent.is_none() && !f.kind().is_object() && is_below(f)
                });
                return Target::Fields(sorted(below));
            }
            self.diagnostics.push(
                Diagnostic::new(Code::RP0206, format!("`{name}` is an object and has no value"))
                    .at(span, "never matches")
                    .help(format!("name a field below it, or write `{name}:*` for any of them")),
            );
            return Target::None;
        }
        if schema.is_open() {
            return Target::Untyped;
        }
        let d = resolve::unknown_field(schema, name, span, self.settings.unknown_field);
        self.diagnostics.extend(d);
        Target::None
    }

    fn pattern(&mut self, name: &str, span: Span) -> Target<'a> {
        let pattern = Pattern::plain(&name.replace('?', ""), false);
        let schema = self.schema;
        let found = sorted(
            schema.iter().filter(|f| !f.kind().is_object() && f.nested.is_none() && pattern.matches(&f.name)),
        );
        if found.is_empty() {
            self.diagnostics.push(
                Diagnostic::new(Code::RP0205, format!("no field matches `{name}`")).at(span, "never matches"),
            );
        }
        Target::Fields(found)
    }

    /// What is valid, but seldom what was meant.
    pub(super) fn odd(&mut self, clause: &Clause, field: Option<&Name>) {
        let Term::Words(words) = &clause.term else { return };
        let keyword = words.iter().find(|w| {
            ["and", "or", "not"].iter().any(|k| w.eq_ignore_ascii_case(k))
                && !w.chars().all(char::is_uppercase)
        });
        if let Some(word) = keyword {
            self.diagnostics.push(
                Diagnostic::new(Code::RP1006, format!("`{word}` is a word to search for here"))
                    .at(clause.span, "one text")
                    .help(format!("Lucene's operators are upper-case: write `{}`", word.to_uppercase())),
            );
        } else if field.is_none() {
            self.diagnostics.push(
                Diagnostic::new(Code::RP1001, "a value without a field is searched in every field")
                    .at(clause.span, "no field")
                    .help("name the field: `field:value`"),
            );
        }
    }
}

fn sorted<'s>(fields: impl Iterator<Item = &'s Field>) -> Vec<&'s Field> {
    let mut found: Vec<&Field> = fields.collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}
