//! Which fields a rule may use: from the datasets that its query names and the index patterns that it
//! reads to a schema for each stack.

use super::config::{Catalogue, Config};
use crate::lang::Language;
use crate::lang::rule::Rule;
use crate::schema::{Layer, Schema, Version, ecs, ecs_of_stack};

/// Where a rule's events come from, and which of it has a catalogue.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The datasets that the query names, or else those of the index patterns.
    pub datasets: Vec<String>,
    /// The catalogues that apply; each built-in one once.
    pub catalogues: Vec<Catalogue>,
    /// The datasets, or else index patterns, that have none.
    pub uncatalogued: Vec<String>,
}

impl Sources {
    /// The sources of a rule.
    pub fn of(rule: &Rule, config: &Config) -> Sources {
        let query = rule.query.as_ref().map_or("", |q| q.text());
        let patterns: Vec<String> = match rule.language {
            Some(Language::Esql) => from_clause(query),
            _ => rule.index().iter().map(|s| (*s).to_owned()).collect(),
        };
        let mut out = Sources { datasets: datasets(query), ..Sources::default() };
        let mut unknown = Vec::new();
        if out.datasets.is_empty() {
            for pattern in &patterns {
                match of_pattern(pattern, config) {
                    Some(catalogue) => out.use_catalogue(catalogue),
                    None => unknown.push(dataset_of(pattern).unwrap_or(pattern).to_owned()),
                }
                out.datasets.extend(dataset_of(pattern).map(str::to_owned));
            }
            // `filebeat-*` beside `logs-aws.cloudtrail-*` brings the same events
            if !out.catalogues.is_empty() {
                unknown.retain(|u| !is_shipper(u));
            }
        } else {
            for dataset in &out.datasets.clone() {
                match of_dataset(dataset, config) {
                    Some(catalogue) => out.use_catalogue(catalogue),
                    None => unknown.push(dataset.clone()),
                }
            }
        }
        for list in [&mut out.datasets, &mut unknown] {
            list.sort();
            list.dedup();
        }
        // where a dataset has a name, it is the better name for what is not known
        unknown.sort_by_key(|u| is_shipper(u));
        out.uncatalogued = unknown;
        out
    }

    fn use_catalogue(&mut self, catalogue: &Catalogue) {
        if !self.catalogues.iter().any(|c| c.is_same(catalogue)) {
            self.catalogues.push(catalogue.clone());
        }
    }

    /// Whether every field that the events can have is known.
    pub fn is_complete(&self) -> bool {
        self.uncatalogued.is_empty() && !self.catalogues.is_empty()
    }

    /// The schema of the events on a stack.
    pub fn schema(&self, stack: Version) -> Schema {
        let mut layers: Vec<Layer> = self.catalogues.iter().map(Catalogue::layer).collect();
        layers.push(ecs().layer(ecs_of_stack(stack)));
        let schema = Schema::new(layers);
        if self.is_complete() { schema } else { schema.with_unknown_fields() }
    }
}

/// Whether a pattern is one of a shipper, which may hold any dataset.
fn is_shipper(pattern: &str) -> bool {
    ["filebeat-", "winlogbeat-", "auditbeat-", "packetbeat-", "endgame-"].iter().any(|b| pattern.contains(b))
}

/// The catalogue of an index pattern: of exactly this pattern, of this pattern on any cluster, of its
/// dataset, or else the narrowest of those whose pattern covers it.
fn of_pattern<'c>(pattern: &str, config: &'c Config) -> Option<&'c Catalogue> {
    let local = without_cluster(pattern);
    let dataset = dataset_of(pattern);
    let all = || config.catalogues.iter();
    all()
        .find(|c| c.pattern == pattern)
        .or_else(|| all().find(|c| c.pattern == local))
        .or_else(|| dataset.and_then(|d| all().find(|c| is_of(c, d))))
        .or_else(|| covering(pattern, config))
}

fn of_dataset<'c>(dataset: &str, config: &'c Config) -> Option<&'c Catalogue> {
    let stream = format!("logs-{dataset}-*");
    config.catalogues.iter().find(|c| is_of(c, dataset)).or_else(|| covering(&stream, config))
}

/// Whether a catalogue is that of a dataset, by its own name or by that of its data stream.
fn is_of(catalogue: &Catalogue, dataset: &str) -> bool {
    catalogue.pattern == dataset || dataset_of(&catalogue.pattern) == Some(dataset)
}

/// The catalogue with the longest pattern that covers all that a pattern stands for. A pattern with a
/// cluster covers only that cluster.
fn covering<'c>(pattern: &str, config: &'c Config) -> Option<&'c Catalogue> {
    let covers = |c: &&Catalogue| {
        let wanted = if c.pattern.contains(':') { pattern } else { without_cluster(pattern) };
        c.pattern.contains('*') && crate::es::wildcard::Pattern::plain(&c.pattern, false).matches(wanted)
    };
    config.catalogues.iter().filter(covers).max_by_key(|c| c.pattern.len())
}

/// A pattern without the remote cluster that it names.
fn without_cluster(pattern: &str) -> &str {
    pattern.rsplit_once(':').map_or(pattern, |(_, p)| p)
}

/// The dataset of a data stream's pattern: `aws.cloudtrail` of `logs-aws.cloudtrail-*`.
fn dataset_of(pattern: &str) -> Option<&str> {
    let pattern = without_cluster(pattern);
    let rest = pattern.strip_prefix("logs-").or_else(|| pattern.strip_prefix("metrics-"))?;
    let dataset = rest.split('-').next()?.trim_end_matches('*').trim_end_matches('.');
    (!dataset.is_empty() && !dataset.contains('*')).then_some(dataset)
}

/// The names in an ES|QL query's FROM.
fn from_clause(query: &str) -> Vec<String> {
    let lexed = lex(query);
    let mut tokens = lexed.iter();
    if !tokens.by_ref().any(|t| t.is_word("from")) {
        return Vec::new();
    }
    let mut out = Vec::new();
    for token in tokens {
        match token {
            Token::Sign("|") => break,
            t if t.is_word("metadata") => break,
            Token::Word(name) | Token::Text(name) => out.push((*name).to_owned()),
            Token::Sign(_) => {}
        }
    }
    out
}

/// The datasets that a query asks for: the texts that it compares `data_stream.dataset` or
/// `event.dataset` with, in any of the languages. Negated comparisons do not count.
pub fn datasets(query: &str) -> Vec<String> {
    let tokens = lex(query);
    let at = |i: usize| tokens.get(i);
    let mut out = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let Token::Word(field) = token else { continue };
        if !matches!(*field, "data_stream.dataset" | "event.dataset") {
            continue;
        }
        let negated = i.checked_sub(1).and_then(at).is_some_and(|t| t.is_word("not"));
        let mut next = i + 1;
        match at(next) {
            Some(Token::Sign(":" | "==" | "=")) => next += 1,
            Some(t) if ["in", "in~", "like", "like~"].iter().any(|w| t.is_word(w)) => next += 1,
            _ => continue,
        }
        if negated {
            continue;
        }
        let list = at(next) == Some(&Token::Sign("("));
        if list {
            next += 1;
        }
        while let Some(token) = at(next) {
            match token {
                Token::Text(value) => out.push((*value).to_owned()),
                Token::Word(value) if !["or", "and", "not"].iter().any(|w| token.is_word(w)) => {
                    out.push((*value).to_owned());
                }
                Token::Sign(")") => break,
                _ => {}
            }
            if !list {
                break;
            }
            next += 1;
        }
    }
    out.retain(|d| !d.is_empty() && !d.contains(['*', '?']));
    out.sort();
    out.dedup();
    out
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Text(&'a str),
    Sign(&'a str),
}

impl Token<'_> {
    fn is_word(&self, word: &str) -> bool {
        matches!(self, Token::Word(w) if w.eq_ignore_ascii_case(word))
    }
}

/// Words, quoted texts and signs, as all the languages have them; comments are left out. It is used
/// before a schema is known, so no language's own reading is at hand.
fn lex(query: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let take = |end: Option<usize>| end.unwrap_or(rest.len());
        let length = if rest.starts_with("//") {
            take(rest.find('\n'))
        } else if rest.starts_with("/*") {
            take(rest.find("*/").map(|i| i + 2))
        } else if let Some(body) = rest.strip_prefix("\"\"\"") {
            let end = body.find("\"\"\"").unwrap_or(body.len());
            out.push(Token::Text(body.get(..end).unwrap_or("")));
            (end + 6).min(rest.len())
        } else if c == '"' {
            let body = rest.get(1..).unwrap_or("");
            let mut escaped = false;
            let end = body.find(|c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            });
            out.push(Token::Text(body.get(..take(end).min(body.len())).unwrap_or("")));
            end.map_or(rest.len(), |e| e + 2)
        } else if c.is_whitespace() {
            c.len_utf8()
        } else if is_word(c) {
            let end = take(rest.find(|c| !is_word(c)));
            out.push(Token::Word(rest.get(..end).unwrap_or("")));
            end
        } else {
            let length = if rest.starts_with("==") || rest.starts_with("!=") { 2 } else { c.len_utf8() };
            out.push(Token::Sign(rest.get(..length).unwrap_or("")));
            length
        };
        rest = rest.get(length..).unwrap_or("");
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '*' | '~' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn datasets_are_found_in_every_language() {
        let found = |q: &str| datasets(q).join(" ");
        assert_eq!(found("data_stream.dataset: \"aws.cloudtrail\" and a: 1"), "aws.cloudtrail");
        assert_eq!(found("event.dataset:aws.cloudtrail"), "aws.cloudtrail");
        assert_eq!(found("event.dataset: (okta.system or \"o365.audit\")"), "o365.audit okta.system");
        assert_eq!(found("any where data_stream.dataset == \"a.b\" // event.dataset == \"c.d\""), "a.b");
        assert_eq!(found("from logs-* | where event.dataset in (\"a.b\", \"c.d\")"), "a.b c.d");
        assert_eq!(found("not event.dataset: \"a.b\" and data_stream.dataset != \"c.d\""), "");
        assert_eq!(found("event.dataset: aws.*"), "");
        assert_eq!(found("message: \"event.dataset: x\""), "");
    }

    #[test]
    fn patterns_name_their_datasets() {
        assert_eq!(dataset_of("logs-aws.cloudtrail-*"), Some("aws.cloudtrail"));
        assert_eq!(dataset_of("logs-aws.cloudtrail*"), Some("aws.cloudtrail"));
        assert_eq!(dataset_of("remote:logs-aws.cloudtrail-prod"), Some("aws.cloudtrail"));
        assert_eq!(dataset_of("logs-*"), None);
        assert_eq!(dataset_of("filebeat-*"), None);
        assert_eq!(from_clause("FROM logs-a-*, logs-b* METADATA _id | where x"), ["logs-a-*", "logs-b*"]);
    }

    #[test]
    fn the_narrowest_catalogue_of_a_pattern_counts() {
        let text = "[pack]\nname = \"a\"\n[schemas]\n\"logs-*\" = \"all.json\"\n\"logs-okta*\" = \"okta.json\"\n\
                    \"prod:logs-okta.system-*\" = \"prod.json\"\n\"acme.audit\" = \"acme.tsv\"\n\"us:logs-*\" = \"us.json\"\n";
        let (config, found) = Config::read("rulepack.toml", text.as_bytes().to_vec());
        let config = config.unwrap_or_else(|| panic!("{found:#?}"));
        let of = |p: &str| of_pattern(p, &config).map_or("", |c| c.name.as_str());
        assert_eq!(of("prod:logs-okta.system-*"), "prod");
        assert_eq!(of("logs-okta.user-*"), "okta");
        assert_eq!(of("logs-acme.audit-default"), "acme");
        assert_eq!(of("logs-x.y-*"), "all");
        assert_eq!(of("us:logs-x.y-*"), "us");
        assert_eq!(of("eu:logs-x.y-*"), "all");
        assert_eq!(of("logs-aws.cloudtrail-*"), "aws.cloudtrail");
        assert_eq!(of("winlogbeat-*"), "");
        let of = |d: &str| of_dataset(d, &config).map_or("", |c| c.name.as_str());
        assert_eq!((of("acme.audit"), of("okta.system"), of("x.y")), ("acme", "prod", "all"));
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "(event\\.dataset|:|\"|\\(|\\)|\\\\|//|/\\*|é| |a|==|in){0,30}") {
            let _ = datasets(&query);
            let _ = from_clause(&query);
        }
    }
}
