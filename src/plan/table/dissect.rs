//! `DISSECT`: cuts a text at literal delimiters.

use crate::value::{Datum, Value};

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DissectError(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The column of this number.
    Take(usize),
    /// No column.
    Skip,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    role: Role,
    /// Whether repeated delimiters after it count as one.
    padded: bool,
    /// What stands after it.
    delimiter: Box<str>,
    /// Its place among those that are joined.
    order: usize,
}

/// A prepared pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dissect {
    leading: Box<str>,
    parts: Vec<Part>,
    names: Vec<Box<str>>,
    separator: Box<str>,
}

impl Dissect {
    /// Reads a pattern; joined keys are separated by `separator`.
    ///
    /// # Errors
    /// When it has no key, or asks for reference keys.
    pub fn new(pattern: &str, separator: &str) -> Result<Dissect, DissectError> {
        let error = |what: &str| DissectError(format!("invalid pattern for DISSECT: {what}"));
        let mut names: Vec<Box<str>> = Vec::new();
        let mut parts: Vec<Part> = Vec::new();
        let (leading, mut rest) = match pattern.find("%{") {
            Some(at) => pattern.split_at(at),
            None => return Err(error("it has no `%{key}`")),
        };
        while let Some(body) = rest.strip_prefix("%{") {
            let end = body.find('}').ok_or_else(|| error("a `%{` has no `}`"))?;
            let (key, after) = body.split_at(end);
            let after = after.strip_prefix('}').unwrap_or(after);
            let next = after.find("%{").unwrap_or(after.len());
            let (delimiter, remaining) = after.split_at(next);
            rest = remaining;
            let padded = key.ends_with("->");
            let key = key.strip_suffix("->").unwrap_or(key);
            let has = |c: char| key.contains(c);
            if has('*') || has('&') {
                return Err(error(&format!("`%{{{key}}}` is a reference key, which is not supported")));
            }
            if has('?') && (has('+') || has('/')) {
                return Err(error(&format!("`%{{{key}}}` has several modifiers")));
            }
            let mut order = parts.len();
            let role = if key.is_empty() || has('?') {
                Role::Skip
            } else {
                let mut name = key.replacen('+', "", 1);
                if has('+')
                    && let Some((head, n)) = name.rsplit_once('/')
                {
                    order = n
                        .parse()
                        .map_err(|_| error(&format!("`%{{{key}}}` has an order that is no number")))?;
                    name = head.to_owned();
                }
                let at = names.iter().position(|n| n.as_ref() == name).unwrap_or_else(|| {
                    names.push(name.into());
                    names.len() - 1
                });
                Role::Take(at)
            };
            parts.push(Part { role, padded, delimiter: delimiter.into(), order });
        }
        if names.is_empty()
            && parts.iter().all(|p| p.role == Role::Skip && p.delimiter.is_empty())
            && parts.len() > 1
        {
            return Err(error("keys need a delimiter between them"));
        }
        let last = parts.len().saturating_sub(1);
        if parts.iter().take(last).any(|p| p.delimiter.is_empty()) {
            return Err(error("keys need a delimiter between them"));
        }
        Ok(Dissect { leading: leading.into(), parts, names, separator: separator.into() })
    }

    /// The columns that it makes, in order.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The columns of a text, by [`Dissect::names`]; `None` where it does not match.
    pub fn apply(&self, text: &str) -> Option<Vec<String>> {
        let mut rest = text.strip_prefix(self.leading.as_ref())?;
        if rest.is_empty() && !self.leading.is_empty() {
            return None;
        }
        let mut taken: Vec<Vec<(usize, &str)>> = vec![Vec::new(); self.names.len()];
        for part in &self.parts {
            let found;
            if part.delimiter.is_empty() {
                (found, rest) = (rest, "");
            } else {
                let at = rest.find(part.delimiter.as_ref())?;
                found = rest.get(..at)?;
                rest = rest.get(at + part.delimiter.len()..)?;
                if part.padded {
                    while let Some(more) = rest.strip_prefix(part.delimiter.as_ref()) {
                        rest = more;
                    }
                }
            }
            if let Role::Take(i) = part.role
                && let Some(list) = taken.get_mut(i)
            {
                list.push((part.order, found));
            }
        }
        let join = |mut list: Vec<(usize, &str)>| {
            list.sort_by_key(|(order, _)| *order);
            let texts: Vec<&str> = list.into_iter().map(|(_, t)| t).collect();
            texts.join(&self.separator)
        };
        Some(taken.into_iter().map(join).collect())
    }

    /// The columns of a cell: each of its values is cut, the results are appended.
    pub(super) fn cells(&self, input: &Datum) -> Vec<Datum> {
        let mut out: Vec<Vec<Value>> = vec![Vec::new(); self.names.len()];
        for text in input.values().iter().filter_map(Value::as_str) {
            for (list, found) in out.iter_mut().zip(self.apply(text).into_iter().flatten()) {
                list.push(Value::str(found));
            }
        }
        out.into_iter().map(Datum::of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pattern: &str, separator: &str, text: &str) -> Option<Vec<String>> {
        Dissect::new(pattern, separator).unwrap().apply(text)
    }

    #[test]
    fn keys_take_the_text_between_delimiters() {
        assert_eq!(cut("%{a} - %{b};", "", "x - y;z"), Some(vec!["x".into(), "y".into()]));
        assert_eq!(cut("<%{a}>%{b}", "", "<1>"), Some(vec!["1".into(), "".into()]));
        assert_eq!(cut("%{a} %{b}", "", "x"), None);
        assert_eq!(cut("user=%{a}", "", "user="), None);
        assert_eq!(cut("%{a->} %{b}", "", "x    y"), Some(vec!["x".into(), "y".into()]));
        assert_eq!(cut("%{a},%{b},%{c}", "", "1,,3"), Some(vec!["1".into(), "".into(), "3".into()]));
    }

    #[test]
    fn keys_are_joined_in_their_order_and_skipped_with_a_question_mark() {
        assert_eq!(cut("%{+a/2} %{+a/1} %{?x}", "-", "b a c"), Some(vec!["a-b".into()]));
        assert_eq!(cut("%{a} %{+a}", "", "b a"), Some(vec!["ba".into()]));
        assert_eq!(Dissect::new("%{{?bucket}/%{} %{k}", "").unwrap().names(), ["k".into()]);
        assert!(Dissect::new("%{*a} %{&a}", "").is_err());
        assert!(Dissect::new("plain", "").is_err());
        assert!(Dissect::new("%{a}%{b}", "").is_err());
    }
}
