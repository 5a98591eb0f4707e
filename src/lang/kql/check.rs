//! The checker of KQL: names against the schema, and what about a clause is likely a mistake. Its answer
//! is the query with every field resolved; whether a value fits a type is asked when it is lowered.

use super::ast::{Node, NodeKind, Query, RangeOp, Term, TermValue};
use super::{odd, print};
use crate::diag::{Code, Diagnostic, Severity};
use crate::lang::{FieldUse, Settings, resolve};
use crate::schema::{Field, Kind, Origin, Resolved, Schema};
use crate::source::Span;
use rustc_hash::FxHashSet;

/// A condition with its fields resolved.
#[derive(Debug)]
pub(super) enum Typed<'q> {
    And(Vec<Typed<'q>>),
    Or(Vec<Typed<'q>>),
    Not(Box<Typed<'q>>),
    Everything,
    Nothing,
    Clause(Clause<'q>),
    /// Some object at the path satisfies the condition.
    Nested {
        /// The full path.
        path: String,
        child: Box<Typed<'q>>,
        span: Span,
    },
}

/// What is asked of one or more fields.
#[derive(Debug)]
pub(super) struct Clause<'q> {
    pub(super) target: Target<'q>,
    pub(super) ask: Ask<'q>,
    pub(super) span: Span,
}

/// The fields of a clause; any of them may satisfy it.
#[derive(Debug)]
pub(super) enum Target<'q> {
    /// A field that the schema knows, by the name that the query uses.
    Field(String, Resolved<'q>),
    /// A field that the schema leaves room for.
    Untyped(String),
    /// The fields of a pattern, or below an object; a refusal by one is a refusal.
    Fields(Vec<&'q Field>),
    /// Every field that the schema lists; a refusal by one is no match.
    Any,
}

/// What a clause asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask<'q> {
    Exists,
    Is(&'q TermValue),
    Range(RangeOp, &'q TermValue),
}

/// What the checker found.
pub(super) struct Checked<'q> {
    pub(super) root: Typed<'q>,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) fields: Vec<FieldUse>,
}

/// Checks a query. `text` is what it was parsed from.
pub(super) fn check<'q>(
    query: &'q Query,
    text: &'q str,
    schema: &'q Schema,
    settings: &'q Settings,
) -> Checked<'q> {
    let mut checker = Checker {
        text,
        schema,
        settings,
        path: Vec::new(),
        named: FxHashSet::default(),
        diagnostics: Vec::new(),
        fields: Vec::new(),
    };
    let root = query.root.as_ref().map_or(Typed::Everything, |n| checker.node(n, false));
    Checked { root, diagnostics: checker.diagnostics, fields: checker.fields }
}

struct Checker<'q> {
    text: &'q str,
    schema: &'q Schema,
    settings: &'q Settings,
    /// The full paths of the nested groups around.
    path: Vec<String>,
    /// Where names were already looked at: a value list shares its field.
    named: FxHashSet<Span>,
    diagnostics: Vec<Diagnostic>,
    fields: Vec<FieldUse>,
}

impl<'q> Checker<'q> {
    fn report(&mut self, d: impl IntoIterator<Item = Diagnostic>) {
        self.diagnostics.extend(d);
    }

    fn node(&mut self, node: &'q Node, negated: bool) -> Typed<'q> {
        match &node.kind {
            NodeKind::And(parts) => {
                self.split_bounds(parts);
                Typed::And(parts.iter().map(|p| self.node(p, negated)).collect())
            }
            NodeKind::Or(parts) => {
                let before = self.diagnostics.len();
                let typed = parts.iter().map(|p| self.node(p, negated)).collect();
                for d in self.diagnostics.iter_mut().skip(before).filter(|d| d.code == Code::RP0501) {
                    if d.span().is_some_and(|span| has_twin(parts, span)) {
                        d.severity = Severity::Warning;
                    }
                }
                Typed::Or(typed)
            }
            NodeKind::Not(child) => Typed::Not(Box::new(self.node(child, !negated))),
            NodeKind::Is { field, value } => match field {
                Some(field) => self.is(field, value, node.span, negated),
                None => {
                    odd::value(self.text, value, None, &mut self.diagnostics);
                    self.bare(value, node.span)
                }
            },
            NodeKind::Range { field, op, value } => {
                let target = self.target(field, false, false);
                if self.null(value) {
                    return Typed::Nothing;
                }
                if let Some(Target::Field(name, r)) = &target {
                    let d = range_on_string(name, r.field, value, node.span);
                    self.report(d);
                }
                clause(target, Ask::Range(*op, &value.value), node.span)
            }
            NodeKind::Nested { path, child } => self.nested(path, child, node.span, negated),
        }
    }

    fn is(&mut self, field: &'q Term, value: &'q Term, span: Span, negated: bool) -> Typed<'q> {
        let exists = value.value.is_lone_star();
        if exists && field.value.is_lone_star() {
            return Typed::Everything;
        }
        let target = self.target(field, exists, matches!(value.value, TermValue::Wildcard(_)));
        let known = match &target {
            Some(Target::Field(_, resolved)) => Some(resolved.field),
            _ => None,
        };
        odd::value(self.text, value, known, &mut self.diagnostics);
        if self.null(value) {
            return Typed::Nothing;
        }
        if let Some(Target::Field(name, resolved)) = &target {
            let field = resolved.field;
            self.report(odd::other_case(field, name, value).map(|d| if negated { turned(d) } else { d }));
            if let TermValue::Text { text, quoted } = &value.value {
                let write = |near: &str| print::value_text(near, *quoted);
                let impossible = resolve::never_in_enumeration(name, text, value.span, self.settings, write);
                let impossible =
                    impossible.or_else(|| resolve::longer_than_kept(field, name, text, value.span));
                self.report(impossible.map(|d| if negated { turned(d) } else { d }));
            }
            let spaced = matches!(&value.value, TermValue::Wildcard(_))
                && value.value.to_string().contains(char::is_whitespace);
            if spaced && !field.is_pure_keyword() {
                let mut d = Diagnostic::new(Code::RP1005, "spaces split this pattern into alternatives")
                    .at(value.span, format!("`{name}` is of type `{}`", resolve::describe(field)))
                    .note("on a field that is no keyword, Kibana sends a pattern as a query string, where a space means `or`")
                    .help("write a phrase in double quotes, or one pattern for each word joined by `and`");
                let text = value.value.to_string();
                if let Some(word) = text.split_whitespace().find(|w| matches!(*w, "AND" | "OR" | "NOT")) {
                    d = d.note(format!(
                        "`{word}` is an operator there, also where KQL's own escape stands before it"
                    ));
                }
                self.report([d]);
            }
        }
        let ask = if exists { Ask::Exists } else { Ask::Is(&value.value) };
        clause(target, ask, span)
    }

    fn bare(&mut self, value: &'q Term, span: Span) -> Typed<'q> {
        if let Some(path) = self.path.last() {
            let d = Diagnostic::new(Code::RP1001, "a value without a field never matches inside `{ }`")
                .at(span, format!("Kibana looks for it in a field `{path}.null`"))
                .help("name the field: `field: value`");
            self.report([d]);
            return Typed::Nothing;
        }
        if self.null(value) {
            return Typed::Nothing;
        }
        if value.value.is_lone_star() {
            return Typed::Everything;
        }
        let written = span.slice(self.text);
        let d = Diagnostic::new(Code::RP1001, "a value without a field is searched in every field")
            .at(span, "no field");
        let d = match ["!=", "==", "=~", "="].iter().find_map(|op| written.split_once(op)) {
            Some((field, value)) if is_name(field.trim()) => {
                let not = if written.contains("!=") { "not " } else { "" };
                d.help(format!("KQL compares with a colon: write `{not}{}: {}`", field.trim(), value.trim()))
            }
            _ => d.help("name the field: `field: value`"),
        };
        self.report([d]);
        clause(Some(Target::Any), Ask::Is(&value.value), span)
    }

    fn nested(&mut self, path: &'q Term, child: &'q Node, span: Span, negated: bool) -> Typed<'q> {
        let full = self.full_name(path);
        match self.schema.get(&full).map(Field::kind) {
            Some(Kind::Nested) => {}
            Some(kind) => self.report([Diagnostic::new(
                Code::RP0203,
                format!("`{full}` is not a nested field"),
            )
            .at(path.span, format!("is of type `{kind}`"))
            .help(
                "`field: { … }` is for fields of type `nested`; elsewhere join the full names with `and`",
            )]),
            None if self.schema.is_object(&full) => {
                self.report([Diagnostic::new(Code::RP0203, format!("`{full}` is not a nested field"))
                    .at(path.span, "is an object")
                    .help("`field: { … }` is for fields of type `nested`; elsewhere join the full names with `and`")]);
            }
            None => {
                // an unknown field matches nothing, but an unknown path fails the search
                let d = resolve::unknown_field(self.schema, &full, path.span, Severity::Error);
                self.report(d);
            }
        }
        self.path.push(full);
        let child = Box::new(self.node(child, negated));
        let path = self.path.pop().unwrap_or_default();
        Typed::Nested { path, child, span }
    }

    fn full_name(&self, name: &Term) -> String {
        match self.path.last() {
            Some(path) => format!("{path}.{}", name.value),
            None => name.value.to_string(),
        }
    }

    /// The fields that a name stands for; `None` for none.
    fn target(&mut self, field: &'q Term, exists: bool, wild: bool) -> Option<Target<'q>> {
        let first = self.named.insert(field.span);
        let name = self.full_name(field);
        if first {
            self.fields.push(FieldUse { name: name.clone(), span: field.span });
        }
        let found = self.diagnostics.len();
        let target = match &field.value {
            TermValue::Wildcard(parts) => {
                let found = self.pattern(&name, parts, field.span);
                // without field information only patterns and existence go to all of the fields
                if self.settings.field_information || wild { found } else { None }
            }
            _ => self.name(name, field.span, exists),
        };
        if !first {
            // said before, at the same place
            self.diagnostics.truncate(found);
        }
        target
    }

    fn name(&mut self, name: String, span: Span, exists: bool) -> Option<Target<'q>> {
        let schema = self.schema;
        let resolved = schema.resolve(&name);
        if let Some(resolved) = resolved.filter(|r| !r.field.kind().is_object()) {
            let wrong = self.nested_misuse(resolved.field, &name, span);
            return if self.report_all(wrong) { None } else { Some(Target::Field(name, resolved)) };
        }
        if schema.is_object(&name) {
            if exists {
                let mut below: Vec<&Field> = schema
                    .iter()
                    .filter(|f| {
                        is_below(f, &name) && f.nested.as_deref() == self.path.last().map(String::as_str)
                    })
                    .collect();
                below.sort_by(|a, b| a.name.cmp(&b.name));
                return Some(Target::Fields(below));
            }
            self.report([Diagnostic::new(Code::RP0206, format!("`{name}` is an object and has no value"))
                .at(span, "never matches")
                .help(format!("name a field below it, or write `{name}: *` for any of them"))]);
            return None;
        }
        if schema.is_open() {
            return Some(Target::Untyped(name));
        }
        let d = resolve::unknown_field(schema, &name, span, self.settings.unknown_field);
        self.report(d);
        None
    }

    fn report_all(&mut self, d: Option<Diagnostic>) -> bool {
        let any = d.is_some();
        self.report(d);
        any
    }

    /// A nested field outside of braces, or another one inside.
    fn nested_misuse(&self, field: &Field, name: &str, span: Span) -> Option<Diagnostic> {
        let here = self.path.last().map(String::as_str);
        let own = field.nested.as_deref();
        if here == own {
            return None;
        }
        // without field information Kibana does not notice, and the clause matches nothing
        let certain =
            self.settings.field_information && matches!(field.origin, Origin::Mapping | Origin::Data);
        let (message, label) = match (own, here) {
            (Some(own), None) => (
                format!("`{name}` is a nested field and can only be asked inside `{own}: {{ … }}`"),
                format!("below the nested field `{own}`"),
            ),
            (Some(own), Some(here)) => (
                format!("`{name}` belongs to `{own}: {{ … }}`, not to `{here}: {{ … }}`"),
                format!("below the nested field `{own}`"),
            ),
            (None, _) => (
                format!("`{name}` is not a nested field"),
                format!("cannot stand inside `{}: {{ … }}`", here.unwrap_or_default()),
            ),
        };
        let d = Diagnostic::new(Code::RP0203, message).at(span, label);
        Some(if certain { d } else { d.severity(Severity::Warning) })
    }

    fn pattern(&mut self, name: &str, parts: &'q [Box<str>], span: Span) -> Option<Target<'q>> {
        let prefix = self.path.last().map(|p| format!("{p}."));
        let mut found: Vec<&Field> = self
            .schema
            .iter()
            .filter(|f| !f.kind().is_object())
            .filter(|f| {
                let rest = match &prefix {
                    Some(p) => f.name.strip_prefix(p.as_str()),
                    None => Some(f.name.as_ref()),
                };
                rest.is_some_and(|rest| pattern_matches(parts, rest))
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        if found.is_empty() {
            // without field information Kibana asks for a field of this very name, which cannot be
            self.report([
                Diagnostic::new(Code::RP0205, format!("no field matches `{name}`")).at(span, "never matches")
            ]);
            return None;
        }
        if self.path.is_empty() {
            return Some(Target::Fields(found));
        }
        let wrong = found.iter().find_map(|f| self.nested_misuse(f, &f.name, span));
        if self.report_all(wrong) { None } else { Some(Target::Fields(found)) }
    }

    /// Whether a value is `null`, which nothing takes.
    fn null(&mut self, value: &Term) -> bool {
        let null = value.value == TermValue::Null;
        if null {
            self.report([Diagnostic::new(Code::RP0309, "`null` is not a value to search for")
                .at(value.span, "Elasticsearch refuses it")
                .help("write `not field: *` for events without the field, or `\"null\"` for the text")]);
        }
        null
    }

    /// Bounds on both sides of a field that holds several values: each may be met by another value.
    fn split_bounds(&mut self, parts: &[Node]) {
        let mut seen: Vec<(&Term, bool)> = Vec::new();
        for part in parts {
            let NodeKind::Range { field, op, .. } = &part.kind else { continue };
            let lower = matches!(op, RangeOp::Greater | RangeOp::GreaterEqual);
            let name = self.full_name(field);
            let other = seen.iter().any(|(f, l)| f.value == field.value && *l != lower);
            if other && self.schema.get(&name).is_some_and(|f| f.array) {
                self.report([Diagnostic::new(
                    Code::RP1024,
                    format!("`{name}` may meet each bound by another value"),
                )
                .at(part.span, "not the same value")
                .note(format!("`{name}` holds several values, and a condition asks for any of them"))]);
            }
            seen.push((field, lower));
        }
    }
}

fn clause<'q>(target: Option<Target<'q>>, ask: Ask<'q>, span: Span) -> Typed<'q> {
    match target {
        Some(target) => Typed::Clause(Clause { target, ask, span }),
        None => Typed::Nothing,
    }
}

/// Whether the value at a place stands beside the same value in another case: `(Success or success)` is
/// written on purpose, for sources that do not keep to the enumeration.
fn has_twin(parts: &[Node], at: Span) -> bool {
    let texts = || {
        parts.iter().filter_map(|n| match &n.kind {
            NodeKind::Is { value: Term { value: TermValue::Text { text, .. }, span }, .. } => {
                Some((text, *span))
            }
            _ => None,
        })
    };
    let Some((own, _)) = texts().find(|(_, span)| *span == at) else { return false };
    texts().any(|(other, span)| span != at && other.eq_ignore_ascii_case(own))
}

/// What can never match is always true below a `not`.
fn turned(mut d: Diagnostic) -> Diagnostic {
    if d.code == Code::RP0501 {
        d.code = Code::RP0502;
        d.severity = Severity::Warning;
        d.message = "this negated clause is always true".to_owned();
    }
    d
}

fn range_on_string(name: &str, field: &Field, value: &Term, span: Span) -> Option<Diagnostic> {
    let kind = field.kind();
    if !(kind.is_keyword() || kind.is_text()) || field.types.len() > 1 {
        return None;
    }
    let number = value.value.to_string().parse::<f64>().is_ok();
    let label = if number { "`\"10\"` comes before `\"9\"`" } else { "in the order of the bytes" };
    Some(
        Diagnostic::new(Code::RP1007, format!("`{name}` is compared as text"))
            .at(span, label)
            .note(format!("`{name}` is of type `{kind}`")),
    )
}

fn is_below(field: &Field, object: &str) -> bool {
    field.parent.is_none()
        && !field.kind().is_object()
        && field.name.strip_prefix(object).is_some_and(|rest| rest.starts_with('.'))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '@' | '-'))
}

/// Whether a name matches a pattern; markers stand for any characters, dots too.
pub(super) fn pattern_matches(parts: &[Box<str>], name: &str) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(mut rest) = name.strip_prefix(first.as_ref()) else { return false };
    for part in middle {
        match rest.find(part.as_ref()) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or(""),
            None => return false,
        }
    }
    rest.ends_with(last.as_ref())
}

#[cfg(test)]
mod tests {
    use super::super::analyze;
    use super::*;
    use crate::lang::Analysis;
    use crate::schema::{Layer, Version, ecs, parse_mapping};
    use std::sync::Arc;

    fn mapping() -> Schema {
        let json = r#"{"properties": {
            "host": {"properties": {"name": {"type": "keyword", "ignore_above": 8}, "ip": {"type": "ip"}}},
            "port": {"type": "long"}, "note": {"type": "text"}, "seen": {"type": "date"},
            "tags": {"type": "flattened"}, "zone": {"type": "constant_keyword", "value": "public"},
            "items": {"type": "nested", "properties": {"sku": {"type": "keyword"}}}}}"#;
        let fields = Arc::new(parse_mapping(json).unwrap());
        Schema::new(vec![Layer { fields, version: None, label: "m".into() }])
    }

    fn found(query: &str) -> Vec<(Code, Severity)> {
        analyze(query, &mapping(), &Settings::default())
            .diagnostics
            .iter()
            .map(|d| (d.code, d.severity))
            .collect()
    }

    #[track_caller]
    fn error(query: &str, code: Code) {
        assert_eq!(found(query), [(code, Severity::Error)], "{query}");
    }

    #[track_caller]
    fn warning(query: &str, code: Code) {
        assert_eq!(found(query), [(code, Severity::Warning)], "{query}");
    }

    fn with_ecs(query: &str) -> Analysis {
        let schema = Schema::new(vec![ecs().layer(Version(9, 5, 0))]);
        let settings = Settings { ecs: Some(Version(9, 5, 0)), ..Settings::default() };
        analyze(query, &schema, &settings)
    }

    #[test]
    fn what_elasticsearch_refuses_is_an_error_where_the_mapping_is_known() {
        error("port: http", Code::RP0301);
        error("port: 80*", Code::RP0302);
        error("host.ip: 10.*", Code::RP0302);
        error("host.ip > 10.0.0.0/8", Code::RP0301);
        error("seen: yesterday", Code::RP0301);
        error("host.name: null", Code::RP0309);
        error("port > null", Code::RP0309);
        error("null", Code::RP0309);
    }

    #[test]
    fn names_are_looked_up_with_patterns_objects_and_flattened_keys() {
        warning("host.nam: web", Code::RP0201);
        warning("host: web", Code::RP0206);
        warning("zz*: web", Code::RP0205);
        for query in
            ["host: *", "tags.env: prod", "*.name: web", "*: *", "host.ip: 10.0.0.0/8", "seen > now-1d"]
        {
            assert_eq!(found(query), [], "{query}");
        }
        // one of the fields is a number
        error("*: web", Code::RP0301);
        let a = analyze("host.nam: (a or b)", &mapping(), &Settings::default());
        assert_eq!(a.diagnostics.len(), 1);
        assert!(a.diagnostics.first().unwrap().help.as_ref().unwrap().contains("host.name"));
        assert_eq!(a.fields, [FieldUse { name: "host.nam".into(), span: Span::new(0, 8) }]);
    }

    #[test]
    fn nested_fields_need_their_group() {
        error("items.sku: a", Code::RP0203);
        assert_eq!(found("items: { sku: a and not sku: b }"), []);
        assert_eq!(found("host: { name: a }").first().unwrap().0, Code::RP0203);
        assert!(found("items: { port: a }").iter().any(|(c, _)| *c == Code::RP0201));
        let a = analyze("items: { sku: a }", &mapping(), &Settings::default());
        assert_eq!(a.fields.first().unwrap().name, "items.sku");
    }

    #[test]
    fn valid_but_unlikely_values_are_warned_of() {
        warning("web", Code::RP1001);
        warning("host.name: web?", Code::RP1002);
        warning("host.name: (a or b\n c)", Code::RP1003);
        warning("host.name: \"we*\"", Code::RP1004);
        warning("note: *big boat*", Code::RP1005);
        warning("host.name: a or", Code::RP1006);
        warning("host.name > a", Code::RP1007);
        warning("host.name: 123456789", Code::RP0503);
        warning(r#"host.name: "C:\temp""#, Code::RP1021);
        warning(r"host.name: a\nb*", Code::RP1021);
        warning("seen: 0042", Code::RP1022);
        warning("note: big boat", Code::RP1023);
        warning("zone: Public", Code::RP0501);
        for query in [
            "host.name: *a b*",
            "host.name: \"a?\"",
            r"host.name: x \and",
            "note: \"a or\"",
            "seen: 2026",
            r#"host.name: "C:\\temp""#,
        ] {
            assert_eq!(found(query), [], "{query}");
        }
        let d = analyze("host.name != web", &mapping(), &Settings::default()).diagnostics;
        assert!(d.first().unwrap().help.as_ref().unwrap().ends_with("write `not host.name: web`"));
    }

    #[test]
    fn a_fix_that_keeps_the_meaning_is_safe() {
        let fix =
            |query: &str| analyze(query, &mapping(), &Settings::default()).diagnostics.remove(0).fix.unwrap();
        assert_eq!(
            (fix("host.name: web?").replacement.as_str(), fix("host.name: web?").safety),
            ("\"web?\"", crate::diag::Safety::Safe)
        );
        assert_eq!(fix("host.name: a or").safety, crate::diag::Safety::Safe);
        let missing = fix("host.name: (a or b\n c)");
        assert_eq!((missing.span, missing.replacement.as_str()), (Span::new(18, 18), " or"));
        assert_eq!(missing.safety, crate::diag::Safety::Suggested);
        assert_eq!(fix("host.name: \"w e*\"").replacement, "w e*");
    }

    #[test]
    fn bounds_on_several_values_are_told() {
        let found = with_ecs("process.args_count > 1 and process.args_count < 4").diagnostics;
        assert!(found.is_empty(), "{found:?}");
        let found = with_ecs(
            "dns.answers.ttl > 1 and dns.answers.ttl < 4 and host.ip > 10.0.0.1 and host.ip < 10.0.0.9",
        )
        .diagnostics;
        assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), [Code::RP1024]);
    }

    #[test]
    fn values_outside_an_enumeration_never_match_and_negated_always() {
        let a = with_ecs("event.outcome: \"succes\"");
        let d = a.diagnostics.first().unwrap();
        assert_eq!((d.code, d.severity), (Code::RP0501, Severity::Error));
        assert_eq!(d.fix.as_ref().unwrap().replacement, "\"success\"");
        let d = with_ecs("event.outcome: (failure or succes)").diagnostics;
        assert_eq!(d.first().unwrap().span(), Some(Span::new(27, 33)));
        let d = with_ecs("not event.outcome: succes").diagnostics;
        assert_eq!((d.first().unwrap().code, d.first().unwrap().severity), (Code::RP0502, Severity::Warning));
        let d = with_ecs("event.outcome: (Success or success)").diagnostics;
        assert_eq!((d.len(), d.first().unwrap().severity), (1, Severity::Warning));
        assert!(with_ecs("event.outcome: succ*").diagnostics.is_empty());
    }

    #[test]
    fn a_catalogue_only_warns_and_the_clause_never_matches() {
        let a = with_ecs("process.pid: abc");
        assert_eq!(a.diagnostics.first().unwrap().severity, Severity::Warning);
        assert_eq!(a.plan.unwrap().filter().next(), Some(&crate::plan::Pred::Const(false)));
    }

    #[test]
    fn field_patterns_match_whole_names() {
        let parts = |p: &[&str]| p.iter().map(|s| (*s).into()).collect::<Vec<Box<str>>>();
        assert!(pattern_matches(&parts(&["a.", ".c"]), "a.b.c"));
        assert!(pattern_matches(&parts(&["", ""]), "x"));
        assert!(!pattern_matches(&parts(&["ab", "bc"]), "abc"));
        assert!(pattern_matches(&parts(&["a", "b", ""]), "a.b.c"));
    }
}
