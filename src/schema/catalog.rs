//! The bundled catalogues, read once from the tables in `schemas/`: ECS with the version of each
//! field, the fields of `aws.cloudtrail`, allowed values, and ATT&CK.

use super::{Field, FieldType, Fields, Kind, Layer, Origin, Version};
use rustc_hash::FxHashMap;
use std::sync::{Arc, LazyLock};

/// The fields of one bundled catalogue.
#[derive(Debug)]
pub struct Catalog {
    name: &'static str,
    fields: Arc<Fields>,
}

impl Catalog {
    /// The catalogue as a layer of a schema, at one of its versions.
    pub fn layer(&self, version: Version) -> Layer {
        Layer {
            fields: Arc::clone(&self.fields),
            version: Some(version),
            label: format!("{} {version}", self.name),
        }
    }

    /// The catalogue with the fields of all its versions.
    pub fn all(&self) -> Layer {
        Layer { fields: Arc::clone(&self.fields), version: None, label: self.name.to_owned() }
    }

    /// All the fields, whatever the version.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }
}

/// ECS 8.11 to 9.5.
pub fn ecs() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> =
        LazyLock::new(|| read("ECS", include_str!("../../schemas/ecs.fields.tsv"), Origin::Ecs));
    &CATALOG
}

/// The fields of the data stream `aws.cloudtrail`, by version of the AWS integration.
pub fn aws_cloudtrail() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
        read("aws.cloudtrail", include_str!("../../schemas/aws.cloudtrail.fields.tsv"), Origin::Dataset)
    });
    &CATALOG
}

/// The ECS fields that the AWS integration fills for CloudTrail.
pub fn aws_cloudtrail_filled() -> impl Iterator<Item = &'static str> {
    let table = Table::new(include_str!("../../schemas/aws.cloudtrail.filled.tsv"));
    let names: Vec<&'static str> = table.rows().map(|r| r.get("field")).collect();
    names.into_iter()
}

/// A tab-separated table with a header line.
pub(crate) struct Table {
    columns: Vec<&'static str>,
    lines: std::str::Lines<'static>,
}

/// A row of a [`Table`].
pub(crate) struct Row<'t> {
    columns: &'t [&'static str],
    cells: Vec<&'static str>,
}

impl Table {
    /// Reads a table; lines that start with `#` are left out.
    pub(crate) fn new(text: &'static str) -> Table {
        let mut lines = text.lines();
        let columns =
            lines.by_ref().find(|l| !l.starts_with('#')).map_or_else(Vec::new, |l| l.split('\t').collect());
        Table { columns, lines }
    }

    /// The rows below the header.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.lines
            .clone()
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
            .map(|l| Row { columns: &self.columns, cells: l.split('\t').collect() })
    }
}

impl Row<'_> {
    /// The cell of a column; empty where there is none.
    pub(crate) fn get(&self, column: &str) -> &'static str {
        let i = self.columns.iter().position(|c| *c == column);
        i.and_then(|i| self.cells.get(i)).copied().unwrap_or("")
    }
}

fn read(name: &'static str, text: &'static str, origin: Origin) -> Catalog {
    let mut fields = Fields::default();
    // rows are sorted, so what a field is nested in stands above it
    let mut nested: Vec<Box<str>> = Vec::new();
    for row in Table::new(text).rows() {
        let mut ty = FieldType::of(Kind::from_name(row.get("type")));
        ty.ignore_above = row.get("ignore_above").parse().ok();
        ty.indexed = row.get("index") != "0";
        ty.constant = Some(row.get("value")).filter(|v| !v.is_empty()).map(Into::into);
        let mut field = Field::new(row.get("field"), ty, origin);
        let inside = |n: &str| field.name.strip_prefix(n).is_some_and(|r| r.starts_with('.'));
        field.nested = nested.iter().rfind(|n| inside(n)).cloned();
        if field.kind() == Kind::Nested {
            nested.push(field.name.clone());
        }
        field.array = row.get("array") == "1";
        // "7.4.0,6.22.0": the newest major counts, older ones got it as a back-port
        field.since = row.get("since").split(',').next().and_then(Version::parse);
        field.until = Version::parse(row.get("until"));
        for sub in row.get("multi_fields").split(',').filter(|s| !s.is_empty()) {
            let mut parts = sub.split(':');
            let (sub, kind) = (parts.next().unwrap_or(""), parts.next().unwrap_or("text"));
            let mut ty = FieldType::of(Kind::from_name(kind));
            ty.ignore_above = parts.next().and_then(|n| n.parse().ok());
            ty.lowercase = parts.next() == Some("lowercase");
            let mut multi = Field::new(&format!("{}.{sub}", field.name), ty, origin);
            multi.parent = Some(field.name.clone());
            (multi.since, multi.until, multi.array) = (field.since, field.until, field.array);
            multi.nested = field.nested.clone();
            fields.add(multi);
        }
        if let Some((old, version)) = row.get("retyped").split_once('<') {
            let mut before = field.clone();
            before.types = vec![FieldType { kind: Kind::from_name(old), ..field.ty().clone() }];
            before.until = Version::parse(version);
            field.since = before.until;
            fields.add(before);
        }
        fields.add(field);
    }
    Catalog { name, fields: Arc::new(fields) }
}

/// The values that ECS allows for a field.
#[derive(Debug, Default)]
pub struct EventTypes {
    allowed: FxHashMap<&'static str, Vec<(&'static str, Option<Version>)>>,
    types: FxHashMap<&'static str, Vec<&'static str>>,
}

impl EventTypes {
    /// The values that ECS allows for a field up to a version, in the catalogue's order; `None` for
    /// a field with free values.
    pub fn allowed(&self, field: &str, ecs: Version) -> Option<Vec<&'static str>> {
        let values = self.allowed.get(field)?;
        Some(values.iter().filter(|(_, since)| since.is_none_or(|s| s <= ecs)).map(|(v, _)| *v).collect())
    }

    /// The `event.type` values that ECS expects for an `event.category`.
    pub fn types_of(&self, category: &str) -> Option<&[&'static str]> {
        self.types.get(category).map(Vec::as_slice)
    }
}

/// Allowed values by field.
pub fn ecs_values() -> &'static EventTypes {
    static VALUES: LazyLock<EventTypes> = LazyLock::new(|| {
        let mut out = EventTypes::default();
        for row in Table::new(include_str!("../../schemas/ecs.values.tsv")).rows() {
            if row.get("kind") != "allowed" {
                continue;
            }
            let (field, value) = (row.get("field"), row.get("value"));
            out.allowed.entry(field).or_default().push((value, Version::parse(row.get("since"))));
            if field == "event.category" {
                let types = row.get("event_types").split(',').filter(|t| !t.is_empty()).collect();
                out.types.insert(value, types);
            }
        }
        out
    });
    &VALUES
}

/// What an ATT&CK id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttackKind {
    /// `TA0003`.
    Tactic,
    /// `T1098`.
    Technique,
    /// `T1098.003`.
    Subtechnique,
}

/// A tactic, technique or sub-technique.
#[derive(Debug)]
pub struct Technique {
    /// The id.
    pub id: &'static str,
    /// What it is.
    pub kind: AttackKind,
    /// Its name.
    pub name: &'static str,
    /// The tactics that it serves, by id.
    pub tactics: Vec<&'static str>,
    /// `active`, `deprecated` or `revoked`.
    pub status: &'static str,
    /// The id that takes a revoked one's place.
    pub replaced_by: Option<&'static str>,
}

/// MITRE ATT&CK Enterprise.
#[derive(Debug)]
pub struct Attack {
    by_id: FxHashMap<&'static str, Technique>,
}

impl Attack {
    /// The bundled version of ATT&CK.
    pub fn get() -> &'static Attack {
        static ATTACK: LazyLock<Attack> = LazyLock::new(|| {
            let mut by_id = FxHashMap::default();
            for row in Table::new(include_str!("../../schemas/attack.tsv")).rows() {
                let kind = match row.get("kind") {
                    "tactic" => AttackKind::Tactic,
                    "technique" => AttackKind::Technique,
                    _ => AttackKind::Subtechnique,
                };
                let list = |c: &str| row.get(c).split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
                let technique = Technique {
                    id: row.get("id"),
                    kind,
                    name: row.get("name"),
                    tactics: list("tactics"),
                    status: row.get("status"),
                    replaced_by: Some(row.get("replaced_by")).filter(|s| !s.is_empty()),
                };
                by_id.insert(technique.id, technique);
            }
            Attack { by_id }
        });
        &ATTACK
    }

    /// The entry of an id.
    pub fn entry(&self, id: &str) -> Option<&Technique> {
        self.by_id.get(id)
    }

    /// Every id.
    pub fn ids(&self) -> impl Iterator<Item = &'static str> {
        self.by_id.keys().copied()
    }
}
