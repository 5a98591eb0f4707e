//! Functions over cells with several values, and the two that choose between cells.

use super::{
    Accepts, Call, ColumnFunction, ColumnParam, Failure, Form, ROW, Returns, optional, order, param,
};
use crate::schema::Version;
use crate::value::{ColumnType as T, Datum, Value};
use std::cmp::Ordering;

const FIELD: &[ColumnParam] = &[param("field", Accepts::Any)];
const ORDERED: &[ColumnParam] = &[param("field", Accepts::Ordered)];
const NUMBER: &[ColumnParam] = &[param("number", Accepts::Number)];

fn first(args: &[Datum]) -> &[Value] {
    args.first().map_or(&[], Datum::values)
}

fn best(values: &[Value], wanted: Ordering) -> Datum {
    let mut best: Option<&Value> = None;
    for v in values {
        if best.is_none_or(|b| order(v, b) == wanted) {
            best = Some(v);
        }
    }
    best.cloned().map_or(Datum::Null, Datum::from)
}

/// A sum with the error of each addition carried along.
pub fn exact_sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut carry) = (0.0f64, 0.0f64);
    for v in values {
        let y = v - carry;
        let t = sum + y;
        carry = (t - sum) - y;
        sum = t;
    }
    sum
}

fn doubles(values: &[Value]) -> impl Iterator<Item = f64> + '_ {
    values.iter().filter_map(Value::as_f64)
}

fn sum(values: &[Value], call: &Call<'_>) -> Result<Datum, Failure> {
    if values.is_empty() {
        return Ok(Datum::Null);
    }
    if call.result == T::Double {
        return Ok(Value::Double(exact_sum(doubles(values))).into());
    }
    let mut total: i128 = 0;
    for v in values {
        if let Value::Int(i) = v {
            total += i128::from(*i);
        }
    }
    let fits =
        if call.result == T::Integer { i32::try_from(total).is_ok() } else { i64::try_from(total).is_ok() };
    match i64::try_from(total) {
        Ok(i) if fits => Ok(Value::Int(i).into()),
        _ => Err(Failure::arithmetic(format!("{} overflow", call.result.name()))),
    }
}

fn median(values: &[Value], call: &Call<'_>) -> Datum {
    let mut sorted = values.to_vec();
    sorted.sort_by(order);
    let n = sorted.len();
    if n == 0 {
        return Datum::Null;
    }
    let (low, high) = (sorted.get((n - 1) / 2), sorted.get(n / 2));
    let (Some(low), Some(high)) = (low, high) else { return Datum::Null };
    if n % 2 == 1 {
        return low.clone().into();
    }
    match (low, high) {
        (Value::Int(a), Value::Int(b)) if call.result != T::Double => {
            Value::Int(i64::try_from((i128::from(*a) + i128::from(*b)).div_euclid(2)).unwrap_or(*a)).into()
        }
        _ => match (low.as_f64(), high.as_f64()) {
            (Some(a), Some(b)) => Value::Double(a / 2.0 + b / 2.0).into(),
            _ => Datum::Null,
        },
    }
}

/// A number of the call's own type.
fn number_of(d: f64, call: &Call<'_>) -> Datum {
    if call.result == T::Double { Value::Double(d).into() } else { Value::Int(d.floor() as i64).into() }
}

fn index(args: &[Datum], i: usize) -> Result<Option<i64>, Failure> {
    match args.get(i) {
        None => Ok(None),
        Some(Datum::One(Value::Int(n))) => Ok(Some(*n)),
        Some(Datum::Many(_)) => Err(super::text::several()),
        Some(_) => Ok(None),
    }
}

/// The values from `start` to `end`, both counted from 0, from the end where negative.
fn slice(args: &[Datum]) -> Result<Datum, Failure> {
    let values = first(args);
    let Some(start) = index(args, 1)? else { return Ok(Datum::Null) };
    let end = match args.get(2) {
        None => start,
        Some(_) => match index(args, 2)? {
            Some(end) => end,
            None => return Ok(Datum::Null),
        },
    };
    if values.is_empty() {
        return Ok(Datum::Null);
    }
    if (start >= 0) == (end >= 0) && end < start {
        return Err(Failure::invalid("Start offset is greater than end offset"));
    }
    let n = i64::try_from(values.len()).unwrap_or(i64::MAX);
    let at = |i: i64| if i < 0 { i + n } else { i };
    let (from, to) = (at(start).max(0), at(end).min(n - 1));
    let taken = values.iter().enumerate().filter(|(i, _)| {
        let i = i64::try_from(*i).unwrap_or(i64::MAX);
        from <= i && i <= to
    });
    Ok(Datum::of(taken.map(|(_, v)| v.clone()).collect()))
}

fn sort(args: &[Datum]) -> Result<Datum, Failure> {
    let mut values = first(args).to_vec();
    let descending = match args.get(1) {
        Some(Datum::One(Value::Str(s))) if s.eq_ignore_ascii_case("desc") => true,
        Some(Datum::One(Value::Str(s))) if !s.eq_ignore_ascii_case("asc") => {
            return Err(Failure::argument(format!(
                "Invalid order value: [{s}], expected one of [ASC, DESC]"
            )));
        }
        _ => false,
    };
    values.sort_by(|a, b| if descending { order(b, a) } else { order(a, b) });
    Ok(Datum::of(values))
}

fn distinct(values: &[Value]) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for v in values {
        if !out.contains(v) {
            out.push(v.clone());
        }
    }
    out
}

fn zip(args: &[Datum]) -> Datum {
    let (left, right) = (first(args), args.get(1).map_or(&[][..], Datum::values));
    let delimiter = args.get(2).and_then(|d| d.values().first()).and_then(Value::as_str).unwrap_or(",");
    let n = left.len().max(right.len());
    let text = |v: Option<&Value>| v.and_then(Value::as_str).map(str::to_owned);
    Datum::of(
        (0..n)
            .map(|i| match (text(left.get(i)), text(right.get(i))) {
                (Some(a), Some(b)) => Value::str(a + delimiter + &b),
                (a, b) => Value::str(a.or(b).unwrap_or_default()),
            })
            .collect(),
    )
}

/// The rows.
pub(super) static FUNCTIONS: &[ColumnFunction] = &[
    ColumnFunction {
        name: "case",
        params: &[param("condition", Accepts::Any), param("value", Accepts::Any)],
        variadic: true,
        returns: Returns::Common,
        summary: "the value after the first condition that is true, else the last argument if it stands alone, else null",
        examples: &[
            ("CASE(false, 1, true, 2, 3)", "2"),
            ("CASE(null, 1, 3)", "3"),
            ("CASE(false, 1)", "null"),
        ],
        form: Form::Case,
        ..ROW
    },
    ColumnFunction {
        name: "coalesce",
        params: FIELD,
        variadic: true,
        returns: Returns::Common,
        summary: "the first argument that is not null",
        examples: &[("COALESCE(null, 2, 3)", "2"), ("COALESCE(null, null)", "null")],
        form: Form::Coalesce,
        ..ROW
    },
    ColumnFunction {
        name: "mv_first",
        params: FIELD,
        returns: Returns::Same(0),
        summary: "the first value; of a stored keyword that is the least one, because stored values are sorted",
        examples: &[("MV_FIRST([3, 1, 2])", "3")],
        form: Form::Whole(|args, _| Ok(first(args).first().cloned().map_or(Datum::Null, Datum::from))),
        ..ROW
    },
    ColumnFunction {
        name: "mv_last",
        params: FIELD,
        returns: Returns::Same(0),
        summary: "the last value",
        examples: &[("MV_LAST([3, 1, 2])", "2")],
        form: Form::Whole(|args, _| Ok(first(args).last().cloned().map_or(Datum::Null, Datum::from))),
        ..ROW
    },
    ColumnFunction {
        name: "mv_min",
        params: ORDERED,
        returns: Returns::Same(0),
        summary: "the least value",
        examples: &[("MV_MIN([3, 1, 2])", "1")],
        form: Form::Whole(|args, _| Ok(best(first(args), Ordering::Less))),
        ..ROW
    },
    ColumnFunction {
        name: "mv_max",
        params: ORDERED,
        returns: Returns::Same(0),
        summary: "the greatest value",
        examples: &[("MV_MAX([3, 1, 2])", "3")],
        form: Form::Whole(|args, _| Ok(best(first(args), Ordering::Greater))),
        ..ROW
    },
    ColumnFunction {
        name: "mv_count",
        params: FIELD,
        returns: Returns::Is(T::Integer),
        summary: "the number of values; null for none",
        examples: &[("MV_COUNT([3, 3])", "2"), ("MV_COUNT(null)", "null")],
        form: Form::Whole(|args, _| {
            let n = first(args).len();
            Ok(if n == 0 { Datum::Null } else { Value::Int(i64::try_from(n).unwrap_or(i64::MAX)).into() })
        }),
        ..ROW
    },
    ColumnFunction {
        name: "mv_sum",
        params: NUMBER,
        returns: Returns::Same(0),
        summary: "the sum of the values",
        examples: &[("MV_SUM([3, 5])", "8"), ("MV_SUM([2147483647, 1])", "null")],
        form: Form::Whole(|args, call| sum(first(args), call)),
        ..ROW
    },
    ColumnFunction {
        name: "mv_avg",
        params: NUMBER,
        returns: Returns::Is(T::Double),
        summary: "the mean of the values",
        examples: &[("MV_AVG([3, 5, 1, 6])", "3.75")],
        form: Form::Whole(|args, _| {
            let values = first(args);
            Ok(if values.is_empty() {
                Datum::Null
            } else {
                Value::Double(exact_sum(doubles(values)) / values.len() as f64).into()
            })
        }),
        ..ROW
    },
    ColumnFunction {
        name: "mv_median",
        params: NUMBER,
        returns: Returns::Same(0),
        summary: "the median of the values, rounded down for integers",
        examples: &[("MV_MEDIAN([3, 7, 1, 6])", "4"), ("MV_MEDIAN([3, 5, 1])", "3")],
        form: Form::Whole(|args, call| Ok(median(first(args), call))),
        ..ROW
    },
    ColumnFunction {
        name: "mv_concat",
        params: &[param("string", Accepts::Text), param("delim", Accepts::Text)],
        summary: "the values joined by `delim`",
        examples: &[("MV_CONCAT([\"foo\", \"zoo\"], \", \")", "\"foo, zoo\"")],
        form: Form::Whole(|args, _| {
            let delimiter = match args.get(1) {
                Some(Datum::One(v)) => v.as_str().unwrap_or_default(),
                Some(Datum::Many(_)) => return Err(super::text::several()),
                _ => return Ok(Datum::Null),
            };
            let parts: Vec<&str> = first(args).iter().filter_map(Value::as_str).collect();
            Ok(if parts.is_empty() { Datum::Null } else { Value::str(parts.join(delimiter)).into() })
        }),
        ..ROW
    },
    ColumnFunction {
        name: "mv_slice",
        params: &[
            param("field", Accepts::Any),
            param("start", Accepts::Whole),
            optional("end", Accepts::Whole),
        ],
        returns: Returns::By(|types| types.first().copied().unwrap_or(T::Null)),
        summary: "the values from `start` to `end`, counted from 0, from the end where negative",
        examples: &[
            ("MV_SLICE([1, 2, 2, 3], 1, 2)", "[2, 2]"),
            ("MV_SLICE([1, 2], -1)", "2"),
            ("MV_SLICE([1, 2], 5)", "null"),
        ],
        form: Form::Whole(|args, _| slice(args)),
        ..ROW
    },
    ColumnFunction {
        name: "mv_dedupe",
        params: FIELD,
        returns: Returns::Same(0),
        summary: "the different values, here in the order in which they stand",
        examples: &[("MV_DEDUPE([\"a\", \"b\", \"a\"])", "[\"a\", \"b\"]")],
        form: Form::Whole(|args, _| Ok(Datum::of(distinct(first(args))))),
        ..ROW
    },
    ColumnFunction {
        name: "mv_sort",
        params: &[
            param("field", Accepts::Ordered),
            ColumnParam { name: "order", accepts: Accepts::Text, optional: true, constant: true },
        ],
        returns: Returns::Same(0),
        summary: "the values sorted, `asc` or `desc`",
        examples: &[("MV_SORT([3, 1, 2], \"desc\")", "[3, 2, 1]")],
        form: Form::Whole(|args, _| sort(args)),
        ..ROW
    },
    ColumnFunction {
        name: "mv_append",
        params: &[param("field1", Accepts::Any), param("field2", Accepts::Any)],
        returns: Returns::Common,
        summary: "the values of both; null if one is null",
        examples: &[("MV_APPEND([1, 2], 3)", "[1, 2, 3]")],
        form: Form::Whole(|args, _| match args {
            [a, b] if !a.is_null() && !b.is_null() => {
                Ok(Datum::of(a.values().iter().chain(b.values()).cloned().collect()))
            }
            _ => Ok(Datum::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "mv_zip",
        params: &[
            param("left", Accepts::Text),
            param("right", Accepts::Text),
            optional("delim", Accepts::Text),
        ],
        summary: "the values of both, joined pair by pair with `delim` (`,`)",
        examples: &[("MV_ZIP([\"a\", \"b\"], [\"1\"], \"-\")", "[\"a-1\", \"b\"]")],
        form: Form::Whole(|args, _| Ok(zip(args))),
        ..ROW
    },
    ColumnFunction {
        name: "mv_intersection",
        since: Version(9, 3, 0),
        params: &[param("field1", Accepts::Any), param("field2", Accepts::Any)],
        returns: Returns::Common,
        summary: "the different values of the first that the second has too",
        examples: &[
            ("MV_INTERSECTION([1, 2, 2, 3], [2, 3])", "[2, 3]"),
            ("MV_INTERSECTION([1], [2])", "null"),
        ],
        form: Form::Whole(|args, _| {
            let other = args.get(1).map_or(&[][..], Datum::values);
            Ok(Datum::of(distinct(first(args)).into_iter().filter(|v| other.contains(v)).collect()))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "mv_union",
        since: Version(9, 4, 0),
        params: &[param("field1", Accepts::Any), param("field2", Accepts::Any)],
        returns: Returns::Common,
        summary: "the different values of both",
        examples: &[("MV_UNION([1, 2], [2, 3])", "[1, 2, 3]")],
        form: Form::Whole(|args, _| {
            let all: Vec<Value> = args.iter().flat_map(Datum::values).cloned().collect();
            Ok(Datum::of(distinct(&all)))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "mv_contains",
        since: Version(9, 2, 0),
        params: &[param("superset", Accepts::Any), param("subset", Accepts::Any)],
        returns: Returns::Is(T::Boolean),
        summary: "whether the first has every value of the second; never null",
        examples: &[
            ("MV_CONTAINS([1, 2], [2])", "true"),
            ("MV_CONTAINS(null, 1)", "false"),
            ("MV_CONTAINS([1], null)", "true"),
        ],
        form: Form::Whole(|args, _| {
            let subset = args.get(1).map_or(&[][..], Datum::values);
            Ok(Value::Bool(subset.iter().all(|v| first(args).contains(v))).into())
        }),
        ..ROW
    },
    ColumnFunction {
        name: "mv_percentile",
        params: &[param("number", Accepts::Number), param("percentile", Accepts::Number)],
        returns: Returns::Same(0),
        summary: "the value at a percentile of the values, interpolated, rounded down for integers",
        examples: &[
            ("MV_PERCENTILE([5, 5, 10, 12, 5000], 50)", "10"),
            ("MV_PERCENTILE([1.0, 2.0], 25)", "1.25"),
        ],
        form: Form::Whole(|args, call| {
            let share = match args.get(1) {
                Some(Datum::One(v)) => v.as_f64().unwrap_or(f64::NAN),
                Some(Datum::Many(_)) => return Err(super::text::several()),
                _ => return Ok(Datum::Null),
            };
            if !(0.0..=100.0).contains(&share) {
                return Err(Failure::argument(format!(
                    "Percentile parameter must be a number between 0 and 100, found [{share}]"
                )));
            }
            let mut sorted: Vec<f64> = doubles(first(args)).collect();
            sorted.sort_by(f64::total_cmp);
            let Some(last) = sorted.len().checked_sub(1) else { return Ok(Datum::Null) };
            let at = share / 100.0 * last as f64;
            let (low, high) = (sorted.get(at.floor() as usize), sorted.get(at.ceil() as usize));
            let (Some(low), Some(high)) = (low, high) else { return Ok(Datum::Null) };
            Ok(number_of(low + (high - low) * (at - at.floor()), call))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "mv_median_absolute_deviation",
        params: NUMBER,
        returns: Returns::Same(0),
        summary: "the median distance of the values from their median",
        examples: &[("MV_MEDIAN_ABSOLUTE_DEVIATION([0, 2, 5, 6])", "2")],
        form: Form::Whole(|args, call| {
            let values = first(args);
            let Some(middle) = median(values, call).values().first().and_then(Value::as_f64) else {
                return Ok(Datum::Null);
            };
            let far: Vec<Value> = doubles(values).map(|v| Value::Double((v - middle).abs())).collect();
            let real = Call { result: T::Double, ..*call };
            let Some(d) = median(&far, &real).values().first().and_then(Value::as_f64) else {
                return Ok(Datum::Null);
            };
            Ok(number_of(d, call))
        }),
        ..ROW
    },
];
