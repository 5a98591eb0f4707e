//! From a Lucene query to the plan: what `query_string` asks of each field, decided by the field's type.

use super::ast::{Clause, Group, Name, Query, Term};
use super::check::{Checker, Target};
use super::occur::Occurrences;
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Literal, Op, analyze};
use crate::lang::{FieldUse, Settings, resolve};
use crate::plan::{FieldId, PlanField, PlanFields, Pred};
use crate::schema::{Field, FieldType, Kind, Schema};
use crate::source::Span;
use crate::value::Access;

/// How many conditions on single fields one query may come to: patterns and bare values multiply.
const MAX_LEAVES: usize = 400_000;

/// What `query_string` is told beside the query.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The fields of clauses that name none; `None` for all of them.
    pub fields: Option<Vec<String>>,
    /// Whether clauses without an operator must all match.
    pub and: bool,
    /// Whether prefixes on text are analysed.
    pub analyze_wildcard: bool,
    /// Whether what does not fit a field matches nothing, rather than failing the search.
    pub lenient: bool,
}

impl Default for Defaults {
    /// As the detection engine sends Lucene queries.
    fn default() -> Defaults {
        Defaults { fields: None, and: false, analyze_wildcard: true, lenient: true }
    }
}

/// What a query comes to.
#[derive(Debug)]
pub struct Lowered {
    /// The condition.
    pub pred: Pred,
    /// Findings, spans in the query.
    pub diagnostics: Vec<Diagnostic>,
    /// The fields that it names.
    pub fields: Vec<FieldUse>,
}

/// Lowers a query. `text` is what it was parsed from; fields are added to `fields`.
pub fn lower(
    query: &Query,
    text: &str,
    schema: &Schema,
    settings: &Settings,
    defaults: &Defaults,
    fields: &mut PlanFields,
) -> Lowered {
    let checker = Checker { schema, settings, diagnostics: Vec::new(), fields: Vec::new() };
    let mut lowering = Lowering { checker, text, defaults, fields, all: None, leaves: 0 };
    // words of which the analyzer leaves nothing ask for nothing, and that is what they find
    let nothing = Pred::Const(false);
    let pred = query.root.as_ref().map_or(Pred::Const(true), |g| lowering.group(g, None).unwrap_or(nothing));
    let mut diagnostics = lowering.checker.diagnostics;
    if lowering.leaves > MAX_LEAVES {
        diagnostics.push(Diagnostic::new(
            Code::RP0008,
            format!(
                "patterns and values without a field make more than {MAX_LEAVES} conditions of this query"
            ),
        ));
    }
    Lowered { pred, diagnostics, fields: lowering.checker.fields }
}

struct Lowering<'a> {
    checker: Checker<'a>,
    text: &'a str,
    defaults: &'a Defaults,
    fields: &'a mut PlanFields,
    /// The fields of clauses that name none.
    all: Option<Vec<FieldId>>,
    leaves: usize,
}

impl Lowering<'_> {
    /// `None` where the analyzer leaves nothing of any clause.
    fn group(&mut self, group: &Group, field: Option<&Name>) -> Option<Pred> {
        let mut out = Occurrences::new(self.defaults.and);
        for clause in &group.clauses {
            let pred = self.clause(clause, clause.field.as_ref().or(field));
            out.add(clause.conjunction, clause.modifier, pred);
        }
        out.pred()
    }

    fn clause(&mut self, clause: &Clause, field: Option<&Name>) -> Option<Pred> {
        self.checker.odd(clause, field);
        let span = clause.span;
        if let Term::Fuzzy(_, how) = &clause.term
            && !how.is_empty()
            && how.parse::<f64>().is_err()
        {
            let message = format!("`~{how}` names no number of edits");
            self.checker.diagnostics.push(Diagnostic::new(Code::RP0102, message).at(span, ""));
        }
        match (&clause.term, field) {
            (Term::Group(group), _) => self.group(group, field),
            (Term::Star, None) => Some(self.everything()),
            (Term::Star, Some(name)) if name.text.as_ref() == "*" => Some(self.everything()),
            (term, Some(name)) if name.text.as_ref() == "_exists_" => {
                let asked = match term {
                    Term::Words(words) => words.join(" "),
                    Term::Quoted { text, .. } => text.to_string(),
                    Term::Prefix(text) => format!("{text}*"),
                    Term::Star => "*".to_owned(),
                    _ => Span::new(span.start as usize, span.end as usize).slice(self.text).to_owned(),
                };
                if asked == "*" {
                    return Some(Pred::Const(true));
                }
                Some(self.of_field(&asked, span, span, &Term::Star).unwrap_or(Pred::Const(false)))
            }
            (term, Some(name)) => self.of_field(&name.text, name.span, span, term),
            (term, None) => self.of_defaults(term, span),
        }
    }

    /// `*`: every document, or those with a value in one of the default fields.
    fn everything(&mut self) -> Pred {
        if self.defaults.fields.is_none() {
            return Pred::Const(true);
        }
        self.of_defaults(&Term::Star, Span::default()).unwrap_or(Pred::Const(false))
    }

    /// A clause on a named field. `None` where the analyzer leaves nothing of its text.
    fn of_field(&mut self, name: &str, name_span: Span, span: Span, term: &Term) -> Option<Pred> {
        match self.checker.target(name, name_span, matches!(term, Term::Star)) {
            Target::None => Some(Pred::Const(false)),
            Target::Field(resolved) => {
                let id = self.fields.intern(name, &resolved);
                self.ask(id, resolved.field, name, term, span)
            }
            Target::Fields(found) => {
                let mut alternatives = Vec::with_capacity(found.len());
                for field in found {
                    if let Some(id) = self.field(field) {
                        alternatives.push(self.ask_lenient(id, term, span));
                    }
                }
                Some(any_of(alternatives))
            }
            Target::Untyped => {
                let id = self.fields.add(PlanField {
                    name: name.into(),
                    access: Access::Path(name.to_owned()),
                    types: untyped(term),
                    key_below: false,
                });
                Some(self.ask_lenient(id, term, span))
            }
        }
    }

    fn field(&mut self, field: &Field) -> Option<FieldId> {
        let resolved = self.checker.schema.resolve(&field.name)?;
        Some(self.fields.intern(&field.name, &resolved))
    }

    /// A clause without a field: in the default fields, what does not fit is left out.
    fn of_defaults(&mut self, term: &Term, span: Span) -> Option<Pred> {
        if self.defaults.fields.is_none() && self.checker.schema.layers().is_empty() {
            self.checker.diagnostics.push(
                Diagnostic::new(
                    Code::RP9001,
                    "a value without a field is not supported yet without field information",
                )
                .at(span, "in which fields?")
                .help("give a mapping, or name the field: `field:value`"),
            );
            return Some(Pred::Const(false));
        }
        if let Some(names) = &self.defaults.fields {
            let mut alternatives = Vec::with_capacity(names.len());
            for name in names {
                let name = name.split('^').next().unwrap_or(name);
                alternatives.extend(self.of_field(name, span, span, term));
            }
            return Some(any_of(alternatives));
        }
        if self.all.is_none() {
            let schema = self.checker.schema;
            let mut found: Vec<&Field> =
                schema.iter().filter(|f| !f.kind().is_object() && f.nested.is_none()).collect();
            found.sort_by(|a, b| a.name.cmp(&b.name));
            self.all = Some(found.into_iter().filter_map(|f| self.field(f)).collect());
        }
        let ids = self.all.take().unwrap_or_default();
        let alternatives = ids.iter().map(|id| self.ask_lenient(*id, term, span)).collect();
        self.all = Some(ids);
        Some(any_of(alternatives))
    }

    fn ask_lenient(&mut self, id: FieldId, term: &Term, span: Span) -> Pred {
        let text = self.is_text(id);
        let Some(ops) = self.ops(term, text) else { return Pred::Const(false) };
        let mut preds = Vec::with_capacity(ops.len());
        for op in ops {
            self.leaves += 1;
            if self.leaves <= MAX_LEAVES
                && let Ok(pred) = self.fields.leaf(id, op, span, &self.checker.settings.context)
            {
                preds.push(pred);
            }
        }
        any_of(preds)
    }

    /// A clause on one field that is known.
    fn ask(&mut self, id: FieldId, field: &Field, name: &str, term: &Term, span: Span) -> Option<Pred> {
        let ops = self.ops(term, field.kind().is_text() && field.types.len() == 1)?;
        let mut preds = Vec::with_capacity(ops.len());
        for op in ops {
            self.leaves += 1;
            if self.leaves > MAX_LEAVES {
                break;
            }
            match self.fields.leaf(id, op, span, &self.checker.settings.context) {
                Ok(pred) => preds.push(pred),
                Err(reject) => {
                    let mut d = resolve::refused(field, name, reject, span);
                    if self.defaults.lenient && d.severity == Severity::Error && d.code != Code::RP9001 {
                        d.severity = Severity::Warning;
                        d = d.note("a query string is lenient, so the clause matches nothing");
                    }
                    self.checker.diagnostics.push(d);
                }
            }
        }
        Some(any_of(preds))
    }

    fn is_text(&self, id: FieldId) -> bool {
        self.fields.get(id).is_some_and(|f| f.types.iter().all(|t| t.kind.is_text()))
    }

    /// What a term asks of a field, any of it; `None` where the analyzer leaves nothing of its text.
    fn ops(&self, term: &Term, text_field: bool) -> Option<Vec<Op>> {
        let literal = |text: &str| Literal::Str(text.into());
        let bound = |text: &str| literal(&if text_field { text.to_lowercase() } else { text.to_owned() });
        let blank = |text: &str| text_field && analyze::standard(text).is_empty();
        Some(vec![match term {
            Term::Words(words) => {
                let text = words.join(" ");
                if let Some((op, inclusive, rest)) = comparison(&text) {
                    let side = Some((bound(rest), inclusive));
                    let (lower, upper) = if op == '>' { (side, None) } else { (None, side) };
                    return Some(vec![Op::Range { lower, upper }]);
                }
                if blank(&text) {
                    return None;
                }
                Op::Match(literal(&text))
            }
            Term::Operator(c) if text_field && !c.is_alphanumeric() => return None,
            Term::Operator(c) => Op::Match(literal(&c.to_string())),
            Term::Quoted { text, .. } if blank(text) => return None,
            Term::Quoted { text, slop } => {
                match slop.as_ref().and_then(|s| s.parse::<f64>().ok()).map(|s| s as u32) {
                    Some(slop) if slop > 0 => Op::SloppyPhrase(literal(text), slop),
                    _ => Op::Phrase(literal(text)),
                }
            }
            Term::Star => Op::Exists,
            Term::Prefix(text) => return self.prefix(text, text_field),
            Term::Wildcard(parts) => Op::QueryWildcard(Pattern::new(parts.iter().cloned(), false)),
            Term::Regexp(text) => Op::Regexp(text.replace("\\/", "/").into(), Case::Sensitive),
            Term::Fuzzy(text, how) => {
                let text = if text_field { text.to_lowercase() } else { text.to_string() };
                let edits = edits(&text, how);
                Op::Fuzzy(text.into(), edits)
            }
            Term::Range { lower: None, upper: None, .. } => Op::Exists,
            Term::Range { lower, lower_inclusive, upper, upper_inclusive } => Op::Range {
                lower: lower.as_ref().map(|t| (bound(t), *lower_inclusive)),
                upper: upper.as_ref().map(|t| (bound(t), *upper_inclusive)),
            },
            Term::Group(_) => return None,
        }])
    }

    /// A prefix; on text its words are analysed: all but the last are words of their own. `None` where the
    /// analyzer leaves nothing of it.
    fn prefix(&self, text: &str, text_field: bool) -> Option<Vec<Op>> {
        let pattern = |t: &str| Op::QueryWildcard(Pattern::new([Part::Text(t.to_owned()), Part::Any], false));
        if !(text_field && self.defaults.analyze_wildcard) {
            return Some(vec![pattern(text)]);
        }
        let tokens = analyze::standard(text);
        let (last, rest) = tokens.split_last()?;
        let mut ops: Vec<Op> =
            rest.iter().map(|t| Op::Term(Literal::Str(t.as_str().into()), Case::Sensitive)).collect();
        ops.push(pattern(last));
        Some(ops)
    }
}

/// `>5`, `>=5`, `<5`, `<=5`: the sign, whether the bound counts, and the bound. Of `>=` alone the `=` is the bound.
fn comparison(text: &str) -> Option<(char, bool, &str)> {
    let sign = text.chars().next().filter(|c| matches!(c, '<' | '>'))?;
    let rest = text.get(1..)?;
    let (inclusive, rest) = match rest.strip_prefix('=') {
        Some(bound) if !bound.is_empty() => (true, bound),
        _ => (false, rest),
    };
    (!rest.is_empty()).then_some((sign, inclusive, rest))
}

/// How many edits `~` and `~n` allow.
fn edits(text: &str, how: &str) -> u32 {
    let length = text.chars().count();
    match how.parse::<f64>() {
        Ok(n) if n >= 1.0 => n.min(2.0) as u32,
        Ok(similarity) if similarity > 0.0 => (((1.0 - similarity) * length as f64) as u32).min(2),
        Ok(_) => 0,
        Err(_) => match length {
            0..=2 => 0,
            3..=5 => 1,
            _ => 2,
        },
    }
}

/// The types that a field may have of which nothing is known.
fn untyped(term: &Term) -> Vec<FieldType> {
    let value = match term {
        Term::Words(words) => words.join(" "),
        Term::Quoted { text, .. } => text.to_string(),
        Term::Range { lower, upper, .. } => {
            lower.as_ref().or(upper.as_ref()).map(ToString::to_string).unwrap_or_default()
        }
        _ => String::new(),
    };
    let value = comparison(&value).map_or(value.as_str(), |(_, _, rest)| rest);
    let bounded = matches!(term, Term::Range { .. }) || comparison(value).is_some();
    let found = resolve::kind_of(value);
    let mut kinds = vec![Kind::Keyword];
    kinds.extend(found);
    if bounded && found.is_some() {
        kinds.remove(0);
    }
    kinds.into_iter().map(FieldType::of).collect()
}

fn any_of(preds: Vec<Pred>) -> Pred {
    let mut kept: Vec<Pred> = preds.into_iter().filter(|p| *p != Pred::Const(false)).collect();
    match kept.len() {
        0 => Pred::Const(false),
        1 => kept.remove(0),
        _ => Pred::Or(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::super::analyze;
    use super::*;
    use crate::schema::{Layer, parse_mapping};
    use crate::value::ProjectionBuilder;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn schema() -> Schema {
        let mapping = json!({"properties": {
            "text": {"type": "text"}, "name": {"type": "keyword"}, "size": {"type": "long"},
            "seen": {"type": "date"}, "ip": {"type": "ip"}, "host": {"properties": {"id": {"type": "keyword"}}},
            "items": {"type": "nested", "properties": {"sku": {"type": "keyword"}}}}});
        let fields = Arc::new(parse_mapping(&mapping.to_string()).unwrap());
        Schema::new(vec![Layer { fields, version: None, label: "m".into() }])
    }

    fn matches(query: &str, document: Value) -> bool {
        let a = analyze(query, &schema(), &Settings::default());
        let plan = a.plan.unwrap_or_else(|| panic!("{query}: {:?}", a.diagnostics));
        let mut builder = ProjectionBuilder::default();
        let slots: Vec<usize> = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
        plan.matches(&builder.build().project_value(&document), &slots).unwrap()
    }

    fn codes(query: &str) -> Vec<(Code, Severity)> {
        let a = analyze(query, &schema(), &Settings::default());
        a.diagnostics.iter().map(|d| (d.code, d.severity)).collect()
    }

    #[test]
    fn operators_have_no_precedence() {
        let with = |names: &[&str]| json!({"name": names});
        let q = "name:a OR name:b AND name:c";
        assert!(matches(q, with(&["b", "c"])));
        assert!(!matches(q, with(&["a"])));
        let q = "name:a AND name:b OR name:c";
        assert!(matches(q, with(&["a", "b"])));
        assert!(!matches(q, with(&["c"])));
        assert!(matches("name:a OR NOT name:b", with(&["a"])));
        assert!(!matches("name:a OR NOT name:b", with(&["c"])));
        assert!(matches("NOT name:b", with(&[])));
        assert!(matches("name:(a b -c)", with(&["a b"])));
        assert!(!matches("+name:a name:b", with(&["b"])));
    }

    #[test]
    fn words_are_one_value_on_a_keyword_and_alternatives_on_text() {
        assert!(matches("name:(red fox)", json!({"name": "red fox"})));
        assert!(!matches("name:(red fox)", json!({"name": "red"})));
        assert!(matches("text:(red fox)", json!({"text": "a FOX"})));
        assert!(matches("fox", json!({"text": "the fox"})));
        assert!(matches("text:\"quick fox\"~1", json!({"text": "quick brown fox"})));
        assert!(!matches("text:\"quick fox\"", json!({"text": "quick brown fox"})));
        assert!(matches("text:\"fox quick\"~3", json!({"text": "quick brown fox"})));
        assert!(!matches("text:\"fox quick\"~2", json!({"text": "quick brown fox"})));
        assert!(matches("text:\"!!!\" AND name:a", json!({"name": "a"})));
    }

    #[test]
    fn patterns_ranges_and_near_words() {
        assert!(matches("name:re*", json!({"name": "red"})));
        assert!(matches("name:r?d", json!({"name": "red"})));
        assert!(matches("name:/r[aeiou]d/", json!({"name": "red"})));
        assert!(!matches("name:/r/", json!({"name": "red"})));
        assert!(matches("name:rde~", json!({"name": "red"})));
        assert!(!matches("name:re~", json!({"name": "red"})));
        assert!(matches("text:fxo~1", json!({"text": "a Fox"})));
        assert!(matches("size:[1 TO 4}", json!({"size": 3})));
        assert!(!matches("size:[1 TO 4}", json!({"size": 4})));
        assert!(matches("size:>=4", json!({"size": 4})));
        assert!(matches("seen:2024-06", json!({"seen": "2024-06-01T01:00:00Z"})));
        assert!(matches("ip:10.0.0.0\\/8", json!({"ip": "10.1.1.1"})));
        assert!(matches("text:Re*", json!({"text": "RED"})));
    }

    #[test]
    fn existence_patterns_of_names_and_objects() {
        assert!(matches("_exists_:name", json!({"name": ""})));
        assert!(matches("name:* AND host:*", json!({"name": "a", "host": {"id": "1"}})));
        assert!(matches("host.\\*:1", json!({"host": {"id": "1"}})));
        assert!(matches("*", json!({})));
        assert!(matches("*:*", json!({})));
        assert!(matches("", json!({})));
        assert!(!matches("items.sku:a", json!({"items": [{"sku": "a"}]})));
    }

    #[test]
    fn what_does_not_fit_is_a_warning_and_never_matches() {
        assert_eq!(codes("size:abc"), [(Code::RP0301, Severity::Warning)]);
        assert!(!matches("size:abc", json!({"size": 1})));
        assert_eq!(codes("nam:abc"), [(Code::RP0201, Severity::Warning)]);
        assert_eq!(codes("abc"), [(Code::RP1001, Severity::Warning)]);
        assert_eq!(codes("name:(a and b)"), [(Code::RP1006, Severity::Warning)]);
        assert_eq!(codes("items.sku:a"), [(Code::RP0203, Severity::Warning)]);
        assert_eq!(codes("name:(a"), [(Code::RP0101, Severity::Error)]);
        for wrong in [
            "a AND",
            "AND a",
            "a AND AND b",
            "()",
            "a:b:c",
            "f:-5",
            "a/b",
            "[a TO",
            "f*:x",
            "\"a",
            "a^",
            "f:",
        ] {
            assert!(codes(wrong).iter().any(|(_, s)| *s == Severity::Error), "{wrong}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow() {
        let deep = |n: usize| format!("{}name:a{}", "(".repeat(n), ")".repeat(n));
        assert!(codes(&deep(100_000)).iter().any(|(c, _)| *c == Code::RP0104));
        let query = super::super::parse(&deep(crate::lang::MAX_DEPTH)).unwrap();
        assert!(super::super::parse(&super::super::print(&query)).is_ok());
        assert!(matches(&deep(crate::lang::MAX_DEPTH), json!({"name": "a"})));
    }

    #[test]
    fn edits_grow_with_the_word() {
        assert_eq!((edits("ab", ""), edits("abc", ""), edits("abcdef", "")), (0, 1, 2));
        assert_eq!((edits("abc", "5"), edits("abcde", "0.5"), edits("abc", "0")), (2, 2, 0));
    }
}
