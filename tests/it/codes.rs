//! The pages of `docs/codes/`: each row of the table of codes has one, its bad examples give that very code,
//! its good ones do not and have no error. The language of a fenced block says how it is tried:
//!
//! - `kql`, `eql`, `esql`, `lucene`: a query, checked as in a pack of `aws.cloudtrail` on stack 9.5. A block
//!   `json mapping` in the same section is the index mapping that counts instead; with a name behind it, it is
//!   that of the index of this name.
//! - `toml rule [NAME]`: a rule file. Keys of `[metadata]` and `[rule]` that it leaves out are filled in, and
//!   lines above the first table belong to `[rule]`; with the word `whole` nothing is filled in. `latin1`
//!   writes it in that encoding, `padded` adds 8 MB of comment.
//! - `toml pack`: the `rulepack.toml`; `toml test [NAME]`: a test file. What is not given is a rule or a
//!   configuration without fault, the fixtures are those of the project's own pack; `rulepack ci` judges.
//!   `toml exceptions`: a file of exception lists, which `[rule]` names itself; `text PATH`: any other file.
//! - `json`, `ndjson`: an event file, replayed by the project's own pack. `gzip` packs it, `cut` cuts the
//!   last bytes off.
//! - `console`: commands, run in the project's own pack, or in the one that the section's other blocks make;
//!   with the word `empty` in an empty folder. Lines without `$` must be among what the command says.
//!
//! Not tried are only the codes in [`UNTRIED`].

use crate::sandbox::Sandbox;
use flate2::Compression;
use flate2::write::GzEncoder;
use rulepack::diag::{CODES, CodeInfo, Severity};
use rulepack::lang::{Index, Language, Settings, analyze};
use rulepack::schema::{Layer, Schema, Version, aws_cloudtrail, ecs, parse_mapping};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Codes whose page has no examples that are tried, and why.
const UNTRIED: &[(&str, &str)] = &[
    ("RP0904", "needs a Kibana; `deploy` of these tests has one"),
    ("RP0906", "needs a Kibana"),
    ("RP0907", "needs a Kibana"),
    ("RP0908", "needs a Kibana that is edited meanwhile"),
    ("RP0909", "needs a Kibana"),
    ("RP0910", "needs a Kibana with users"),
    ("RP0911", "needs a Kibana"),
    ("RP0912", "needs a Kibana"),
    ("RP0921", "needs an OpenSearch; its own tests have one"),
    ("RP0922", "needs an OpenSearch"),
    ("RP1621", "needs a git repository; a test of the pack has one"),
    ("RP9002", "nobody can make a bug happen on purpose"),
];

const RULE: &[(&str, &str)] = &[
    ("metadata", "creation_date = \"2026/01/01\""),
    ("metadata", "updated_date = \"2026/01/01\""),
    ("metadata", "integration = [\"aws\"]"),
    ("rule", "author = [\"someone\"]"),
    ("rule", "description = \"A thing happened.\""),
    ("rule", "index = [\"logs-aws.cloudtrail-*\"]"),
    ("rule", "language = \"kuery\""),
    ("rule", "name = \"A thing\""),
    ("rule", "query = 'event.action: \"CreateUser\"'"),
    ("rule", "risk_score = 21"),
    ("rule", "rule_id = \"1d0a4b8e-62a3-4f67-9d0c-2f2d5b6c7e11\""),
    ("rule", "severity = \"low\""),
    ("rule", "type = \"query\""),
];

/// A fenced block: the words behind the fence, and its text.
struct Block {
    words: Vec<String>,
    text: String,
}

impl Block {
    fn is(&self, words: &[&str]) -> bool {
        words.iter().zip(&self.words).all(|(a, b)| a == b) && self.words.len() >= words.len()
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|w| w == word)
    }
}

/// What became of an example.
#[derive(Debug)]
struct Tried {
    gives: bool,
    errors: bool,
    said: String,
}

fn blocks(section: &str) -> Vec<Block> {
    let mut out: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in section.lines() {
        match line.strip_prefix("```") {
            Some(info) if !inside => {
                let words = info.split_whitespace().map(str::to_owned).collect();
                out.push(Block { words, text: String::new() });
                inside = true;
            }
            Some(_) => inside = false,
            None if inside => {
                let block = out.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!inside, "a fence is not closed:\n{section}");
    out
}

fn query(language: Language, text: &str, mappings: &[&Block], code: &str) -> Tried {
    let stack = Version(9, 5, 0);
    let mapped = |block: &Block| {
        let fields = Arc::new(parse_mapping(&block.text).unwrap());
        vec![Layer { fields, version: None, label: "the mapping".to_owned() }]
    };
    let named = |block: &&&Block| block.words.len() > 2;
    let layers = match mappings.iter().find(|b| !named(b)) {
        Some(block) => mapped(block),
        None => vec![aws_cloudtrail().layer(Version(8, 9, 0)), ecs().layer(stack)],
    };
    let indices = mappings
        .iter()
        .filter(named)
        .map(|b| Index { name: b.words[2].clone(), schema: Schema::new(mapped(b)) })
        .collect();
    let settings = Settings {
        unknown_field: Severity::Error,
        ecs: Some(stack),
        stack: Some(stack),
        indices,
        ..Settings::default()
    };
    let analysis = analyze(language, text, &Schema::new(layers), &settings);
    Tried {
        gives: analysis.diagnostics.iter().any(|d| d.code.to_string() == code),
        errors: analysis.has_errors(),
        said: format!("{:#?}", analysis.diagnostics),
    }
}

/// A rule file with what an excerpt leaves out.
fn whole_rule(excerpt: &str) -> String {
    let key = |line: &str| line.split(['=', ' ']).next().unwrap_or("").to_owned();
    let mut tables = vec![("rule".to_owned(), String::new())];
    for line in excerpt.lines() {
        match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            Some("rule") => {}
            Some(name) => tables.push((name.to_owned(), String::new())),
            None => {
                let body = &mut tables.last_mut().unwrap().1;
                body.push_str(line);
                body.push('\n');
            }
        }
    }
    if !tables.iter().any(|(name, _)| name == "metadata") {
        tables.insert(1, ("metadata".to_owned(), String::new()));
    }
    let mut out = String::new();
    // ES|QL names its indices in the query
    let esql = excerpt.contains("type = \"esql\"");
    for (name, body) in tables {
        out.push_str(&format!("[{name}]\n"));
        for (_, line) in RULE.iter().filter(|(table, _)| *table == name) {
            if esql && key(line) == "index" {
                continue;
            }
            if !body.lines().any(|l| key(l) == key(line)) {
                out.push_str(line);
                out.push('\n');
            }
        }
        out.push_str(&body);
    }
    out
}

/// The pack of a section's TOML blocks.
fn sandbox(blocks: &[Block]) -> Sandbox {
    if blocks.iter().any(|b| b.is(&["console", "empty"])) {
        return Sandbox::empty();
    }
    let toml: Vec<&Block> = blocks.iter().filter(|b| b.is(&["toml"])).collect();
    if toml.is_empty() {
        return Sandbox::pack();
    }
    let s = Sandbox::bare();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/iam");
    for entry in fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        s.write(&format!("tests/fixtures/iam/{name}"), fs::read(&path).unwrap());
    }
    for block in blocks.iter().filter(|b| b.is(&["text"])) {
        s.write(&block.words[1], &block.text);
    }
    let mut rules = 0;
    for block in toml {
        let name = |default: &str| {
            block.words.iter().find(|w| w.contains('/')).map_or(default.to_owned(), String::clone)
        };
        match block.words.get(1).map(String::as_str) {
            Some("pack") => {
                s.write("rulepack.toml", &block.text);
            }
            Some("test") => {
                s.write(&format!("tests/rules/{}.toml", name("aws/thing")), &block.text);
            }
            Some("exceptions") => {
                s.write("exceptions/known.toml", &block.text);
            }
            Some("rule") => {
                let mut text = if block.has("whole") { block.text.clone() } else { whole_rule(&block.text) };
                if block.has("padded") {
                    text.push('#');
                    text.push_str(&" ".repeat(8 << 20));
                }
                let bytes = if block.has("latin1") {
                    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
                } else {
                    text.into_bytes()
                };
                let default = if rules == 0 { "aws/thing".to_owned() } else { format!("aws/thing_{rules}") };
                s.write(&format!("rules-toml/{}.toml", name(&default)), bytes);
                rules += 1;
            }
            other => panic!("`toml {other:?}` is none of rule, pack, test and exceptions"),
        }
    }
    if rules == 0 {
        s.write("rules-toml/aws/thing.toml", whole_rule(""));
    }
    s
}

/// The words of a command; what stands in single quotes is one.
fn words(command: &str) -> Vec<&str> {
    let quoted = command.split('\'').enumerate();
    quoted
        .flat_map(|(i, part)| if i % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
        .collect()
}

fn console(blocks: &[Block], code: &str) -> Tried {
    let s = sandbox(blocks);
    let mut tried = Tried { gives: false, errors: false, said: String::new() };
    let mut last = String::new();
    for line in blocks.iter().filter(|b| b.is(&["console"])).flat_map(|b| b.text.lines()) {
        if let Some(command) = line.strip_prefix("$ rulepack ") {
            let ran = s.run(&words(command));
            last = ran.all();
            tried.errors = ran.code != Some(0);
            tried.gives |= last.contains(code);
            tried.said.push_str(&last);
        } else {
            assert!(last.lines().any(|l| l == line), "not said: {line}\nbut: {last}");
        }
    }
    tried
}

fn replayed(block: &Block, code: &str) -> Tried {
    let s = Sandbox::pack();
    let mut bytes = block.text.clone().into_bytes();
    let mut name = format!("events.{}", block.words[0]);
    if block.has("gzip") {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&bytes).unwrap();
        bytes = packer.finish().unwrap();
        name.push_str(".gz");
    }
    if block.has("cut") {
        bytes.truncate(bytes.len() - 12);
    }
    s.write(&name, bytes);
    let ran = s.run(&["replay", "--format", "json", &name]);
    let answer: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let gives = answer["problems"].as_array().unwrap().iter().any(|p| p["code"] == code);
    Tried { gives, errors: ran.code != Some(0), said: ran.all() }
}

fn tried(section: &str, code: &str) -> Tried {
    let blocks = blocks(section);
    let first = |lang: &str| blocks.iter().find(|b| b.is(&[lang]) && !b.has("mapping"));
    let mappings: Vec<&Block> = blocks.iter().filter(|b| b.has("mapping")).collect();
    if first("console").is_some() {
        return console(&blocks, code);
    }
    for name in ["kql", "eql", "esql", "lucene"] {
        if let Some(block) = first(name) {
            let language = Language::from_name(name).unwrap();
            return query(language, block.text.trim_end(), &mappings, code);
        }
    }
    if let Some(block) = first("ndjson").or_else(|| first("json")) {
        return replayed(block, code);
    }
    assert!(first("toml").is_some(), "{code}: no block that can be tried");
    let ran = sandbox(&blocks).run(&["ci", "--format", "github"]);
    Tried { gives: ran.all().contains(code), errors: ran.code != Some(0), said: ran.all() }
}

/// Prose, bad and good section of a page.
fn parts(info: &CodeInfo) -> (&str, &str, &str) {
    let code = info.code;
    let title = format!("# {code}: {}\n\n", info.title);
    let rest = info
        .page
        .strip_prefix(&title)
        .unwrap_or_else(|| panic!("{code}: the page begins `{}`", title.trim()));
    let (prose, rest) = rest.split_once("\n## Bad\n").unwrap_or_else(|| panic!("{code}: no `## Bad`"));
    let (bad, good) = rest.split_once("\n## Good\n").unwrap_or_else(|| panic!("{code}: no `## Good`"));
    (prose, bad, good)
}

fn is_tried(info: &CodeInfo) -> bool {
    !UNTRIED.iter().any(|(code, _)| *code == info.code.to_string())
}

fn tried_codes() -> impl Iterator<Item = &'static CodeInfo> {
    CODES.iter().filter(|i| is_tried(i))
}

#[test]
fn every_code_has_a_page_with_prose_and_nothing_about_the_inside() {
    for info in CODES {
        let prose = if is_tried(info) { parts(info).0 } else { info.page };
        assert!(prose.len() > 150, "{}: the page says too little", info.code);
        for word in ["src/", "crate::", "TODO", "Elastic License", "/home/", "/work/"] {
            assert!(!info.page.contains(word), "{}: `{word}`", info.code);
        }
        assert!(info.page.lines().all(|l| l.chars().count() <= 140), "{}: a line is too long", info.code);
    }
}

#[test]
fn every_page_has_a_row() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/codes");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let code = name.strip_suffix(".md").unwrap();
        assert!(CODES.iter().any(|i| i.code.to_string() == code), "{name} has no row");
    }
}

#[test]
fn bad_examples_give_their_code() {
    let mut wrong = Vec::new();
    for info in tried_codes() {
        let code = info.code.to_string();
        let t = tried(parts(info).1, &code);
        if !t.gives {
            wrong.push(format!("{code}: {}", t.said));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn good_examples_have_no_errors_and_do_not_give_the_code() {
    let mut wrong = Vec::new();
    for info in tried_codes() {
        let code = info.code.to_string();
        let t = tried(parts(info).2, &code);
        if t.gives || t.errors {
            wrong.push(format!("{code}: {}", t.said));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
