//! Field types and where they come from: Elasticsearch mappings, the bundled catalogues, or the
//! data itself. A [`Schema`] answers what a field name means.

pub(crate) mod catalog;
mod catalogue_file;
mod field_caps;
mod index_template;
mod infer;
mod mapping;
mod package_fields;
mod tsv;

pub use catalog::{
    Attack, AttackKind, Catalog, EventTypes, Technique, aws_cloudtrail, aws_cloudtrail_filled, ecs,
    ecs_values,
};
pub use catalogue_file::{CatalogueError, MAX_CATALOGUE_BYTES, MAX_CATALOGUE_FIELDS, parse_catalogue};
pub use infer::Inference;
pub use mapping::{MappingError, parse_mapping};

use crate::value::Access;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// A version of a stack, of ECS or of a package: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u16, pub u16, pub u16);

impl Version {
    /// Reads `9`, `9.5`, `9.5.0` or `9.5.0-dev`.
    pub fn parse(text: &str) -> Option<Version> {
        let core = text.trim().split(['-', '+']).next()?;
        let mut parts = core.split('.');
        let mut next = |required: bool| match parts.next() {
            Some(p) => p.parse().ok(),
            None => (!required).then_some(0),
        };
        let version = Version(next(true)?, next(false)?, next(false)?);
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.2 == 0 {
            write!(f, "{}.{}", self.0, self.1)
        } else {
            write!(f, "{}.{}.{}", self.0, self.1, self.2)
        }
    }
}

/// The ECS version that rules of a stack may rely on. 8.19 ships ECS 8.17; 9.0 to 9.4 the same
/// minor; 9.5 and later 9.5.
pub fn ecs_of_stack(stack: Version) -> Version {
    match stack {
        Version(8, minor, _) => Version(8, minor.min(17), 0),
        Version(9, minor, _) => Version(9, minor.min(5), 0),
        Version(major, ..) if major < 8 => Version(8, 11, 0),
        _ => Version(9, 5, 0),
    }
}

/// Elasticsearch's field types, as far as a query's meaning depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Elasticsearch's own")]
pub enum Kind {
    Keyword,
    ConstantKeyword,
    Wildcard,
    Text,
    MatchOnlyText,
    Long,
    Integer,
    Short,
    Byte,
    UnsignedLong,
    Double,
    Float,
    HalfFloat,
    ScaledFloat,
    Boolean,
    Date,
    DateNanos,
    Ip,
    Version,
    Flattened,
    Object,
    Nested,
    GeoPoint,
    GeoShape,
    Range,
    Binary,
    Other,
}

impl Kind {
    /// The kind of an Elasticsearch type name; [`Kind::Other`] for a name that is not known.
    pub fn from_name(name: &str) -> Kind {
        match name {
            "keyword" | "icu_collation_keyword" | "counted_keyword" => Kind::Keyword,
            "constant_keyword" => Kind::ConstantKeyword,
            "wildcard" => Kind::Wildcard,
            "text" | "annotated_text" | "search_as_you_type" | "pattern_text" => Kind::Text,
            "match_only_text" => Kind::MatchOnlyText,
            "long" => Kind::Long,
            "integer" => Kind::Integer,
            "short" => Kind::Short,
            "byte" => Kind::Byte,
            "unsigned_long" => Kind::UnsignedLong,
            "double" => Kind::Double,
            "float" => Kind::Float,
            "half_float" => Kind::HalfFloat,
            "scaled_float" => Kind::ScaledFloat,
            "boolean" => Kind::Boolean,
            "date" => Kind::Date,
            "date_nanos" => Kind::DateNanos,
            "ip" => Kind::Ip,
            "version" => Kind::Version,
            "flattened" | "flat_object" => Kind::Flattened,
            "object" | "group" | "passthrough" => Kind::Object,
            "nested" => Kind::Nested,
            "geo_point" => Kind::GeoPoint,
            "geo_shape" | "shape" | "point" => Kind::GeoShape,
            "binary" => Kind::Binary,
            name if name.ends_with("_range") => Kind::Range,
            _ => Kind::Other,
        }
    }

    /// The Elasticsearch type name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Keyword => "keyword",
            Kind::ConstantKeyword => "constant_keyword",
            Kind::Wildcard => "wildcard",
            Kind::Text => "text",
            Kind::MatchOnlyText => "match_only_text",
            Kind::Long => "long",
            Kind::Integer => "integer",
            Kind::Short => "short",
            Kind::Byte => "byte",
            Kind::UnsignedLong => "unsigned_long",
            Kind::Double => "double",
            Kind::Float => "float",
            Kind::HalfFloat => "half_float",
            Kind::ScaledFloat => "scaled_float",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::DateNanos => "date_nanos",
            Kind::Ip => "ip",
            Kind::Version => "version",
            Kind::Flattened => "flattened",
            Kind::Object => "object",
            Kind::Nested => "nested",
            Kind::GeoPoint => "geo_point",
            Kind::GeoShape => "geo_shape",
            Kind::Range => "range",
            Kind::Binary => "binary",
            Kind::Other => "other",
        }
    }

    /// The family that `_field_caps` reports.
    pub fn family(self) -> Kind {
        match self {
            Kind::ConstantKeyword | Kind::Wildcard => Kind::Keyword,
            Kind::MatchOnlyText => Kind::Text,
            other => other,
        }
    }

    /// Whether values are whole strings: keyword and its family.
    pub fn is_keyword(self) -> bool {
        self.family() == Kind::Keyword
    }

    /// Whether values are analysed text.
    pub fn is_text(self) -> bool {
        self.family() == Kind::Text
    }

    /// Whether values are integers.
    pub fn is_integer(self) -> bool {
        matches!(self, Kind::Long | Kind::Integer | Kind::Short | Kind::Byte | Kind::UnsignedLong)
    }

    /// Whether values are numbers.
    pub fn is_number(self) -> bool {
        self.is_integer() || matches!(self, Kind::Double | Kind::Float | Kind::HalfFloat | Kind::ScaledFloat)
    }

    /// Whether values are dates.
    pub fn is_date(self) -> bool {
        matches!(self, Kind::Date | Kind::DateNanos)
    }

    /// Whether it holds fields rather than values.
    pub fn is_object(self) -> bool {
        matches!(self, Kind::Object | Kind::Nested)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a field's values are indexed.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldType {
    /// The type.
    pub kind: Kind,
    /// Strings with more UTF-16 units than this are not indexed.
    pub ignore_above: Option<u32>,
    /// Whether the `lowercase` normalizer applies.
    pub lowercase: bool,
    /// Whether any normalizer applies: EQL takes such a field for inexact.
    pub normalized: bool,
    /// The constant of a `constant_keyword`.
    pub constant: Option<Box<str>>,
    /// What an explicit `null` counts as.
    pub null_value: Option<crate::value::Scalar>,
    /// A date format other than the default.
    pub format: Option<Box<str>>,
    /// Whether the field can be searched.
    pub indexed: bool,
}

impl FieldType {
    /// A type with Elasticsearch's own defaults.
    pub const fn of(kind: Kind) -> FieldType {
        FieldType {
            kind,
            ignore_above: None,
            lowercase: false,
            normalized: false,
            constant: None,
            null_value: None,
            format: None,
            indexed: true,
        }
    }
}

/// Who says that a field exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An Elasticsearch mapping: the index itself.
    Mapping,
    /// The ECS catalogue.
    Ecs,
    /// The catalogue of a dataset.
    Dataset,
    /// Seen in the data.
    Data,
}

/// A field of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The full dotted name.
    pub name: Box<str>,
    /// The type in each index that maps the field differently; never empty, the first one counts
    /// where only one can.
    pub types: Vec<FieldType>,
    /// Who says so.
    pub origin: Origin,
    /// For a multi-field: the field whose source value it indexes.
    pub parent: Option<Box<str>>,
    /// For an alias: the field that it stands for.
    pub alias: Option<Box<str>>,
    /// The innermost `nested` parent.
    pub nested: Option<Box<str>>,
    /// Whether ECS says that it holds an array.
    pub array: bool,
    /// The version that brought it; `None` for always.
    pub since: Option<Version>,
    /// The first version without it.
    pub until: Option<Version>,
}

impl Field {
    /// A field of one type.
    pub fn new(name: &str, ty: FieldType, origin: Origin) -> Field {
        Field {
            name: name.into(),
            types: vec![ty],
            origin,
            parent: None,
            alias: None,
            nested: None,
            array: false,
            since: None,
            until: None,
        }
    }

    /// The type that counts where only one can.
    pub fn ty(&self) -> &FieldType {
        static OTHER: FieldType = FieldType::of(Kind::Other);
        self.types.first().unwrap_or(&OTHER)
    }

    /// The kind that counts where only one can.
    pub fn kind(&self) -> Kind {
        self.ty().kind
    }

    /// Whether `_field_caps` reports exactly `keyword`.
    pub fn is_pure_keyword(&self) -> bool {
        self.types.iter().all(|t| t.kind.is_keyword())
    }
}

/// What a name in a query stands for.
#[derive(Clone, Debug)]
pub struct Resolved<'a> {
    /// The field; for a key below a flattened field, the flattened field itself.
    pub field: &'a Field,
    /// The key below a flattened field.
    pub flattened_key: Option<String>,
    /// Where its values stand in a document.
    pub access: Access,
}

impl Resolved<'_> {
    /// The type of the values: that of the field, or [`Kind::Flattened`] for a key below one.
    pub fn kind(&self) -> Kind {
        self.field.kind()
    }
}

/// A set of fields from one place.
#[derive(Debug, Default)]
pub struct Fields {
    by_name: BTreeMap<Box<str>, Vec<Field>>,
}

impl Fields {
    /// Adds a field. Fields of one name may differ in the versions that have them.
    pub fn add(&mut self, field: Field) {
        self.by_name.entry(field.name.clone()).or_default().push(field);
    }

    /// Adds a field, or its types to those of the field that has the name already.
    pub fn merge(&mut self, new: Field) {
        let Some(known) = self.get_mut(&new.name) else { return self.add(new) };
        for ty in new.types {
            if !known.types.contains(&ty) {
                known.types.push(ty);
            }
        }
    }

    /// The field of a name, at a version.
    pub fn get(&self, name: &str, version: Option<Version>) -> Option<&Field> {
        let fields = self.by_name.get(name)?;
        match version {
            None => fields.last(),
            Some(v) => {
                fields.iter().find(|f| f.since.is_none_or(|s| s <= v) && f.until.is_none_or(|u| v < u))
            }
        }
    }

    /// Changes the field of a name in place.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Field> {
        self.by_name.get_mut(name)?.last_mut()
    }

    /// The fields whose names continue `name` after a dot.
    pub fn below(&self, name: &str) -> impl Iterator<Item = &Field> {
        // `/` follows `.`, so this is every name that begins with `name.`
        let (from, to) = (format!("{name}."), format!("{name}/"));
        let range = (Bound::Excluded(from.as_str()), Bound::Excluded(to.as_str()));
        self.by_name.range::<str, _>(range).flat_map(|(_, fields)| fields)
    }

    /// Every field, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.by_name.values().flatten()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// One layer of a schema: fields, and the version to read them at.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The fields.
    pub fields: Arc<Fields>,
    /// Which version of them; `None` takes all.
    pub version: Option<Version>,
    /// What people call it: `ECS 9.5`, `aws.cloudtrail 8.9`, `mapping.json`.
    pub label: String,
}

/// Layers of fields; the first layer that knows a name wins.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    layers: Vec<Layer>,
    open: bool,
}

impl Schema {
    /// A schema of these layers, the most specific one first.
    pub fn new(layers: Vec<Layer>) -> Schema {
        Schema { layers, open: false }
    }

    /// A schema that knows nothing and accepts every name: Kibana's "no field information".
    pub fn none() -> Schema {
        Schema { layers: Vec::new(), open: true }
    }

    /// Says that fields may exist that the schema does not list (a dataset without a catalogue).
    pub fn with_unknown_fields(mut self) -> Schema {
        self.open = true;
        self
    }

    /// Whether fields may exist that the schema does not list.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The layers, the most specific one first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The field of exactly this name.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.layers.iter().find_map(|l| l.fields.get(name, l.version))
    }

    /// What a name stands for: a field, a multi-field, an alias, or a key below a flattened field.
    pub fn resolve(&self, name: &str) -> Option<Resolved<'_>> {
        if let Some(field) = self.get(name) {
            if let Some(target) = &field.alias {
                // an alias stands for a field, never for another alias
                let other = self.get(target).is_none_or(|f| f.alias.is_none());
                return if other { self.resolve(target) } else { None };
            }
            let path = field.parent.as_deref().unwrap_or(&field.name).to_owned();
            let access =
                if field.kind() == Kind::Flattened { Access::Subtree(path) } else { Access::Path(path) };
            return Some(Resolved { field, flattened_key: None, access });
        }
        let mut end = name.len();
        while let Some(dot) = name.get(..end).and_then(|s| s.rfind('.')) {
            let (root, key) = (name.get(..dot)?, name.get(dot + 1..)?);
            if let Some(field) = self.get(root) {
                return (field.kind() == Kind::Flattened).then(|| Resolved {
                    field,
                    flattened_key: Some(key.to_owned()),
                    access: Access::Path(name.to_owned()),
                });
            }
            end = dot;
        }
        None
    }

    /// Whether some field stands below this name, which is then an object.
    pub fn is_object(&self, name: &str) -> bool {
        self.below(name).next().is_some() || self.get(name).is_some_and(|f| f.kind().is_object())
    }

    /// The value fields below an object, multi-fields left out.
    pub fn below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        let layers = self.layers.iter().enumerate();
        let all = layers.flat_map(move |(i, l)| l.fields.below(name).filter(move |f| self.counts(i, f)));
        all.filter(|f| f.parent.is_none() && !f.kind().is_object())
    }

    /// Whether a field of a layer is what its name stands for: of the layer's version, and not hidden by
    /// a layer above.
    fn counts(&self, layer: usize, field: &Field) -> bool {
        let Some(own) = self.layers.get(layer) else { return false };
        own.fields.get(&field.name, own.version).is_some_and(|f| std::ptr::eq(f, field))
            && !self.layers.iter().take(layer).any(|l| l.fields.get(&field.name, l.version).is_some())
    }

    /// Every field that the schema lists; a name in several layers comes from the first.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        let layers = self.layers.iter().enumerate();
        layers.flat_map(move |(i, l)| l.fields.iter().filter(move |f| self.counts(i, f)))
    }

    /// The known name nearest to a mistyped one.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        crate::diag::did_you_mean(
            name,
            self.iter().filter(|f| !f.kind().is_object()).map(|f| f.name.as_ref()),
        )
    }

    /// `not in ECS 9.5, not in aws.cloudtrail 8.9`.
    pub fn not_in(&self) -> String {
        let labels: Vec<String> = self.layers.iter().rev().map(|l| format!("not in {}", l.label)).collect();
        if labels.is_empty() { "no field catalogue".to_owned() } else { labels.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!(Version::parse("9.5.0-dev"), Some(Version(9, 5, 0)));
        assert_eq!(Version::parse("8.19"), Some(Version(8, 19, 0)));
        assert_eq!(Version::parse("x"), None);
        assert!(Version(8, 19, 0) < Version(9, 0, 0));
        assert_eq!(ecs_of_stack(Version(8, 19, 0)), Version(8, 17, 0));
        assert_eq!(ecs_of_stack(Version(9, 6, 0)), Version(9, 5, 0));
    }

    #[test]
    fn fields_of_ecs_know_what_they_are_nested_in() {
        let schema = Schema::new(vec![ecs().layer(Version(9, 5, 0))]);
        let nested = |name: &str| schema.get(name).unwrap().nested.clone();
        assert_eq!(nested("email.attachments.file.name").as_deref(), Some("email.attachments"));
        assert_eq!(nested("email.attachments"), None);
        assert_eq!(nested("file.name"), None);
    }

    #[test]
    fn a_key_below_a_flattened_field_resolves_to_it() {
        let mut f = Fields::default();
        f.add(Field::new("labels", FieldType::of(Kind::Flattened), Origin::Mapping));
        let s = Schema::new(vec![Layer { fields: Arc::new(f), version: None, label: "m".into() }]);
        let r = s.resolve("labels.a.b").unwrap();
        assert_eq!(r.flattened_key.as_deref(), Some("a.b"));
        assert_eq!(r.access, Access::Path("labels.a.b".into()));
        assert!(s.resolve("label.a").is_none());
    }

    #[test]
    fn an_alias_stands_for_its_field_and_a_circle_of_them_for_nothing() {
        let mut f = Fields::default();
        f.add(Field::new("x", FieldType::of(Kind::Ip), Origin::Mapping));
        for (name, target) in [("a", "x"), ("b", "c"), ("c", "b"), ("d", "d"), ("e", "gone")] {
            let mut field = Field::new(name, FieldType::of(Kind::Other), Origin::Mapping);
            field.alias = Some(target.into());
            f.add(field);
        }
        let s = Schema::new(vec![Layer { fields: Arc::new(f), version: None, label: "m".into() }]);
        assert_eq!(s.resolve("a").unwrap().kind(), Kind::Ip);
        for name in ["b", "c", "d", "e"] {
            assert!(s.resolve(name).is_none(), "{name}");
        }
    }
}
