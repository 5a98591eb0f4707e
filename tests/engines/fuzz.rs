//! Generated mappings, documents and queries: what interpreter and engine say of each is compared, and a difference
//! is reduced to one leaf of the query and one document with the fields that it names.

use crate::interpreter;
use crate::node::{Asked, Node};
use crate::set::{Family, Language, Outcome};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A small generator of numbers (splitmix64), so that a seed gives the same pairs everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The fields that a mapping may have, and what each is.
fn fields(family: Family) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("k", json!({"type": "keyword"})),
        ("above", json!({"type": "keyword", "ignore_above": 4})),
        ("low", json!({"type": "keyword", "normalizer": "lowercase"})),
        ("nul", json!({"type": "keyword", "null_value": "abc"})),
        ("t", json!({"type": "text"})),
        ("tk", json!({"type": "text", "fields": {"raw": {"type": "keyword"}}})),
        ("mot", json!({"type": "match_only_text"})),
        ("n", json!({"type": "long"})),
        ("int", json!({"type": "integer"})),
        ("byte", json!({"type": "byte"})),
        ("x", json!({"type": "double"})),
        ("fl", json!({"type": "float"})),
        ("hf", json!({"type": "half_float"})),
        ("b", json!({"type": "boolean"})),
        ("d", json!({"type": "date"})),
        ("dn", json!({"type": "date_nanos"})),
        ("ip", json!({"type": "ip"})),
        ("l", json!({"type": "flattened"})),
        ("o", json!({"properties": {"a": {"type": "keyword"}, "n": {"type": "long"}}})),
        ("nest", json!({"type": "nested", "properties": {"a": {"type": "keyword"}, "n": {"type": "long"}}})),
    ];
    match family {
        Family::Elasticsearch => {
            all.retain(|(name, _)| *name != "mot");
            all.push(("ver", json!({"type": "version"})));
        }
        // its flat_object and wildcard types answer in their own way: docs/reference/dialects.md
        Family::OpenSearch => all.retain(|(name, _)| !["l", "dn"].contains(name)),
    }
    all
}

const WORDS: &[&str] = &[
    "abc",
    "ABC",
    "Abc",
    "abcd",
    "ab",
    "",
    "abc def",
    "def abc",
    "a-b",
    "a_b",
    "a.b",
    "xyz",
    "É",
    "é",
    "a*c",
    "a?c",
    "C:\\abc\\x.exe",
    "10.0.0.1",
    "5",
    "1.5",
    "true",
    "(x)",
    "say \"abc\"",
    "a/b",
    "a:b",
    "ß",
    "中文",
    "a😀c",
    "abc,def",
    "user@example.com",
    "+x",
    "-x",
    "x~",
    "[a]",
    "{a}",
    "a&b",
    "a|b",
    "!",
    "and",
    "OR",
    "null",
    " abc",
];
const INTS: &[&str] = &["0", "1", "-1", "5", "-3", "99", "127", "4", "100"];
const FLOATS: &[&str] = &["0", "1.5", "-1.5", "0.1", "0.3333", "2", "5", "60000", "-0.5", "1e2"];
const DATES: &[&str] = &[
    "2024-06-15",
    "2024-06-15T12:00:00Z",
    "2024-06-15T23:59:59.999Z",
    "2024-06-16",
    "2024-06-15T12:00:00.123456789Z",
    "2024-06-15T01:00:00+02:00",
    "2024-06",
    "2024",
    "1718452800000",
    "2024-06-30",
    "2023-12-31T23:59:59Z",
];
const DATE_QUERIES: &[&str] = &[
    "2024-06-15||/d",
    "2024-06-15||+1d/d",
    "2024-06-15||/M",
    "2024-06-15T12",
    "2024-06-15T12:00",
    "2024-06-31",
    "2024-06-15||-1M",
    "2024-06-15T12:00:00.5Z||/s",
    "2024-06-15||/y",
    "2024-06-15||/w",
    "2024-06-15T12:30:00Z||/h",
];
const IPS: &[&str] =
    &["10.0.0.1", "10.255.0.9", "192.168.1.7", "2001:db8::1", "::1", "::ffff:10.0.0.1", "8.8.8.8"];
const IP_QUERIES: &[&str] =
    &["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "10.0.0.5/24", "::/0", "10.0.0.1/32", "10.0.0"];
const VERSIONS: &[&str] = &["1.2.3", "1.10.0", "1.2.3-beta", "2.0.0", "1.2", "not a version", "1.2.3+build"];

/// A leaf name of a field, for queries: where it is, what it is of.
const TARGETS: &[(&str, &str)] = &[
    ("k", "k"),
    ("above", "k"),
    ("low", "k"),
    ("nul", "k"),
    ("t", "t"),
    ("tk", "t"),
    ("tk.raw", "k"),
    ("mot", "t"),
    ("n", "n"),
    ("int", "n"),
    ("byte", "n"),
    ("x", "x"),
    ("fl", "x"),
    ("hf", "x"),
    ("b", "b"),
    ("d", "d"),
    ("dn", "d"),
    ("ip", "ip"),
    ("l", "l"),
    ("l.a", "l"),
    ("l.b.c", "l"),
    ("o.a", "k"),
    ("o.n", "n"),
    ("o", "o"),
    ("ver", "ver"),
    ("none", "k"),
];

fn value_text(r: &mut Random, of: &str, asked: bool) -> String {
    // one value in twenty is of another kind
    let of = if asked && r.one_in(20) { r.pick(&["k", "n", "x", "b", "d", "ip"]) } else { of };
    let extra = asked && r.one_in(3);
    match of {
        "n" if extra => {
            r.pick(&["1.5", "4.9", "1.0", "01", "1e2", "128", "-129", "2147483648", "abc"]).to_owned()
        }
        "n" => r.pick(INTS).to_owned(),
        "x" => r.pick(FLOATS).to_owned(),
        "b" => r.pick(if extra { &["TRUE", "", "1"] } else { &["true", "false"] }).to_owned(),
        "d" if extra => r.pick(DATE_QUERIES).to_owned(),
        "d" => r.pick(DATES).to_owned(),
        "ip" if extra => r.pick(IP_QUERIES).to_owned(),
        "ip" => r.pick(IPS).to_owned(),
        "ver" => r.pick(VERSIONS).to_owned(),
        _ => r.pick(WORDS).to_owned(),
    }
}

fn document_value(r: &mut Random, name: &str) -> Value {
    let of = TARGETS.iter().find(|(n, _)| *n == name).map_or("k", |(_, of)| *of);
    let single = |r: &mut Random| -> Value {
        let text = value_text(r, of, false);
        match of {
            "n" if r.one_in(4) => json!(text),
            "n" if r.one_in(6) && name != "byte" => json!(text.parse::<f64>().unwrap_or(0.0) + 0.75),
            "n" | "x" => serde_json::from_str(&text).unwrap(),
            "b" if r.one_in(3) => json!(text),
            "b" => json!(text == "true"),
            "d" if text.len() > 12 && text.bytes().all(|b| b.is_ascii_digit()) && r.one_in(2) => {
                serde_json::from_str(&text).unwrap()
            }
            "k" | "t" if r.one_in(12) => r.pick(&[&json!(5), &json!(1.5), &json!(true)]).clone(),
            _ => json!(text),
        }
    };
    match name {
        "l" => {
            let mut map = Map::new();
            for key in ["a", "b.c", "z"] {
                if r.one_in(2) {
                    map.insert(
                        key.to_owned(),
                        if r.one_in(4) { json!([single(r), single(r)]) } else { single(r) },
                    );
                }
            }
            return map.into();
        }
        "o" | "nest" => {
            let object = |r: &mut Random| {
                let mut map = Map::new();
                if r.one_in(2) {
                    map.insert("a".to_owned(), json!(r.pick(&["abc", "xyz", ""])));
                }
                if r.one_in(2) {
                    map.insert("n".to_owned(), serde_json::from_str(r.pick(INTS)).unwrap());
                }
                Value::Object(map)
            };
            return if r.one_in(2) { json!([object(r), object(r)]) } else { object(r) };
        }
        _ => {}
    }
    match r.below(12) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!([null]),
        3..=5 => json!([single(r), single(r)]),
        6 => json!([[single(r)], single(r), null]),
        _ => single(r),
    }
}

/// A query as a tree, so that its parts can be asked by themselves.
#[derive(Clone, Debug)]
pub enum Query {
    Leaf(String),
    Not(Box<Query>),
    And(Vec<Query>),
    Or(Vec<Query>),
}

impl Query {
    fn leaves(&self) -> Vec<&str> {
        match self {
            Query::Leaf(text) => vec![text],
            Query::Not(inner) => inner.leaves(),
            Query::And(parts) | Query::Or(parts) => parts.iter().flat_map(Query::leaves).collect(),
        }
    }

    fn text(&self, language: Language) -> String {
        let lucene = language == Language::Lucene;
        let (and, or, not) = if lucene { (" AND ", " OR ", "NOT ") } else { (" and ", " or ", "not ") };
        let whole = match self {
            Query::Leaf(text) => return text.clone(),
            Query::Not(inner) => format!("{not}({})", inner.text(language)),
            Query::And(parts) => join(parts, and, language),
            Query::Or(parts) => join(parts, or, language),
        };
        format!("({whole})")
    }

    /// The query as its language wants it.
    fn whole(&self, language: Language) -> String {
        match language {
            Language::Eql => format!("any where {}", self.text(language)),
            Language::Dsl => self.dsl().to_string(),
            Language::Esql => format!("FROM docs METADATA _id | WHERE {} | KEEP _id", self.text(language)),
            _ => self.text(language),
        }
    }

    fn dsl(&self) -> Value {
        let all = |parts: &[Query]| parts.iter().map(Query::dsl).collect::<Vec<_>>();
        match self {
            Query::Leaf(text) => serde_json::from_str(text).unwrap(),
            Query::Not(inner) => json!({"bool": {"must_not": [inner.dsl()]}}),
            Query::And(parts) => json!({"bool": {"filter": all(parts)}}),
            Query::Or(parts) => json!({"bool": {"should": all(parts)}}),
        }
    }
}

fn join(parts: &[Query], with: &str, language: Language) -> String {
    parts.iter().map(|p| p.text(language)).collect::<Vec<_>>().join(with)
}

fn query(r: &mut Random, language: Language, names: &[&str], depth: usize) -> Query {
    if depth == 0 || r.one_in(2) {
        return Query::Leaf(leaf(r, language, names));
    }
    match r.below(3) {
        0 => Query::Not(Box::new(query(r, language, names, depth - 1))),
        1 => Query::And((0..2).map(|_| query(r, language, names, depth - 1)).collect()),
        _ => Query::Or((0..2).map(|_| query(r, language, names, depth - 1)).collect()),
    }
}

fn leaf(r: &mut Random, language: Language, names: &[&str]) -> String {
    let targets: Vec<&(&str, &str)> = TARGETS
        .iter()
        .filter(|(n, _)| {
            *n == "none"
                || names.iter().any(|m| n == m || n.strip_prefix(m).is_some_and(|x| x.starts_with('.')))
        })
        .collect();
    let (name, of) = *r.pick(&targets);
    let value = value_text(r, of, true);
    match language {
        Language::Kql | Language::KqlPlain => kql_leaf(r, name, &value, names),
        Language::Lucene => lucene_leaf(r, name, &value),
        Language::Eql => eql_leaf(r, name, of, &value),
        Language::Dsl => dsl_leaf(r, name, &value).to_string(),
        Language::Esql => esql_leaf(r, name, of, &value),
        Language::Threshold => unreachable!("a threshold has no condition"),
    }
}

fn escaped(text: &str, special: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A piece of a text with `*` in place of the rest.
fn star(r: &mut Random, text: &str, escape: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = r.below(chars.len() + 1);
    let part = |c: &[char]| escaped(&c.iter().collect::<String>(), escape);
    match r.below(3) {
        0 => format!("{}*", part(&chars[..at])),
        1 => format!("*{}", part(&chars[at..])),
        _ => format!("{}*{}", part(&chars[..at]), part(&chars[chars.len().min(at + 1)..])),
    }
}

fn kql_leaf(r: &mut Random, name: &str, value: &str, names: &[&str]) -> String {
    let special = "\\():<>\"*{}";
    let quoted = format!("\"{}\"", escaped(value, "\\\""));
    let plain = |text: &str| {
        let bare = escaped(text, special);
        let edge = bare.is_empty() || bare.trim() != bare || ["and", "OR", "null"].contains(&bare.as_str());
        if edge { format!("\"{}\"", escaped(text, "\\\"")) } else { bare }
    };
    if names.contains(&"nest") && r.one_in(8) {
        let inner = r.pick(&["a: abc", "n > 1", "a: abc and n: 5", "not a: abc", "a: *", "a: x* or n < 0"]);
        return format!("nest:{{ {inner} }}");
    }
    match r.below(9) {
        0 => format!("{name}: *"),
        1 | 2 => format!("{name}: {}", plain(value)),
        3 | 4 => format!("{name}: {quoted}"),
        5 => {
            let pattern = star(r, value, special);
            // blanks at an edge are trimmed away by the grammar
            format!("{name}: {}", if pattern.trim() == pattern { pattern } else { "a*".to_owned() })
        }
        6 => format!("{name} {} {}", r.pick(&["<", "<=", ">", ">="]), quoted),
        7 => format!("{name}: ({quoted} or {})", plain(r.pick(&["abc", "5", "true"]))),
        _ => format!("{name}: ({quoted} and not {})", plain(r.pick(&["abc", "5", "true"]))),
    }
}

fn lucene_leaf(r: &mut Random, name: &str, value: &str) -> String {
    let special = "+-=&|><!(){}[]^\"~*?:\\/ ";
    let quoted = format!("\"{}\"", escaped(value, "\\\""));
    let bare = |text: &str| if text.is_empty() { "\"\"".to_owned() } else { escaped(text, special) };
    match r.below(11) {
        0 => format!("{name}:*"),
        1 => format!("_exists_:{name}"),
        2 | 3 => format!("{name}:{}", bare(value)),
        4 => format!("{name}:{quoted}"),
        5 => format!("{name}:{}", star(r, value, special)),
        6 => format!("{name}:{}{quoted} TO *{}", r.pick(&["[", "{"]), r.pick(&["]", "}"])),
        7 => format!("{name}:[* TO {quoted}{}", r.pick(&["]", "}"])),
        8 => format!("{name}:({quoted} OR {})", bare(r.pick(&["abc", "5", "true"]))),
        9 => format!("{name}:({quoted} {})", bare(r.pick(&["abc", "5", "true"]))),
        _ => format!("{name}:{}{}", r.pick(&[">", ">=", "<", "<="]), bare(value)),
    }
}

fn eql_leaf(r: &mut Random, name: &str, of: &str, value: &str) -> String {
    let name = if name == "none" { "?none" } else { name };
    let quoted = format!("\"{}\"", escaped(value, "\\\""));
    let literal = match of {
        "n" | "x" if value.parse::<f64>().is_ok() && !value.starts_with("0") => value.to_owned(),
        "b" if ["true", "false"].contains(&value) => value.to_owned(),
        _ => quoted.clone(),
    };
    match r.below(11) {
        0 => format!("{name} == null"),
        1 => format!("{name} != null"),
        2 | 3 => format!("{name} == {literal}"),
        4 => format!("{name} != {literal}"),
        5 => format!("{name} {} {literal}", r.pick(&["<", "<=", ">", ">="])),
        6 if matches!(of, "k" | "t" | "ver") => {
            let pattern = star(r, value, "").replace('\\', "\\\\").replace('"', "\\\"");
            format!("{name} {} \"{pattern}\"", r.pick(&[":", "like", "like~"]))
        }
        7 if matches!(of, "k" | "t") => format!("{name} : {quoted}"),
        8 if matches!(of, "k" | "t") => {
            format!(
                "{}({name}, {quoted})",
                r.pick(&["startsWith", "endsWith", "stringContains", "startsWith~"])
            )
        }
        8 if of == "ip" => format!("cidrMatch({name}, {})", r.pick(&["\"10.0.0.0/8\"", "\"2001:db8::/32\""])),
        9 => format!("{name} in ({literal}, {literal})"),
        _ => format!("{name} not in ({literal})"),
    }
}

fn dsl_leaf(r: &mut Random, name: &str, value: &str) -> Value {
    let typed = match r.below(3) {
        0 => serde_json::from_str::<Value>(value).ok().filter(|v| v.is_number() || v.is_boolean()),
        _ => None,
    };
    let v = typed.unwrap_or_else(|| json!(value));
    match r.below(12) {
        0 => json!({"exists": {"field": name}}),
        1 => json!({"term": {name: v}}),
        2 => json!({"terms": {name: [v, "abc"]}}),
        3 => json!({"match": {name: v}}),
        4 => json!({"match_phrase": {name: v}}),
        5 => json!({"wildcard": {name: {"value": star(r, value, "\\*?")}}}),
        6 => json!({"wildcard": {name: {"value": star(r, value, "\\*?"), "case_insensitive": true}}}),
        7 => json!({"prefix": {name: value}}),
        8 => json!({"range": {name: {r.pick(&["gt", "gte"]): v}}}),
        9 => json!({"range": {name: {r.pick(&["lt", "lte"]): v, "gte": v}}}),
        10 => json!({"term": {name: {"value": v, "case_insensitive": true}}}),
        _ => json!({"regexp": {name: r.pick(&["a.*", ".*", "[a-z]+", "abc|xyz", "A.c", ".{3}"])}}),
    }
}

fn esql_leaf(r: &mut Random, name: &str, of: &str, value: &str) -> String {
    // comparisons that the index answers see normalised values, others do not
    let name = if matches!(name, "none" | "l" | "l.a" | "l.b.c" | "o" | "low") { "k" } else { name };
    let quoted = format!("\"{}\"", escaped(value, "\\\""));
    let literal = match of {
        "n" | "x" if value.parse::<f64>().is_ok() => value.trim_start_matches('0').to_owned(),
        "b" if ["true", "false"].contains(&value) => value.to_owned(),
        _ => quoted.clone(),
    };
    let literal = if literal.is_empty() || literal.starts_with('.') { "1".to_owned() } else { literal };
    match r.below(8) {
        0 => format!("{name} IS NULL"),
        1 => format!("{name} IS NOT NULL"),
        2 => format!("{name} == {literal}"),
        3 => format!("{name} != {literal}"),
        4 => format!("{name} {} {literal}", r.pick(&["<", "<=", ">", ">="])),
        5 => format!("{name} IN ({literal}, {literal})"),
        6 => format!("{name} LIKE \"{}\"", star(r, value, "").replace('\\', "\\\\\\\\").replace('"', "\\\"")),
        _ => format!("STARTS_WITH({name}, {quoted})"),
    }
}

/// A difference, reduced.
#[derive(Debug)]
pub struct Difference {
    pub query: String,
    pub mapping: Value,
    pub document: String,
    pub interpreter: String,
    pub engine: String,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Report {
    pub pairs: usize,
    pub refused: usize,
    pub not_there: usize,
    pub unsupported: usize,
    /// By language and the shape of the leaf.
    pub differences: BTreeMap<String, Difference>,
    pub differing: usize,
}

/// Runs at least so many pairs of a document set and a query.
pub fn run(node: &Node, seed: u64, pairs: usize) -> Report {
    let mut report = Report::default();
    let mut r = Random::new(seed);
    while report.pairs + report.not_there < pairs {
        let all = fields(node.family);
        let wanted: Vec<&(&str, Value)> = (0..6).map(|_| &all[r.below(all.len())]).collect();
        let mapping: Map<String, Value> = wanted.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        let names: Vec<&str> = mapping.keys().map(String::as_str).collect();
        let documents: Vec<(String, Value)> = (0..30)
            .map(|i| {
                let mut source = Map::new();
                for name in &names {
                    if !r.one_in(5) {
                        source.insert((*name).to_owned(), document_value(&mut r, name));
                    }
                }
                (format!("d{i:02}"), Value::Object(source))
            })
            .collect();
        let mapping = Value::Object(mapping.clone());
        let Some(index) = node.index(&mapping, &documents) else { continue };
        let own = interpreter::Index::new(&mapping, &documents);
        for language in Language::ALL.into_iter().filter(|l| *l != Language::Threshold) {
            let size = if language == Language::Esql { 15 } else { 40 };
            let queries: Vec<Query> = (0..size).map(|_| query(&mut r, language, &names, 2)).collect();
            let texts: Vec<String> = queries.iter().map(|q| q.whole(language)).collect();
            let asked = index.answers(language, &texts.iter().map(String::as_str).collect::<Vec<_>>());
            for ((tree, text), asked) in queries.iter().zip(&texts).zip(asked) {
                let Asked::Answered(theirs) = asked else {
                    report.not_there += 1;
                    continue;
                };
                report.pairs += 1;
                let ours = own.answer(language, text);
                if ours.is_unsupported() {
                    report.unsupported += 1;
                    continue;
                }
                report.refused += usize::from(matches!(theirs, Outcome::Refused(_)));
                let changed = changed(&documents, &ours, &theirs);
                if ours.agrees(&theirs) || known(node, text, &mapping, &changed, &ours, &theirs) {
                    continue;
                }
                // an engine does not look at a clause that cannot matter, the interpreter refuses it all the same
                if matches!(ours, Outcome::Refused(_)) && tree.leaves().len() > 1 {
                    let leaves: Vec<String> = tree
                        .leaves()
                        .into_iter()
                        .map(|l| Query::Leaf(l.to_owned()).whole(language))
                        .collect();
                    let alone =
                        index.answers(language, &leaves.iter().map(String::as_str).collect::<Vec<_>>());
                    if alone.iter().any(|a| matches!(a, Asked::Answered(Outcome::Refused(_)))) {
                        continue;
                    }
                }
                report.differing += 1;
                // the smallest leaf that differs by itself, else the whole
                let leaf = tree.leaves().into_iter().find_map(|l| {
                    let text = Query::Leaf(l.to_owned()).whole(language);
                    let Some(Asked::Answered(theirs)) = index.answers(language, &[&text]).pop() else {
                        return None;
                    };
                    let ours = own.answer(language, &text);
                    (!ours.agrees(&theirs) && !ours.is_unsupported()).then_some((text, ours, theirs))
                });
                let (text, ours, theirs) = leaf.unwrap_or_else(|| (text.clone(), ours, theirs));
                let kind = shape(&text, &mapping);
                let found = reduce(text, &mapping, &documents, &ours, &theirs);
                report.differences.entry(format!("{} {kind}", language.folder())).or_insert(found);
            }
        }
    }
    report
}

/// Whether a document has a row in only one of two tables.
fn is_in_one(id: &str, ours: &Outcome, theirs: &Outcome) -> bool {
    let (Outcome::Table(a), Outcome::Table(b)) = (ours, theirs) else { return false };
    let id = format!("\"{id}\"");
    a.iter().any(|row| row.contains(&id)) != b.iter().any(|row| row.contains(&id))
}

/// Whether a value holds several values of which all are equal.
fn repeats(value: &Value) -> bool {
    fn leaves<'v>(value: &'v Value, out: &mut Vec<&'v Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|i| leaves(i, out)),
            Value::Null => {}
            other => out.push(other),
        }
    }
    let mut all = Vec::new();
    leaves(value, &mut all);
    all.len() > 1 && all.iter().all(|v| Some(v) == all.first())
}

/// The documents that only one of two answers has.
fn changed<'d>(documents: &'d [(String, Value)], ours: &Outcome, theirs: &Outcome) -> Vec<&'d Value> {
    let differs = |id: &String| match (ours, theirs) {
        (Outcome::Hits(a), Outcome::Hits(b)) => a.contains(id) != b.contains(id),
        _ => is_in_one(id, ours, theirs),
    };
    documents.iter().filter(|(id, _)| differs(id)).map(|(_, d)| d).collect()
}

/// Differences that are known and stay: docs/reference/dialects.md. Those by document look at the documents that only
/// one of the two answers has.
fn known(
    node: &Node,
    query: &str,
    mapping: &Value,
    changed: &[&Value],
    ours: &Outcome,
    theirs: &Outcome,
) -> bool {
    if let Outcome::Refused(why) = ours
        && (why.contains("below a flattened field")
            || (node.family == Family::OpenSearch && why.contains("is not a date")))
    {
        return true;
    }
    // Elasticsearch looks for such a pattern below every key: kept out of the interpreter
    // and 9.5 takes ranges with one bound there; only a document that has something below the field can tell
    let has_keys = |d: &&Value| d["l"].as_object().is_some_and(|keys| !keys.is_empty());
    if mapping["l"]["type"] == "flattened"
        && mentions(query, "l")
        && query.contains(['*', '<', '>'])
        && !changed.is_empty()
        && changed.iter().all(has_keys)
    {
        return true;
    }
    // where the index answers a comparison on text, equal values of its keyword count as one
    let table = matches!(ours, Outcome::Table(_));
    if table && mentions(query, "tk") && !changed.is_empty() && changed.iter().all(|d| repeats(&d["tk"])) {
        return true;
    }
    // terms of versions without case, and patterns over them, fail in Elasticsearch itself
    if mentions(query, "ver") && (query.contains("case_insensitive") || query.contains("regexp")) {
        return true;
    }
    // OpenSearch refuses a number that its type cannot hold, Elasticsearch finds nothing
    let Outcome::Refused(why) = theirs else { return false };
    node.family == Family::OpenSearch
        && why.contains("is out of range for")
        && matches!(ours, Outcome::Hits(_))
}

impl Difference {
    /// The difference as a set of a scenario file, with the answer left to be recorded.
    pub fn scenario(&self) -> String {
        let mapping = toml::Value::try_from(&self.mapping).unwrap().to_string();
        let mut document: Value = serde_json::from_str(&self.document).unwrap_or_else(|_| json!({}));
        document["_id"] = json!("d");
        let query = toml::Value::from(self.query.as_str()).to_string();
        format!(
            "[[set]]\nname = \"generated\"\nmapping = {mapping}\ndocs = '''\n{document}\n'''\n[set.queries]\n{} = \"\"\n",
            if query.starts_with("'''") || query.starts_with("\"\"\"") {
                json!(self.query).to_string()
            } else {
                query
            }
        )
    }
}

/// What makes two differences the same: the field's name and the operators, without values.
fn shape(text: &str, mapping: &Value) -> String {
    let named: Vec<&str> =
        mapping.as_object().unwrap().keys().map(String::as_str).filter(|n| mentions(text, n)).collect();
    let marks: String = text.chars().filter(|c| "*<>=:/[{~!|".contains(*c)).take(8).collect();
    format!("{} {marks}", named.join("+"))
}

fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '.') && !after.is_some_and(char::is_alphanumeric)
    })
}

fn reduce(
    query: String,
    mapping: &Value,
    documents: &[(String, Value)],
    ours: &Outcome,
    theirs: &Outcome,
) -> Difference {
    let kept = |value: &Value| -> Value {
        value
            .as_object()
            .unwrap()
            .iter()
            .filter(|(n, _)| mentions(&query, n))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect::<Map<_, _>>()
            .into()
    };
    let differing = match (ours, theirs) {
        (Outcome::Hits(a), Outcome::Hits(b)) => a.symmetric_difference(b).next().cloned(),
        _ => None,
    };
    let document =
        documents.iter().find(|(id, _)| Some(id) == differing.as_ref() || is_in_one(id, ours, theirs));
    let short = |o: &Outcome| match o {
        Outcome::Refused(why) => format!("refused: {why}"),
        Outcome::Hits(ids) => match &differing {
            Some(id) => if ids.contains(id) { "hit" } else { "no hit" }.to_owned(),
            None => format!("{} hits", ids.len()),
        },
        Outcome::Table(rows) => format!("{rows:?}"),
    };
    Difference {
        mapping: kept(mapping),
        document: document.map(|(_, d)| kept(d).to_string()).unwrap_or_default(),
        interpreter: short(ours),
        engine: short(theirs),
        query,
    }
}

#[test]
fn a_difference_is_written_as_a_scenario_that_reads_back() {
    let difference = Difference {
        query: r#"f: "it's \"x\"" or k: C:\\*"#.to_owned(),
        mapping: json!({ "f": { "type": "text", "fields": { "raw": { "type": "keyword" } } } }),
        document: json!({ "f": ["a\\b", null] }).to_string(),
        interpreter: String::new(),
        engine: String::new(),
    };
    let read: toml::Value = toml::from_str(&difference.scenario()).unwrap();
    let set = &read["set"][0];
    assert!(set["queries"].as_table().unwrap().contains_key(&difference.query));
    assert_eq!(set["mapping"]["f"]["fields"]["raw"]["type"].as_str(), Some("keyword"));
    let document: Value = serde_json::from_str(set["docs"].as_str().unwrap().trim()).unwrap();
    assert_eq!(document, json!({ "_id": "d", "f": ["a\\b", null] }));
}
