//! Functions over text. Lengths and positions count code points.

use super::{Accepts, Call, ColumnFunction, ColumnParam, Failure, Form, ROW, Returns, optional, param};
use crate::es::ip;
use crate::func::cidr_block;
use crate::schema::Version;
use crate::value::{ColumnType as T, Datum, Value};
use std::fmt::Write;

/// The longest text that a function makes, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// How many steps a pattern may go back and forth before it counts as failed.
const BACKTRACKS: usize = 200_000;

/// A compiled pattern of the flavour of `java.util.regex`.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: fancy_regex::Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When the pattern is malformed.
    pub fn new(text: &str) -> Result<Pattern, Failure> {
        let regex = fancy_regex::RegexBuilder::new(text)
            .backtrack_limit(BACKTRACKS)
            .delegate_size_limit(4 << 20)
            .build()
            .map_err(|e| Failure {
                class: "java.util.regex.PatternSyntaxException",
                message: e.to_string(),
            })?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// The compiled form.
    pub fn regex(&self) -> &fancy_regex::Regex {
        &self.regex
    }

    /// The pattern.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The failure of a single-value function that is given several values.
pub(super) fn several() -> Failure {
    Failure::argument("single-value function encountered multi-value")
}

const STRING: &[ColumnParam] = &[param("string", Accepts::Text)];
const PART: &[ColumnParam] = &[param("string", Accepts::Text), param("substring", Accepts::Text)];

fn text(args: &[Value], i: usize) -> &str {
    args.get(i).and_then(Value::as_str).unwrap_or_default()
}

fn number(args: &[Value], i: usize) -> Option<i64> {
    match args.get(i) {
        Some(Value::Int(n)) => Some(*n),
        _ => None,
    }
}

fn checked(text: String) -> Result<Value, Failure> {
    if text.len() > MAX_BYTES {
        return Err(Failure::argument(format!(
            "Creating strings with more than [{MAX_BYTES}] bytes is not supported"
        )));
    }
    Ok(Value::str(text))
}

fn int(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// From `start`, counted from 1 or from the end where negative, `length` code points.
fn substring(text: &str, start: i64, length: Option<i64>) -> Result<String, Failure> {
    if length.is_some_and(|n| n < 0) {
        return Err(Failure::argument(format!(
            "Length parameter cannot be negative, found [{}]",
            length.unwrap_or(0)
        )));
    }
    let n = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let skip = match start {
        s if s > 0 => s - 1,
        0 => 0,
        s => (n + s).max(0),
    };
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let take = length.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    Ok(text.chars().skip(skip).take(take).collect())
}

fn replace(args: &[Value], call: &Call<'_>) -> Result<Value, Failure> {
    let made;
    let pattern = match call.pattern {
        Some(p) => p,
        None => {
            made = Pattern::new(text(args, 1))?;
            &made
        }
    };
    let (source, with) = (text(args, 0), text(args, 2));
    let failed = |e: fancy_regex::Error| Failure::argument(e.to_string());
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    for found in pattern.regex.captures_iter(source) {
        let found = found.map_err(failed)?;
        let Some(whole) = found.get(0) else { continue };
        out.push_str(source.get(at..whole.start()).unwrap_or_default());
        expand(with, &found, &mut out)?;
        at = whole.end();
        if out.len() > MAX_BYTES {
            break;
        }
    }
    out.push_str(source.get(at..).unwrap_or_default());
    checked(out)
}

/// Java's replacement: `$1` and `${name}` are groups, `\` quotes.
fn expand(with: &str, found: &fancy_regex::Captures<'_, str>, out: &mut String) -> Result<(), Failure> {
    let illegal = |what: &str| Failure {
        class: "java.lang.IllegalArgumentException",
        message: format!("Illegal group reference{what}"),
    };
    let mut chars = with.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c) => out.push(c),
                None => return Err(Failure::argument("character to be escaped is missing")),
            },
            '$' if chars.peek() == Some(&'{') => {
                chars.next();
                let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                out.push_str(found.name(&name).map_or("", |m| m.as_str()));
            }
            '$' => {
                let mut group = match chars.next().and_then(|c| c.to_digit(10)) {
                    Some(d) => d as usize,
                    None => return Err(illegal("")),
                };
                if group >= found.len() {
                    return Err(Failure {
                        class: "java.lang.IndexOutOfBoundsException",
                        message: format!("No group {group}"),
                    });
                }
                // further digits belong to the reference as long as there is such a group
                while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
                    let longer = group * 10 + d as usize;
                    if longer >= found.len() {
                        break;
                    }
                    group = longer;
                    chars.next();
                }
                out.push_str(found.get(group).map_or("", |m| m.as_str()));
            }
            c => out.push(c),
        }
    }
    Ok(())
}

/// Percent-decoding; `plus` says whether `+` is a space.
fn url_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'%' => {
                let hex = [bytes.next()?, bytes.next()?];
                let hex = std::str::from_utf8(&hex).ok()?;
                if hex.starts_with('+') {
                    return None;
                }
                out.push(u8::from_str_radix(hex, 16).ok()?);
            }
            b'+' => out.push(b' '),
            b => out.push(b),
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn url_encode(text: &str, space: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(b)),
            b' ' => out.push_str(space),
            b => drop(write!(out, "%{b:02X}")),
        }
    }
    out
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) || body.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() * 3 / 4);
    let (mut held, mut bits) = (0u32, 0u32);
    for b in body.bytes() {
        let digit = ALPHABET.iter().position(|a| *a == b)?;
        held = (held << 6) | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from((held >> bits) & 0xff).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    Some(out)
}

fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let held = chunk.iter().fold(0u32, |n, b| (n << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = (held >> (18 - 6 * i)) & 63;
            let known = i <= chunk.len();
            out.push(if known { char::from(*ALPHABET.get(digit as usize).unwrap_or(&b'A')) } else { '=' });
        }
    }
    out
}

fn cidr_match(args: &[Value]) -> Result<Value, Failure> {
    let Some((Value::Ip(address), blocks)) = args.split_first() else { return Ok(Value::Null) };
    for block in blocks {
        let text = block.as_str().unwrap_or_default();
        // an address alone is a block of one
        let (low, high) = match ip::parse(text) {
            Some(one) => (one, one),
            None => cidr_block(text)
                .ok_or_else(|| Failure::argument(format!("'{text}' is not an IP string literal.")))?,
        };
        if low <= *address && *address <= high {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn split(text: &str, delimiter: &str) -> Result<Datum, Failure> {
    if delimiter.is_empty() {
        return Ok(Datum::of(text.chars().map(|c| Value::str(c.to_string())).collect()));
    }
    if delimiter.len() != 1 {
        return Err(Failure::invalid("delimiter must be single byte for now"));
    }
    Ok(Datum::of(text.split(delimiter).map(Value::str).collect()))
}

fn one(args: &[Datum], i: usize) -> Result<Option<&Value>, Failure> {
    match args.get(i) {
        Some(Datum::One(v)) => Ok(Some(v)),
        Some(Datum::Many(_)) => Err(several()),
        _ => Ok(None),
    }
}

fn position(text: &str, part: &str, start: i64) -> i64 {
    let skip = usize::try_from(start - 1).unwrap_or(0);
    let from = text.char_indices().nth(skip).map_or(text.len(), |(i, _)| i);
    let rest = text.get(from..).unwrap_or_default();
    match rest.find(part) {
        Some(at) => {
            let before = rest.get(..at).map_or(0, |s| s.chars().count());
            i64::try_from(skip + before + 1).unwrap_or(0)
        }
        None => 0,
    }
}

/// The rows.
pub(super) static FUNCTIONS: &[ColumnFunction] = &[
    ColumnFunction {
        name: "concat",
        params: &[param("string1", Accepts::Text), param("string2", Accepts::Text)],
        variadic: true,
        summary: "the texts one after the other",
        examples: &[("CONCAT(\"a\", \"-\", \"b\")", "\"a-b\""), ("CONCAT(\"a\", null)", "null")],
        form: Form::Single(|args, _| checked(args.iter().filter_map(Value::as_str).collect())),
        ..ROW
    },
    ColumnFunction {
        name: "length",
        params: STRING,
        returns: Returns::Is(T::Integer),
        summary: "the number of code points",
        examples: &[("LENGTH(\"Grüße\")", "5")],
        form: Form::Single(|args, _| Ok(int(text(args, 0).chars().count()))),
        ..ROW
    },
    ColumnFunction {
        name: "byte_length",
        params: STRING,
        returns: Returns::Is(T::Integer),
        summary: "the number of bytes in UTF-8",
        examples: &[("BYTE_LENGTH(\"Grüße\")", "7")],
        form: Form::Single(|args, _| Ok(int(text(args, 0).len()))),
        ..ROW
    },
    ColumnFunction {
        name: "bit_length",
        params: STRING,
        returns: Returns::Is(T::Integer),
        summary: "the number of bits in UTF-8",
        examples: &[("BIT_LENGTH(\"ab\")", "16")],
        form: Form::Single(|args, _| Ok(int(text(args, 0).len() * 8))),
        ..ROW
    },
    ColumnFunction {
        name: "substring",
        params: &[
            param("string", Accepts::Text),
            param("start", Accepts::Whole),
            optional("length", Accepts::Whole),
        ],
        summary: "`length` code points from `start`, which counts from 1, or from the end where negative",
        examples: &[
            ("SUBSTRING(\"Facello\", 3)", "\"cello\""),
            ("SUBSTRING(\"Facello\", -3)", "\"llo\""),
            ("SUBSTRING(\"Facello\", 0, 2)", "\"Fa\""),
        ],
        form: Form::Single(|args, _| {
            let start = number(args, 1).unwrap_or(0);
            substring(text(args, 0), start, number(args, 2)).map(Value::str)
        }),
        ..ROW
    },
    ColumnFunction {
        name: "left",
        params: &[param("string", Accepts::Text), param("length", Accepts::Whole)],
        summary: "the first code points",
        examples: &[("LEFT(\"Awdeh\", 3)", "\"Awd\"")],
        form: Form::Single(|args, _| {
            let n = usize::try_from(number(args, 1).unwrap_or(0)).unwrap_or(0);
            Ok(Value::str(text(args, 0).chars().take(n).collect::<String>()))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "right",
        params: &[param("string", Accepts::Text), param("length", Accepts::Whole)],
        summary: "the last code points",
        examples: &[("RIGHT(\"Awdeh\", 3)", "\"deh\"")],
        form: Form::Single(|args, _| {
            let n = usize::try_from(number(args, 1).unwrap_or(0)).unwrap_or(0);
            let source = text(args, 0);
            let skip = source.chars().count().saturating_sub(n);
            Ok(Value::str(source.chars().skip(skip).collect::<String>()))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "trim",
        params: STRING,
        summary: "without white space at both ends",
        examples: &[("TRIM(\"  a b \")", "\"a b\"")],
        form: Form::Single(|args, _| Ok(Value::str(text(args, 0).trim()))),
        ..ROW
    },
    ColumnFunction {
        name: "ltrim",
        params: STRING,
        summary: "without white space at the beginning",
        examples: &[("LTRIM(\"  a \")", "\"a \"")],
        form: Form::Single(|args, _| Ok(Value::str(text(args, 0).trim_start()))),
        ..ROW
    },
    ColumnFunction {
        name: "rtrim",
        params: STRING,
        summary: "without white space at the end",
        examples: &[("RTRIM(\" a  \")", "\" a\"")],
        form: Form::Single(|args, _| Ok(Value::str(text(args, 0).trim_end()))),
        ..ROW
    },
    ColumnFunction {
        name: "to_lower",
        params: STRING,
        summary: "each value in lower case",
        examples: &[("TO_LOWER(\"ÄB\")", "\"äb\"")],
        form: Form::Each(|args, _| Ok(Value::str(text(args, 0).to_lowercase()))),
        ..ROW
    },
    ColumnFunction {
        name: "to_upper",
        params: STRING,
        summary: "each value in upper case",
        examples: &[("TO_UPPER(\"äb\")", "\"ÄB\"")],
        form: Form::Each(|args, _| Ok(Value::str(text(args, 0).to_uppercase()))),
        ..ROW
    },
    ColumnFunction {
        name: "reverse",
        params: STRING,
        summary: "the graphemes from the last to the first",
        examples: &[("REVERSE(\"abc\")", "\"cba\"")],
        form: Form::Single(|args, _| {
            use unicode_segmentation::UnicodeSegmentation;
            Ok(Value::str(text(args, 0).graphemes(true).rev().collect::<String>()))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "repeat",
        params: &[param("string", Accepts::Text), param("number", Accepts::Whole)],
        summary: "the text several times",
        examples: &[("REPEAT(\"ab\", 3)", "\"ababab\"")],
        form: Form::Single(|args, _| {
            let n = number(args, 1).unwrap_or(0);
            let n = usize::try_from(n).map_err(|_| {
                Failure::argument(format!("Number parameter cannot be negative, found [{n}]"))
            })?;
            if text(args, 0).len().saturating_mul(n) > MAX_BYTES {
                return Err(Failure::argument(format!(
                    "Creating repeated strings with more than [{MAX_BYTES}] bytes is not supported"
                )));
            }
            Ok(Value::str(text(args, 0).repeat(n)))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "space",
        params: &[param("number", Accepts::Whole)],
        summary: "as many spaces",
        examples: &[("CONCAT(\"a\", SPACE(2), \"b\")", "\"a  b\"")],
        form: Form::Single(|args, _| {
            let n = number(args, 0).unwrap_or(0);
            match usize::try_from(n) {
                Ok(n) if n <= MAX_BYTES => Ok(Value::str(" ".repeat(n))),
                _ => Err(Failure::argument(format!("Number parameter is out of range, found [{n}]"))),
            }
        }),
        ..ROW
    },
    ColumnFunction {
        name: "starts_with",
        params: &[param("string", Accepts::Text), param("prefix", Accepts::Text)],
        returns: Returns::Is(T::Boolean),
        summary: "whether the text begins so",
        examples: &[("STARTS_WITH(\"abc\", \"ab\")", "true")],
        form: Form::Single(|args, _| Ok(Value::Bool(text(args, 0).starts_with(text(args, 1))))),
        ..ROW
    },
    ColumnFunction {
        name: "ends_with",
        params: &[param("string", Accepts::Text), param("suffix", Accepts::Text)],
        returns: Returns::Is(T::Boolean),
        summary: "whether the text ends so",
        examples: &[("ENDS_WITH(\"abc\", \"bc\")", "true")],
        form: Form::Single(|args, _| Ok(Value::Bool(text(args, 0).ends_with(text(args, 1))))),
        ..ROW
    },
    ColumnFunction {
        name: "contains",
        since: Version(9, 2, 0),
        params: PART,
        returns: Returns::Is(T::Boolean),
        summary: "whether the text holds another",
        examples: &[("CONTAINS(\"abc\", \"b\")", "true")],
        form: Form::Single(|args, _| Ok(Value::Bool(text(args, 0).contains(text(args, 1))))),
        ..ROW
    },
    ColumnFunction {
        name: "locate",
        params: &[
            param("string", Accepts::Text),
            param("substring", Accepts::Text),
            optional("start", Accepts::Whole),
        ],
        returns: Returns::Is(T::Integer),
        summary: "where a text stands in another, from 1; 0 if nowhere",
        examples: &[("LOCATE(\"a tiger\", \"ti\")", "3"), ("LOCATE(\"aa\", \"b\")", "0")],
        form: Form::Single(|args, _| {
            Ok(Value::Int(position(text(args, 0), text(args, 1), number(args, 2).unwrap_or(1))))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "replace",
        params: &[
            param("string", Accepts::Text),
            param("regex", Accepts::Text),
            param("newString", Accepts::Text),
        ],
        summary: "every match of a Java pattern replaced; `$1` in `newString` is a group",
        examples: &[
            ("REPLACE(\"a1b22\", \"[0-9]+\", \"#\")", "\"a#b#\""),
            ("REPLACE(\"ab\", \"(a)(b)\", \"$2$1\")", "\"ba\""),
            ("REPLACE(\"ab\", \"(\", \"\")", "null"),
        ],
        form: Form::Single(replace),
        ..ROW
    },
    ColumnFunction {
        name: "split",
        params: &[param("string", Accepts::Text), param("delim", Accepts::Text)],
        summary: "the pieces between delimiters of one byte",
        examples: &[("SPLIT(\"a;;b\", \";\")", "[\"a\", \"\", \"b\"]"), ("SPLIT(\"a\", \";\")", "\"a\"")],
        form: Form::Whole(|args, _| match (one(args, 0)?, one(args, 1)?) {
            (Some(s), Some(d)) => split(s.as_str().unwrap_or_default(), d.as_str().unwrap_or_default()),
            _ => Ok(Datum::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "url_decode",
        since: Version(9, 2, 0),
        params: STRING,
        summary: "percent-encoding undone, `+` as a space; null for what is no encoding",
        examples: &[("URL_DECODE(\"a%20b\")", "\"a b\""), ("URL_DECODE(\"%zz\")", "null")],
        form: Form::Single(|args, _| {
            url_decode(text(args, 0))
                .map(Value::str)
                .ok_or_else(|| Failure::argument("URLDecoder: Illegal hex characters in escape (%) pattern"))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "url_encode",
        since: Version(9, 2, 0),
        params: STRING,
        summary: "percent-encoded, a space as `+`",
        examples: &[("URL_ENCODE(\"a b/c\")", "\"a+b%2Fc\"")],
        form: Form::Single(|args, _| checked(url_encode(text(args, 0), "+"))),
        ..ROW
    },
    ColumnFunction {
        name: "url_encode_component",
        since: Version(9, 2, 0),
        params: STRING,
        summary: "percent-encoded, a space as `%20`",
        examples: &[("URL_ENCODE_COMPONENT(\"a b\")", "\"a%20b\"")],
        form: Form::Single(|args, _| checked(url_encode(text(args, 0), "%20"))),
        ..ROW
    },
    ColumnFunction {
        name: "from_base64",
        params: STRING,
        summary: "base64 undone; null for what is none",
        examples: &[("FROM_BASE64(\"ZWxhc3RpYw==\")", "\"elastic\""), ("FROM_BASE64(\"*\")", "null")],
        form: Form::Single(|args, _| match from_base64(text(args, 0)) {
            Some(bytes) => checked(String::from_utf8_lossy(&bytes).into_owned()),
            None => Err(Failure::argument("Illegal base64 character")),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "to_base64",
        params: STRING,
        summary: "in base64",
        examples: &[("TO_BASE64(\"elastic\")", "\"ZWxhc3RpYw==\"")],
        form: Form::Single(|args, _| checked(to_base64(text(args, 0).as_bytes()))),
        ..ROW
    },
    ColumnFunction {
        name: "cidr_match",
        params: &[param("ip", Accepts::Ip), param("blockX", Accepts::Text)],
        variadic: true,
        returns: Returns::Is(T::Boolean),
        summary: "whether an address is in one of the blocks",
        examples: &[
            ("CIDR_MATCH(TO_IP(\"10.1.2.3\"), \"192.0.2.0/24\", \"10.0.0.0/8\")", "true"),
            ("CIDR_MATCH(TO_IP(\"::1\"), \"::1\")", "true"),
        ],
        form: Form::Single(|args, _| cidr_match(args)),
        ..ROW
    },
    ColumnFunction {
        name: "ip_prefix",
        params: &[
            param("ip", Accepts::Ip),
            param("prefixLengthV4", Accepts::Whole),
            param("prefixLengthV6", Accepts::Whole),
        ],
        returns: Returns::Is(T::Ip),
        summary: "the first address of the block of this length that an address is in",
        examples: &[("TO_STRING(IP_PREFIX(TO_IP(\"10.1.2.3\"), 16, 0))", "\"10.1.0.0\"")],
        form: Form::Single(|args, _| {
            let (Some(Value::Ip(address)), Some(v4), Some(v6)) =
                (args.first(), number(args, 1), number(args, 2))
            else {
                return Ok(Value::Null);
            };
            let (v4, v6) = match (u32::try_from(v4), u32::try_from(v6)) {
                (Ok(v4), Ok(v6)) if v4 <= 32 && v6 <= 128 => (v4, v6),
                _ => {
                    return Err(Failure::argument(
                        "Prefix length v4 must be in range [0, 32] and v6 in range [0, 128]",
                    ));
                }
            };
            // an address of version 4 is one of version 6 with a fixed beginning of 96 bits
            let mapped = *address >> 32 == 0xffff;
            let keep = if mapped { 96 + v4 } else { v6 };
            Ok(Value::Ip(if keep == 0 { 0 } else { *address & (u128::MAX << (128 - keep)) }))
        }),
        ..ROW
    },
    ColumnFunction {
        name: "sha256",
        params: STRING,
        summary: "the SHA-256 of the text, in hexadecimal",
        examples: &[("LEFT(SHA256(\"abc\"), 8)", "\"ba7816bf\"")],
        form: Form::Single(|args, _| {
            use sha2::{Digest, Sha256};
            let digest = Sha256::digest(text(args, 0).as_bytes());
            Ok(Value::str(digest.iter().map(|b| format!("{b:02x}")).collect::<String>()))
        }),
        ..ROW
    },
];
