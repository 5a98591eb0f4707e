//! The table of commands: name, syntax, the stack that brought it, and whether it runs here.

use crate::schema::Version;

/// Whether a command is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Always.
    Yes,
    /// Where a test case supplies what it needs.
    Supplied,
    /// It is read and checked only.
    No,
}

/// A row of the table.
#[derive(Debug)]
pub struct CommandInfo {
    /// The name in upper case.
    pub name: &'static str,
    /// Whether it begins a query.
    pub source: bool,
    /// Whether only its name is known.
    pub opaque: bool,
    /// Whether it is executed.
    pub runs: Runs,
    /// The stack that brought it; 8.19 stands for long ago.
    pub since: Version,
    /// How it is written.
    pub syntax: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
}

const ROW: CommandInfo = CommandInfo {
    name: "",
    source: false,
    opaque: false,
    runs: Runs::Yes,
    since: Version(8, 19, 0),
    syntax: "",
    summary: "",
};

/// Every command.
pub static ALL: &[CommandInfo] = &[
    CommandInfo {
        name: "FROM",
        source: true,
        syntax: "FROM index, … [METADATA field, …]",
        summary: "the documents of indices, one row each; columns in the order of their names",
        ..ROW
    },
    CommandInfo {
        name: "ROW",
        source: true,
        syntax: "ROW [name =] value, …",
        summary: "one row of values that stand in the query",
        ..ROW
    },
    CommandInfo {
        name: "SHOW",
        source: true,
        runs: Runs::No,
        syntax: "SHOW INFO",
        summary: "about the deployment",
        ..ROW
    },
    CommandInfo {
        name: "TS",
        source: true,
        runs: Runs::No,
        since: Version(9, 2, 0),
        syntax: "TS index, …",
        summary: "the documents of time series",
        ..ROW
    },
    CommandInfo {
        name: "EVAL",
        syntax: "EVAL [name =] value, …",
        summary: "computes columns; an existing one moves to the end",
        ..ROW
    },
    CommandInfo {
        name: "WHERE",
        syntax: "WHERE condition",
        summary: "keeps the rows for which a condition is true",
        ..ROW
    },
    CommandInfo {
        name: "KEEP",
        syntax: "KEEP name, …",
        summary: "keeps columns, in this order; a name wins over a pattern, a pattern over `*`",
        ..ROW
    },
    CommandInfo { name: "DROP", syntax: "DROP name, …", summary: "removes columns", ..ROW },
    CommandInfo {
        name: "RENAME",
        syntax: "RENAME old AS new, … or new = old, …",
        summary: "renames columns, one after the other",
        ..ROW
    },
    CommandInfo {
        name: "STATS",
        syntax: "STATS [name =] aggregate [WHERE condition], … [BY [name =] key, …]",
        summary: "gathers rows into groups, one row each",
        ..ROW
    },
    CommandInfo {
        name: "INLINE STATS",
        since: Version(9, 2, 0),
        syntax: "INLINE STATS [name =] aggregate [WHERE condition], … [BY [name =] key, …]",
        summary: "as `STATS`, but adds the results to every row",
        ..ROW
    },
    CommandInfo {
        name: "SORT",
        syntax: "SORT value [ASC|DESC] [NULLS FIRST|LAST], …",
        summary: "sorts rows; nulls last, or first where descending",
        ..ROW
    },
    CommandInfo { name: "LIMIT", syntax: "LIMIT n", summary: "the first rows", ..ROW },
    CommandInfo {
        name: "MV_EXPAND",
        syntax: "MV_EXPAND column",
        summary: "one row for each value of a column",
        ..ROW
    },
    CommandInfo {
        name: "DISSECT",
        syntax: "DISSECT text \"pattern\" [APPEND_SEPARATOR=\"…\"]",
        summary: "cuts a text at delimiters",
        ..ROW
    },
    CommandInfo {
        name: "GROK",
        syntax: "GROK text \"pattern\", …",
        summary: "takes named parts of a text by a regular expression",
        ..ROW
    },
    CommandInfo {
        name: "COMPLETION",
        runs: Runs::Supplied,
        syntax: "COMPLETION [column =] prompt WITH {\"inference_id\": \"…\"}",
        summary: "asks a language model for each row",
        ..ROW
    },
    CommandInfo {
        name: "ENRICH",
        runs: Runs::Supplied,
        syntax: "ENRICH policy [ON column] [WITH [name =] field, …]",
        summary: "adds fields of an enrich index",
        ..ROW
    },
    CommandInfo {
        name: "LOOKUP JOIN",
        runs: Runs::Supplied,
        syntax: "LOOKUP JOIN index ON column, …",
        summary: "adds the fields of an index in lookup mode",
        ..ROW
    },
    CommandInfo {
        name: "CHANGE_POINT",
        opaque: true,
        runs: Runs::No,
        syntax: "CHANGE_POINT value [ON key] [AS type, pvalue]",
        summary: "finds a change in a series",
        ..ROW
    },
    CommandInfo {
        name: "SAMPLE",
        opaque: true,
        runs: Runs::No,
        syntax: "SAMPLE probability",
        summary: "a random share of the rows",
        ..ROW
    },
    CommandInfo {
        name: "FORK",
        opaque: true,
        runs: Runs::No,
        since: Version(9, 1, 0),
        syntax: "FORK (commands) (commands) …",
        summary: "several branches over the same rows",
        ..ROW
    },
    CommandInfo {
        name: "RERANK",
        opaque: true,
        runs: Runs::No,
        since: Version(9, 2, 0),
        syntax: "RERANK \"query\" ON column WITH {…}",
        summary: "scores rows anew by a model",
        ..ROW
    },
    CommandInfo {
        name: "FUSE",
        opaque: true,
        runs: Runs::No,
        since: Version(9, 2, 0),
        syntax: "FUSE [method]",
        summary: "merges the branches of a `FORK`",
        ..ROW
    },
];

/// The command of a first word, whatever the case of its letters.
pub fn find(word: &str) -> Option<&'static CommandInfo> {
    ALL.iter().find(|c| {
        let first = c.name.split(' ').next().unwrap_or(c.name);
        c.name.eq_ignore_ascii_case(word) || first.eq_ignore_ascii_case(word)
    })
}
