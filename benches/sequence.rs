//! How fast sequences are: the machine alone, over documents that are projected already, and end to end
//! from the JSON of ECS documents.
#![expect(clippy::unwrap_used, reason = "a bench, not part of the library")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rulepack::lang::cloudtrail::{Converter, Options};
use rulepack::lang::{Language, Settings, analyze};
use rulepack::plan::{Occurrence, Plan, Row};
use rulepack::replay::{Engine, RunRule};
use rulepack::schema::{Schema, Version, aws_cloudtrail, ecs};
use rulepack::value::{Document, Projection, ProjectionBuilder};
use serde_json::{Value, json};
use std::hint::black_box;

const DOCUMENTS: usize = 200_000;

const TWO: &str = r#"sequence by user.name with maxspan=5m
  [iam where event.action == "CreateAccessKey"]
  [iam where event.action == "AttachUserPolicy" and event.outcome == "success"]"#;

const THREE: &str = r#"sequence by user.name, source.ip with maxspan=10m
  [iam where event.action == "CreateUser"]
  [iam where event.action == "CreateAccessKey"]
  [iam where event.action : "attach*policy"]
until [iam where event.action == "DeleteUser"]"#;

const ACTIONS: [&str; 8] = [
    "CreateUser",
    "CreateAccessKey",
    "AttachUserPolicy",
    "DeleteUser",
    "ListUsers",
    "GetUser",
    "Decrypt",
    "PutObject",
];

fn plan(query: &str) -> Plan {
    let layers = vec![aws_cloudtrail().layer(Version(8, 9, 0)), ecs().layer(Version(9, 5, 0))];
    analyze(Language::Eql, query, &Schema::new(layers), &Settings::default()).plan.unwrap()
}

/// A record a second by a thousand users, in order, every action equally often.
fn documents() -> Vec<Value> {
    let mut state = 1u64;
    let mut random = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    (0..DOCUMENTS as i64)
        .map(|i| {
            let time = 1_767_600_000_000 + i * 1_000;
            let action = ACTIONS.get(random(8) as usize).copied();
            json!({
                "@timestamp": time,
                "ecs": { "version": "8.11.0" },
                "event": {
                    "action": action, "category": ["iam"], "outcome": "success", "dataset": "aws.cloudtrail",
                    "id": format!("{i:08}-0000-4000-8000-000000000000"), "kind": "event", "provider": "iam.amazonaws.com"
                },
                "user": { "name": format!("user-{}", random(1_000)) },
                "source": { "ip": format!("198.51.100.{}", random(4)), "address": "198.51.100.1" },
                "cloud": { "provider": "aws", "region": "eu-central-1", "account": { "id": "111122223333" } },
                "user_agent": { "original": "aws-cli/2.15.0 Python/3.11.6 Linux/6.1" },
                "aws": { "cloudtrail": { "event_version": "1.08", "request_parameters": "{userName=someone}" } }
            })
        })
        .collect()
}

fn projection(plan: &Plan) -> (Projection, Vec<usize>) {
    let mut builder = ProjectionBuilder::default();
    let slots = plan.fields.iter().map(|f| builder.slot(&f.access)).collect();
    (builder.build(), slots)
}

fn machine(c: &mut Criterion) {
    let documents = documents();
    let mut group = c.benchmark_group("sequence");
    group.throughput(Throughput::Elements(DOCUMENTS as u64)).sample_size(10);
    for (name, query) in [("2 stages", TWO), ("3 stages, 2 keys, until", THREE)] {
        let plan = plan(query);
        let (projection, slots) = projection(&plan);
        let projected: Vec<Document> = documents.iter().map(|d| projection.project_value(d)).collect();
        group.bench_function(name, |b| {
            b.iter(|| {
                let look =
                    |document| plan.look(&Row { fields: &plan.fields, document, slots: &slots }).unwrap();
                let occurrences: Vec<Occurrence> = projected.iter().filter_map(look).collect();
                black_box(plan.sequence().unwrap().run(&occurrences)).0.len()
            });
        });
    }
    group.finish();
}

fn end_to_end(c: &mut Criterion) {
    let text: String = documents().iter().map(|d| d.to_string() + "\n").collect();
    let rule = |query: &str| RunRule {
        id: "r".into(),
        title: "R".into(),
        name: "r".into(),
        file: "r.toml".into(),
        severity: "low".into(),
        query: query.into(),
        plan: plan(query),
        index: Vec::new(),
        max_signals: 100,
    };
    let mut group = c.benchmark_group("replay of a sequence");
    group.throughput(Throughput::Elements(DOCUMENTS as u64)).sample_size(10);
    for (name, query) in [("2 stages", TWO), ("3 stages, 2 keys, until", THREE)] {
        let engine = Engine::new(vec![rule(query)], Converter::new(Options::default()));
        group.bench_function(name, |b| {
            b.iter(|| black_box(engine.run_texts(&[("x", text.as_bytes())], &[], None)).alerts.len());
        });
    }
    group.finish();
}

criterion_group!(benches, machine, end_to_end);
criterion_main!(benches);
