//! Functions over dates. Dates are nanoseconds since the epoch, in UTC.

use super::{Accepts, Call, ColumnFunction, Failure, Form, ROW, Returns, constant, convert, optional, param};
use crate::es::date::{self, Nanos};
use crate::value::{ColumnType as T, Datum, Value};
use std::fmt::Write;

const MILLI: i128 = 1_000_000;
const DAY_MILLIS: i128 = 86_400_000;

/// A date and the milliseconds of its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    millis: i64,
}

/// Days since the epoch of a date in the proleptic Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_of(nanos: Nanos) -> Civil {
    let millis = nanos.div_euclid(MILLI);
    let days = i64::try_from(millis.div_euclid(DAY_MILLIS)).unwrap_or(0);
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = years + era * 400 + i64::from(month <= 2);
    Civil { year, month, day, millis: i64::try_from(millis.rem_euclid(DAY_MILLIS)).unwrap_or(0) }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn at_days(days: i64) -> Nanos {
    i128::from(days) * DAY_MILLIS * MILLI
}

/// The span of a number and a unit as queries write it, `m` for minutes.
pub fn span_of(n: i64, unit: &str) -> Option<Value> {
    let months = |k: i64| {
        let months = n.checked_mul(k).and_then(|m| i32::try_from(m).ok())?;
        Some(Value::Period { months, days: 0 })
    };
    let days = |k: i64| {
        let days = n.checked_mul(k).and_then(|d| i32::try_from(d).ok())?;
        Some(Value::Period { months: 0, days })
    };
    let millis = |k: i64| n.checked_mul(k).map(Value::Duration);
    match unit.to_ascii_lowercase().as_str() {
        "year" | "years" | "y" | "yr" => months(12),
        "quarter" | "quarters" | "q" => months(3),
        "month" | "months" | "mo" => months(1),
        "week" | "weeks" | "w" => days(7),
        "day" | "days" | "d" => days(1),
        "hour" | "hours" | "h" => millis(3_600_000),
        "minute" | "minutes" | "m" | "min" => millis(60_000),
        "second" | "seconds" | "s" | "sec" => millis(1_000),
        "millisecond" | "milliseconds" | "ms" => millis(1),
        _ => None,
    }
}

/// A date moved by a span, or by its opposite.
///
/// # Errors
/// When the date leaves the range of dates.
pub fn add_span(at: Nanos, span: &Value, sign: i64) -> Result<Value, Failure> {
    let overflow = || Failure::arithmetic("long overflow");
    let moved = match span {
        Value::Duration(millis) => at + i128::from(*millis) * i128::from(sign) * MILLI,
        Value::Period { months, days } => {
            let civil = civil_of(at);
            let total = civil.year * 12 + civil.month - 1 + sign * i64::from(*months);
            let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
            let day = civil.day.min(days_in(year, month));
            let days = days_of(year, month, day) + sign * i64::from(*days);
            at_days(days) + i128::from(civil.millis) * MILLI + at.rem_euclid(MILLI)
        }
        _ => return Ok(Value::Null),
    };
    i64::try_from(moved.div_euclid(MILLI)).map_err(|_| overflow())?;
    Ok(Value::Date(moved))
}

/// A date rounded down to a multiple of a span; `None` where the span is not positive.
pub fn trunc(span: &Value, at: Nanos) -> Option<Nanos> {
    match span {
        Value::Duration(millis) if *millis > 0 => {
            let unit = i128::from(*millis) * MILLI;
            Some(at.div_euclid(unit) * unit)
        }
        Value::Period { months, days: 0 } if *months > 0 => {
            let civil = civil_of(at);
            let n = i64::from(*months);
            let total = (civil.year * 12 + civil.month - 1).div_euclid(n) * n;
            Some(at_days(days_of(total.div_euclid(12), total.rem_euclid(12) + 1, 1)))
        }
        Value::Period { months: 0, days } if *days > 0 => {
            let day = i64::try_from(at.div_euclid(DAY_MILLIS * MILLI)).ok()?;
            let n = i64::from(*days);
            // a week begins on Monday; the epoch was a Thursday
            let start = if n == 7 { (day + 3).div_euclid(7) * 7 - 3 } else { day.div_euclid(n) * n };
            Some(at_days(start))
        }
        _ => None,
    }
}

/// A unit of `DATE_DIFF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateUnit {
    /// So many months.
    Months(i64),
    /// So many nanoseconds.
    Nanos(i128),
}

impl DateUnit {
    /// The unit of a name, where `m` is a month.
    pub fn named(name: &str) -> Option<DateUnit> {
        Some(match name.to_ascii_lowercase().as_str() {
            "year" | "years" | "yyyy" | "yy" => DateUnit::Months(12),
            "quarter" | "quarters" | "qq" | "q" => DateUnit::Months(3),
            "month" | "months" | "mm" | "m" => DateUnit::Months(1),
            "dayofyear" | "dy" | "y" | "day" | "days" | "dd" | "d" | "weekday" | "weekdays" | "dw" => {
                DateUnit::Nanos(DAY_MILLIS * MILLI)
            }
            "week" | "weeks" | "wk" | "ww" => DateUnit::Nanos(7 * DAY_MILLIS * MILLI),
            "hour" | "hours" | "hh" => DateUnit::Nanos(3_600_000 * MILLI),
            "minute" | "minutes" | "mi" | "n" => DateUnit::Nanos(60_000 * MILLI),
            "second" | "seconds" | "ss" | "s" => DateUnit::Nanos(1_000 * MILLI),
            "millisecond" | "milliseconds" | "ms" => DateUnit::Nanos(MILLI),
            "microsecond" | "microseconds" | "mcs" => DateUnit::Nanos(1_000),
            "nanosecond" | "nanoseconds" | "ns" => DateUnit::Nanos(1),
            _ => return None,
        })
    }

    fn between(self, a: Nanos, b: Nanos) -> i128 {
        match self {
            DateUnit::Nanos(unit) => (b - a) / unit,
            DateUnit::Months(unit) => {
                let (x, y) = (civil_of(a), civil_of(b));
                let mut months = (y.year * 12 + y.month) - (x.year * 12 + x.month);
                let within = |c: Civil, at: Nanos| (c.day, c.millis, at.rem_euclid(MILLI));
                if months > 0 && within(y, b) < within(x, a) {
                    months -= 1;
                } else if months < 0 && within(y, b) > within(x, a) {
                    months += 1;
                }
                i128::from(months / unit)
            }
        }
    }
}

fn date_diff(args: &[Value], _: &Call<'_>) -> Result<Value, Failure> {
    let [unit, Value::Date(from), Value::Date(to)] = args else { return Ok(Value::Null) };
    let name = unit.as_str().unwrap_or_default();
    let unit = DateUnit::named(name).ok_or_else(|| {
        Failure::argument(format!(
            "A value of [YEAR, QUARTER, MONTH, …] or their aliases is required; received [{name}]"
        ))
    })?;
    let n = unit.between(*from, *to);
    i32::try_from(n)
        .map(|n| Value::Int(n.into()))
        .map_err(|_| Failure::invalid(format!("[{n}] out of [integer] range")))
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn weekday(at: Nanos) -> usize {
    let day = at.div_euclid(DAY_MILLIS * MILLI);
    usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0)
}

/// The parts of a java.time pattern: a letter and how often it stands, or literal text.
fn pattern(text: &str) -> Option<Vec<(char, usize, String)>> {
    let mut out: Vec<(char, usize, String)> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            let mut literal = String::new();
            if chars.peek() == Some(&'\'') {
                chars.next();
                literal.push('\'');
            } else {
                loop {
                    match chars.next()? {
                        '\'' if chars.peek() == Some(&'\'') => {
                            chars.next();
                            literal.push('\'');
                        }
                        '\'' => break,
                        c => literal.push(c),
                    }
                }
            }
            out.push(('\'', 0, literal));
        } else if c.is_ascii_alphabetic() {
            let mut n = 1;
            while chars.peek() == Some(&c) {
                chars.next();
                n += 1;
            }
            out.push((c, n, String::new()));
        } else {
            out.push(('\'', 0, c.to_string()));
        }
    }
    Some(out)
}

fn format(text: &str, at: Nanos) -> Option<String> {
    let civil = civil_of(at);
    let (hour, minute, second) =
        (civil.millis / 3_600_000, civil.millis / 60_000 % 60, civil.millis / 1_000 % 60);
    let mut out = String::new();
    for (letter, n, literal) in pattern(text)? {
        let number = |v: i64| format!("{v:0n$}");
        match letter {
            '\'' => out.push_str(&literal),
            'y' | 'u' if n == 2 => drop(write!(out, "{:02}", civil.year.rem_euclid(100))),
            'y' | 'u' => out.push_str(&number(civil.year)),
            'M' | 'L' if n <= 2 => out.push_str(&number(civil.month)),
            'M' | 'L' => {
                let name = usize::try_from(civil.month - 1).ok().and_then(|i| MONTHS.get(i))?;
                out.push_str(if n == 3 { name.get(..3)? } else { name });
            }
            'd' => out.push_str(&number(civil.day)),
            'D' => out.push_str(&number(
                days_of(civil.year, civil.month, civil.day) - days_of(civil.year, 1, 1) + 1,
            )),
            'H' => out.push_str(&number(hour)),
            'k' => out.push_str(&number(if hour == 0 { 24 } else { hour })),
            'h' => out.push_str(&number((hour + 11) % 12 + 1)),
            'm' => out.push_str(&number(minute)),
            's' => out.push_str(&number(second)),
            'S' => {
                let nanos = at.rem_euclid(1_000 * MILLI);
                let digits = format!("{nanos:09}");
                out.push_str(digits.get(..n.min(9))?);
            }
            'a' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            'E' | 'e' => {
                let name = DAYS.get(weekday(at))?;
                out.push_str(if n <= 3 { name.get(..3)? } else { name });
            }
            'Q' | 'q' => out.push_str(&number((civil.month - 1) / 3 + 1)),
            'X' => out.push('Z'),
            'x' if n == 1 => out.push_str("+00"),
            'Z' | 'x' => out.push_str(if n == 3 || n == 5 { "+00:00" } else { "+0000" }),
            'z' | 'V' => out.push_str("UTC"),
            _ => return None,
        }
    }
    Some(out)
}

/// Takes between `least` and `most` digits from the front.
fn digits(rest: &mut &str, least: usize, most: usize) -> Option<i64> {
    let len = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let head = rest.get(..len).filter(|_| len >= least)?;
    *rest = rest.get(len..)?;
    head.parse().ok()
}

fn parse(text: &str, source: &str) -> Option<Nanos> {
    let mut rest = source;
    let (mut year, mut month, mut day) = (1970, 1, 1);
    let (mut hour, mut minute, mut second, mut nanos) = (0, 0, 0, 0i128);
    let (mut afternoon, mut offset) = (None, 0i64);
    for (letter, n, literal) in pattern(text)? {
        let width = if n == 1 { (1, 9) } else { (n, n) };
        match letter {
            '\'' => rest = rest.strip_prefix(literal.as_str())?,
            'y' | 'u' if n == 2 => year = 2000 + digits(&mut rest, 2, 2)?,
            'y' | 'u' => year = digits(&mut rest, width.0, width.1)?,
            'M' | 'L' if n <= 2 => month = digits(&mut rest, width.0, width.1.min(2))?,
            'M' | 'L' => {
                let short = n == 3;
                let (i, name) = MONTHS.iter().enumerate().find_map(|(i, m)| {
                    let name = if short { m.get(..3)? } else { *m };
                    rest.starts_with(name).then_some((i, name))
                })?;
                month = i64::try_from(i).ok()? + 1;
                rest = rest.get(name.len()..)?;
            }
            'd' => day = digits(&mut rest, width.0, width.1.min(2))?,
            'H' | 'k' => hour = digits(&mut rest, width.0, width.1.min(2))? % 24,
            'h' => hour = digits(&mut rest, width.0, width.1.min(2))? % 12,
            'm' => minute = digits(&mut rest, width.0, width.1.min(2))?,
            's' => second = digits(&mut rest, width.0, width.1.min(2))?,
            'S' => {
                let before = rest;
                digits(&mut rest, n, n)?;
                nanos = format!("{:0<9}", before.get(..n)?).parse().ok()?;
            }
            'a' => {
                let word = rest.get(..2)?;
                afternoon = Some(word.eq_ignore_ascii_case("pm"));
                rest = rest.get(2..)?;
            }
            'E' => {
                let len = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
                rest = rest.get(len..)?;
            }
            'X' | 'Z' | 'x' => {
                let len = rest
                    .bytes()
                    .take_while(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b':' | b'Z'))
                    .count();
                offset = date::parse_zone(rest.get(..len)?)?.into();
                rest = rest.get(len..)?;
            }
            _ => return None,
        }
    }
    let fits = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if !rest.is_empty() || !fits || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if afternoon == Some(true) && hour < 12 {
        hour += 12;
    }
    let seconds = i128::from(hour * 3_600 + minute * 60 + second - offset);
    Some(at_days(days_of(year, month, day)) + seconds * 1_000 * MILLI + nanos)
}

fn extract(field: &str, at: Nanos) -> Option<i64> {
    let c = civil_of(at);
    let day_of_year = days_of(c.year, c.month, c.day) - days_of(c.year, 1, 1) + 1;
    let weekday = i64::try_from(weekday(at)).ok()? + 1;
    Some(match field.to_ascii_lowercase().as_str() {
        "year" | "year_of_era" => c.year,
        "month_of_year" => c.month,
        "proleptic_month" => c.year * 12 + c.month - 1,
        "day_of_month" => c.day,
        "day_of_week" => weekday,
        "day_of_year" => day_of_year,
        "epoch_day" => days_of(c.year, c.month, c.day),
        "aligned_week_of_year" => (day_of_year - 1) / 7 + 1,
        "aligned_week_of_month" => (c.day - 1) / 7 + 1,
        "aligned_day_of_week_in_month" => (c.day - 1) % 7 + 1,
        "aligned_day_of_week_in_year" => (day_of_year - 1) % 7 + 1,
        "hour_of_day" => c.millis / 3_600_000,
        "clock_hour_of_day" => match c.millis / 3_600_000 {
            0 => 24,
            h => h,
        },
        "hour_of_ampm" => c.millis / 3_600_000 % 12,
        "clock_hour_of_ampm" => (c.millis / 3_600_000 + 11) % 12 + 1,
        "ampm_of_day" => c.millis / 43_200_000,
        "minute_of_hour" => c.millis / 60_000 % 60,
        "minute_of_day" => c.millis / 60_000,
        "second_of_minute" => c.millis / 1_000 % 60,
        "second_of_day" => c.millis / 1_000,
        "instant_seconds" => i64::try_from(at.div_euclid(1_000 * MILLI)).ok()?,
        "milli_of_second" => c.millis % 1_000,
        "milli_of_day" => c.millis,
        "micro_of_second" => i64::try_from(at.rem_euclid(1_000 * MILLI) / 1_000).ok()?,
        "nano_of_second" => i64::try_from(at.rem_euclid(1_000 * MILLI)).ok()?,
        "era" => i64::from(c.year > 0),
        "offset_seconds" => 0,
        _ => return None,
    })
}

/// The rows.
pub(super) static FUNCTIONS: &[ColumnFunction] = &[
    ColumnFunction {
        name: "now",
        returns: Returns::Is(T::Date),
        summary: "the time of the query, the same for every row",
        examples: &[("NOW() == NOW()", "true")],
        form: Form::Whole(|_, call| Ok(Datum::One(Value::Date(date::truncate(call.now, false))))),
        ..ROW
    },
    ColumnFunction {
        name: "date_trunc",
        params: &[constant("interval", Accepts::Span), param("date", Accepts::Date)],
        returns: Returns::By(|types| types.get(1).copied().filter(|t| t.is_date()).unwrap_or(T::Date)),
        summary: "the date rounded down to a multiple of a span; buckets are aligned to the epoch, weeks to Mondays",
        examples: &[
            ("TO_STRING(DATE_TRUNC(10 seconds, \"2024-03-05T10:11:59.9Z\"))", "\"2024-03-05T10:11:50.000Z\""),
            ("TO_STRING(DATE_TRUNC(1 week, \"2024-03-05\"))", "\"2024-03-04T00:00:00.000Z\""),
            ("TO_STRING(DATE_TRUNC(3 months, \"2024-06-15\"))", "\"2024-04-01T00:00:00.000Z\""),
        ],
        form: Form::Single(|args, _| match args {
            [span, Value::Date(at)] => trunc(span, *at)
                .map(Value::Date)
                .ok_or_else(|| Failure::argument("Zero or negative time interval is not supported")),
            _ => Ok(Value::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "date_diff",
        params: &[
            param("unit", Accepts::Text),
            param("startTimestamp", Accepts::Date),
            param("endTimestamp", Accepts::Date),
        ],
        returns: Returns::Is(T::Integer),
        summary: "the whole units from one date to another; `\"m\"` is a month, `\"mi\"` a minute",
        examples: &[
            ("DATE_DIFF(\"month\", \"2023-12-31T23:59:59.999Z\", \"2024-02-01\")", "1"),
            ("DATE_DIFF(\"mi\", \"2024-01-01T00:00:59Z\", \"2024-01-01T00:00:00Z\")", "0"),
            ("DATE_DIFF(\"ns\", \"2024-01-01\", \"2024-01-02\")", "null"),
        ],
        form: Form::Single(date_diff),
        ..ROW
    },
    ColumnFunction {
        name: "date_extract",
        params: &[param("datePart", Accepts::Text), param("date", Accepts::Date)],
        returns: Returns::Is(T::Long),
        summary: "a part of a date, by the names of java.time such as `hour_of_day`",
        examples: &[
            ("DATE_EXTRACT(\"year\", \"2024-03-05\")", "2024"),
            ("DATE_EXTRACT(\"day_of_week\", \"2024-03-05\")", "2"),
        ],
        form: Form::Single(|args, _| match args {
            [field, Value::Date(at)] => {
                let name = field.as_str().unwrap_or_default();
                extract(name, *at).map(Value::Int).ok_or_else(|| {
                    Failure::argument(format!("No enum constant ChronoField.{}", name.to_uppercase()))
                })
            }
            _ => Ok(Value::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "date_format",
        params: &[optional("dateFormat", Accepts::Any), param("date", Accepts::Any)],
        summary: "the date as text, by a java.time pattern",
        examples: &[("DATE_FORMAT(\"yyyy-MM-dd\", \"2024-03-05T10:00:00Z\"::datetime)", "\"2024-03-05\"")],
        form: Form::Single(|args, _| match args {
            [Value::Date(at)] => Ok(Value::str(date::format(*at))),
            [text, Value::Date(at)] => {
                let text = text.as_str().unwrap_or_default();
                format(text, *at)
                    .map(Value::str)
                    .ok_or_else(|| Failure::argument(format!("Invalid format: [{text}]")))
            }
            _ => Ok(Value::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "date_parse",
        params: &[optional("datePattern", Accepts::Text), param("dateString", Accepts::Text)],
        returns: Returns::Is(T::Date),
        summary: "the date of a text, by a java.time pattern",
        examples: &[
            (
                "TO_STRING(DATE_PARSE(\"dd/MM/yyyy HH:mm\", \"05/03/2024 10:11\"))",
                "\"2024-03-05T10:11:00.000Z\"",
            ),
            ("DATE_PARSE(\"yyyy\", \"x\")", "null"),
        ],
        form: Form::Single(|args, _| {
            let (found, source, text) = match args {
                [source] => {
                    let source = source.as_str().unwrap_or_default();
                    (convert::parse_date(source), source, "strict_date_optional_time")
                }
                [text, source] => {
                    let (text, source) =
                        (text.as_str().unwrap_or_default(), source.as_str().unwrap_or_default());
                    (parse(text, source), source, text)
                }
                _ => return Ok(Value::Null),
            };
            found.map(|nanos| Value::Date(date::truncate(nanos, false))).ok_or_else(|| {
                Failure::argument(format!("failed to parse date field [{source}] with format [{text}]"))
            })
        }),
        ..ROW
    },
];
