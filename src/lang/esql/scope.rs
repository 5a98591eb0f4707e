//! The columns at a point of a query, and the slots and source columns of the plan that they stand for.

use crate::es::regexp::Regexp;
use crate::lang::Settings;
use crate::plan::table::load::column_type;
use crate::plan::table::{Slot, SourceColumn, What};
use crate::plan::{PlanField, PlanFields};
use crate::schema::{Field, FieldType, Fields, Kind, Layer, Origin, Schema};
use crate::value::{Access, ColumnType};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: ColumnType,
    /// What it stands for.
    pub origin: ColumnOrigin,
    /// Whether it is in the answer without being named.
    pub visible: bool,
}

/// What a column stands for.
#[derive(Clone, Debug)]
pub(super) enum ColumnOrigin {
    /// A field of the source, by its own name.
    Field(Arc<str>),
    /// A field of which nothing is known.
    Unknown(Arc<str>),
    /// A slot that was computed.
    Slot(Slot),
}

/// The columns at a point of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub columns: Vec<Column>,
    /// Whether there may be fields that the schema does not list.
    pub open: bool,
}

impl Scope {
    pub fn get(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.as_ref() == name)
    }

    pub fn remove(&mut self, name: &str) {
        self.columns.retain(|c| c.name.as_ref() != name);
    }

    /// Puts a column at the end; one of its name disappears.
    pub fn push(&mut self, name: &str, ty: ColumnType, slot: Slot) {
        self.remove(name);
        self.columns.push(Column { name: name.into(), ty, origin: ColumnOrigin::Slot(slot), visible: true });
    }
}

/// The source side of a plan in the making.
pub(super) struct Tables<'a> {
    pub schema: Schema,
    pub settings: &'a Settings,
    pub fields: PlanFields,
    pub source: Vec<SourceColumn>,
    pub slots: usize,
    /// The indices that are read, of those that the settings name.
    pub indices: Vec<Box<str>>,
    held: FxHashMap<(Arc<str>, Option<ColumnType>), Slot>,
    /// For fields of several types: the type that holds in an index.
    by_index: FxHashMap<Box<str>, Vec<(Box<str>, usize)>>,
}

impl<'a> Tables<'a> {
    pub fn new(schema: &Schema, settings: &'a Settings) -> Tables<'a> {
        Tables {
            schema: schema.clone(),
            settings,
            fields: PlanFields::default(),
            source: Vec::new(),
            slots: 0,
            indices: Vec::new(),
            held: FxHashMap::default(),
            by_index: FxHashMap::default(),
        }
    }

    /// A new slot.
    pub fn slot(&mut self) -> Slot {
        self.slots += 1;
        self.slots - 1
    }

    /// Narrows the schema to the named indices that patterns select. `Err` has the pattern that selects
    /// none.
    pub fn select(&mut self, patterns: &[String]) -> Result<(), String> {
        let indices = &self.settings.indices;
        if indices.is_empty() {
            return Ok(());
        }
        let chosen = selected(patterns, indices.iter().map(|i| i.name.as_str()))?;
        self.indices = chosen.iter().map(|n| Box::from(*n)).collect();
        let mut merged = Fields::default();
        for index in indices.iter().filter(|i| chosen.contains(&i.name.as_str())) {
            for field in index.schema.iter() {
                let mut copy = field.clone();
                let at = match merged.get_mut(&field.name) {
                    None => {
                        copy.types.truncate(1);
                        merged.add(copy);
                        0
                    }
                    Some(known) => {
                        let own = field.ty();
                        known.types.iter().position(|t| t == own).unwrap_or_else(|| {
                            known.types.push(own.clone());
                            known.types.len() - 1
                        })
                    }
                };
                self.by_index.entry(field.name.clone()).or_default().push((index.name.as_str().into(), at));
            }
        }
        self.schema = Schema::new(vec![Layer {
            fields: Arc::new(merged),
            version: None,
            label: "its indices".to_owned(),
        }]);
        Ok(())
    }

    /// The columns of the source, by name.
    pub fn columns(&self) -> Vec<Column> {
        let mut out: Vec<Column> = self
            .schema
            .iter()
            .filter(|f| !f.kind().is_object() && f.nested.is_none() && f.name.as_ref() != "_id")
            .map(|f| {
                let target =
                    f.alias.as_deref().and_then(|_| self.schema.resolve(&f.name)).map_or(f, |r| r.field);
                let visible = matches!(f.origin, Origin::Mapping | Origin::Data)
                    || self.settings.seen.contains(f.name.as_ref());
                Column {
                    name: f.name.as_ref().into(),
                    ty: type_of(target),
                    origin: ColumnOrigin::Field(f.name.as_ref().into()),
                    visible,
                }
            })
            .collect();
        out.sort_by(|a, b| a.name.cmp(&b.name));
        out.dedup_by(|a, b| a.name == b.name);
        out
    }

    /// The slot of a field, converted by each index's own type where `to` is given.
    pub fn field_slot(&mut self, name: &Arc<str>, to: Option<ColumnType>) -> Slot {
        if let Some(slot) = self.held.get(&(Arc::clone(name), to)) {
            return *slot;
        }
        let id = match self.schema.resolve(name) {
            Some(resolved) => self.fields.intern(name, &resolved),
            // where nothing is known of a field, its values are texts
            None => self.fields.add(PlanField {
                name: name.as_ref().into(),
                access: Access::Path(name.to_string()),
                types: Field::new(name, FieldType::of(Kind::Keyword), Origin::Data).types,
                key_below: false,
            }),
        };
        let by_index = self.by_index.get(name.as_ref()).cloned().unwrap_or_default();
        let by_index =
            if self.fields.get(id).is_some_and(|f| f.types.len() > 1) { by_index } else { Vec::new() };
        let slot = self.slot();
        self.source.push(SourceColumn { slot, what: What::Field { id, by_index }, to });
        self.held.insert((Arc::clone(name), to), slot);
        slot
    }

    /// The slot of a column.
    pub fn slot_of(&mut self, column: &Column) -> Slot {
        match &column.origin {
            ColumnOrigin::Slot(slot) => *slot,
            ColumnOrigin::Field(name) | ColumnOrigin::Unknown(name) => {
                let name = Arc::clone(name);
                self.field_slot(&name, None)
            }
        }
    }

    /// A slot that the source fills with something else than a field.
    pub fn special(&mut self, what: What) -> Slot {
        if let Some(known) = self.source.iter().find(|c| c.what == what) {
            return known.slot;
        }
        let slot = self.slot();
        self.source.push(SourceColumn { slot, what, to: None });
        slot
    }

    /// The types that indices give to a field.
    pub fn types(&self, name: &str) -> Vec<Kind> {
        self.schema.resolve(name).map_or_else(Vec::new, |r| r.field.types.iter().map(|t| t.kind).collect())
    }
}

/// The type of a field's column; several that do not go together are none.
fn type_of(field: &Field) -> ColumnType {
    let mut types = field.types.iter().map(|t| column_type(t.kind));
    let Some(first) = types.next() else { return ColumnType::Unsupported };
    if types.all(|t| t == first) { first } else { ColumnType::Unsupported }
}

/// The names that index patterns select, in the order of the names.
fn selected<'n>(patterns: &[String], names: impl Iterator<Item = &'n str>) -> Result<Vec<&'n str>, String> {
    let names: Vec<&str> = names.collect();
    let mut chosen: Vec<&str> = Vec::new();
    for pattern in patterns {
        let (pattern, minus) = match pattern.strip_prefix('-') {
            Some(p) if !chosen.is_empty() => (p, true),
            _ => (pattern.as_str(), false),
        };
        let pattern = pattern.split("::").next().unwrap_or(pattern);
        let pattern = pattern.rsplit(':').next().unwrap_or(pattern);
        let glob = crate::es::wildcard::Pattern::plain(&pattern.replace('?', "\u{0}"), false);
        let hit = |n: &&&str| glob.matches(n);
        if minus {
            chosen.retain(|n| !glob.matches(n));
            continue;
        }
        let found: Vec<&str> = names.iter().filter(hit).copied().collect();
        if found.is_empty() && !pattern.contains('*') {
            return Err(pattern.to_owned());
        }
        for n in found {
            if !chosen.contains(&n) {
                chosen.push(n);
            }
        }
    }
    if chosen.is_empty() {
        return Err(patterns.join(","));
    }
    Ok(chosen)
}

/// A regular expression with `~` as an ordinary character, as ES|QL takes it.
pub(super) fn regexp(text: &str) -> Result<Regexp, crate::es::regexp::RegexpError> {
    let mut out = String::with_capacity(text.len());
    let (mut class, mut quoted) = (false, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            '"' if !class => quoted = !quoted,
            '[' if !quoted => class = true,
            ']' if !quoted => class = false,
            '~' if !class && !quoted => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    Regexp::new(&out, false)
}
