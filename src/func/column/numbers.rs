//! Functions over numbers. A result that is no finite number is null with a warning, as are overflows.

use super::{Accepts, Call, ColumnFunction, ColumnParam, Failure, Form, ROW, Returns, optional, param};
use crate::schema::Version;
use crate::value::{ColumnType, Datum, Value};

const ONE: &[ColumnParam] = &[param("number", Accepts::Number)];
const TWO: &[ColumnParam] = &[param("base", Accepts::Number), param("exponent", Accepts::Number)];

/// A double, if it is finite.
fn finite(d: f64) -> Result<Value, Failure> {
    if d.is_finite() {
        Ok(Value::Double(d))
    } else {
        Err(Failure::arithmetic("not a finite double number: NaN"))
    }
}

fn of(args: &[Value], i: usize) -> f64 {
    args.get(i).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

macro_rules! real {
    ($name:literal, $summary:literal, $example:expr, $f:expr) => {
        ColumnFunction {
            name: $name,
            params: ONE,
            returns: Returns::Is(ColumnType::Double),
            summary: $summary,
            examples: $example,
            form: Form::Single(|args, _| {
                let f: fn(f64) -> f64 = $f;
                finite(f(of(args, 0)))
            }),
            ..ROW
        }
    };
}

macro_rules! number {
    ($name:literal, $summary:literal, $value:expr) => {
        ColumnFunction {
            name: $name,
            returns: Returns::Is(ColumnType::Double),
            summary: $summary,
            form: Form::Whole(|_, _| Ok(Datum::One(Value::Double($value)))),
            ..ROW
        }
    };
}

fn same_number(types: &[ColumnType]) -> ColumnType {
    types.first().copied().unwrap_or(ColumnType::Null)
}

fn common(types: &[ColumnType]) -> ColumnType {
    types.iter().copied().filter(|t| *t != ColumnType::Null).fold(ColumnType::Null, |a, b| {
        if a == ColumnType::Null { b.computed() } else { a.widen(b).unwrap_or(a) }
    })
}

fn extreme(args: &[Datum], call: &Call<'_>, greatest: bool) -> Datum {
    // a cell with several values counts with its own extreme
    let mut best: Option<Value> = None;
    for arg in args {
        if arg.is_null() {
            return Datum::Null;
        }
        for v in arg.values() {
            let v = super::convert::widened(v, call.result);
            let better = best
                .as_ref()
                .is_none_or(|b| (super::order(&v, b) == std::cmp::Ordering::Greater) == greatest);
            if better {
                best = Some(v);
            }
        }
    }
    best.map_or(Datum::Null, Datum::from)
}

fn clamp(value: &Value, low: Option<&Value>, high: Option<&Value>, call: &Call<'_>) -> Value {
    let wide = |v: &Value| super::convert::widened(v, call.result);
    let mut out = wide(value);
    if let Some(low) = low.map(wide).filter(|l| super::order(&out, l).is_lt()) {
        out = low;
    }
    if let Some(high) = high.map(wide).filter(|h| super::order(&out, h).is_gt()) {
        out = high;
    }
    out
}

/// Half away from zero at a number of decimals.
fn round(d: f64, decimals: i64) -> f64 {
    if decimals == 0 {
        return d.round();
    }
    let Ok(power) = i32::try_from(decimals) else { return d };
    if decimals > 0 {
        // shift by text, so that 1.005 is rounded as it is written
        let factor = 10f64.powi(power);
        let shifted = d * factor;
        if shifted.is_finite() { shifted.round() / factor } else { d }
    } else {
        let factor = 10f64.powi(-power);
        (d / factor).round() * factor
    }
}

fn round_integer(i: i64, decimals: i64) -> i64 {
    if decimals >= 0 {
        return i;
    }
    let Some(factor) = u32::try_from(-decimals).ok().and_then(|n| 10i128.checked_pow(n)) else { return 0 };
    let (i, half) = (i128::from(i), factor / 2);
    let rounded = if i >= 0 { (i + half) / factor } else { (i - half) / factor } * factor;
    i64::try_from(rounded).unwrap_or(0)
}

fn logarithm(args: &[Value]) -> Result<Value, Failure> {
    let value = match args {
        [_, v] => v.as_f64().unwrap_or(f64::NAN),
        _ => of(args, 0),
    };
    if value <= 0.0 {
        return Err(Failure::arithmetic("Log of non-positive number"));
    }
    match args {
        [base, _] => {
            let base = base.as_f64().unwrap_or(f64::NAN);
            if base <= 0.0 {
                return Err(Failure::arithmetic("Log of non-positive number"));
            }
            if base == 1.0 {
                return Err(Failure::arithmetic("/ by zero"));
            }
            finite(value.log10() / base.log10())
        }
        _ => finite(value.ln()),
    }
}

/// The rows.
pub(super) static FUNCTIONS: &[ColumnFunction] = &[
    ColumnFunction {
        name: "abs",
        params: &[param("number", Accepts::Numeric)],
        returns: Returns::By(same_number),
        summary: "the absolute value",
        examples: &[("ABS(-3)", "3"), ("ABS(-1.5)", "1.5")],
        form: Form::Single(|args, call| match args.first() {
            Some(Value::Int(i)) => {
                let least = if call.result == ColumnType::Integer { i64::from(i32::MIN) } else { i64::MIN };
                if *i == least {
                    Err(Failure::arithmetic(format!("{} overflow", call.result.name())))
                } else {
                    Ok(Value::Int(i.abs()))
                }
            }
            Some(Value::Double(d)) => Ok(Value::Double(d.abs())),
            other => Ok(other.cloned().unwrap_or(Value::Null)),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "round",
        params: &[param("number", Accepts::Numeric), optional("decimals", Accepts::Whole)],
        returns: Returns::By(same_number),
        summary: "rounded to `decimals` places, half away from zero; integers change only for a negative number of places",
        examples: &[("ROUND(-123.5)", "-124.0"), ("ROUND(1.256, 2)", "1.26"), ("ROUND(1955, -1)", "1960")],
        form: Form::Single(|args, _| {
            let decimals = match args.get(1) {
                Some(Value::Int(n)) => *n,
                _ => 0,
            };
            Ok(match args.first() {
                Some(Value::Int(i)) => Value::Int(round_integer(*i, decimals)),
                Some(Value::Double(d)) => Value::Double(round(*d, decimals)),
                other => other.cloned().unwrap_or(Value::Null),
            })
        }),
        ..ROW
    },
    ColumnFunction {
        name: "floor",
        params: &[param("number", Accepts::Numeric)],
        returns: Returns::By(same_number),
        summary: "rounded down",
        examples: &[("FLOOR(1.8)", "1.0"), ("FLOOR(3)", "3")],
        form: Form::Single(|args, _| {
            Ok(match args.first() {
                Some(Value::Double(d)) => Value::Double(d.floor()),
                other => other.cloned().unwrap_or(Value::Null),
            })
        }),
        ..ROW
    },
    ColumnFunction {
        name: "ceil",
        params: &[param("number", Accepts::Numeric)],
        returns: Returns::By(same_number),
        summary: "rounded up",
        examples: &[("CEIL(1.2)", "2.0")],
        form: Form::Single(|args, _| {
            Ok(match args.first() {
                Some(Value::Double(d)) => Value::Double(d.ceil()),
                other => other.cloned().unwrap_or(Value::Null),
            })
        }),
        ..ROW
    },
    ColumnFunction {
        name: "pow",
        params: TWO,
        returns: Returns::Is(ColumnType::Double),
        summary: "`base` to the power of `exponent`",
        examples: &[("POW(4, 0.5)", "2.0"), ("POW(-4, 0.5)", "null")],
        form: Form::Single(|args, _| finite(of(args, 0).powf(of(args, 1)))),
        ..ROW
    },
    ColumnFunction {
        name: "log",
        params: &[param("base", Accepts::Number), optional("number", Accepts::Number)],
        returns: Returns::Is(ColumnType::Double),
        summary: "the logarithm of `number` to a base; of the first argument to e if it is alone",
        examples: &[("LOG(1)", "0.0"), ("LOG(2.0, -2)", "null")],
        form: Form::Single(|args, _| logarithm(args)),
        ..ROW
    },
    ColumnFunction {
        name: "log10",
        params: ONE,
        returns: Returns::Is(ColumnType::Double),
        summary: "the logarithm to base 10",
        examples: &[("LOG10(1000)", "3.0"), ("LOG10(-1)", "null")],
        form: Form::Single(|args, _| {
            let d = of(args, 0);
            if d > 0.0 { finite(d.log10()) } else { Err(Failure::arithmetic("Log of non-positive number")) }
        }),
        ..ROW
    },
    ColumnFunction {
        name: "atan2",
        params: &[param("y", Accepts::Number), param("x", Accepts::Number)],
        returns: Returns::Is(ColumnType::Double),
        summary: "the angle between the x axis and a point",
        examples: &[("ATAN2(0, 1)", "0.0")],
        form: Form::Single(|args, _| finite(of(args, 0).atan2(of(args, 1)))),
        ..ROW
    },
    ColumnFunction {
        name: "hypot",
        params: &[param("a", Accepts::Number), param("b", Accepts::Number)],
        returns: Returns::Is(ColumnType::Double),
        summary: "the hypotenuse of two sides",
        examples: &[("HYPOT(3, 4)", "5.0")],
        form: Form::Single(|args, _| finite(of(args, 0).hypot(of(args, 1)))),
        ..ROW
    },
    ColumnFunction {
        name: "signum",
        params: ONE,
        returns: Returns::Is(ColumnType::Double),
        summary: "-1, 0 or 1 by the sign",
        examples: &[("SIGNUM(-7)", "-1.0")],
        form: Form::Single(|args, _| {
            let d = of(args, 0);
            finite(if d == 0.0 { d } else { d.signum() })
        }),
        ..ROW
    },
    real!("sqrt", "the square root", &[("SQRT(9)", "3.0"), ("SQRT(-1)", "null")], f64::sqrt),
    real!("cbrt", "the cube root", &[("CBRT(27)", "3.0")], f64::cbrt),
    real!("exp", "e to the power of a number", &[("EXP(0)", "1.0")], f64::exp),
    real!("sin", "the sine of an angle in radians", &[("SIN(0)", "0.0")], f64::sin),
    real!("cos", "the cosine of an angle in radians", &[("COS(0)", "1.0")], f64::cos),
    real!("tan", "the tangent of an angle in radians", &[("TAN(0)", "0.0")], f64::tan),
    real!("sinh", "the hyperbolic sine", &[("SINH(0)", "0.0")], f64::sinh),
    real!("cosh", "the hyperbolic cosine", &[("COSH(0)", "1.0")], f64::cosh),
    real!("tanh", "the hyperbolic tangent", &[("TANH(0)", "0.0")], f64::tanh),
    real!("asin", "the arc sine in radians", &[("ASIN(0)", "0.0")], f64::asin),
    real!("acos", "the arc cosine in radians", &[("ACOS(1)", "0.0"), ("ACOS(12)", "null")], f64::acos),
    real!("atan", "the arc tangent in radians", &[("ATAN(0)", "0.0")], f64::atan),
    real!("to_degrees", "radians in degrees", &[("TO_DEGREES(0)", "0.0")], f64::to_degrees),
    real!("to_radians", "degrees in radians", &[("TO_RADIANS(0)", "0.0")], f64::to_radians),
    number!("e", "Euler's number", std::f64::consts::E),
    number!("pi", "the ratio of a circle's circumference to its diameter", std::f64::consts::PI),
    number!("tau", "twice pi", std::f64::consts::TAU),
    ColumnFunction {
        name: "greatest",
        params: &[param("first", Accepts::Ordered)],
        variadic: true,
        returns: Returns::By(common),
        summary: "the greatest of the arguments; null if one is null",
        examples: &[("GREATEST(1, 7, 3)", "7")],
        form: Form::Whole(|args, call| Ok(extreme(args, call, true))),
        ..ROW
    },
    ColumnFunction {
        name: "least",
        params: &[param("first", Accepts::Ordered)],
        variadic: true,
        returns: Returns::By(common),
        summary: "the least of the arguments; null if one is null",
        examples: &[("LEAST(4, 2, 3)", "2")],
        form: Form::Whole(|args, call| Ok(extreme(args, call, false))),
        ..ROW
    },
    ColumnFunction {
        name: "copy_sign",
        since: Version(9, 1, 0),
        params: &[param("magnitude", Accepts::Number), param("sign", Accepts::Number)],
        returns: Returns::By(same_number),
        summary: "the first number with the sign of the second",
        examples: &[("COPY_SIGN(3.5, -1)", "-3.5"), ("COPY_SIGN(-3, 2)", "3")],
        form: Form::Single(|args, _| {
            let minus = of(args, 1).is_sign_negative();
            Ok(match args.first() {
                Some(Value::Int(i)) => Value::Int(if minus == (*i < 0) { *i } else { i.wrapping_neg() }),
                Some(Value::Double(d)) => Value::Double(d.abs() * if minus { -1.0 } else { 1.0 }),
                other => other.cloned().unwrap_or(Value::Null),
            })
        }),
        ..ROW
    },
    ColumnFunction {
        name: "scalb",
        since: Version(9, 1, 0),
        params: &[param("d", Accepts::Number), param("scaleFactor", Accepts::Whole)],
        returns: Returns::Is(ColumnType::Double),
        summary: "a number times a power of two",
        examples: &[("SCALB(3, 2)", "12.0")],
        form: Form::Single(|args, _| finite(of(args, 0) * of(args, 1).exp2())),
        ..ROW
    },
    ColumnFunction {
        name: "round_to",
        since: Version(9, 1, 0),
        params: &[param("field", Accepts::DateOrNumber), param("point", Accepts::DateOrNumber)],
        variadic: true,
        returns: Returns::By(common),
        summary: "the greatest of the points that is not above the value, or the least point",
        examples: &[("ROUND_TO(7, 0, 5, 10)", "5"), ("ROUND_TO(-7, 0, 5)", "0")],
        form: Form::Single(|args, call| {
            let Some((value, points)) = args.split_first() else { return Ok(Value::Null) };
            let value = super::convert::widened(value, call.result);
            let mut points: Vec<Value> =
                points.iter().map(|p| super::convert::widened(p, call.result)).collect();
            points.sort_by(super::order);
            let below = points.iter().rev().find(|p| super::order(p, &value).is_le());
            Ok(below.or(points.first()).cloned().unwrap_or(Value::Null))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "clamp",
        since: Version(9, 3, 0),
        params: &[
            param("field", Accepts::Ordered),
            param("min", Accepts::Ordered),
            param("max", Accepts::Ordered),
        ],
        returns: Returns::By(common),
        summary: "the value, but not below `min` and not above `max`",
        examples: &[("CLAMP(7, 1, 5)", "5"), ("CLAMP(0, 1, 5)", "1")],
        form: Form::Single(|args, call| match args {
            [v, low, high] => Ok(clamp(v, Some(low), Some(high), call)),
            _ => Ok(Value::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "clamp_min",
        since: Version(9, 3, 0),
        params: &[param("field", Accepts::Ordered), param("min", Accepts::Ordered)],
        returns: Returns::By(common),
        summary: "the value, but not below `min`",
        examples: &[("CLAMP_MIN(0, 1)", "1")],
        form: Form::Single(|args, call| match args {
            [v, low] => Ok(clamp(v, Some(low), None, call)),
            _ => Ok(Value::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "clamp_max",
        since: Version(9, 3, 0),
        params: &[param("field", Accepts::Ordered), param("max", Accepts::Ordered)],
        returns: Returns::By(common),
        summary: "the value, but not above `max`",
        examples: &[("CLAMP_MAX(7, 5)", "5")],
        form: Form::Single(|args, call| match args {
            [v, high] => Ok(clamp(v, None, Some(high), call)),
            _ => Ok(Value::Null),
        }),
        ..ROW
    },
];
