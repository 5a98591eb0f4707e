//! ES|QL: the discovery rule, which gathers events into windows, over 200,000 raw CloudTrail records, next
//! to a plain KQL rule; and how fast its query is parsed and checked.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rulepack::lang::cloudtrail::{Converter, Options};
use rulepack::lang::{Settings, esql};
use rulepack::pack::Pack;
use rulepack::replay::{Engine, RunRule};
use rulepack::schema::{Schema, Version, aws_cloudtrail, ecs};
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

/// How many records there are, as in a busy account's hour.
const RECORDS: usize = 200_000;

/// Records of 500 identities, one line each; every fourth is a read call from the command line.
fn records() -> Vec<u8> {
    let actions = [
        "DescribeInstances",
        "ListBuckets",
        "GetObject",
        "PutObject",
        "ListUsers",
        "DeleteGroup",
        "AssumeRole",
    ];
    let mut out = String::new();
    for i in 0..RECORDS {
        let (action, user, second) = (actions[i % actions.len()], i % 500, i / 60);
        let agent =
            if i % 4 == 0 { "aws-cli/2.31.22 md/installer#exe" } else { "Boto3/1.40.61 md/Botocore#1.40.61" };
        let _ = writeln!(
            out,
            r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","principalId":"AIDAEXAMPLE{user}","arn":"arn:aws:iam::111122223333:user/u{user}","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"u{user}"}},"eventTime":"2026-11-21T{:02}:{:02}:{:02}Z","eventSource":"iam.amazonaws.com","eventName":"{action}","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.{}","userAgent":"{agent}","requestParameters":{{"groupName":"g{i}"}},"responseElements":null,"requestID":"r{i}","eventID":"e{i}","readOnly":true,"eventType":"AwsApiCall","recipientAccountId":"111122223333"}}"#,
            second / 3600 % 24,
            second / 60 % 60,
            second % 60,
            i % 250
        );
    }
    out.into_bytes()
}

fn engine(pack: &Pack, name: &str) -> Option<Engine> {
    let selected = pack.select(&[name.to_owned()]).ok()?;
    let rules = pack.compile(&selected).iter().filter_map(RunRule::of).collect();
    Some(Engine::new(rules, Converter::new(Options::default())))
}

fn bench(criterion: &mut Criterion) {
    let Ok(pack) = Pack::load(Path::new(env!("CARGO_MANIFEST_DIR"))) else { return };
    let text = records();
    let mut group = criterion.benchmark_group("replay of 200,000 records");
    group.sample_size(10).throughput(Throughput::Bytes(text.len() as u64));
    for (label, name) in [
        ("kql: group_deleted", "aws/iam/group_deleted"),
        ("esql: discovery_burst_from_cli", "aws/iam/discovery_burst_from_cli"),
    ] {
        let Some(engine) = engine(&pack, name) else { continue };
        group.bench_function(label, |b| {
            b.iter(|| black_box(engine.run_texts(&[("bench", &text)], &[], None).alerts.len()));
        });
    }
    group.finish();
    let query = pack
        .rule("aws/iam/discovery_burst_from_cli")
        .and_then(|r| r.query.as_ref().map(|q| q.text().to_owned()));
    let Some(query) = query else { return };
    let schema = Schema::new(vec![aws_cloudtrail().layer(Version(8, 9, 0)), ecs().layer(Version(9, 5, 0))]);
    let mut group = criterion.benchmark_group("esql");
    group.bench_function("parse", |b| b.iter(|| black_box(esql::parse(&query).1.len())));
    group.bench_function("parse, check and lower", |b| {
        b.iter(|| black_box(esql::analyze(&query, &schema, &Settings::default()).plan.is_some()));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
