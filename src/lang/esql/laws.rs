//! Laws that hold for every query.

use super::ast::{
    Aggregate, Assign, At, Command, CommandKind, CompareOp, Expr, ExprKind, Literal, Name, NamePattern,
    Query, SortKey, Text,
};
use super::{parse, print};
use crate::lang::Settings;
use crate::plan::Arithmetic;
use crate::schema::Schema;
use proptest::prelude::*;

fn at(kind: ExprKind) -> Expr {
    Expr { kind, at: At::default() }
}

fn column_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,2}(\\.[a-c_]{2})?",
        Just("user name".to_owned()),
        Just("first".to_owned()),
        Just("a`b.0".to_owned())
    ]
}

fn named(text: String) -> Name {
    Name { text, at: At::default() }
}

fn quoted(text: String) -> Text {
    Text { text, at: At::default() }
}

fn literal() -> impl Strategy<Value = Literal> {
    let single = prop_oneof![
        any::<bool>().prop_map(Literal::Bool),
        any::<u32>().prop_map(|n| Literal::Integer(n.to_string())),
        (0u32..1000, 0u32..100).prop_map(|(a, b)| Literal::Decimal(format!("{a}.{b}").parse().unwrap())),
        "[a \"\\\\\n*?é]{0,6}".prop_map(Literal::Str),
    ];
    prop_oneof![
        single,
        Just(Literal::Null),
        (1i64..99).prop_map(|n| Literal::Span(n, "minutes".into())),
        prop::collection::vec("[a-z]{0,3}".prop_map(Literal::Str), 1..3).prop_map(Literal::Array),
        prop::collection::vec((-9i32..9).prop_map(|n| Literal::Integer(n.to_string())), 1..3)
            .prop_map(Literal::Array),
    ]
}

fn expression() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        literal().prop_map(|l| at(ExprKind::Literal(l))),
        column_name().prop_map(|n| at(ExprKind::Column(n))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let op = prop::sample::select(Arithmetic::ALL.to_vec());
        let compare = prop::sample::select(vec![
            CompareOp::Equal,
            CompareOp::NotEqual,
            CompareOp::Less,
            CompareOp::GreaterEqual,
        ]);
        prop_oneof![
            (op, inner.clone(), inner.clone()).prop_map(|(op, a, b)| at(ExprKind::Arithmetic(
                op,
                Box::new(a),
                Box::new(b)
            ))),
            (compare, inner.clone(), inner.clone()).prop_map(|(op, a, b)| at(ExprKind::Compare(
                op,
                Box::new(a),
                Box::new(b)
            ))),
            (any::<bool>(), inner.clone()).prop_map(|(minus, e)| at(ExprKind::Sign(minus, Box::new(e)))),
            inner.clone().prop_map(|e| at(ExprKind::Not(Box::new(e)))),
            (any::<bool>(), inner.clone()).prop_map(|(n, e)| at(ExprKind::IsNull(n, Box::new(e)))),
            (any::<bool>(), inner.clone(), prop::collection::vec(inner.clone(), 1..3))
                .prop_map(|(n, e, list)| at(ExprKind::In(n, Box::new(e), list))),
            (any::<bool>(), any::<bool>(), inner.clone(), "[a*?\\\\]{0,4}").prop_map(
                |(negated, regex, e, p)| {
                    let patterns = vec![quoted(p)];
                    at(ExprKind::Like { negated, regex, value: Box::new(e), patterns, list: negated })
                }
            ),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|v| at(ExprKind::And(flat(v, true)))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|v| at(ExprKind::Or(flat(v, false)))),
            inner.clone().prop_map(|e| at(ExprKind::Cast(Box::new(e), named("string".into())))),
            (prop::sample::select(vec!["concat", "first", "`odd`"]), prop::collection::vec(inner, 0..3))
                .prop_map(|(name, args)| at(ExprKind::Call {
                    name: named(name.trim_matches('`').to_owned()),
                    star: false,
                    args,
                    options: Vec::new()
                })),
        ]
    })
}

/// Chains of one operator are read as one list.
fn flat(parts: Vec<Expr>, and: bool) -> Vec<Expr> {
    let mut out = Vec::new();
    for p in parts {
        match p.kind {
            ExprKind::And(inner) if and => out.extend(inner),
            ExprKind::Or(inner) if !and => out.extend(inner),
            kind => out.push(at(kind)),
        }
    }
    out
}

fn assigns() -> impl Strategy<Value = Vec<Assign>> {
    let one = (prop::option::of(column_name()), expression())
        .prop_map(|(name, value)| Assign { name: name.map(named), value });
    prop::collection::vec(one, 1..3)
}

fn command() -> impl Strategy<Value = CommandKind> {
    let pattern = prop::collection::vec("[a-c]{0,2}", 1..3)
        .prop_filter("a name", |p| p.len() > 1 || !p[0].is_empty())
        .prop_map(|parts| NamePattern { parts, at: At::default() });
    let key = (expression(), prop::option::of(any::<bool>()), prop::option::of(any::<bool>()))
        .prop_map(|(expr, descending, nulls_first)| SortKey { expr, descending, nulls_first });
    prop_oneof![
        expression().prop_map(CommandKind::Where),
        assigns().prop_map(CommandKind::Eval),
        prop::collection::vec(pattern, 1..3).prop_map(CommandKind::Keep),
        prop::collection::vec((column_name(), column_name()), 1..3)
            .prop_map(|v| CommandKind::Rename(v.into_iter().map(|(a, b)| (named(a), named(b))).collect())),
        prop::collection::vec(key, 1..3).prop_map(CommandKind::Sort),
        (any::<bool>(), assigns(), prop::option::of(expression()), prop::option::of(assigns())).prop_map(
            |(inline, items, filter, by)| CommandKind::Stats {
                inline,
                aggregates: items
                    .into_iter()
                    .map(|item| Aggregate { item, filter: filter.clone() })
                    .collect(),
                by: by.unwrap_or_default(),
            }
        ),
        (column_name(), "[%{}a ]{0,6}").prop_map(|(n, p)| CommandKind::Dissect {
            input: at(ExprKind::Column(n)),
            pattern: quoted(p),
            separator: Some(quoted(",".into()))
        }),
        column_name().prop_map(|n| CommandKind::Expand(named(n))),
    ]
}

proptest! {
    #[test]
    fn a_printed_query_parses_to_the_same_tree(kinds in prop::collection::vec(command(), 0..4)) {
        let from = CommandKind::From {
            series: false,
            indices: vec![quoted("logs-*".into()), quoted("a b".into())],
            metadata: vec![named("_id".into())],
        };
        let commands = std::iter::once(from).chain(kinds).map(|kind| Command { kind, at: At::default() });
        let query = Query { commands: commands.collect() };
        let text = print(&query);
        let (again, found) = parse(&text);
        prop_assert!(found.is_empty(), "{text}\n{found:?}");
        prop_assert_eq!(&again, &query, "{}", text);
        prop_assert_eq!(print(&again), text);
    }

    #[test]
    fn no_text_breaks_the_parser_or_the_checker(text in "(FROM a|ROW x = 1)?([|&a-c \"'`()\\[\\]{}=<>!:*%.,0-9+-/]|eval |stats |by |where |not |in |like |keep |case\\(|::){0,30}") {
        super::analyze(&text, &Schema::none(), &Settings::default());
    }
}

#[test]
fn deep_nesting_is_refused_and_long_chains_are_not_deep_lists() {
    for (open, close) in [("(", ")"), ("NOT ", ""), ("-", ""), ("abs(", ")"), ("1 + ", "")] {
        let text = format!("ROW x = {}1{}", open.repeat(5_000), close.repeat(5_000));
        let (_, found) = parse(&text);
        assert_eq!(found.first().map(|d| d.code), Some(crate::diag::Code::RP0104), "{open}");
    }
    let flat = format!("FROM a | WHERE {}", vec!["a == 1"; 5_000].join(" OR "));
    assert!(parse(&flat).1.is_empty());
}
