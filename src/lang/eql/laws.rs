//! Laws of the lexer, parser, printer and plan, tried on random input.

use super::tests::{holds, project, schema};
use super::*;
use crate::es::Case;
use crate::func::Arithmetic;
use crate::plan::{Pred, Script};
use proptest::prelude::*;
use serde_json::json;

fn name() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        proptest::sample::select(vec!["tool", "path", "n", "m", "a.b", "sequence", "x y.z", "we`ird", "@t"])
            .prop_map(Into::into),
        "[a-z`. -]{1,6}".prop_map(Into::into),
    ]
}

fn constant() -> impl Strategy<Value = Literal> {
    prop_oneof![
        ("\\PC{0,6}|[\"\\\\\n\t\u{8}]{0,6}", any::<bool>())
            .prop_map(|(s, raw)| Literal::Str(s.as_str().into(), raw && print::fits_raw(&s))),
        (0..=i64::MAX).prop_map(Literal::Int),
        (0.0..1e300).prop_map(Literal::Float),
        any::<bool>().prop_map(Literal::Bool),
        Just(Literal::Null),
    ]
}

fn node(kind: ExprKind) -> Expr {
    Expr::new(kind, Span::default())
}

fn tree() -> impl Strategy<Value = Expr> {
    let field = |(name, optional)| node(ExprKind::Field(FieldRef { name, optional, at: At::default() }));
    let leaf = prop_oneof![
        constant().prop_map(|l| node(ExprKind::Literal(l))),
        (1..=i64::MAX).prop_map(|i| node(ExprKind::Literal(Literal::Int(-i)))),
        (name(), any::<bool>()).prop_map(field),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let many = |least| proptest::collection::vec(inner.clone(), least..4);
        let one = || inner.clone().prop_map(Box::new);
        let compare = proptest::sample::select(vec![
            CompareOp::Equal,
            CompareOp::NotEqual,
            CompareOp::Less,
            CompareOp::LessEqual,
            CompareOp::Greater,
            CompareOp::GreaterEqual,
        ]);
        let case = any::<bool>().prop_map(|b| if b { Case::Sensitive } else { Case::Insensitive });
        let op = proptest::sample::select(vec![
            MatchOp::Colon,
            MatchOp::Like,
            MatchOp::LikeInsensitive,
            MatchOp::Regex,
            MatchOp::RegexInsensitive,
        ]);
        prop_oneof![
            ("[a-z]{1,3}[A-Z]", any::<bool>(), many(0)).prop_map(|(n, tilde, args)| {
                let name = Name { text: n.into(), at: At::default() };
                node(ExprKind::Call(name, tilde, args))
            }),
            one().prop_map(|e| match e.kind {
                ExprKind::Literal(Literal::Int(_) | Literal::Float(_)) => *e,
                _ => node(ExprKind::Negate(e)),
            }),
            (proptest::sample::select(Arithmetic::ALL.to_vec()), one(), one())
                .prop_map(|(op, a, b)| node(ExprKind::Arithmetic(op, a, b))),
            (compare, one(), one()).prop_map(|(op, a, b)| node(ExprKind::Compare(op, a, b))),
            (one(), any::<bool>(), case, many(1)).prop_map(|(e, negated, case, list)| {
                node(ExprKind::In(e, Membership { negated, case }, list))
            }),
            (one(), op, proptest::collection::vec(constant(), 1..3)).prop_map(|(e, op, list)| {
                node(ExprKind::Match(e, op, list.into_iter().map(|l| (l, At::default())).collect()))
            }),
            one().prop_map(|e| node(ExprKind::Not(e))),
            many(2).prop_map(|parts| node(ExprKind::And(parts))),
            many(2).prop_map(|parts| node(ExprKind::Or(parts))),
        ]
    })
}

/// Conditions whose pushed-down and computed forms must agree on documents with one value a field.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (proptest::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]), -3..4i64)
            .prop_map(|(op, v)| format!("n {op} {v}")),
        (proptest::sample::select(vec!["==", "<", ">="]), "[aB]{0,2}")
            .prop_map(|(op, v)| format!("tool {op} \"{v}\"")),
        (proptest::sample::select(vec![":", "like", "like~", "regex", "regex~"]), "[aB.]{1,2}[*]?")
            .prop_map(|(op, v)| format!("tool {op} (\"{v}\", \"x\")")),
        (proptest::sample::select(vec!["in", "in~", "not in"]), "[aB]{0,2}")
            .prop_map(|(op, v)| format!("tool {op} (\"{v}\", \"b\")")),
        (
            proptest::sample::select(vec!["startsWith", "endsWith~", "stringContains"]),
            "[aB*]{0,2}",
            any::<bool>()
        )
            .prop_map(|(f, v, b)| format!("{f}(tool, \"{v}\") == {b}")),
        Just("ok".to_owned()),
        Just("ok == false".to_owned()),
        Just("n != null".to_owned()),
        Just(r#"ip == "10.0.0.1""#.to_owned()),
        Just(r#"cidrMatch(ip, "10.0.0.0/31")"#.to_owned()),
        Just(r#"rel >= "1.2""#.to_owned()),
        Just("ratio < 0.5".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

/// The plan of a condition with the whole of it as one computation.
fn as_script(condition: &str, schema: &Schema) -> Plan {
    let (query, settings) = (format!("any where {condition}"), Settings::default());
    let Body::Event(filter) = parse(&query).unwrap().body else { panic!() };
    let mut checker = Checker { schema, settings: &settings, text: &query, found: Vec::new() };
    let checked = checker.filter(&filter).unwrap();
    let mut fields = crate::plan::PlanFields::default();
    let expr = lower::computed(&checked.condition, &settings.context, &mut |c| {
        fields.add(crate::plan::PlanField {
            name: c.name.clone(),
            access: c.access.clone(),
            types: c.types.clone(),
            key_below: c.key_below,
        })
    });
    let ids = (0..u32::try_from(fields.iter().count()).unwrap()).map(crate::plan::FieldId).collect();
    let script = Script { expr, fields: ids, span: Span::default() };
    Plan { fields, stages: vec![Stage::Filter(Pred::Script(script))] }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = analyze(&text, &schema(), &Settings::default());
    }

    #[test]
    fn no_mix_of_tokens_makes_the_analysis_panic(parts in proptest::collection::vec(proptest::sample::select(vec![
        "any", "where", "n", "tool", "?x", "==", "!=", "<", "and", "or", "not", "in", "in~", "(", ")", ",", "[", "![", "]",
        "sequence", "sample", "join", "by", "with", "maxspan", "=", "5m", "runs", "until", "|", "head", "tail", "1", "-2.5",
        "\"a*\"", "\"\"\"", "`", ":", "like~", "regex", "length(", "cidrMatch(", "null", "true", "*", "/", "%", "'", "\\", ".", "of",
    ]), 0..24)) {
        for text in [parts.join(" "), format!("any where {}", parts.join(" ")), format!("sequence [any where {}]", parts.join(" "))] {
            let analysis = analyze(&text, &schema(), &Settings::default());
            for label in analysis.diagnostics.iter().flat_map(|d| &d.labels) {
                prop_assert!(text.get(label.span.range()).is_some());
            }
        }
    }

    #[test]
    fn a_printed_query_parses_to_the_same_tree(condition in tree(), category in proptest::option::of("\\PC{0,5}"), keys in proptest::collection::vec(name(), 0..3)) {
        let filter = Filter {
            category: category.map(|c| Name { text: c.into(), at: At::default() }),
            condition,
            at: At::default(),
        };
        let event = Query { body: Body::Event(filter.clone()), pipes: vec![Pipe { cut: crate::lang::Cut { tail: true, limit: 3 }, at: At::default() }] };
        let text = print(&event);
        prop_assert!(parse(&text).is_ok_and(|q| q == event), "{}", text);
        let keys: Vec<FieldRef> = keys.into_iter().map(|name| FieldRef { name, optional: true, at: At::default() }).collect();
        let item = Item { filter, keys: keys.clone(), missing: false, runs: 3, at: At::default() };
        let maxspan = Some(Maxspan { amount: 7, unit: Unit::Hours, at: At::default() });
        let items = vec![item.clone(), Item { missing: true, runs: 1, ..item.clone() }];
        let until = Some(Item { runs: 1, ..item });
        let sequence = Query { body: Body::Sequence(Sequence { keys, maxspan, items, until, at: At::default() }), pipes: Vec::new() };
        let text = print(&sequence);
        prop_assert!(parse(&text).is_ok_and(|q| q == sequence), "{}", text);
    }

    #[test]
    fn leaves_agree_with_the_computed_condition(
        condition in condition(), tool in "[aBb*]{0,3}", n in -3..4i64, ok in any::<bool>(), last in 0..4u8, ratio in 0.0..1.0f64,
    ) {
        let doc = json!({"tool": tool, "n": n, "ok": ok, "ip": format!("10.0.0.{last}"), "rel": format!("1.{last}"), "ratio": ratio});
        let schema = schema();
        let plan = as_script(&condition, &schema);
        let (projected, slots) = project(&plan, &doc);
        prop_assert_eq!(holds(&condition, &doc), plan.matches(&projected, &slots).unwrap(), "{} on {}", condition, doc);
    }
}
