//! Searches of the document: `KQL`, `MATCH` and `:`.

use super::ast::{Expr, ExprKind, Literal, MapEntry, MapValue};
use super::check::{Checked, Checker, Place, Typed};
use super::scope::{ColumnOrigin, Scope};
use crate::diag::{Code, Diagnostic, Severity, did_you_mean};
use crate::es::{Case, Literal as EsLiteral, Op};
use crate::lang::FieldUse;
use crate::plan::Pred;
use crate::plan::table::{Expr as PlanExpr, What};
use crate::source::Span;
use crate::value::{ColumnType, Datum, Value};

/// What the options of `MATCH` change.
#[derive(Clone, Copy, Default)]
pub(super) struct MatchOptions {
    /// How far a word may be off.
    fuzziness: Option<Fuzziness>,
    /// Whether every word must be there.
    all: bool,
}

#[derive(Clone, Copy)]
enum Fuzziness {
    /// So many edits.
    Edits(u32),
    /// By length: up to `.0` characters none, up to `.1` one, else two.
    Auto(usize, usize),
}

impl Fuzziness {
    fn read(text: &str) -> Option<Fuzziness> {
        if let Ok(n) = text.parse::<u32>() {
            return (n <= 2).then_some(Fuzziness::Edits(n));
        }
        let rest = text.get(..4).filter(|a| a.eq_ignore_ascii_case("auto")).and(text.get(4..))?;
        if rest.is_empty() {
            return Some(Fuzziness::Auto(2, 5));
        }
        let (low, high) = rest.strip_prefix(':')?.split_once(',')?;
        let (low, high) = (low.parse::<usize>().ok()?, high.parse::<usize>().ok()?);
        (low <= high).then(|| Fuzziness::Auto(low.saturating_sub(1), high.saturating_sub(1)))
    }

    fn edits(self, word: &str) -> u32 {
        let n = word.chars().count();
        match self {
            Fuzziness::Edits(edits) => edits,
            Fuzziness::Auto(low, _) if n <= low => 0,
            Fuzziness::Auto(_, high) if n <= high => 1,
            Fuzziness::Auto(..) => 2,
        }
    }
}

/// The options of `MATCH`, and whether they are supported: some have no bearing on what matches.
const MATCH_OPTIONS: &[(&str, bool)] = &[
    ("analyzer", false),
    ("auto_generate_synonyms_phrase_query", true),
    ("boost", true),
    ("fuzziness", true),
    ("fuzzy_rewrite", true),
    ("fuzzy_transpositions", false),
    ("lenient", false),
    ("max_expansions", true),
    ("minimum_should_match", false),
    ("operator", true),
    ("prefix_length", false),
    ("zero_terms_query", false),
];

impl Checker<'_> {
    /// Whether a search may stand here.
    pub(super) fn searchable(&mut self, what: &str, kql: bool, span: Span, place: Place) -> bool {
        let why = match place {
            Place::Where => self.before.breaks.or(if kql { self.before.widens } else { None }),
            _ => {
                self.found.push(
                    Diagnostic::new(Code::RP0406, format!("`{what}` is out of place"))
                        .at(span, "a search of the document stands only in `WHERE`"),
                );
                return false;
            }
        };
        if let Some(why) = why {
            self.found.push(
                Diagnostic::new(Code::RP0406, format!("`{what}` cannot stand after `{why}`"))
                    .at(span, "it searches the documents, before they are changed"),
            );
        }
        why.is_none()
    }

    pub(super) fn kql(&mut self, args: &[Expr], span: Span, scope: &Scope, place: Place) -> Checked {
        if !self.searchable("KQL", true, span, place) {
            return None;
        }
        let first = args.first()?;
        let typed = self.expr(first, scope, Place::Plain)?;
        let query = match self.constant(&typed.expr) {
            Some(Datum::One(v)) if v.as_str().is_some() => v,
            _ => {
                let d = Diagnostic::new(Code::RP0307, "the query of `KQL` must be a constant text")
                    .at(first.span(), "");
                return self.report(d);
            }
        };
        let analysis = crate::lang::kql::analyze(
            query.as_str().unwrap_or_default(),
            &self.tables.schema,
            self.tables.settings,
        );
        self.fields
            .extend(analysis.fields.into_iter().map(|f| FieldUse { name: f.name, span: first.span() }));
        for mut d in analysis.diagnostics {
            // its places are those of the inner text
            d.labels.clear();
            d.fix = None;
            self.found.push(d.at(first.span(), ""));
        }
        let plan = analysis.plan?;
        let preds: Vec<Pred> = plan.filter().cloned().collect();
        let ids: Vec<_> = plan.fields.iter().map(|f| self.tables.fields.add(f.clone())).collect();
        let pred = Pred::all(preds).with_fields(&|id| ids.get(id.0 as usize).copied().unwrap_or(id));
        let slot = self.tables.special(What::Matches(pred));
        Some(Typed { expr: PlanExpr::Column(slot), ty: ColumnType::Boolean })
    }

    pub(super) fn match_call(
        &mut self,
        args: &[Expr],
        options: &[MapEntry],
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let (field, value) = match args {
            [field, value] => (field, value),
            _ => return None,
        };
        let options = self.match_options(options, span)?;
        let typed = self.expr(value, scope, Place::Plain)?;
        let Some(Datum::One(constant)) = self.constant(&typed.expr) else {
            let d =
                Diagnostic::new(Code::RP0307, "the query of `MATCH` must be a constant").at(value.span(), "");
            return self.report(d);
        };
        self.search(field, constant, options, span, scope, place)
    }

    fn match_options(&mut self, options: &[MapEntry], span: Span) -> Option<MatchOptions> {
        let mut out = MatchOptions::default();
        for option in options {
            let name = option.key.as_str();
            let text = match &option.value {
                MapValue::Constant(Literal::Integer(text) | Literal::Str(text)) => text.clone(),
                MapValue::Constant(Literal::Bool(b)) => b.to_string(),
                _ => String::new(),
            };
            let wrong = |what: &str| {
                Diagnostic::new(Code::RP0403, format!("`{name}` of `MATCH` is {what}, not `{text}`"))
                    .at(span, "")
            };
            match (name, MATCH_OPTIONS.iter().find(|(n, _)| *n == name)) {
                ("fuzziness", _) => match Fuzziness::read(&text) {
                    Some(f) => out.fuzziness = Some(f),
                    None => {
                        self.found.push(wrong("0, 1, 2 or `AUTO`"));
                        return None;
                    }
                },
                ("operator", _) if text.eq_ignore_ascii_case("and") => out.all = true,
                ("operator", _) if text.eq_ignore_ascii_case("or") => {}
                ("operator", _) => {
                    self.found.push(wrong("`AND` or `OR`"));
                    return None;
                }
                (_, Some((_, true))) => {}
                (_, Some((_, false))) => self.found.push(
                    Diagnostic::new(
                        Code::RP9001,
                        format!("the option `{name}` of `MATCH` is not supported yet"),
                    )
                    .severity(Severity::Note)
                    .at(span, ""),
                ),
                (_, None) => {
                    let mut d =
                        Diagnostic::new(Code::RP0403, format!("`MATCH` has no option `{name}`")).at(span, "");
                    if let Some(near) = did_you_mean(name, MATCH_OPTIONS.iter().map(|(n, _)| *n)) {
                        d = d.help(format!("did you mean `{near}`?"));
                    }
                    self.found.push(d);
                    return None;
                }
            }
        }
        Some(out)
    }

    pub(super) fn match_field(
        &mut self,
        field: &Expr,
        value: &Literal,
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        let typed = self.literal(value, span)?;
        let Some(Datum::One(constant)) = self.constant(&typed.expr) else {
            let d = Diagnostic::new(Code::RP0309, "`:` needs one value").at(span, "");
            return self.report(d);
        };
        self.search(field, constant, MatchOptions::default(), span, scope, place)
    }

    fn search(
        &mut self,
        field: &Expr,
        value: Value,
        options: MatchOptions,
        span: Span,
        scope: &Scope,
        place: Place,
    ) -> Checked {
        if !self.searchable("MATCH", false, span, place) {
            return None;
        }
        let inner = match &field.kind {
            ExprKind::Cast(inner, _) => inner.as_ref(),
            _ => field,
        };
        let column = match &inner.kind {
            ExprKind::Column(name) => self.column(name, inner.span(), scope)?,
            _ => {
                let shown = self.source(field.span());
                let d =
                    Diagnostic::new(Code::RP0406, format!("`MATCH` searches a field, and `{shown}` is none"))
                        .at(field.span(), "");
                return self.report(d);
            }
        };
        let (ColumnOrigin::Field(name) | ColumnOrigin::Unknown(name)) = column.origin.clone() else {
            let d = Diagnostic::new(
                Code::RP0406,
                format!("`MATCH` searches a field, and `{}` is computed", column.name),
            )
            .at(field.span(), "");
            return self.report(d);
        };
        let slot = self.tables.field_slot(&name, None);
        let id = self.tables.source.iter().find(|c| c.slot == slot).and_then(|c| match &c.what {
            What::Field { id, .. } => Some(*id),
            _ => None,
        })?;
        let literal = match &value {
            Value::Bool(b) => EsLiteral::Bool(*b),
            Value::Int(i) => EsLiteral::Int(*i),
            Value::Double(d) => EsLiteral::Float(*d),
            other => EsLiteral::Str(crate::func::text(other).unwrap_or_default().into()),
        };
        let words = match &literal {
            EsLiteral::Str(s) if column.ty == ColumnType::Text => crate::es::analyze::standard(s),
            EsLiteral::Str(s) => vec![s.to_string()],
            _ => Vec::new(),
        };
        let ops: Vec<Op> = match options.fuzziness {
            Some(f) if !words.is_empty() => {
                words.iter().map(|w| Op::Fuzzy(w.as_str().into(), f.edits(w))).collect()
            }
            _ if column.ty != ColumnType::Text => vec![Op::Term(literal, Case::Sensitive)],
            _ if options.all => words.into_iter().map(|w| Op::Match(EsLiteral::Str(w.into()))).collect(),
            _ => vec![Op::Match(literal)],
        };
        let context = &self.tables.settings.context;
        let leaves: Result<Vec<Pred>, _> =
            ops.into_iter().map(|op| self.tables.fields.leaf(id, op, span, context)).collect();
        match leaves {
            Ok(leaves) => {
                let pred = if options.all { Pred::all(leaves) } else { Pred::any(leaves) };
                let slot = self.tables.special(What::Matches(pred));
                Some(Typed { expr: PlanExpr::Column(slot), ty: ColumnType::Boolean })
            }
            Err(reject) => {
                let d = Diagnostic::new(reject.code, reject.message).at(span, "");
                self.report(d)
            }
        }
    }
}
