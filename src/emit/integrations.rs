//! `related_integrations`: which packages deliver the events of a rule, and from which version on.
//!
//! Packages are those of `metadata.integration`. Only the versions of packages that have a built-in
//! catalogue are known (`aws`); for others nothing is said rather than guessed. The version is that of
//! the catalogue that the rule was checked against, so that the fields it uses are there: written
//! `^8.9.0` while the pack has a stack below 9.5, else `>=8.9.0`, which only 9.5 understands.

use crate::lang::Language;
use crate::pack::{AWS_PACKAGE, CompiledRule, Config};
use crate::schema::{Kind, Version};
use serde_json::{Value, json};

/// The rows of a rule.
pub(super) fn related(compiled: &CompiledRule, config: &Config) -> Vec<Value> {
    if compiled.rule.language == Some(Language::Lucene) {
        return Vec::new();
    }
    let mut rows = Vec::new();
    for package in compiled.rule.integrations() {
        if package != "aws" {
            continue;
        }
        let of_package = |d: &&String| d.split('.').next() == Some(package);
        let streams = compiled.sources.datasets.iter().filter(of_package);
        let catalogue = compiled.sources.catalogues.iter().find(|c| of_package(&&c.name));
        let version = range(catalogue.and_then(|c| c.package()).unwrap_or(AWS_PACKAGE), config);
        let mut any = false;
        for stream in streams.filter_map(|d| d.split_once('.').map(|(_, s)| s)) {
            rows.push(json!({"integration": stream, "package": package, "version": version}));
            any = true;
        }
        if !any {
            rows.push(json!({"package": package, "version": version}));
        }
    }
    rows.sort_by_key(Value::to_string);
    rows.dedup();
    rows
}

fn range(version: Version, config: &Config) -> String {
    let sign = if config.stacks.iter().all(|s| *s >= Version(9, 5, 0)) { ">=" } else { "^" };
    format!("{sign}{}.{}.{}", version.0, version.1, version.2)
}

/// The type that a field outside ECS is said to have: that of its family, which is what queries see.
pub(super) fn family(kind: Kind) -> &'static str {
    match kind {
        k if k.is_integer() => "integer",
        k if k.is_number() => "float",
        k => k.family().name(),
    }
}
