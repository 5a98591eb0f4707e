//! The executor against an obvious one: stages over whole tables, one after the other.

use super::lookup::Found;
use super::{
    AggregateCall, Aggregation, Answers, Dissect, Env, Expr, Grok, Lookup, Pipeline, Run, SortKey, Stage,
    Table, TableRow,
};
use crate::es::regexp::Regexp;
use crate::es::wildcard::Pattern;
use crate::func::column::{Aggregate, order};
use crate::plan::{Arithmetic, Comparison};
use crate::source::Span;
use crate::value::{ColumnType, Datum, Value};
use proptest::prelude::*;
use std::sync::Arc;

/// Two key columns, two columns of numbers, one that is computed, three for results; then a text, two parts
/// of it, and something looked up.
const SLOTS: usize = 12;
const TEXT: usize = 8;
const PARTS: [usize; 2] = [9, 10];
const LOOKED_UP: usize = 11;

fn at() -> Span {
    Span::default()
}

fn datum() -> impl Strategy<Value = Datum> {
    prop_oneof![
        Just(Datum::Null),
        (-3i64..4).prop_map(|i| Value::Int(i).into()),
        prop::collection::vec((-3i64..4).prop_map(Value::Int), 2..4).prop_map(Datum::of),
    ]
}

fn text() -> impl Strategy<Value = Datum> {
    let one = prop::sample::select(vec!["", "a", "b", "a b", "b=a", "a=b c", "=", " a"]);
    prop_oneof![
        1 => Just(Datum::Null),
        4 => one.clone().prop_map(|s| Value::str(s).into()),
        1 => prop::collection::vec(one.prop_map(Value::str), 2..4).prop_map(Datum::of),
    ]
}

/// Rows of a key and a value, some of which have none or several.
fn lookup() -> impl Strategy<Value = Stage> {
    let found = prop::sample::select(vec![Found::Rows, Found::Values]);
    (prop::collection::vec((datum(), text()), 0..6), found).prop_map(|(rows, found)| {
        let column = |name: &str, ty| super::lookup::TableColumn { name: name.into(), ty, declared: true };
        let table = Table {
            name: "t".into(),
            columns: vec![column("k", ColumnType::Long), column("v", ColumnType::Keyword)],
            rows: rows.into_iter().map(|(k, v)| vec![k, v]).collect(),
            on: None,
        };
        let keys = [(0, 0, ColumnType::Long)];
        let lookup = Lookup::new(&Arc::new(table), &keys, vec![(1, LOOKED_UP)], found, at()).unwrap();
        Stage::Lookup(Box::new(lookup))
    })
}

fn answers() -> Arc<Answers> {
    Arc::new(Answers { list: vec![("a".into(), "yes".into()), ("=".into(), "no".into())] })
}

/// The text at its first occurrence of a delimiter, for `DISSECT` and `GROK` alike.
fn cut(cell: &Datum, delimiter: &str) -> [Datum; 2] {
    let parts: Vec<(String, String)> = cell
        .values()
        .iter()
        .filter_map(|v| v.as_str()?.split_once(delimiter))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect();
    [
        Datum::of(parts.iter().map(|(a, _)| Value::str(a)).collect()),
        Datum::of(parts.iter().map(|(_, b)| Value::str(b)).collect()),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![(0usize..5).prop_map(Expr::Column), datum().prop_map(Expr::Const)];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let op = prop::sample::select(vec![Arithmetic::Add, Arithmetic::Multiply, Arithmetic::Divide]);
        prop_oneof![
            (op, inner.clone(), inner.clone()).prop_map(|(op, a, b)| Expr::Arithmetic(
                op,
                Box::new((a, b)),
                ColumnType::Integer,
                at()
            )),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| {
                let less = Expr::Compare(Comparison::Less, Box::new((a.clone(), b)), at());
                Expr::Case(vec![(less, at(), c)], Some(Box::new(a)))
            }),
            inner.clone().prop_map(|e| Expr::Negate(Box::new(e), ColumnType::Integer, at())),
            prop::collection::vec(inner, 1..3).prop_map(Expr::Coalesce),
        ]
    })
}

fn condition() -> impl Strategy<Value = Expr> {
    let op = prop::sample::select(vec![Comparison::Equal, Comparison::Less, Comparison::GreaterEqual]);
    let leaf = prop_oneof![
        (op, expr(), expr()).prop_map(|(op, a, b)| Expr::Compare(op, Box::new((a, b)), at())),
        expr().prop_map(|e| Expr::IsNull(Box::new(e), at())),
        (expr(), prop::collection::vec(expr(), 1..3)).prop_map(|(e, list)| Expr::In(Box::new(e), list, at())),
        (TEXT..SLOTS).prop_map(|s| Expr::Like(
            Box::new(Expr::Column(s)),
            vec![Pattern::plain("a*", false)],
            at()
        )),
        (TEXT..SLOTS).prop_map(|s| Expr::Regexp(
            Box::new(Expr::Column(s)),
            vec![Regexp::new("[ab]+.*", false).unwrap()],
            at()
        )),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..3).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..3).prop_map(Expr::Or),
            inner.prop_map(|e| Expr::Not(Box::new(e))),
        ]
    })
}

fn aggregation() -> impl Strategy<Value = Aggregation> {
    let kind = prop::sample::select(vec![
        Aggregate::Count,
        Aggregate::CountDistinct,
        Aggregate::Sum,
        Aggregate::Avg,
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Values,
        Aggregate::Median,
        Aggregate::Present,
    ]);
    let call = (kind, expr(), prop::option::of(condition()));
    (prop::collection::vec(call, 1..4), prop::sample::subsequence(vec![0usize, 1, TEXT, LOOKED_UP], 0..3))
        .prop_map(|(calls, keys)| {
            let calls = calls
                .into_iter()
                .enumerate()
                .map(|(i, (kind, arg, filter))| {
                    let ty = if matches!(kind, Aggregate::Avg | Aggregate::Median) {
                        ColumnType::Double
                    } else {
                        ColumnType::Long
                    };
                    AggregateCall { kind, args: vec![arg], filter, ty, out: 5 + i, at: at() }
                })
                .collect();
            Aggregation { keys, calls }
        })
}

fn stage() -> impl Strategy<Value = Stage> {
    let sorted = prop_oneof![expr(), (TEXT..SLOTS).prop_map(Expr::Column)];
    let key = (sorted, any::<bool>(), any::<bool>()).prop_map(|(expr, descending, nulls_first)| SortKey {
        expr,
        descending,
        nulls_first,
    });
    prop_oneof![
        3 => condition().prop_map(Stage::Filter),
        2 => expr().prop_map(|e| Stage::Eval(vec![(4, e)])),
        1 => (0usize..4).prop_map(|s| Stage::Expand { from: s, to: s }),
        1 => aggregation().prop_map(Stage::Aggregate),
        1 => aggregation().prop_map(Stage::Inline),
        1 => prop::collection::vec(key, 1..3).prop_map(Stage::Sort),
        1 => (0usize..5).prop_map(Stage::Limit),
        1 => Just(Stage::Dissect {
            input: Expr::Column(TEXT),
            pattern: Dissect::new("%{a} %{b}", "").unwrap(),
            out: PARTS.to_vec(),
        }),
        1 => Just(Stage::Grok {
            input: Expr::Column(TEXT),
            patterns: vec![Grok::new("^%{DATA:a}=%{GREEDYDATA:b}$").unwrap()],
            out: vec![("a".into(), PARTS[0]), ("b".into(), PARTS[1])],
        }),
        1 => lookup(),
        1 => Just(Stage::Complete { prompt: Expr::Column(TEXT), answers: answers(), out: LOOKED_UP }),
    ]
}

type Cells = Vec<Vec<Datum>>;

fn is_true(e: &Expr, row: &[Datum]) -> bool {
    e.eval(row, &mut Env::default()) == Datum::One(Value::Bool(true))
}

fn value(e: &Expr, row: &[Datum]) -> Datum {
    e.eval(row, &mut Env::default())
}

/// Every key that a row belongs to.
fn keys_of(a: &Aggregation, row: &[Datum]) -> Vec<Vec<Datum>> {
    let mut out: Vec<Vec<Datum>> = vec![Vec::new()];
    for slot in &a.keys {
        let mut choices: Vec<Datum> = row[*slot].values().iter().map(|v| Datum::One(v.clone())).collect();
        if choices.is_empty() {
            choices.push(Datum::Null);
        }
        let mut next = Vec::new();
        for key in &out {
            for (i, c) in choices.iter().enumerate() {
                if !choices[..i].contains(c) {
                    let mut key = key.clone();
                    key.push(c.clone());
                    next.push(key);
                }
            }
        }
        out = next;
    }
    out
}

/// An aggregate over the rows of a group, all at once.
fn aggregate(call: &AggregateCall, rows: &[&Vec<Datum>]) -> Datum {
    let rows = rows.iter().filter(|r| call.filter.as_ref().is_none_or(|f| is_true(f, r)));
    let values: Vec<Value> = rows.flat_map(|r| value(&call.args[0], r).values().to_vec()).collect();
    let mut distinct: Vec<Value> = Vec::new();
    for v in &values {
        if !distinct.contains(v) {
            distinct.push(v.clone());
        }
    }
    let numbers: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
    let sum: f64 = numbers.iter().sum();
    let int = |n: usize| Datum::One(Value::Int(n as i64));
    match call.kind {
        Aggregate::Count => int(values.len()),
        Aggregate::CountDistinct => int(distinct.len()),
        Aggregate::Values => Datum::of(distinct),
        Aggregate::Present => Value::Bool(!values.is_empty()).into(),
        _ if values.is_empty() => Datum::Null,
        Aggregate::Sum => Value::Int(sum as i64).into(),
        Aggregate::Avg => Value::Double(sum / numbers.len() as f64).into(),
        Aggregate::Min => values.into_iter().min_by(order).unwrap().into(),
        Aggregate::Max => values.into_iter().max_by(order).unwrap().into(),
        _ => {
            let mut sorted = numbers;
            sorted.sort_by(f64::total_cmp);
            let (n, half) = (sorted.len(), sorted.len() / 2);
            let middle = if n % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 };
            Value::Double(middle).into()
        }
    }
}

fn group(a: &Aggregation, table: &Cells) -> Vec<(Vec<Datum>, Vec<Datum>)> {
    let mut keys: Vec<Vec<Datum>> = Vec::new();
    for row in table {
        for key in keys_of(a, row) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    if a.keys.is_empty() && keys.is_empty() {
        keys.push(Vec::new());
    }
    let of = |key: &Vec<Datum>| {
        let members: Vec<&Vec<Datum>> = table.iter().filter(|r| keys_of(a, r).contains(key)).collect();
        a.calls.iter().map(|c| aggregate(c, &members)).collect()
    };
    keys.iter().map(|k| (k.clone(), of(k))).collect()
}

/// The rows that one row becomes by a table, row by row of it.
fn looked_up(lookup: &Lookup, row: Vec<Datum>) -> Cells {
    let single = lookup.found() == Found::Rows;
    let fits = |key: &Datum| {
        let (a, b) = (row[0].values(), key.values());
        a.iter().any(|v| b.contains(v)) && !(single && (a.len() != 1 || b.len() != 1))
    };
    let found: Vec<Datum> = lookup.rows().iter().filter(|r| fits(&r[0])).map(|r| r[1].clone()).collect();
    let with = |cell: Datum| {
        let mut row = row.clone();
        row[LOOKED_UP] = cell;
        row
    };
    if single && !found.is_empty() {
        return found.into_iter().map(with).collect();
    }
    vec![with(Datum::of(found.iter().flat_map(|d| d.values().to_vec()).collect()))]
}

fn naive(stages: &[Stage], mut table: Cells) -> Cells {
    for stage in stages {
        table = match stage {
            Stage::Filter(e) => table.into_iter().filter(|r| is_true(e, r)).collect(),
            Stage::Eval(list) => {
                for row in &mut table {
                    for (slot, e) in list {
                        row[*slot] = value(e, row);
                    }
                }
                table
            }
            Stage::Expand { from, to } => table
                .into_iter()
                .flat_map(|row| {
                    let values = row[*from].values().to_vec();
                    let cells: Vec<Datum> = if values.is_empty() {
                        vec![Datum::Null]
                    } else {
                        values.into_iter().map(Datum::One).collect()
                    };
                    cells.into_iter().map(move |c| {
                        let mut row = row.clone();
                        row[*to] = c;
                        row
                    })
                })
                .collect(),
            Stage::Aggregate(a) => group(a, &table)
                .into_iter()
                .map(|(key, results)| {
                    let mut row = vec![Datum::Null; SLOTS];
                    a.keys.iter().zip(key).for_each(|(s, d)| row[*s] = d);
                    a.calls.iter().zip(results).for_each(|(c, d)| row[c.out] = d);
                    row
                })
                .collect(),
            Stage::Inline(a) => {
                let groups = group(a, &table);
                for row in &mut table {
                    let keys = keys_of(a, row);
                    for (i, c) in a.calls.iter().enumerate() {
                        let all = keys.iter().flat_map(|k| {
                            let found = groups.iter().find(|(key, _)| key == k);
                            found.map(|(_, r)| r[i].values().to_vec()).unwrap_or_default()
                        });
                        row[c.out] = Datum::of(all.collect());
                    }
                }
                table
            }
            Stage::Sort(keys) => {
                let best = |k: &SortKey, row: &[Datum]| {
                    let d = value(&k.expr, row);
                    let values = d.values().iter();
                    if k.descending {
                        values.max_by(|a, b| order(a, b)).cloned()
                    } else {
                        values.min_by(|a, b| order(a, b)).cloned()
                    }
                };
                // the last key first: the sort is stable
                for k in keys.iter().rev() {
                    table.sort_by(|a, b| match (best(k, a), best(k, b)) {
                        (None, None) => std::cmp::Ordering::Equal,
                        (None, Some(_)) => {
                            if k.nulls_first {
                                std::cmp::Ordering::Less
                            } else {
                                std::cmp::Ordering::Greater
                            }
                        }
                        (Some(_), None) => {
                            if k.nulls_first {
                                std::cmp::Ordering::Greater
                            } else {
                                std::cmp::Ordering::Less
                            }
                        }
                        (Some(x), Some(y)) => {
                            if k.descending {
                                order(&y, &x)
                            } else {
                                order(&x, &y)
                            }
                        }
                    });
                }
                table
            }
            Stage::Limit(n) => table.into_iter().take(*n).collect(),
            Stage::Dissect { .. } | Stage::Grok { .. } => {
                let delimiter = if matches!(stage, Stage::Grok { .. }) { "=" } else { " " };
                for row in &mut table {
                    let cells = cut(&row[TEXT], delimiter);
                    PARTS.iter().zip(cells).for_each(|(slot, cell)| row[*slot] = cell);
                }
                table
            }
            Stage::Lookup(lookup) => table.into_iter().flat_map(|row| looked_up(lookup, row)).collect(),
            Stage::Complete { .. } => {
                for row in &mut table {
                    let texts: Vec<&str> = row[TEXT].values().iter().filter_map(Value::as_str).collect();
                    let prompt = texts.join("\n");
                    row[LOOKED_UP] = match prompt.as_str() {
                        p if p.contains('a') => Value::str("yes").into(),
                        p if p.contains('=') => Value::str("no").into(),
                        _ => Datum::Null,
                    };
                }
                table
            }
        };
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn a_run_in_parts_gives_what_whole_tables_give(
        stages in prop::collection::vec(stage(), 0..6),
        rows in prop::collection::vec((prop::collection::vec(datum(), 4), text()), 0..12),
        parts in 1usize..4,
    ) {
        let table = rows.into_iter().map(|(mut row, text)| {
            row.resize(SLOTS, Datum::Null);
            row[TEXT] = text;
            row
        });
        let table: Cells = table.collect();
        let wanted = naive(&stages, table.clone());
        let pipeline = Pipeline { slots: SLOTS, stages, ..Pipeline::default() };
        let mut total = Run::new(&pipeline, 0);
        let size = table.len().div_ceil(parts).max(1);
        for chunk in table.chunks(size) {
            let mut part = Run::new(&pipeline, 0);
            for cells in chunk {
                part.feed(TableRow { cells: cells.clone(), events: Vec::new() });
            }
            total.merge(part);
        }
        let got: Cells = total.finish().rows.into_iter().map(|r| r.cells).collect();
        prop_assert_eq!(got, wanted, "{:?}", pipeline.stages);
    }
}
