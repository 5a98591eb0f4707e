//! The number functions, and the arithmetic that operators and functions share.

use super::{CallError, Function, Language, Param, Type};
use crate::es::Case;
use crate::schema::Version;
use crate::value::Value;

/// `+ - * / %`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Arithmetic {
    /// Every operation.
    pub const ALL: [Arithmetic; 5] =
        [Arithmetic::Add, Arithmetic::Subtract, Arithmetic::Multiply, Arithmetic::Divide, Arithmetic::Modulo];

    /// The operator.
    pub fn symbol(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Modulo => "%",
        }
    }

    /// The function that does the same.
    pub fn function(self) -> &'static str {
        match self {
            Arithmetic::Add => "add",
            Arithmetic::Subtract => "subtract",
            Arithmetic::Multiply => "multiply",
            Arithmetic::Divide => "divide",
            Arithmetic::Modulo => "modulo",
        }
    }

    /// The calculation; null where an operand is null. Integers truncate when divided.
    ///
    /// # Errors
    /// When integers overflow or are divided by zero.
    pub fn apply(self, a: &Value, b: &Value) -> Result<Value, CallError> {
        if let (Value::Int(x), Value::Int(y)) = (a, b) {
            let result = match self {
                Arithmetic::Add => x.checked_add(*y),
                Arithmetic::Subtract => x.checked_sub(*y),
                Arithmetic::Multiply => x.checked_mul(*y),
                Arithmetic::Divide | Arithmetic::Modulo if *y == 0 => {
                    return Err(CallError("an integer is divided by zero".into()));
                }
                Arithmetic::Divide => x.checked_div(*y),
                Arithmetic::Modulo => x.checked_rem(*y),
            };
            return result.map(Value::Int).ok_or_else(|| CallError("an integer overflows".into()));
        }
        let (Some(x), Some(y)) = (a.as_f64(), b.as_f64()) else { return Ok(Value::Null) };
        Ok(Value::Double(match self {
            Arithmetic::Add => x + y,
            Arithmetic::Subtract => x - y,
            Arithmetic::Multiply => x * y,
            Arithmetic::Divide => x / y,
            Arithmetic::Modulo => x % y,
        }))
    }

    fn call(self, args: &[Value]) -> Result<Value, CallError> {
        match args {
            [a, b] => self.apply(a, b),
            _ => Ok(Value::Null),
        }
    }
}

const OPERANDS: &[Param] = &[
    Param { name: "left", ty: Type::Number, optional: false, constant: false },
    Param { name: "right", ty: Type::Number, optional: false, constant: false },
];

const fn arithmetic(
    name: &'static str,
    summary: &'static str,
    examples: &'static [(&'static str, &'static str)],
    eval: fn(&[Value], Case) -> Result<Value, CallError>,
) -> Function {
    Function {
        name,
        languages: &[Language::Eql],
        since: Version(7, 10, 0),
        params: OPERANDS,
        variadic: false,
        returns: Type::Number,
        case_form: false,
        summary,
        examples,
        eval,
    }
}

/// The rows.
pub(super) static FUNCTIONS: &[Function] = &[
    arithmetic(
        "add",
        "the sum of two numbers, as `+`",
        &[("add(40, 2)", "42"), ("add(1, 0.25)", "1.25"), ("add(null, 2)", "null")],
        |args, _| Arithmetic::Add.call(args),
    ),
    arithmetic(
        "divide",
        "the quotient of two numbers, as `/`; of two integers it is truncated",
        &[("divide(17, 5)", "3"), ("divide(-17, 5)", "-3"), ("divide(17, 5.0)", "3.4")],
        |args, _| Arithmetic::Divide.call(args),
    ),
    arithmetic(
        "modulo",
        "the remainder of a division, as `%`; it has the sign of the first number",
        &[("modulo(17, 5)", "2"), ("modulo(-17, 5)", "-2")],
        |args, _| Arithmetic::Modulo.call(args),
    ),
    arithmetic(
        "multiply",
        "the product of two numbers, as `*`",
        &[("multiply(6, 7)", "42"), ("multiply(6, 0.5)", "3.0")],
        |args, _| Arithmetic::Multiply.call(args),
    ),
    arithmetic(
        "subtract",
        "the difference of two numbers, as `-`",
        &[("subtract(2, 44)", "-42"), ("subtract(0.5, 1)", "-0.5")],
        |args, _| Arithmetic::Subtract.call(args),
    ),
    Function {
        name: "number",
        languages: &[Language::Eql],
        since: Version(7, 10, 0),
        params: &[
            Param { name: "text", ty: Type::String, optional: false, constant: false },
            Param { name: "base", ty: Type::Integer, optional: true, constant: false },
        ],
        variadic: false,
        returns: Type::Number,
        case_form: false,
        summary: "the number that a text holds; `0x` means base 16, decimals are read in base 10 only; \
                  a text that is no number fails the search",
        examples: &[
            (r#"number("777")"#, "777"),
            (r#"number("-2.5")"#, "-2.5"),
            (r#"number("0x1F")"#, "31"),
            (r#"number("1F", 16)"#, "31"),
            (r#"number("101", 2)"#, "5"),
            ("number(null)", "null"),
        ],
        eval: |args, _| number(args),
    },
];

fn number(args: &[Value]) -> Result<Value, CallError> {
    let Some(text) = args.first().and_then(Value::as_str) else { return Ok(Value::Null) };
    let hex = text.strip_prefix("0x");
    let base = match args.get(1) {
        Some(Value::Int(base)) => *base,
        _ if hex.is_some() => 16,
        _ => 10,
    };
    let fail = || CallError(format!("`{text}` is no number in base {base}"));
    if base == 10 {
        if let Ok(i) = text.parse::<i64>() {
            return Ok(Value::Int(i));
        }
        let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
        let float = text.parse::<f64>().ok().filter(|f| plain && f.is_finite());
        return float.map(Value::Double).ok_or_else(fail);
    }
    let digits = hex.filter(|_| base == 16).unwrap_or(text);
    let radix = u32::try_from(base).ok().filter(|r| (2..=36).contains(r)).ok_or_else(fail)?;
    i64::from_str_radix(digits, radix).map(Value::Int).map_err(|_| fail())
}
