//! The reference page of ES|QL, made from the tables of commands, functions, casts and GROK patterns.

use super::call::CASTS;
use super::commands::{self, Runs};
use crate::func::column::{self, ColumnFunction, Form};
use crate::schema::Version;
use std::fmt::Write;

fn since(v: Version) -> String {
    if v <= Version(8, 19, 0) { "8.19 or earlier".to_owned() } else { v.to_string() }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn kind(f: &ColumnFunction) -> usize {
    match f.form {
        Form::Aggregate(_) => 0,
        Form::Bucket => 1,
        Form::FullText => 2,
        _ => 3,
    }
}

/// The page, Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# ES|QL\n\n\
         Made from the tables in `src/lang/esql/commands.rs` and `src/func/column/`; `cargo test --test it \
         esql_reference` compares, and with `RULEPACK_WRITE=1` writes it anew.\n\n\
         Queries are parsed and checked whole. A command or function that does not run says so (RP9001). What \
         runs \"in tests\" needs rows or answers, which [a test case](rule-tests.md) supplies.\n\n\
         ## Commands\n\n| command | since | runs | |\n|---|---|---|---|\n",
    );
    for c in commands::ALL {
        let runs = match c.runs {
            Runs::Yes => "yes",
            Runs::Supplied => "in tests",
            Runs::No => "no",
        };
        let _ = writeln!(out, "| `{}` | {} | {runs} | {} |", cell(c.syntax), since(c.since), cell(c.summary));
    }
    let titles = ["Aggregates, in `STATS`", "Grouping, after `BY`", "Searches, in `WHERE`", "Functions"];
    for (i, title) in titles.iter().enumerate() {
        let _ = write!(out, "\n## {title}\n\n| function | since | | examples |\n|---|---|---|---|\n");
        let mut of_kind: Vec<&ColumnFunction> = column::all().filter(|f| kind(f) == i).collect();
        of_kind.sort_by_key(|f| f.name);
        for f in of_kind {
            let examples: Vec<String> = f
                .examples
                .iter()
                .map(|(call, value)| format!("`{} = {}`", cell(call), cell(value)))
                .collect();
            let aliases = if f.aliases.is_empty() {
                String::new()
            } else {
                format!("; also `{}`", f.aliases.join("`, `"))
            };
            let _ = writeln!(
                out,
                "| `{}` | {} | {}{aliases} | {} |",
                cell(&f.signature()),
                since(f.since),
                cell(f.summary),
                examples.join("<br>")
            );
        }
    }
    let mut later: Vec<&str> = column::NOT_YET.to_vec();
    later.sort_unstable();
    let _ = write!(out, "\n## Functions that do not run yet\n\n`{}`\n", later.join("`, `"));
    out.push_str("\n## Types after `::`\n\n| type | as |\n|---|---|\n");
    for (name, function) in CASTS {
        let _ = writeln!(out, "| `{name}` | `{}` |", function.to_uppercase());
    }
    let patterns: Vec<&str> = crate::plan::table::grok_patterns().collect();
    let _ = write!(out, "\n## Patterns of `GROK`\n\n`{}`\n", patterns.join("`, `"));
    out.push_str(RULES);
    out
}

const RULES: &str = "
## What is worth knowing

- An operator takes single values. Given several it is null, under `NOT` too, and the answer carries a warning.
- Stored values are sorted; keywords, addresses and versions have no duplicates. Only text keeps its order.
- A keyword longer than its `ignore_above` is null. Flattened fields and their keys, and fields of several types, can only
  be named; the latter can be converted.
- `COUNT_DISTINCT` and `PERCENTILE` are exact here and approximate in Elasticsearch. The order of `VALUES` is the order in
  which values were seen.
- `RLIKE` is Lucene's, `REPLACE` is Java's, `GROK` is Oniguruma's; none of them is the other. `~` is an ordinary character
  in `RLIKE`.

## Rules

- A query with `STATS` (not `INLINE STATS`) aggregates: an alert stands for a row, `group` holds its keys, `events` the
  documents that went into it, at most 1,000.
- Any other alert stands for a document. Rows that `MV_EXPAND` made of one document are alerts of their own where the
  expanded column is kept, else they are one.
- A replay is one pass over all input, so `LIMIT` at the end of a rule, and `SORT` before it, cut nothing; the smaller of
  `LIMIT` and `max_signals` is what a rule is counted against.
- `NOW()` is the time of the document until the rows are gathered, then that of the last document; in a test, `at`.
- Aggregating rules alert again in every run that sees the same documents; a replay shows each group once.
";
