//! From a checked KQL query to the plan: which of Elasticsearch's queries Kibana would send for a
//! clause, decided by the field's type.

use super::ast::{RangeOp, TermValue};
use super::check::{Ask, Clause, Target, Typed};
use super::query_string::{self, Atom};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Literal, Op, Reject};
use crate::lang::{Settings, resolve};
use crate::plan::{FieldId, Nested, Plan, PlanField, PlanFields, Pred, Stage};
use crate::schema::{Field, FieldType, Kind, Schema};
use crate::source::Span;
use crate::value::Access;
use rustc_hash::FxHashMap;

/// How many conditions on single fields one query may come to: patterns and bare values multiply.
const MAX_LEAVES: usize = 400_000;

/// Lowers a checked query. `None` with an error among the diagnostics where it cannot be run.
pub(super) fn lower(
    root: &Typed<'_>,
    schema: &Schema,
    settings: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Plan> {
    let mut lowering = Lowering {
        schema,
        settings,
        diagnostics,
        fields: PlanFields::default(),
        ids: FxHashMap::default(),
        all: None,
        leaves: 0,
    };
    let pred = lowering.node(root);
    let fields = lowering.fields;
    if lowering.leaves > MAX_LEAVES {
        diagnostics.push(Diagnostic::new(
            Code::RP0008,
            format!(
                "patterns and values without a field make more than {MAX_LEAVES} conditions of this query"
            ),
        ));
    }
    if diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return None;
    }
    Some(Plan { fields, stages: vec![Stage::Filter(pred)] })
}

struct Lowering<'a> {
    schema: &'a Schema,
    settings: &'a Settings,
    diagnostics: &'a mut Vec<Diagnostic>,
    fields: PlanFields,
    /// Ids by the name that the query uses.
    ids: FxHashMap<Box<str>, FieldId>,
    /// The fields that a bare value is searched in.
    all: Option<Vec<FieldId>>,
    leaves: usize,
}

/// The type of a field as far as it decides which query is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    PureKeyword,
    Date,
    Other,
}

fn sort_of(field: &Field) -> Sort {
    if field.is_pure_keyword() {
        Sort::PureKeyword
    } else if field.types.iter().all(|t| t.kind.is_date()) {
        Sort::Date
    } else {
        Sort::Other
    }
}

impl Lowering<'_> {
    fn sort_of(&self, field: &Field) -> Sort {
        if self.settings.field_information { sort_of(field) } else { Sort::Other }
    }

    fn node(&mut self, node: &Typed<'_>) -> Pred {
        match node {
            Typed::And(parts) => Pred::all(parts.iter().map(|p| self.node(p)).collect()),
            Typed::Or(parts) => Pred::any(parts.iter().map(|p| self.node(p)).collect()),
            Typed::Not(child) => self.node(child).negate(),
            Typed::Everything => Pred::Const(true),
            Typed::Nothing => Pred::Const(false),
            Typed::Clause(clause) => self.clause(clause),
            Typed::Nested { path, child, span } => {
                let outer =
                    (std::mem::take(&mut self.fields), std::mem::take(&mut self.ids), self.all.take());
                let pred = self.node(child);
                let inner = std::mem::take(&mut self.fields);
                (self.fields, self.ids, self.all) = outer;
                Pred::Nested(Nested::new(&mut self.fields, path, inner, pred, *span))
            }
        }
    }

    fn clause(&mut self, clause: &Clause<'_>) -> Pred {
        let span = clause.span;
        match &clause.target {
            Target::Field(name, resolved) => {
                let id = match self.ids.get(name.as_str()) {
                    Some(id) => *id,
                    None => {
                        let id = self.fields.intern(name, resolved);
                        self.ids.insert(name.as_str().into(), id);
                        id
                    }
                };
                match self.ask(id, self.sort_of(resolved.field), clause.ask, span) {
                    Ok(pred) => pred,
                    Err(reject) => {
                        self.diagnostics.push(resolve::refused(resolved.field, name, reject, span));
                        Pred::Const(false)
                    }
                }
            }
            Target::Untyped(name) => self.untyped(name, clause.ask, span),
            Target::Fields(fields) => self.several(fields, clause.ask, span),
            Target::Any => self.any_field(clause.ask, span),
        }
    }

    /// One of several fields; of the refusals only the gravest is told.
    fn several(&mut self, fields: &[&Field], ask: Ask<'_>, span: Span) -> Pred {
        let mut alternatives = Vec::with_capacity(fields.len());
        let mut told: Option<Diagnostic> = None;
        let mut refused = 0usize;
        for field in fields {
            let Some(id) = self.field(field) else { continue };
            match self.ask(id, self.sort_of(field), ask, span) {
                Ok(pred) => alternatives.push(pred),
                Err(reject) => {
                    refused += 1;
                    let d = resolve::refused(field, &field.name, reject, span);
                    if told.as_ref().is_none_or(|t| t.severity < d.severity) {
                        told = Some(d);
                    }
                }
            }
        }
        if let Some(d) = told {
            let of = fields.len();
            self.diagnostics
                .push(d.note(format!("the pattern stands for {of} fields, {refused} of them refuse this")));
        }
        any_of(alternatives)
    }

    fn field(&mut self, field: &Field) -> Option<FieldId> {
        if let Some(id) = self.ids.get(&field.name) {
            return Some(*id);
        }
        let resolved = self.schema.resolve(&field.name)?;
        let id = self.fields.intern(&field.name, &resolved);
        self.ids.insert(field.name.clone(), id);
        Some(id)
    }

    /// A bare value: lenient, in every field that is listed and not nested.
    fn any_field(&mut self, ask: Ask<'_>, span: Span) -> Pred {
        let Ask::Is(value) = ask else { return Pred::Const(false) };
        if self.schema.layers().is_empty() {
            self.diagnostics.push(
                Diagnostic::new(
                    Code::RP9001,
                    "a value without a field is not supported yet without field information",
                )
                .at(span, "in which fields?")
                .help("give a mapping, or name the field: `field: value`"),
            );
            return Pred::Const(false);
        }
        if self.all.is_none() {
            let mut fields: Vec<&Field> =
                self.schema.iter().filter(|f| !f.kind().is_object() && f.nested.is_none()).collect();
            fields.sort_by(|a, b| a.name.cmp(&b.name));
            let ids = fields.into_iter().filter_map(|f| self.field(f)).collect();
            self.all = Some(ids);
        }
        let ids = self.all.take().unwrap_or_default();
        let pred = match value {
            TermValue::Wildcard(parts) => {
                let made = query_string::conditions(parts, |atom| {
                    Ok(match atom {
                        Atom::Star => Pred::Const(true),
                        atom => self.lenient(&ids, &atom_op(atom), span),
                    })
                });
                made.unwrap_or_else(|reject| {
                    self.diagnostics
                        .push(Diagnostic::new(reject.code, reject.message).at(span, "cannot be sent"));
                    Pred::Const(false)
                })
            }
            TermValue::Text { quoted: true, .. } => self.lenient(&ids, &Op::Phrase(literal(value)), span),
            _ => self.lenient(&ids, &Op::Match(literal(value)), span),
        };
        self.all = Some(ids);
        pred
    }

    fn lenient(&mut self, ids: &[FieldId], op: &Op, span: Span) -> Pred {
        let mut alternatives = Vec::new();
        for id in ids {
            if let Ok(pred) = self.leaf(*id, op.clone(), span)
                && pred != Pred::Const(false)
            {
                alternatives.push(pred);
            }
        }
        any_of(alternatives)
    }

    fn leaf(&mut self, id: FieldId, op: Op, span: Span) -> Result<Pred, Reject> {
        self.leaves += 1;
        if self.leaves > MAX_LEAVES {
            return Ok(Pred::Const(false));
        }
        self.fields.leaf(id, op, span, &self.settings.context)
    }

    /// The decision table of Kibana: which query a clause becomes.
    fn ask(&mut self, id: FieldId, sort: Sort, ask: Ask<'_>, span: Span) -> Result<Pred, Reject> {
        let op = match (ask, sort) {
            (Ask::Exists, _) => Op::Exists,
            (Ask::Range(op, value), _) => range(op, value),
            (Ask::Is(TermValue::Wildcard(parts)), Sort::PureKeyword) => Op::Wildcard(pattern(parts)),
            (Ask::Is(TermValue::Wildcard(parts)), _) => {
                return query_string::conditions(parts, |atom| self.leaf(id, atom_op(atom), span));
            }
            (Ask::Is(value), Sort::PureKeyword | Sort::Date) => Op::Term(literal(value), Case::Sensitive),
            (Ask::Is(value @ TermValue::Text { quoted: true, .. }), Sort::Other) => {
                Op::Phrase(literal(value))
            }
            (Ask::Is(value), Sort::Other) => Op::Match(literal(value)),
        };
        self.leaf(id, op, span)
    }

    /// A field that nothing is known of. The data would decide its type, so the clause is read by the
    /// types that its value can have: text always, and numbers, dates and addresses where the value is
    /// one; a bound is of the one type that it looks like. Without any field information a pattern is
    /// split at its spaces, as Kibana does then; where only this field is missing from a catalogue, the
    /// index has it most likely as a keyword, so the pattern stays whole.
    fn untyped(&mut self, name: &str, ask: Ask<'_>, span: Span) -> Pred {
        let types = match ask {
            Ask::Exists => vec![Kind::Keyword],
            Ask::Is(TermValue::Wildcard(_)) => vec![Kind::Keyword],
            Ask::Is(value) => {
                let mut types = vec![Kind::Keyword];
                types.extend(resolve::kind_of(&value.to_string()));
                types
            }
            Ask::Range(_, value) => vec![resolve::kind_of(&value.to_string()).unwrap_or(Kind::Keyword)],
        };
        let id = self.fields.add(PlanField {
            name: name.into(),
            access: Access::Path(name.to_owned()),
            types: types.into_iter().map(FieldType::of).collect(),
            key_below: false,
        });
        let whole = matches!(ask, Ask::Is(TermValue::Wildcard(_))) && !self.schema.layers().is_empty();
        let sort = if whole { Sort::PureKeyword } else { Sort::Other };
        self.ask(id, sort, ask, span).unwrap_or_else(|reject| {
            self.diagnostics
                .push(Diagnostic::new(reject.code, reject.message).at(span, format!("asked of `{name}`")));
            Pred::Const(false)
        })
    }
}

fn any_of(alternatives: Vec<Pred>) -> Pred {
    if alternatives.is_empty() { Pred::Const(false) } else { Pred::any(alternatives) }
}

fn literal(value: &TermValue) -> Literal {
    match value {
        TermValue::Null => Literal::Null,
        TermValue::Bool(b) => Literal::Bool(*b),
        other => Literal::Str(other.to_string().into()),
    }
}

fn range(op: RangeOp, value: &TermValue) -> Op {
    let bound = |inclusive| Some((literal(value), inclusive));
    let (lower, upper) = match op {
        RangeOp::Greater => (bound(false), None),
        RangeOp::GreaterEqual => (bound(true), None),
        RangeOp::Less => (None, bound(false)),
        RangeOp::LessEqual => (None, bound(true)),
    };
    Op::Range { lower, upper }
}

/// The pattern of a `wildcard` query.
fn pattern(parts: &[Box<str>]) -> Pattern {
    let mut out = Vec::with_capacity(parts.len() * 2);
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push(Part::Any);
        }
        out.push(Part::Text(part.to_string()));
    }
    Pattern::new(out, false)
}

fn atom_op(atom: Atom) -> Op {
    match atom {
        Atom::Text(text) => Op::Match(Literal::Str(text.into())),
        Atom::Star => Op::Exists,
        Atom::Pattern(parts) => Op::QueryWildcard(pattern(&parts)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::analyze;
    use super::*;
    use crate::schema::{Layer, parse_mapping};
    use crate::value::ProjectionBuilder;
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::Arc;

    fn mapping(json: &serde_json::Value) -> Schema {
        let fields = Arc::new(parse_mapping(&json.to_string()).unwrap());
        Schema::new(vec![Layer { fields, version: None, label: "m".into() }])
    }

    fn schema() -> Schema {
        mapping(&json!({"properties": {
            "name": {"type": "keyword", "fields": {"text": {"type": "match_only_text"}}},
            "size": {"type": "long"}, "text": {"type": "text"}, "ip": {"type": "ip"},
            "at": {"type": "date"}, "flat": {"type": "flattened"}, "obj": {"properties": {"x": {"type": "keyword"}}},
            "items": {"type": "nested", "properties": {"name": {"type": "keyword"}}}}}))
    }

    fn plan_matches(plan: &Plan, document: &serde_json::Value) -> bool {
        let mut builder = ProjectionBuilder::default();
        let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
        plan.matches(&builder.build().project_value(document), &slots).unwrap()
    }

    fn matches_in(schema: &Schema, query: &str, document: serde_json::Value) -> bool {
        let a = analyze(query, schema, &Settings::default());
        let plan = a.plan.unwrap_or_else(|| panic!("{query}: {:?}", a.diagnostics));
        plan_matches(&plan, &document)
    }

    fn matches(query: &str, document: serde_json::Value) -> bool {
        matches_in(&schema(), query, document)
    }

    #[test]
    fn keywords_are_compared_whole_and_texts_by_token() {
        assert!(matches("name: red fox", json!({"name": "red fox"})));
        assert!(!matches("name: red fox", json!({"name": "Red Fox"})));
        assert!(matches("name: r*d f*x", json!({"name": "red fox"})));
        assert!(matches("text: fox bear", json!({"text": "A Bear"})));
        assert!(!matches("text: \"fox bear\"", json!({"text": "A Bear"})));
        assert!(matches("text: fo* zz", json!({"text": "a FOX"})));
        assert!(matches("name.text: RED", json!({"name": "red fox"})));
    }

    #[test]
    fn a_value_list_asks_the_whole_array() {
        assert!(matches("name: (a and b)", json!({"name": ["a", "b"]})));
        assert!(!matches("name: (a and not b)", json!({"name": ["a", "b"]})));
        assert!(matches("name: \"a\" and name: \"b\"", json!({"name": ["b", "a"]})));
        assert!(matches("not name: a", json!({})));
    }

    #[test]
    fn other_types_read_the_value_their_way() {
        assert!(matches("size: 4.0 and size >= 3 and not size > 4", json!({"size": 4})));
        assert!(matches("ip: 10.1.0.0/16", json!({"ip": "10.1.2.3"})));
        assert!(matches("at: 2023-02", json!({"at": "2023-02-01T23:59:59Z"})));
        assert!(matches("flat.a.b: 7", json!({"flat": {"a": {"b": 7}}})));
        assert!(matches("flat: x", json!({"flat": {"a": ["x"]}})));
    }

    #[test]
    fn patterns_of_fields_objects_and_bare_values_ask_several_fields() {
        assert!(matches("*ame*: red", json!({"name": "red"})));
        assert!(matches("obj: *", json!({"obj": {"x": "1"}})));
        assert!(!matches("obj: *", json!({"name": "1"})));
        assert!(matches("10.0.0.0/8", json!({"ip": "10.0.0.9"})));
        assert!(matches("\"lazy dog\"", json!({"text": "the lazy dog"})));
        assert!(!matches("red", json!({"items": [{"name": "red"}]})));
        assert!(matches("re*", json!({"flat": {"k": "red"}})));
        assert!(matches("i*.name: red", json!({"items": [{"name": "red"}]})));
        for everything in ["", "*", "*:*", " \n"] {
            assert!(matches(everything, json!({})), "{everything:?}");
        }
    }

    #[test]
    fn a_nested_group_asks_one_object() {
        let items = json!({"items": [{"name": "a", "size": 1}, {"name": "b"}]});
        let schema = mapping(&json!({"properties": {
            "top": {"type": "keyword"},
            "items": {"type": "nested", "properties": {
                "name": {"type": "keyword"}, "size": {"type": "long"},
                "parts": {"type": "nested", "properties": {"id": {"type": "long"}, "kind": {"type": "keyword"}}}}}}}));
        let holds = |query: &str, document: &serde_json::Value| matches_in(&schema, query, document.clone());
        assert!(holds("items: { name: a and size: 1 }", &items));
        assert!(!holds("items: { name: b and size: 1 }", &items));
        assert!(holds("items: { name: b } and items: { size: 1 }", &items));
        assert!(holds("items: { not name: a }", &items));
        assert!(!holds("items: { not name: a }", &json!({"top": "x"})));
        assert!(holds("not items: { name: a }", &json!({"top": "x"})));
        assert!(!holds("items: { word }", &items));
        let deep = json!({"items": [{"name": "a", "parts": [{"id": 1, "kind": "x"}, {"id": 2, "kind": "y"}]},
            {"name": "b", "parts": {"id": 2, "kind": "x"}}]});
        assert!(holds("items: { name: b and parts: { id: 2 and kind: x } }", &deep));
        assert!(!holds("items: { name: a and parts: { id: 2 and kind: x } }", &deep));
        assert!(holds("items.parts: { id: 2 and kind: x }", &deep));
    }

    #[test]
    fn indices_that_disagree_are_no_pure_keyword() {
        let schema = mapping(&json!({
            "a": {"mappings": {"properties": {"f": {"type": "keyword"}}}},
            "b": {"mappings": {"properties": {"f": {"type": "text"}}}}}));
        assert!(matches_in(&schema, "f: *x y*", json!({"f": "yz"})));
        assert!(matches_in(&schema, "f: \"BIG\"", json!({"f": "a big one"})));
    }

    #[test]
    fn without_field_information_the_value_decides_the_type() {
        let none = Schema::none();
        assert!(matches_in(
            &none,
            "f: \"a b\" and n > 9 and ip: 10.0.0.0/8",
            json!({"f": "a b", "n": 10, "ip": "10.1.1.1"})
        ));
        assert!(matches_in(&none, "at >= 2024-01-01", json!({"at": "2024-03-01T00:00:00Z"})));
        assert!(matches_in(&none, "f: *a b*", json!({"f": "xa"})));
        let open = schema().with_unknown_fields();
        assert!(!matches_in(&open, "f: *a b*", json!({"f": "xa"})));
        assert!(matches_in(&open, "f: *a b*", json!({"f": "xa by"})));
        let a = analyze("word", &none, &Settings::default());
        assert!(a.plan.is_none() && a.diagnostics.iter().any(|d| d.code == Code::RP9001));
    }

    #[test]
    fn before_field_information_patterns_were_split_and_names_not_expanded() {
        let old = Settings { field_information: false, ..Settings::default() };
        let holds = |query: &str, document: serde_json::Value| {
            let a = analyze(query, &schema(), &old);
            plan_matches(&a.plan.unwrap_or_else(|| panic!("{query}: {:?}", a.diagnostics)), &document)
        };
        assert!(holds("name: *red b*", json!({"name": "bear"})));
        assert!(!matches("name: *red b*", json!({"name": "bear"})));
        assert!(holds("name: red fox", json!({"name": "red fox"})));
        assert!(!holds("na*: red", json!({"name": "red"})));
        assert!(holds("na*: *", json!({"name": "red"})));
        assert!(holds("na*: re*", json!({"name": "red"})));
        assert!(!holds("items.name: a", json!({"items": [{"name": "a"}]})));
    }

    #[test]
    fn every_leaf_points_at_its_clause() {
        let query = "name: (a or b) and size > 4";
        let a = analyze(query, &schema(), &Settings::default());
        let mut spans = Vec::new();
        a.plan.unwrap().filter().next().unwrap().visit(&mut |p, _| {
            if let Pred::Leaf(leaf) = p {
                spans.push(leaf.span.slice(query));
            }
        });
        assert_eq!(spans, ["a", "b", "size > 4"]);
    }

    #[test]
    fn a_query_that_expands_without_bound_is_refused() {
        let query = vec!["a*"; MAX_LEAVES / 5].join(" or ");
        let a = analyze(&query, &schema(), &Settings::default());
        assert!(a.plan.is_none());
        assert_eq!(a.diagnostics.last().unwrap().code, Code::RP0008);
    }

    /// A clause, and what it says of a name and of sizes.
    #[derive(Clone, Debug)]
    enum Simple {
        Name(String),
        Prefix(String),
        Size(i64),
        Above(i64),
        HasSize,
    }

    impl Simple {
        fn text(&self) -> String {
            match self {
                Simple::Name(t) => format!("name: {t}"),
                Simple::Prefix(t) => format!("name: {t}*"),
                Simple::Size(n) => format!("size: {n}"),
                Simple::Above(n) => format!("size > {n}"),
                Simple::HasSize => "size: *".to_owned(),
            }
        }

        fn holds(&self, names: &[String], sizes: &[i64]) -> bool {
            match self {
                Simple::Name(t) => names.contains(t),
                Simple::Prefix(t) => names.iter().any(|n| n.starts_with(t.as_str())),
                Simple::Size(n) => sizes.contains(n),
                Simple::Above(n) => sizes.iter().any(|s| s > n),
                Simple::HasSize => !sizes.is_empty(),
            }
        }
    }

    fn simple() -> impl Strategy<Value = Simple> {
        prop_oneof![
            "[ab]{1,2}".prop_map(Simple::Name),
            "[ab]".prop_map(Simple::Prefix),
            (-2i64..3).prop_map(Simple::Size),
            (-2i64..3).prop_map(Simple::Above),
            Just(Simple::HasSize),
        ]
    }

    proptest! {
        #[test]
        fn a_conjunction_means_what_its_clauses_mean(
            clauses in prop::collection::vec((any::<bool>(), simple()), 1..6),
            names in prop::collection::vec("[ab]{1,2}", 0..3),
            sizes in prop::collection::vec(-2i64..3, 0..3),
        ) {
            let text = |(not, c): &(bool, Simple)| format!("{}{}", if *not { "not " } else { "" }, c.text());
            let query = clauses.iter().map(text).collect::<Vec<_>>().join(" and ");
            let expected = clauses.iter().all(|(not, c)| c.holds(&names, &sizes) != *not);
            prop_assert_eq!(matches(&query, json!({"name": names, "size": sizes})), expected, "{}", query);
        }
    }
}
