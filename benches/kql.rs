//! KQL: how many queries a second are parsed, and parsed and compiled to Query DSL, without and with the
//! 2,600 fields of ECS. The queries are those of the KQL rules below a folder: `rules-toml`, or what
//! `RULEPACK_BENCH_RULES` names (Elastic's `detection-rules/rules`, for the figures of other engines).

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rulepack::lang::dsl::{Dialect, FieldInfo, ZONE};
use rulepack::lang::rule::Rule;
use rulepack::lang::{Language, kql};
use rulepack::schema::{Schema, Version, ecs};
use std::hint::black_box;
use std::path::Path;

fn queries(folder: &Path, out: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            queries(&path, out);
        } else if path.extension().is_some_and(|e| e == "toml")
            && let Ok(bytes) = std::fs::read(&path)
            && let (Some(rule), _) = Rule::read("bench", "bench.toml", bytes)
            && rule.language == Some(Language::Kql)
            && let Some(query) = &rule.query
        {
            out.push(query.text().to_owned());
        }
    }
}

fn compile(text: &str, fields: Option<&FieldInfo>) {
    let options = kql::DslOptions { fields, time_zone: Some(ZONE), dialect: Dialect::Elastic };
    if let Some(query) = kql::parse(text).query {
        black_box(kql::compile(&query, &options).is_ok());
    }
}

fn bench(criterion: &mut Criterion) {
    let folder = std::env::var("RULEPACK_BENCH_RULES").unwrap_or_else(|_| "rules-toml".to_owned());
    let mut found = Vec::new();
    queries(Path::new(&folder), &mut found);
    let fields = FieldInfo::of(&Schema::new(vec![ecs().layer(Version(9, 5, 0))]));
    let mut group = criterion.benchmark_group("kql");
    group.throughput(Throughput::Elements(found.len() as u64));
    group.bench_function("parse", |b| {
        b.iter(|| found.iter().for_each(|q| drop(black_box(kql::parse(q)))));
    });
    group.bench_function("parse and compile", |b| b.iter(|| found.iter().for_each(|q| compile(q, None))));
    group.bench_function("parse and compile with ECS", |b| {
        b.iter(|| found.iter().for_each(|q| compile(q, Some(&fields))));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
