//! Names and values against the schema: the findings that every language words alike.

use super::Settings;
use crate::diag::{Code, Diagnostic, Safety, Severity, did_you_mean};
use crate::es::{Reject, date, ip};
use crate::schema::{Field, Kind, Origin, Schema, ecs_values};
use crate::source::Span;

/// A name that stands for nothing. `None` where the schema leaves room for unknown fields.
pub fn unknown_field(schema: &Schema, name: &str, span: Span, severity: Severity) -> Option<Diagnostic> {
    if schema.is_open() {
        return None;
    }
    let mut d = Diagnostic::new(Code::RP0201, format!("unknown field `{name}`"))
        .severity(severity)
        .at(span, schema.not_in());
    if let Some(near) = schema.nearest(name) {
        d = d.help(format!("did you mean `{near}`?")).fix(span, near, Safety::Suggested);
    }
    Some(d)
}

/// A clause that Elasticsearch would refuse. An error where an index or the data says so; where only a
/// catalogue gives the type, the index may differ, so it is a warning.
pub fn refused(field: &Field, name: &str, reject: Reject, span: Span) -> Diagnostic {
    let certain = matches!(field.origin, Origin::Mapping | Origin::Data);
    let not_ours = reject.code == Code::RP9001 || reject.code == Code::RP0102;
    let severity = if certain || not_ours { Severity::Error } else { Severity::Warning };
    let types: Vec<&str> = field.types.iter().map(|t| t.kind.name()).collect();
    Diagnostic::new(reject.code, reject.message)
        .severity(severity)
        .at(span, format!("`{name}` is of type `{}`", types.join("` or `")))
}

/// A value that an enumeration of ECS does not have, so that the clause can never match. `replacement`
/// turns a value into the text that is to stand at `span`.
pub fn never_in_enumeration(
    name: &str,
    value: &str,
    span: Span,
    settings: &Settings,
    replacement: impl FnOnce(&str) -> String,
) -> Option<Diagnostic> {
    let ecs = settings.ecs?;
    let allowed = ecs_values().allowed(name, ecs)?;
    if allowed.is_empty() || allowed.contains(&value) {
        return None;
    }
    let listed: Vec<String> = allowed.iter().take(12).map(|v| format!("`{v}`")).collect();
    let listed = match listed.split_last() {
        Some((last, rest)) if !rest.is_empty() && allowed.len() <= 12 => {
            format!("{} and {last}", rest.join(", "))
        }
        _ => listed.join(", "),
    };
    let more = if allowed.len() > 12 { format!(" and {} more", allowed.len() - 12) } else { String::new() };
    let mut d = Diagnostic::new(Code::RP0501, "this clause can never match")
        .at(span, format!("`{name}` has no such value"))
        .note(format!("allowed are {listed}{more} (ECS {ecs})"));
    if let Some(near) = did_you_mean(value, allowed.iter().copied()) {
        let text = replacement(near);
        d = d.help(format!("did you mean `{near}`? `rulepack validate --fix` writes it")).fix(
            span,
            text,
            Safety::Safe,
        );
    }
    Some(d)
}

/// A string longer than the field keeps, so that the clause can never match.
pub fn longer_than_kept(field: &Field, name: &str, text: &str, span: Span) -> Option<Diagnostic> {
    let limit = field.ty().ignore_above?;
    if text.encode_utf16().count() <= limit as usize {
        return None;
    }
    Some(
        Diagnostic::new(Code::RP0503, "this value is longer than the field keeps").at(
            span,
            format!("`{name}` does not index values of more than {limit} characters (ignore_above)"),
        ),
    )
}

/// The schema's name for what a field is, as the findings print it.
pub fn describe(field: &Field) -> String {
    let types: Vec<&str> = field.types.iter().map(|t| t.kind.name()).collect();
    types.join(" or ")
}

/// The type, other than text, that a value is plainly one of.
pub fn kind_of(text: &str) -> Option<Kind> {
    if text.parse::<f64>().is_ok_and(f64::is_finite) {
        Some(Kind::Double)
    } else if ip::parse(text).is_some() || ip::parse_cidr(text).is_some() {
        Some(Kind::Ip)
    } else if date::parse_value(text).is_some() || text.starts_with("now") {
        Some(Kind::Date)
    } else {
        None
    }
}
