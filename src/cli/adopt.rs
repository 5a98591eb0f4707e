//! `rulepack init` in a folder that holds rules already: a tree of elastic/detection-rules is recognised,
//! and what of its settings rulepack has a word for becomes a `rulepack.toml`; so is an export of Kibana.

use crate::import::Export;
use crate::schema::Version;
use serde_yaml_ng::Value;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Where the settings of such a tree may be.
const SETTINGS: [&str; 3] = ["_config.yaml", "etc/_config.yaml", "detection_rules/etc/_config.yaml"];

/// Folders of rules that are recognised without settings.
const USUAL: [&str; 4] = ["rules", "rules-toml", "detections", "custom-rules/rules"];

/// The largest file of settings that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// The most stacks that are taken over; of more, the oldest and the newest.
const MANY_STACKS: usize = 4;

/// What was found of a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// The text of `rulepack.toml`.
    pub config: String,
    /// What was taken over, a line each.
    pub taken: Vec<String>,
    /// What was not, and why.
    pub left: Vec<String>,
}

/// A rule file, as far as it matters here.
struct Found {
    /// Its path below the pack.
    file: String,
    id: String,
}

/// Recognises a tree of rules below `dir`. `None` where there is none.
pub fn recognise(dir: &Path, name: &str) -> Option<Adopted> {
    let settings = SETTINGS.iter().find_map(|at| Some((*at, yaml(&dir.join(at))?)));
    let mut out = Adopted::default();
    let mut folders: Vec<String> = Vec::new();
    let mut base = PathBuf::new();
    if let Some((at, settings)) = &settings {
        base = Path::new(at).parent().map(Path::to_owned).unwrap_or_default();
        for key in ["rule_dirs", "bbr_rules_dirs"] {
            for folder in strings(settings.get(key)) {
                match below(&base, &folder) {
                    Some(f) if dir.join(&f).is_dir() => folders.push(f),
                    Some(f) => out.left.push(format!("{key}: there is no folder `{f}`")),
                    None => out.left.push(format!("{key}: `{folder}` leads out of this folder")),
                }
            }
        }
    }
    if folders.is_empty() {
        folders.extend(USUAL.iter().filter(|f| !rules(dir, f).is_empty()).take(1).map(|f| (*f).to_owned()));
    }
    folders.dedup();
    let folder = one_folder(&folders, &mut out)?;
    let found = rules(dir, &folder);
    let mut lines = vec![
        "#:schema https://raw.githubusercontent.com/rulepack/rulepack/main/schemas/rulepack.schema.json"
            .to_owned(),
        "[pack]".to_owned(),
        format!("name = {}", quoted(name)),
        format!("rules = {}", quoted(&folder)),
    ];
    out.taken.push(format!("rules: {} in `{folder}`", super::terminal::count(found.len(), "rule")));
    let mut levels = Vec::new();
    let mut stacks = Vec::new();
    if let Some((_, settings)) = &settings {
        stacks = stack_versions(dir, &base, settings, &mut out);
        levels = test_settings(dir, &base, settings, &found, &mut out);
        others(settings, &mut out);
    }
    if stacks.is_empty() {
        stacks.push("9.5".to_owned());
        out.left.push("stacks: none is named here, so rules are checked on 9.5".to_owned());
    }
    let list: Vec<String> = stacks.iter().map(|s| quoted(s)).collect();
    lines.push(format!("stacks = [{}]", list.join(", ")));
    let odd = found.iter().filter(|f| !is_uuid(&f.id)).count();
    if odd > 0 {
        lines.push("ids = \"any\"".to_owned());
        out.taken.push(format!("ids: \"any\", because {} no UUID", of_these(odd)));
    }
    if !levels.is_empty() {
        lines.extend([String::new(), "[lint.levels]".to_owned()]);
        lines.extend(levels);
    }
    out.config = lines.join("\n") + "\n";
    Some(out)
}

fn of_these(n: usize) -> String {
    format!("{} {}", super::terminal::count(n, "rule id"), if n == 1 { "is" } else { "are" })
}

/// A pack has one folder of rules: the one that is given, or the one that holds them all.
fn one_folder(folders: &[String], out: &mut Adopted) -> Option<String> {
    let first = folders.first()?;
    let mut shared: Vec<&str> = first.split('/').collect();
    for folder in folders {
        let same = shared.iter().zip(folder.split('/')).take_while(|(a, b)| **a == *b).count();
        shared.truncate(same);
    }
    if !shared.is_empty() {
        return Some(shared.join("/"));
    }
    for other in folders.iter().skip(1) {
        out.left.push(format!(
            "rules in `{other}`: a pack has one folder of rules; `rulepack validate {other}` checks them"
        ));
    }
    Some(first.clone())
}

/// The stacks of the map from stacks to schemas, or the one of the package.
fn stack_versions(dir: &Path, base: &Path, settings: &Value, out: &mut Adopted) -> Vec<String> {
    let file = |key: &str, usual: &str| {
        let named = settings.get("files").and_then(|f| f.get(key)).and_then(Value::as_str);
        let at = below(base, named.unwrap_or(usual))?;
        Some((at.clone(), yaml(&dir.join(&at))?))
    };
    let mut versions: BTreeSet<(u16, u16)> = BTreeSet::new();
    let mut from = String::new();
    let version = |text: &str| {
        let v = Version::parse(text).or_else(|| Version::parse(&format!("{text}.0")))?;
        (v.0 >= 8).then_some((v.0, v.1))
    };
    if let Some((at, map)) = file("stack_schema_map", "etc/stack-schema-map.yaml") {
        for (key, row) in map.as_mapping().into_iter().flatten() {
            let Some(key) = key.as_str() else { continue };
            match version(key) {
                Some(v) => drop(versions.insert(v)),
                None => out.left.push(format!("stack `{key}`: stacks begin at 8.0")),
            }
            for (schema, file) in row.as_mapping().into_iter().flatten() {
                if let (Some(schema), Some(file)) = (schema.as_str(), file.as_str())
                    && !matches!(schema, "beats" | "ecs" | "endgame")
                {
                    out.left.push(format!(
                        "schema `{schema}` of stack {key} ({file}): see `[schemas]` for field catalogues"
                    ));
                }
            }
        }
        from = at;
    }
    if versions.is_empty()
        && let Some((at, package)) = file("packages", "etc/packages.yaml")
    {
        let name = package.get("package").and_then(|p| p.get("name"));
        // unquoted, 9.5 is a number
        let text =
            name.and_then(|n| n.as_str().map(str::to_owned).or_else(|| n.as_f64().map(|f| f.to_string())));
        versions.extend(text.as_deref().and_then(version));
        from = at;
    }
    let mut all: Vec<String> = versions.iter().map(|(major, minor)| format!("{major}.{minor}")).collect();
    if all.len() > MANY_STACKS {
        out.left.push(format!(
            "stacks: of {} the oldest and the newest were taken, since each rule is checked on each",
            all.len()
        ));
        all.drain(1..all.len() - 1);
    }
    if !all.is_empty() {
        out.taken.push(format!("stacks: {} from `{from}`", all.join(", ")));
    }
    all
}

/// The rules whose checks are bypassed keep their findings, as notes.
fn test_settings(
    dir: &Path,
    base: &Path,
    settings: &Value,
    found: &[Found],
    out: &mut Adopted,
) -> Vec<String> {
    let named = settings.get("testing").and_then(|t| t.get("config")).and_then(Value::as_str);
    let Some(at) = named.and_then(|n| below(base, n)) else { return Vec::new() };
    let Some(tests) = yaml(&dir.join(&at)) else {
        out.left.push(format!("testing: `{at}` cannot be read"));
        return Vec::new();
    };
    let list = |part: &str, key: &str| strings(tests.get(part).and_then(|p| p.get(key)));
    let mut lines = Vec::new();
    let mut lost = 0;
    for id in list("rule_validation", "bypass") {
        match found.iter().find(|f| f.id == id) {
            Some(f) => lines.push(format!(
                "{} = {{ RP0 = \"note\", RP1 = \"note\" }}",
                quoted(&globset::escape(&f.file))
            )),
            None => lost += 1,
        }
    }
    if !lines.is_empty() {
        out.taken.push(format!(
            "rule_validation.bypass: findings of {} are notes",
            super::terminal::count(lines.len(), "rule")
        ));
    }
    if lost > 0 {
        out.left
            .push(format!("rule_validation.bypass: {} of no rule here", super::terminal::count(lost, "id")));
    }
    for (part, key) in
        [("rule_validation", "test_only"), ("unit_tests", "bypass"), ("unit_tests", "test_only")]
    {
        let n = list(part, key).len();
        if n > 0 {
            let entries = if n == 1 { "1 entry".to_owned() } else { format!("{n} entries") };
            out.left.push(format!("{part}.{key}: {entries}; set levels by code instead, see `[lint]`"));
        }
    }
    lines
}

/// The settings that need no word, and those that have none.
fn others(settings: &Value, out: &mut Adopted) {
    let yes = |v: &Value| v.as_bool() == Some(true);
    for (key, value) in settings.as_mapping().into_iter().flatten() {
        let Some(key) = key.as_str() else { continue };
        match key {
            "rule_dirs" | "bbr_rules_dirs" | "testing" => {}
            "files" => {
                for (file, at) in value.as_mapping().into_iter().flatten() {
                    if let (Some(file @ ("version_lock" | "deprecated_rules")), Some(at)) =
                        (file.as_str(), at.as_str())
                    {
                        out.left.push(format!("{file} (`{at}`): versions are counted at deploy"));
                    }
                }
            }
            "directories" => {
                for (folder, at) in value.as_mapping().into_iter().flatten() {
                    if let (Some(folder), Some(at)) = (folder.as_str(), at.as_str()) {
                        out.left.push(format!("{folder} (`{at}`): its files have another form here"));
                    }
                }
            }
            "bypass_version_lock" if yes(value) => {
                out.taken.push("bypass_version_lock: versions are counted at deploy".to_owned());
            }
            key if key.starts_with("bypass_") && yes(value) => {
                out.left.push(format!("{key}: set levels by code instead, see `[lint]`"));
            }
            key if key.starts_with("bypass_") => {}
            key => out.left.push(format!("{key}: has no counterpart")),
        }
    }
}

fn yaml(path: &Path) -> Option<Value> {
    let small = std::fs::metadata(path).ok().filter(|m| m.is_file() && m.len() <= LARGEST);
    serde_yaml_ng::from_slice(&std::fs::read(small.map(|_| path)?).ok()?).ok()
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_sequence);
    list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// A path relative to the settings as one below the pack, with `/`; `None` outside of it.
fn below(base: &Path, path: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for component in base.join(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?.to_owned()),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// An export of Kibana in a folder.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundExport {
    /// The name of the file.
    pub file: String,
    /// The text of `rulepack.toml` that fits it.
    pub config: String,
    /// What is in it, a line each.
    pub taken: Vec<String>,
}

/// The largest export that is looked at, in bytes.
const LARGEST_EXPORT: u64 = 256 << 20;

/// Recognises an export of Kibana right in `dir`: an NDJSON file with rules. `None` where there is none.
pub fn recognise_export(dir: &Path, name: &str) -> Option<FoundExport> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path()).collect();
    files.sort();
    let is_export = |p: &&PathBuf| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("ndjson"));
    files.iter().filter(is_export).find_map(|path| {
        std::fs::metadata(path).ok().filter(|m| m.is_file() && m.len() <= LARGEST_EXPORT)?;
        let export = Export::read(&std::fs::read(path).ok()?);
        let file = path.file_name()?.to_str()?.to_owned();
        if export.rules.is_empty() {
            return None;
        }
        let ids = export.rules.iter().filter_map(|r| r.get("rule_id")?.as_str());
        let odd = ids.filter(|id| !is_uuid(id)).count();
        let mut taken = vec![format!("{file}: {}", super::terminal::count(export.rules.len(), "rule"))];
        for (n, what) in [(export.lists.len(), "exception list"), (export.connectors.len(), "connector")] {
            if n > 0 {
                taken.push(format!("{file}: {}", super::terminal::count(n, what)));
            }
        }
        let mut config = format!(
            "#:schema https://raw.githubusercontent.com/rulepack/rulepack/main/schemas/rulepack.schema.json\n\
             [pack]\nname = {}\nstacks = [\"9.5\"]\n",
            quoted(name)
        );
        if odd > 0 {
            config.push_str("ids = \"any\"\n");
            taken.push(format!("ids: \"any\", because {} no UUID", of_these(odd)));
        }
        Some(FoundExport { file, config, taken })
    })
}

/// The rules of a folder.
fn rules(dir: &Path, folder: &str) -> Vec<Found> {
    let root = dir.join(folder);
    let mut walker = ignore::WalkBuilder::new(&root);
    let walker = walker.standard_filters(false).hidden(true).follow_links(false).sort_by_file_path(Path::cmp);
    let read = |path: &Path| {
        let small = std::fs::metadata(path).ok()?.len() <= LARGEST;
        let table: toml::Table =
            toml::from_str(&std::fs::read_to_string(path).ok().filter(|_| small)?).ok()?;
        let id = table.get("rule")?.get("rule_id")?.as_str()?.to_owned();
        let relative = path.strip_prefix(dir).ok()?.to_string_lossy().replace('\\', "/");
        Some(Found { file: relative, id })
    };
    walker
        .build()
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|e| e == "toml"))
        .filter_map(|e| read(e.path()))
        .collect()
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok_and(|u| u.hyphenated().to_string() == text)
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Config, Ids};

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn config(adopted: &Adopted) -> Config {
        let (config, found) = Config::read("rulepack.toml", adopted.config.clone().into_bytes());
        assert!(found.is_empty(), "{found:#?}\n{}", adopted.config);
        config.unwrap()
    }

    const RULE: &str = "[rule]\nrule_id = \"1d0a4b8e-62a3-4f67-9d0c-2f2d5b6c7e11\"\n";

    #[test]
    fn settings_become_a_configuration_and_the_rest_is_told() {
        let dir = tree(&[
            (
                "_config.yaml",
                "rule_dirs: [rules]\nbbr_rules_dirs: [rules_building_block]\nfiles:\n  stack_schema_map: etc/map.yaml\n  \
                 packages: etc/packages.yaml\n  version_lock: etc/lock.json\ntesting:\n  config: etc/test.yaml\n\
                 bypass_version_lock: true\nbypass_tags_validation: true\nbypass_note_validation_and_parse: false\n",
            ),
            (
                "etc/map.yaml",
                "\"8.19.0\":\n  ecs: \"8.17\"\n  custom: etc/custom.json\n\"9.5.0\":\n  ecs: \"9.5\"\n",
            ),
            (
                "etc/test.yaml",
                "rule_validation:\n  bypass: [my-rule, gone]\nunit_tests:\n  bypass: [tests.a, tests.b]\n",
            ),
            ("rules/lab/a[1].toml", "[rule]\nrule_id = \"my-rule\"\n"),
            ("rules/b.toml", RULE),
            ("rules_building_block/c.toml", RULE),
        ]);
        let adopted = recognise(dir.path(), "acme").unwrap();
        let config = config(&adopted);
        assert_eq!((config.rules.as_str(), config.ids), ("rules", Ids::Any));
        assert_eq!(config.stacks, [Version(8, 19, 0), Version(9, 5, 0)]);
        let note = crate::diag::Severity::Note;
        let level = |file| config.level(crate::diag::Code::RP0501, crate::diag::Severity::Error, file);
        assert_eq!(level("rules/lab/a[1].toml"), Some(note));
        assert_eq!(level("rules/b.toml"), Some(crate::diag::Severity::Error));
        for part in
            ["rules: 2 rules", "stacks: 8.19, 9.5", "ids: ", "bypass_version_lock", "findings of 1 rule "]
        {
            assert!(adopted.taken.iter().any(|t| t.contains(part)), "{part}: {:#?}", adopted.taken);
        }
        for part in [
            "rules_building_block",
            "schema `custom`",
            "version_lock",
            "1 id of no rule",
            "unit_tests.bypass: 2",
            "bypass_tags",
        ] {
            assert!(adopted.left.iter().any(|t| t.contains(part)), "{part}: {:#?}", adopted.left);
        }
        assert!(!adopted.left.iter().any(|t| t.contains("bypass_note")));
    }

    #[test]
    fn a_folder_of_rules_is_recognised_without_settings_and_an_empty_one_is_not() {
        let dir = tree(&[("rules/a.toml", RULE), ("rules/notes.toml", "a = 1\n")]);
        let adopted = recognise(dir.path(), "acme").unwrap();
        assert_eq!((config(&adopted).rules.as_str(), config(&adopted).ids), ("rules", Ids::Uuid));
        assert!(recognise(tree(&[("rules/notes.toml", "a = 1\n")]).path(), "acme").is_none());
        assert!(recognise(tree(&[]).path(), "acme").is_none());
    }

    #[test]
    fn paths_count_from_the_settings_and_stay_inside() {
        let dir = tree(&[
            (
                "detection_rules/etc/_config.yaml",
                "rule_dirs: [../../rules, ../../../../outside]\nfiles: {packages: packages.yaml}\n",
            ),
            ("detection_rules/etc/packages.yaml", "package: {name: 9.5}\n"),
            ("rules/a.toml", RULE),
        ]);
        let adopted = recognise(dir.path(), "acme").unwrap();
        assert_eq!(config(&adopted).stacks, [Version(9, 5, 0)]);
        assert!(adopted.left.iter().any(|l| l.contains("leads out")), "{:#?}", adopted.left);
        let dirs =
            tree(&[("_config.yaml", "rule_dirs: [a/x, a/y]\n"), ("a/x/1.toml", RULE), ("a/y/2.toml", RULE)]);
        assert_eq!(config(&recognise(dirs.path(), "acme").unwrap()).rules, "a");
    }

    #[test]
    fn settings_that_are_no_yaml_are_none() {
        for text in ["\t[", "a: [", "- 1", "rule_dirs: 3", "&a [*a]"] {
            let dir = tree(&[("_config.yaml", text), ("rules/a.toml", RULE)]);
            assert_eq!(config(&recognise(dir.path(), "acme").unwrap()).rules, "rules", "{text}");
        }
    }
}
