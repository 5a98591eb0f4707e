//! The laws of `fuzz/`, tried on queries that are changed at random: for a moment, or as long as
//! `FUZZ_SECONDS` says.

#[path = "../../fuzz/laws.rs"]
mod laws;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

const SEEDS: &[&str] = &[
    // EQL
    r#"process where process.name : ("cmd.exe", "power*") and not user.id in ("S-1-5-18") or length(a.b) > 3"#,
    r#"sequence by host.id, ?user.name with maxspan=5m [any where true] with runs=2 ![file where x == """a"b"""] [iam where `a b` != null] until [any where cidrMatch(source.ip, "10.0.0.0/8")] | tail 3"#,
    r#"sample by host.id [any where a regex~ "x.*<1-9>"] [any where b like~ "?*"] by c"#,
    // ES|QL
    "FROM logs-*, -x METADATA _id, _version, _index | WHERE a == \"x\" AND NOT b IN (1, 2.5, null) | EVAL c = CASE(d > 5 minutes::time_duration, \"y\", e) | KEEP _id, `f g`*, c",
    "FROM a | STATS n = COUNT(*) WHERE x IS NOT NULL, VALUES(y) BY w = DATE_TRUNC(1 hour, @timestamp), z | SORT n DESC NULLS LAST | LIMIT 10 // end\n",
    "FROM a | DISSECT m \"%{x} %{+y/2}\" APPEND_SEPARATOR=\"-\" | GROK m \"\"\"%{WORD:w}(?<q.r>[a-z]+)\"\"\" | MV_EXPAND w | RENAME w AS v | DROP x*",
    "ROW a = [1, -2], b = {\"k\": 1} | ENRICH _any:p ON a WITH n = f | LOOKUP JOIN t ON a, b | COMPLETION c = a WITH {\"inference_id\": \"i\"} | INLINE STATS MAX(a) BY b | FORK (WHERE a > 1) (LIMIT 2)",
    "FROM a | WHERE KQL(\"x: y\") OR MATCH(t, \"u\", {\"fuzziness\": 1}) OR t : \"v\" OR s LIKE (\"a*\", \"b?\") OR s RLIKE \"x@&~<1-2>#\" /* c /* d */ */",
    // KQL and Lucene
    "event.action: (\"A\" or B* and not c\\:d) and x >= \"2026-01-01\" and nested: { a: 1 or b: * } or not *: y\\ z",
    "a:(b OR c*) +d -e f:[1 TO 9} g:/r.x/ \"h i\"~2 j~1^2 _exists_:k (NOT l) m:>=5 \\(n\\)",
    // regular expressions
    "(ab|c)*[^d-f]{2,3}~(x&@)<1-31>\"q\"\\d+.?\nabcabc17",
];

const TOKENS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "'",
    "`",
    "\\",
    "*",
    "?",
    ":",
    "==",
    "!=",
    "<=",
    ">",
    "::",
    "|",
    ",",
    ".",
    "-",
    "+",
    "/",
    "//",
    "/*",
    "*/",
    "\n",
    " and ",
    " or ",
    " not ",
    " in ",
    " like ",
    " rlike ",
    " by ",
    " where ",
    "with maxspan=",
    "runs=",
    "null",
    "true",
    "1",
    "9223372036854775808",
    "1e400",
    "0.5",
    "\u{e9}",
    "\u{1f600}",
    "\0",
    "~",
    "^",
    "&",
    "@",
    "#",
    "<",
    "TO",
    " AND ",
    "NOT ",
    "sequence",
    "sample",
    "until",
    "![",
    "EVAL ",
    "STATS ",
    "KEEP ",
    "\\u{41}",
    "\\u",
    "a",
    "a.b",
    "5 minutes",
    "case(",
    "count(*)",
    "mv_first(",
    "1::",
];

/// A small generator of its own: the same inputs in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    fn text(&mut self) -> String {
        let mut out: Vec<char> = SEEDS[self.below(SEEDS.len())].chars().collect();
        for _ in 0..=self.below(6) {
            let at = self.below(out.len() + 1);
            match self.below(5) {
                0 => {
                    let end = (at + self.below(8)).min(out.len());
                    out.drain(at..end);
                }
                1 | 2 => {
                    let token = TOKENS[self.below(TOKENS.len())];
                    out.splice(at..at, token.chars());
                }
                3 => {
                    let end = (at + self.below(24)).min(out.len());
                    let part: Vec<char> = out[at..end].to_vec();
                    let to = self.below(out.len() + 1);
                    out.splice(to..to, part);
                }
                _ => {
                    let other: Vec<char> = SEEDS[self.below(SEEDS.len())].chars().collect();
                    let from = self.below(other.len());
                    let end = (from + self.below(24)).min(other.len());
                    out.splice(at..at, other[from..end].iter().copied());
                }
            }
        }
        out.into_iter().collect()
    }
}

fn hold(name: &str, law: fn(&str)) {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let until = seconds.map(|s| Instant::now() + Duration::from_secs(s));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut tried = 0u64;
    while until.map_or(tried < 300, |end| Instant::now() < end) {
        let text = random.text();
        tried += 1;
        assert!(catch_unwind(|| law(&text)).is_ok(), "{name}, input {tried}: {text:?}");
    }
    println!("{name}: {tried} inputs");
}

#[test]
fn eql_holds() {
    hold("eql", laws::eql);
}

#[test]
fn esql_holds() {
    hold("esql", laws::esql);
}

#[test]
fn kql_holds() {
    hold("kql", laws::kql);
}

#[test]
fn kql_printers_hold() {
    hold("kql_print", laws::kql_print);
}

#[test]
fn lucene_holds() {
    hold("lucene", laws::lucene);
}

#[test]
fn regular_expressions_hold() {
    hold("regexp", laws::regexp);
}
