//! A table of two columns, separated by tabs: the name of a field and its type. Lines that start with `#`
//! and a header are left out.

use super::catalogue_file::CatalogueError;
use super::{Field, FieldType, Fields, Kind, Origin};

/// Reads a table.
pub(super) fn parse(text: &str) -> Result<Fields, CatalogueError> {
    let mut out = Fields::default();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut cells = line.split('\t').map(str::trim);
        let (name, kind) = (cells.next().unwrap_or(""), cells.next());
        let bad = |what: String| CatalogueError::Line(i + 1, what);
        let Some(kind) = kind.filter(|_| !name.is_empty()) else {
            return Err(bad("a name, a tab and a type are wanted".to_owned()));
        };
        if out.is_empty() && i == 0 && matches!(kind, "type" | "kind") {
            continue;
        }
        let known = Kind::from_name(kind);
        if known == Kind::Other {
            return Err(bad(format!("`{kind}` is no field type of Elasticsearch")));
        }
        out.merge(Field::new(name, FieldType::of(known), Origin::Dataset));
    }
    if out.is_empty() {
        return Err(CatalogueError::Shape("the table has no row"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_fields_and_mistakes_have_a_line() {
        let fields =
            parse("field\ttype\n# ours\nacme.id\tkeyword\nacme.n\tlong\r\nacme.n\tkeyword\n").unwrap();
        assert_eq!(fields.get("acme.id", None).unwrap().kind(), Kind::Keyword);
        assert_eq!(fields.get("acme.n", None).unwrap().types.len(), 2);
        assert!(matches!(parse("acme.id keyword\n"), Err(CatalogueError::Line(1, _))));
        assert!(matches!(parse("a\tkeyword\nb\tkeywrod\n"), Err(CatalogueError::Line(2, _))));
        assert!(parse("field\ttype\n").is_err());
    }
}
