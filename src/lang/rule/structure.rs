//! A JSON Schema from `schemas/` as a check of TOML files: each violation becomes a finding with a
//! code, a sentence, and the place of the key or value that it is about.

use super::document::Document;
use crate::diag::{Code, Diagnostic, Safety, Severity, did_you_mean};
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

/// A compiled JSON Schema.
#[derive(Debug)]
pub struct Structure {
    schema: Value,
    validator: Option<Validator>,
}

/// One way in which a value does not fit a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer of the value.
    pub pointer: String,
    /// Whether it is about the key rather than the value.
    pub on_key: bool,
    /// Its code.
    pub code: Code,
    /// The sentence.
    pub message: String,
    /// What to write at the place.
    pub label: String,
    /// A fact, mostly the schema's description of the property.
    pub note: Option<String>,
    /// The name or value that was probably meant.
    pub meant: Option<String>,
}

impl Structure {
    /// Compiles the text of a schema; meant for the schemas that are part of the program.
    pub fn new(schema: &str) -> Structure {
        let schema: Value = serde_json::from_str(schema).unwrap_or(Value::Null);
        let validator = jsonschema::draft202012::new(&schema).ok();
        Structure { schema, validator }
    }

    /// The schema itself.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Every violation, at most one for each place and code.
    pub fn violations(&self, json: &Value) -> Vec<Violation> {
        let Some(validator) = &self.validator else {
            return vec![Violation {
                pointer: String::new(),
                on_key: false,
                code: Code::RP9002,
                message: "a schema that is part of rulepack does not compile".to_owned(),
                label: String::new(),
                note: None,
                meant: None,
            }];
        };
        if validator.is_valid(json) {
            return Vec::new();
        }
        let mut found: Vec<Violation> = Vec::new();
        for error in validator.iter_errors(json) {
            for v in self.violation(&error, json) {
                if !found.iter().any(|f| f.pointer == v.pointer && f.message == v.message) {
                    found.push(v);
                }
            }
        }
        // a mistyped key explains why the right one is missing
        let meant: Vec<String> = found
            .iter()
            .filter(|f| f.on_key)
            .filter_map(|f| {
                let key = f.meant.as_deref()?;
                Some(format!("missing key `{key}` in {}", table_name(f.pointer.rsplit_once('/')?.0)))
            })
            .collect();
        found.retain(|f| f.code != Code::RP0004 || !meant.contains(&f.message));
        // where a value is wrong in itself, what follows from it for the rule's type is no news
        let kinds: Vec<(String, Code)> = found.iter().map(|f| (f.pointer.clone(), f.code)).collect();
        let mut i = 0;
        found.retain(|f| {
            let at = i;
            i += 1;
            f.on_key || f.code == Code::RP0004 || !kinds.iter().take(at).any(|(p, _)| *p == f.pointer)
        });
        found
    }

    /// Every violation of a TOML file, as findings.
    pub fn check(&self, document: &Document) -> Vec<Diagnostic> {
        self.check_except(document, &[])
    }

    /// Every violation of a TOML file, as findings; those at the JSON pointers `kept` are notes.
    pub fn check_except(&self, document: &Document, kept: &[&str]) -> Vec<Diagnostic> {
        let source = document.source();
        let mut found = Vec::new();
        for v in self.violations(document.json()) {
            if v.code == Code::RP0004 && document.is_damaged() {
                continue; // it may be in the part that could not be read
            }
            if !v.on_key && v.code != Code::RP0004 && document.is_mended(&v.pointer) {
                continue;
            }
            let node = document.nearest(&v.pointer);
            let span = if v.on_key || v.code == Code::RP0004 { node.name_span() } else { node.value };
            let mut d = Diagnostic::new(v.code, v.message).at(span, v.label);
            if let Some(note) = v.note {
                d = d.note(note);
            }
            if v.code != Code::RP0004 && kept.contains(&v.pointer.as_str()) {
                d = d.severity(Severity::Note).note("`metadata.kept` keeps it: it is generated as it stands");
                found.push(d.in_source(source));
                continue;
            }
            if let Some(meant) = v.meant {
                d = d.help(format!("did you mean `{meant}`?"));
                let text = if v.on_key { meant } else { Value::String(meant).to_string() };
                d = d.fix(span, text, Safety::Suggested);
            }
            found.push(d.in_source(source));
        }
        crate::diag::sort(&mut found);
        found
    }

    fn violation(&self, error: &jsonschema::ValidationError<'_>, json: &Value) -> Vec<Violation> {
        let pointer = error.instance_path().as_str().to_owned();
        let keyword = error.schema_path().as_str();
        let holder = keyword.rsplit_once('/').map_or("", |(h, _)| h);
        let name = name_of(&pointer);
        let new = |code: Code, message: String| Violation {
            pointer: pointer.clone(),
            on_key: false,
            code,
            message,
            label: String::new(),
            note: None,
            meant: None,
        };
        let value = error.instance();
        let described = || self.description(holder, &pointer);
        vec![match error.kind() {
            Kind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let place = table_name(&pointer);
                let mut v = new(Code::RP0004, format!("missing key `{key}` in {place}"));
                v.note = self.property(holder, key).map(str::to_owned);
                v
            }
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                let known = self.schema.pointer(&format!("{holder}/properties"));
                let names = || known.and_then(Value::as_object).into_iter().flat_map(|m| m.keys());
                return unexpected
                    .iter()
                    .map(|key| Violation {
                        pointer: format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
                        on_key: true,
                        meant: did_you_mean(key, names().map(String::as_str)).map(str::to_owned),
                        label: format!("not a key of {}", table_name(&pointer)),
                        ..new(Code::RP0005, format!("unknown key `{key}`"))
                    })
                    .collect();
            }
            Kind::FalseSchema => {
                let why = match self.rule_type(keyword, json) {
                    Some(t) => format!("`{name}` is not allowed in a rule of type `{t}`"),
                    None => format!("`{name}` is not allowed here"),
                };
                let mut v = new(Code::RP0005, why);
                v.on_key = true;
                if keyword.contains("data_view_id") {
                    v.message = format!("`{name}` is not allowed beside `data_view_id`");
                }
                v
            }
            Kind::Type { .. } => {
                let wanted = self.schema.pointer(keyword).map(types).unwrap_or_default();
                let mut v = new(Code::RP0006, format!("`{name}` must be {wanted}"));
                v.label = format!("this is {}", type_name(value));
                v.note = described();
                v
            }
            Kind::Enum { .. } | Kind::Constant { .. } => {
                let options = self.schema.pointer(keyword).map(|o| match o {
                    Value::Array(list) => list.iter().collect(),
                    single => vec![single],
                });
                let options: Vec<String> = options.unwrap_or_default().into_iter().map(shown).collect();
                let mut v = match self.rule_type(keyword, json) {
                    Some(t) if name == "language" => new(
                        Code::RP0601,
                        format!("a rule of type `{t}` cannot have the language `{}`", shown(value)),
                    ),
                    _ => new(Code::RP0007, format!("`{}` is not allowed for `{name}`", shown(value))),
                };
                v.meant = did_you_mean(&shown(value), options.iter().map(String::as_str)).map(str::to_owned);
                v.note = Some(match options.as_slice() {
                    [one] => format!("it must be `{one}`"),
                    many => format!("allowed are {}", list(many)),
                });
                v
            }
            Kind::Pattern { .. } => {
                let time = ["from", "to", "interval", "history_window_start"].contains(&name);
                let in_window = pointer.contains("/history_window_start/");
                let code = if time || in_window { Code::RP0606 } else { Code::RP0007 };
                let mut v = new(code, format!("`{}` has not the form of `{name}`", cut(&shown(value))));
                v.note = described();
                v
            }
            Kind::Minimum { limit } | Kind::ExclusiveMinimum { limit } => self.bound(
                new(Code::RP0007, format!("`{name}` must be at least {limit}")),
                value,
                described(),
            ),
            Kind::Maximum { limit } | Kind::ExclusiveMaximum { limit } => {
                self.bound(new(Code::RP0007, format!("`{name}` must be at most {limit}")), value, described())
            }
            Kind::MinLength { .. } | Kind::MinProperties { .. } => {
                let mut v = new(Code::RP0007, format!("`{name}` must not be empty"));
                v.note = described();
                v
            }
            Kind::MinItems { limit } => {
                let mut v = new(Code::RP0007, format!("`{name}` needs at least {limit} {}", entries(*limit)));
                v.note = described();
                v
            }
            Kind::MaxItems { limit } | Kind::MaxProperties { limit } => {
                let mut v =
                    new(Code::RP0007, format!("`{name}` may have at most {limit} {}", entries(*limit)));
                v.note = described();
                v
            }
            Kind::UniqueItems => new(Code::RP0007, format!("`{name}` has an entry twice")),
            Kind::Contains => new(Code::RP0007, format!("the entries of `{name}` do not go together")),
            Kind::PropertyNames { .. } => new(Code::RP0007, format!("a key of `{name}` is not allowed")),
            other => {
                let mut v = new(Code::RP0007, format!("`{name}` is not allowed like this"));
                v.label = format!("`{}` of the schema does not hold", other.keyword());
                v.note = described();
                v
            }
        }]
    }

    fn bound(&self, mut v: Violation, value: &Value, note: Option<String>) -> Violation {
        v.label = format!("this is {value}");
        v.note = note;
        v
    }

    /// The rule type whose part of the schema a keyword stands in.
    fn rule_type<'j>(&self, keyword: &str, json: &'j Value) -> Option<&'j str> {
        keyword.contains("/$defs/type_").then_some(())?;
        json.pointer("/rule/type").or_else(|| json.get("type"))?.as_str()
    }

    /// The description of a property of the object that `holder` describes.
    fn property(&self, holder: &str, key: &str) -> Option<&str> {
        let here = self.schema.pointer(&format!("{holder}/properties/{key}/description"));
        here.or_else(|| self.schema.pointer(&format!("/$defs/rule/properties/{key}/description")))?.as_str()
    }

    /// The description of the value that failed: where the keyword stands, else that of the property.
    fn description(&self, holder: &str, pointer: &str) -> Option<String> {
        let here = self.schema.pointer(&format!("{holder}/description")).and_then(Value::as_str);
        let named = || {
            let key = pointer.strip_prefix("/rule/").filter(|k| !k.contains('/'))?;
            self.property("/$defs/rule", key)
        };
        here.or_else(named).map(|s| s.trim_end_matches('.').to_owned())
    }
}

fn entries(n: u64) -> &'static str {
    if n == 1 { "entry" } else { "entries" }
}

/// The last name of a pointer; an entry of a list is called by its list.
fn name_of(pointer: &str) -> &str {
    let name = pointer.rsplit('/').find(|s| s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()));
    name.filter(|n| !n.is_empty()).unwrap_or("the file")
}

fn table_name(pointer: &str) -> String {
    let names: Vec<&str> =
        pointer.split('/').filter(|s| !s.is_empty() && !s.bytes().all(|b| b.is_ascii_digit())).collect();
    if names.is_empty() { "the file".to_owned() } else { format!("`{}`", names.join(".")) }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "no value",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a number with a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn types(wanted: &Value) -> String {
    let word = |v: &Value| match v.as_str().unwrap_or_default() {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "a boolean",
        "array" => "a list",
        "object" => "a table",
        _ => "another value",
    };
    match wanted {
        Value::Array(list) => list.iter().map(word).collect::<Vec<_>>().join(" or "),
        one => word(one).to_owned(),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= 60 {
        line.to_owned()
    } else {
        line.chars().take(60).chain("...".chars()).collect()
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
