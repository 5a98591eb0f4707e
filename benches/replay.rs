//! How fast the pack runs: replay of delivery files and of ECS documents, conversion, and checking the
//! rules. The records are the fixtures among nine times as many calls that no rule asks for, as logs are.
#![expect(clippy::unwrap_used, reason = "a bench, not part of the library")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rulepack::lang::cloudtrail::{Converter, Needs, Options};
use rulepack::pack::Pack;
use rulepack::replay::{Engine, RunRule};
use serde_json::{Value, json};
use std::hint::black_box;
use std::path::Path;

const RECORDS: usize = 20_000;
const OTHER_CALLS: [&str; 4] = ["DescribeInstances", "PutObject", "AssumeRole", "Decrypt"];

fn pack() -> Pack {
    Pack::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn engine() -> Engine {
    let pack = pack();
    let files: Vec<_> = pack.files.iter().collect();
    let rules = pack.compile(&files).iter().filter_map(RunRule::of).collect();
    Engine::new(rules, Converter::new(Options::default()))
}

fn records() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/iam");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let read = |p: &std::path::PathBuf| serde_json::from_slice::<Value>(&std::fs::read(p).unwrap()).unwrap();
    let fixtures: Vec<Value> = paths.iter().map(read).filter(|v| v.get("Records").is_none()).collect();
    let mut out: Vec<Value> = fixtures.iter().cycle().take(RECORDS).cloned().collect();
    for (i, record) in out.iter_mut().enumerate() {
        record["eventID"] = format!("{i:08}-0000-4000-8000-000000000000").into();
        if i % 10 != 0 {
            record["eventName"] = OTHER_CALLS.get(i % 4).copied().into();
        }
    }
    out
}

fn replay(c: &mut Criterion) {
    let records = records();
    let converter = Converter::new(Options::default());
    let document = |r: &Value| converter.convert(r.to_string().as_bytes(), &Needs::all()).unwrap().document;
    let delivery = json!({ "Records": records }).to_string();
    let ecs: String = records.iter().map(|r| document(r).to_string() + "\n").collect();
    let mut group = c.benchmark_group("replay");
    group.throughput(Throughput::Elements(RECORDS as u64)).sample_size(10);
    let engine = engine();
    for (name, text) in [("delivery file", &delivery), ("ECS documents", &ecs)] {
        group.bench_function(name, |b| {
            b.iter(|| black_box(engine.run_texts(&[("x", text.as_bytes())], &[], None)).alerts.len());
        });
    }
    group.finish();
}

fn convert(c: &mut Criterion) {
    let texts: Vec<String> = records().iter().take(1_000).map(Value::to_string).collect();
    let converter = Converter::new(Options::default());
    let mut group = c.benchmark_group("convert");
    group.throughput(Throughput::Elements(texts.len() as u64));
    group.bench_function("whole documents", |b| {
        b.iter(|| texts.iter().filter(|t| converter.convert(t.as_bytes(), &Needs::all()).is_ok()).count());
    });
    group.finish();
}

fn check(c: &mut Criterion) {
    c.bench_function("pack: load and validate", |b| {
        b.iter(|| {
            let pack = pack();
            let files: Vec<_> = pack.files.iter().collect();
            rulepack::lint::validate(&pack, &files).diagnostics.len()
        });
    });
}

criterion_group!(benches, replay, convert, check);
criterion_main!(benches);
