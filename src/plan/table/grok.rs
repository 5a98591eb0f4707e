//! `GROK`: named captures of an Oniguruma pattern, with a bank of named patterns.

use crate::func::column::{Failure, convert};
use crate::value::{ColumnType, Datum, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GrokError(pub String);

/// Own words for the named patterns of the ECS bank that rules use.
static BANK: &[(&str, &str)] = &[
    ("DATA", ".*?"),
    ("GREEDYDATA", ".*"),
    ("NOTSPACE", r"\S+"),
    ("SPACE", r"\s*"),
    ("WORD", r"\b\w+\b"),
    ("INT", "[+-]?[0-9]+"),
    ("POSINT", r"\b[1-9][0-9]*\b"),
    ("NONNEGINT", r"\b[0-9]+\b"),
    ("BASE10NUM", r"(?<![0-9.+-])(?>[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+))"),
    ("NUMBER", "%{BASE10NUM}"),
    ("BASE16NUM", "(?<![0-9A-Fa-f])(?:[+-]?(?:0x)?[0-9A-Fa-f]+)"),
    ("USERNAME", "[a-zA-Z0-9._-]+"),
    ("USER", "%{USERNAME}"),
    (
        "EMAILLOCALPART",
        r"[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~]{1,64}(?:\.[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~]{1,62}){0,63}",
    ),
    ("EMAILADDRESS", "%{EMAILLOCALPART}@%{HOSTNAME}"),
    ("QUOTEDSTRING", r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"#),
    ("QS", "%{QUOTEDSTRING}"),
    ("UUID", "[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}"),
    ("MAC", "(?:[A-Fa-f0-9]{2}[:-]){5}[A-Fa-f0-9]{2}"),
    (
        "IPV6",
        r"(?:(?:[0-9A-Fa-f]{1,4}:){7}(?:[0-9A-Fa-f]{1,4}|:)|(?:[0-9A-Fa-f]{1,4}:){1,6}(?:(?::[0-9A-Fa-f]{1,4}){1,6}|%{IPV4}|:)|:(?:(?::[0-9A-Fa-f]{1,4}){1,7}|(?::[0-9A-Fa-f]{1,4}){0,5}:%{IPV4}|:))(?:%[0-9A-Za-z]+)?",
    ),
    (
        "IPV4",
        r"(?<![0-9])(?:(?:[0-1]?[0-9]{1,2}|2[0-4][0-9]|25[0-5])\.){3}(?:[0-1]?[0-9]{1,2}|2[0-4][0-9]|25[0-5])(?![0-9])",
    ),
    ("IP", "(?:%{IPV6}|%{IPV4})"),
    ("HOSTNAME", r"\b[0-9A-Za-z][0-9A-Za-z-]{0,62}(?:\.[0-9A-Za-z][0-9A-Za-z-]{0,62})*(?:\.?|\b)"),
    ("IPORHOST", "(?:%{IP}|%{HOSTNAME})"),
    ("HOSTPORT", "%{IPORHOST}:%{POSINT}"),
    ("PATH", "(?:%{UNIXPATH}|%{WINPATH})"),
    ("UNIXPATH", r"(?:/[\w_%!$@:.,+~-]*)+"),
    ("WINPATH", r"(?>[A-Za-z]+:|\\)(?:\\[^\\?*]*)+"),
    ("URIPROTO", r"[A-Za-z](?:[A-Za-z0-9+\-.]+)+"),
    ("URIHOST", "%{IPORHOST}(?::%{POSINT})?"),
    ("URIPATH", r"(?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_\-]*)+"),
    ("URIQUERY", r"[A-Za-z0-9$.+!*'|(){},~@#%&/=:;_?\-\[\]<>]*"),
    ("URIPARAM", r"\?%{URIQUERY}"),
    ("URIPATHPARAM", "%{URIPATH}(?:%{URIPARAM})?"),
    ("URI", "%{URIPROTO}://(?:%{USER}(?::[^@]*)?@)?(?:%{URIHOST})?(?:%{URIPATH}(?:%{URIPARAM})?)?"),
    (
        "MONTH",
        r"\b(?:[Jj]an(?:uary)?|[Ff]eb(?:ruary)?|[Mm]ar(?:ch)?|[Aa]pr(?:il)?|[Mm]ay|[Jj]une?|[Jj]uly?|[Aa]ug(?:ust)?|[Ss]ep(?:tember)?|[Oo]ct(?:ober)?|[Nn]ov(?:ember)?|[Dd]ec(?:ember)?)\b",
    ),
    ("MONTHNUM", "(?:0?[1-9]|1[0-2])"),
    ("MONTHDAY", "(?:0[1-9]|[12][0-9]|3[01]|[1-9])"),
    (
        "DAY",
        "(?:Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)",
    ),
    ("YEAR", r"(?>\d\d){1,2}"),
    ("HOUR", "(?:2[0123]|[01]?[0-9])"),
    ("MINUTE", "(?:[0-5][0-9])"),
    ("SECOND", "(?:(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?)"),
    ("TIME", "(?!<[0-9])%{HOUR}:%{MINUTE}(?::%{SECOND})?(?![0-9])"),
    ("ISO8601_TIMEZONE", "(?:Z|[+-]%{HOUR}(?::?%{MINUTE}))"),
    (
        "TIMESTAMP_ISO8601",
        "%{YEAR}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?%{ISO8601_TIMEZONE}?",
    ),
    ("DATE_US", "%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}"),
    ("DATE_EU", "%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}"),
    ("DATE", "(?:%{DATE_US}|%{DATE_EU})"),
    ("DATESTAMP", "%{DATE}[- ]%{TIME}"),
    ("TZ", "[A-Z]{3,4}"),
    ("SYSLOGTIMESTAMP", "%{MONTH} +%{MONTHDAY} %{TIME}"),
    ("HTTPDATE", "%{MONTHDAY}/%{MONTH}/%{YEAR}:%{TIME} %{INT}"),
    ("HTTPDUSER", "(?:%{EMAILADDRESS}|%{USER})"),
    ("PROG", r"[\x21-\x5a\x5c\x5e-\x7e]+"),
    (
        "LOGLEVEL",
        "(?:[Aa]lert|ALERT|[Tt]race|TRACE|[Dd]ebug|DEBUG|[Nn]otice|NOTICE|[Ii]nfo|INFO|[Ww]arn(?:ing)?|WARN(?:ING)?|[Ee]rr(?:or)?|ERR(?:OR)?|[Cc]rit(?:ical)?|CRIT(?:ICAL)?|[Ff]atal|FATAL|[Ss]evere|SEVERE|EMERG(?:ENCY)?|[Ee]merg(?:ency)?)",
    ),
];

const MAX_PATTERN: usize = 1 << 20;
const MAX_DEPTH: usize = 20;

/// A prepared pattern.
#[derive(Clone, Debug)]
pub struct Grok {
    text: String,
    regex: fancy_regex::Regex,
    /// The groups of each column.
    columns: Vec<(Box<str>, ColumnType, Vec<usize>)>,
}

impl PartialEq for Grok {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

struct Builder {
    out: String,
    groups: usize,
    columns: Vec<(Box<str>, ColumnType, Vec<usize>)>,
}

impl Grok {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is malformed, or names a pattern that is not in the bank.
    pub fn new(pattern: &str) -> Result<Grok, GrokError> {
        let mut builder = Builder { out: String::new(), groups: 0, columns: Vec::new() };
        builder.expand(pattern, true, 0)?;
        // as Joni does, `.` leaves line breaks alone
        let regex = fancy_regex::RegexBuilder::new(&builder.out)
            .backtrack_limit(500_000)
            .delegate_size_limit(8 << 20)
            .build()
            .map_err(|e| GrokError(format!("invalid GROK pattern: {e}")))?;
        Ok(Grok { text: pattern.to_owned(), regex, columns: builder.columns })
    }

    /// The columns that it makes and their types, in the order of the pattern.
    pub fn columns(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        self.columns.iter().map(|(n, t, _)| (n.as_ref(), *t))
    }

    /// The captures of a text, one list of values a column; `None` where it does not match.
    pub fn apply(&self, text: &str) -> Result<Option<Vec<Vec<Value>>>, Failure> {
        let found = self.regex.captures(text).map_err(|e| Failure::argument(e.to_string()))?;
        let Some(found) = found else { return Ok(None) };
        let of = |(_, ty, groups): &(Box<str>, ColumnType, Vec<usize>)| {
            let texts = groups.iter().filter_map(|g| found.get(*g)).map(|m| m.as_str());
            texts.filter_map(|t| grok_value(t, *ty)).collect()
        };
        Ok(Some(self.columns.iter().map(of).collect()))
    }

    /// The columns of a cell for a list of patterns: each value is taken, the first pattern that matches
    /// counts, the results are appended.
    pub(super) fn cells(
        patterns: &[Grok],
        names: &[Box<str>],
        input: &Datum,
        failed: &mut dyn FnMut(&Failure),
    ) -> Vec<Datum> {
        let mut out: Vec<Vec<Value>> = vec![Vec::new(); names.len()];
        for text in input.values().iter().filter_map(Value::as_str) {
            for grok in patterns {
                match grok.apply(text) {
                    Err(failure) => failed(&failure),
                    Ok(None) => continue,
                    Ok(Some(found)) => {
                        for ((name, ..), values) in grok.columns.iter().zip(found) {
                            let at = names.iter().position(|n| n == name);
                            if let Some(list) = at.and_then(|i| out.get_mut(i)) {
                                list.extend(values);
                            }
                        }
                    }
                }
                break;
            }
        }
        out.into_iter().map(Datum::of).collect()
    }
}

fn grok_value(text: &str, ty: ColumnType) -> Option<Value> {
    match ty {
        ColumnType::Keyword => Some(Value::str(text)),
        ColumnType::Boolean => Some(Value::Bool(text.eq_ignore_ascii_case("true"))),
        _ => convert(&Value::str(text), ColumnType::Keyword, ty).ok(),
    }
}

impl Builder {
    fn push(&mut self, text: &str) -> Result<(), GrokError> {
        self.out.push_str(text);
        if self.out.len() > MAX_PATTERN {
            return Err(GrokError("the GROK pattern is too large".to_owned()));
        }
        Ok(())
    }

    fn column(&mut self, name: &str, ty: ColumnType) -> Result<(), GrokError> {
        self.groups += 1;
        let group = self.groups;
        match self.columns.iter_mut().find(|(n, ..)| n.as_ref() == name) {
            Some((_, held, groups)) if *held == ty => groups.push(group),
            Some((_, held, _)) => {
                return Err(GrokError(format!(
                    "the GROK pattern gives `{name}` the types `{}` and `{}`",
                    held.name(),
                    ty.name()
                )));
            }
            None => self.columns.push((name.into(), ty, vec![group])),
        }
        Ok(())
    }

    /// Writes a pattern with its references resolved. Groups without a name capture nothing.
    fn expand(&mut self, pattern: &str, top: bool, depth: usize) -> Result<(), GrokError> {
        if depth > MAX_DEPTH {
            return Err(GrokError("the GROK pattern refers to itself".to_owned()));
        }
        let mut rest = pattern;
        let mut class = false;
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            if c == '\\' {
                let n = after.chars().next().map_or(0, char::len_utf8);
                self.push(rest.get(..1 + n).unwrap_or(rest))?;
                rest = after.get(n..).unwrap_or_default();
                continue;
            }
            if class {
                class = c != ']';
                // an opening bracket inside a class is literal here, but not for the regex engine
                if c == '[' && !after.starts_with(':') {
                    self.push("\\[")?;
                } else {
                    self.push(c.encode_utf8(&mut [0; 4]))?;
                }
                rest = after;
                continue;
            }
            if let Some(body) = rest.strip_prefix("%{") {
                let end = body
                    .find('}')
                    .ok_or_else(|| GrokError("a `%{` has no `}` in the GROK pattern".into()))?;
                let (inside, tail) = body.split_at(end);
                let mut parts = inside.splitn(3, ':');
                let name = parts.next().unwrap_or_default();
                let column = parts.next().filter(|c| !c.is_empty());
                let ty = parts.next();
                let known = BANK.iter().find(|(n, _)| *n == name);
                let Some((_, definition)) = known else {
                    let near = crate::diag::did_you_mean(name, BANK.iter().map(|(n, _)| *n));
                    let hint = near.map(|n| format!(", did you mean `{n}`?")).unwrap_or_default();
                    return Err(GrokError(format!("the GROK pattern `{name}` is not known{hint}")));
                };
                match column.filter(|_| top) {
                    Some(column) => {
                        let ty = match ty {
                            None => ColumnType::Keyword,
                            Some("int") => ColumnType::Integer,
                            Some("long") => ColumnType::Long,
                            Some("float" | "double") => ColumnType::Double,
                            Some("boolean") => ColumnType::Boolean,
                            Some(other) => return Err(GrokError(format!("`{other}` is no type of GROK"))),
                        };
                        self.column(column, ty)?;
                        self.push("(")?;
                    }
                    None => self.push("(?:")?,
                }
                self.expand(definition, false, depth + 1)?;
                self.push(")")?;
                rest = tail.strip_prefix('}').unwrap_or(tail);
                continue;
            }
            if let Some(body) = rest.strip_prefix("(?<")
                && !body.starts_with(['=', '!'])
            {
                let end = body
                    .find('>')
                    .ok_or_else(|| GrokError("a group's name has no `>` in the GROK pattern".into()))?;
                let (name, tail) = body.split_at(end);
                self.column(name, ColumnType::Keyword)?;
                self.push("(")?;
                rest = tail.strip_prefix('>').unwrap_or(tail);
                continue;
            }
            match c {
                '(' if !after.starts_with('?') => self.push("(?:")?,
                '[' => {
                    class = true;
                    self.push("[")?;
                    // a bracket that comes first is literal
                    let inner = after.strip_prefix('^').unwrap_or(after);
                    if after.len() != inner.len() {
                        self.push("^")?;
                    }
                    rest = inner;
                    if let Some(tail) = inner.strip_prefix(']') {
                        self.push("\\]")?;
                        rest = tail;
                    }
                    continue;
                }
                c => self.push(c.encode_utf8(&mut [0; 4]))?,
            }
            rest = after;
        }
        Ok(())
    }
}

/// The names of the bank, sorted.
pub fn bank() -> impl Iterator<Item = &'static str> {
    let sorted: BTreeMap<&str, ()> = BANK.iter().map(|(n, _)| (*n, ())).collect();
    sorted.into_keys()
}

impl std::fmt::Display for Grok {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)?;
        f.write_char(' ')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(pattern: &str, text: &str) -> Option<Vec<Vec<Value>>> {
        Grok::new(pattern).unwrap().apply(text).unwrap()
    }

    #[test]
    fn every_pattern_of_the_bank_compiles() {
        for name in bank() {
            Grok::new(&format!("%{{{name}:x}}")).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }

    #[test]
    fn captures_are_typed_and_repeated_names_append() {
        let got = first("%{NUMBER:n:int} %{WORD:w} (?<a.b>[a-z]+) %{WORD:w}", "7 x yz q").unwrap();
        assert_eq!(
            got,
            [vec![Value::Int(7)], vec![Value::str("x"), Value::str("q")], vec![Value::str("yz")]]
        );
        assert_eq!(first("%{INT:n}", "none"), None);
        assert_eq!(first("(a|b)(?<c>x)?", "a"), Some(vec![vec![]]));
        assert!(Grok::new("%{INT:n:int} %{WORD:n}").is_err());
        assert!(Grok::new("%{NOPE:n}").is_err());
    }

    #[test]
    fn addresses_and_times_are_found() {
        let ip = |t: &str| first("%{IP:ip}", t).map(|v| v[0][0].as_str().unwrap().to_owned());
        assert_eq!(ip("from 192.0.2.7 port"), Some("192.0.2.7".into()));
        assert_eq!(ip("from 2001:db8::17 port"), Some("2001:db8::17".into()));
        assert_eq!(ip("::1"), Some("::1".into()));
        let at = first("%{TIMESTAMP_ISO8601:t}", "[2026-02-03T04:05:06.789Z]").unwrap();
        assert_eq!(at[0][0].as_str(), Some("2026-02-03T04:05:06.789Z"));
    }
}
