//! The `fields/*.yml` of a Fleet package: a list of fields, groups with fields below them.

use super::catalogue_file::CatalogueError;
use super::{Field, FieldType, Fields, Kind, Origin};
use serde_yaml_ng::Value;

/// How deep groups may nest.
const MAX_DEPTH: usize = 64;

/// Reads a list of fields. Those that only refer to ECS (`external: ecs` without a type) are left out: the
/// ECS of the stack knows them.
pub(super) fn parse(text: &str) -> Result<Fields, CatalogueError> {
    let root: Value = serde_yaml_ng::from_str(text).map_err(|e| CatalogueError::Yaml(e.to_string()))?;
    let Value::Sequence(list) = root else {
        return Err(CatalogueError::Shape(
            "a YAML file must be a list of fields, as a package's fields.yml is",
        ));
    };
    let mut out = Fields::default();
    for entry in &list {
        add(entry, "", None, &mut out, 0)?;
    }
    Ok(out)
}

fn add(
    entry: &Value,
    above: &str,
    nested: Option<&str>,
    out: &mut Fields,
    depth: usize,
) -> Result<(), CatalogueError> {
    if depth > MAX_DEPTH {
        return Err(CatalogueError::Shape("groups nest deeper than 64 levels"));
    }
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let Some(name) = text("name") else {
        return Err(CatalogueError::Shape("an entry of the list has no `name`"));
    };
    let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
    let below = entry.get("fields").and_then(Value::as_sequence);
    let kind = match text("type") {
        Some(t) => Some(Kind::from_name(t)),
        None if below.is_some() => Some(Kind::Object),
        None if text("external").is_some() => None,
        None => Some(Kind::Keyword),
    };
    let mut inside = nested;
    if let Some(kind) = kind {
        let mut ty = FieldType::of(kind);
        // keys of any name with one type: what is asked of them is what one can ask of keywords
        let any_key = path.strip_suffix(".*").unwrap_or(&path).to_owned();
        if kind == Kind::Object && text("object_type").is_some() {
            ty = FieldType::of(Kind::Flattened);
        }
        let number = |key: &str| entry.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        // the default of Fleet for keywords
        ty.ignore_above = number("ignore_above").or((kind == Kind::Keyword).then_some(1024));
        ty.normalized = text("normalizer").is_some();
        ty.lowercase = text("normalizer") == Some("lowercase");
        ty.constant = text("value").filter(|_| kind == Kind::ConstantKeyword).map(Into::into);
        ty.format = text("date_format").map(Into::into);
        ty.indexed = entry.get("index").and_then(Value::as_bool).unwrap_or(true)
            || entry.get("doc_values").and_then(Value::as_bool).unwrap_or(true);
        let mut field = Field::new(&any_key, ty, Origin::Dataset);
        field.nested = nested.map(Into::into);
        field.alias = text("path").filter(|_| text("type") == Some("alias")).map(Into::into);
        for multi in entry.get("multi_fields").and_then(Value::as_sequence).into_iter().flatten() {
            let of = |key: &str| multi.get(key).and_then(Value::as_str);
            if let (Some(sub), Some(kind)) = (of("name"), of("type")) {
                let mut f = Field::new(
                    &format!("{path}.{sub}"),
                    FieldType::of(Kind::from_name(kind)),
                    Origin::Dataset,
                );
                f.parent = Some(path.as_str().into());
                f.nested = field.nested.clone();
                out.merge(f);
            }
        }
        if kind == Kind::Nested {
            inside = Some(&path);
        }
        out.merge(field);
    }
    for entry in below.into_iter().flatten() {
        add(entry, &path, inside, out, depth + 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_multi_fields_aliases_and_ecs_references_are_read() {
        let fields = parse(
            "- name: acme\n  type: group\n  fields:\n    - name: actor.id\n      type: keyword\n      multi_fields:\n        \
             - name: text\n          type: match_only_text\n    - name: labels\n      type: object\n      object_type: keyword\n    \
             - name: who\n      type: alias\n      path: user.name\n- name: user.name\n  external: ecs\n\
             - name: event.module\n  type: constant_keyword\n  value: acme\n",
        )
        .unwrap();
        let get = |n: &str| fields.get(n, None);
        assert_eq!(get("acme.actor.id").unwrap().ty().ignore_above, Some(1024));
        assert_eq!(get("acme.actor.id.text").unwrap().parent.as_deref(), Some("acme.actor.id"));
        assert_eq!(get("acme.labels").unwrap().kind(), Kind::Flattened);
        assert_eq!(get("acme.who").unwrap().alias.as_deref(), Some("user.name"));
        assert!(get("user.name").is_none());
        assert_eq!(get("event.module").unwrap().ty().constant.as_deref(), Some("acme"));
    }

    #[test]
    fn what_is_no_list_of_fields_is_refused() {
        for text in ["a: 1", "- type: keyword", "[", "- &a [*a]", "42"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = (0..100).fold(String::new(), |t, i| {
            format!("{t}{}- name: a\n{}fields:\n", "  ".repeat(i), "  ".repeat(i + 1))
        });
        assert!(parse(&deep).is_err());
    }
}
