//! Wildcard patterns: `*` stands for any characters, `?` for exactly one. Anchored at both ends.

/// One part of a pattern as a language wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These characters.
    Text(String),
    /// Any characters, also none.
    Any,
    /// Exactly one character.
    One,
}

/// A prepared pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
    ignore_case: bool,
}

impl Pattern {
    /// A pattern; neighbours of a kind are joined. With `ignore_case`, ASCII letters match in
    /// either case.
    pub fn new(parts: impl IntoIterator<Item = Part>, ignore_case: bool) -> Pattern {
        let mut out: Vec<Part> = Vec::new();
        for part in parts {
            match (out.last_mut(), part) {
                (Some(Part::Any), Part::Any) => {}
                (Some(Part::Text(held)), Part::Text(more)) => held.push_str(&more),
                (_, Part::Text(t)) if t.is_empty() => {}
                (_, part) => out.push(part),
            }
        }
        Pattern { parts: out, ignore_case }
    }

    /// `*` and `?` are special, everything else stands for itself.
    pub fn plain(text: &str, ignore_case: bool) -> Pattern {
        Pattern::new(
            text.chars().map(|c| match c {
                '*' => Part::Any,
                '?' => Part::One,
                c => Part::Text(c.to_string()),
            }),
            ignore_case,
        )
    }

    /// The syntax of Elasticsearch's `wildcard` query: a backslash makes the next character literal.
    pub fn escaped(text: &str, ignore_case: bool) -> Pattern {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '\\' => Part::Text(chars.next().unwrap_or('\\').to_string()),
                '*' => Part::Any,
                '?' => Part::One,
                c => Part::Text(c.to_string()),
            });
        }
        Pattern::new(parts, ignore_case)
    }

    /// The parts.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether case is ignored.
    pub fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    /// The text, when the pattern has no wildcard.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(t)] => Some(t),
            _ => None,
        }
    }

    /// The same pattern with its literal characters lower-cased.
    pub fn lowercased(&self) -> Pattern {
        let lower = |p: &Part| match p {
            Part::Text(t) => Part::Text(t.to_lowercase()),
            other => other.clone(),
        };
        Pattern { parts: self.parts.iter().map(lower).collect(), ignore_case: self.ignore_case }
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let (mut part, mut rest) = (0, text);
        // where to go on when a later part fails: after the last `*`, one character further on
        let mut retry: Option<(usize, &str)> = None;
        loop {
            match self.parts.get(part) {
                None if rest.is_empty() => return true,
                Some(Part::Any) => {
                    part += 1;
                    if part == self.parts.len() {
                        return true;
                    }
                    retry = Some((part, rest));
                    continue;
                }
                Some(Part::One) => {
                    if let Some(next) = skip_char(rest) {
                        (part, rest) = (part + 1, next);
                        continue;
                    }
                    return false;
                }
                Some(Part::Text(t)) => {
                    if let Some(next) = self.strip(rest, t) {
                        (part, rest) = (part + 1, next);
                        continue;
                    }
                }
                None => {}
            }
            let Some((from, at)) = retry else { return false };
            // when the last part is text after the last star, only the end of the text can match
            if let (Some(Part::Text(t)), true) = (self.parts.get(from), from + 1 == self.parts.len()) {
                return at.len() >= t.len()
                    && at.get(at.len() - t.len()..).is_some_and(|end| self.strip(end, t) == Some(""));
            }
            let Some(next) = skip_char(at) else { return false };
            retry = Some((from, next));
            (part, rest) = (from, next);
        }
    }

    fn strip<'t>(&self, text: &'t str, prefix: &str) -> Option<&'t str> {
        if !self.ignore_case {
            return text.strip_prefix(prefix);
        }
        let head = text.get(..prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then(|| text.get(prefix.len()..).unwrap_or(""))
    }
}

impl std::fmt::Display for Pattern {
    /// The pattern as the `wildcard` query takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        for part in &self.parts {
            match part {
                Part::Any => f.write_char('*')?,
                Part::One => f.write_char('?')?,
                Part::Text(t) => {
                    for c in t.chars() {
                        if matches!(c, '*' | '?' | '\\') {
                            f.write_char('\\')?;
                        }
                        f.write_char(c)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn skip_char(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next()?;
    Some(chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(parts: &[Part], text: &[char]) -> bool {
        match parts.split_first() {
            None => text.is_empty(),
            Some((Part::Any, rest)) => (0..=text.len()).any(|i| slow(rest, &text[i..])),
            Some((Part::One, rest)) => !text.is_empty() && slow(rest, &text[1..]),
            Some((Part::Text(t), rest)) => {
                let t: Vec<char> = t.chars().collect();
                text.starts_with(&t) && slow(rest, &text[t.len()..])
            }
        }
    }

    proptest! {
        #[test]
        fn the_fast_matcher_agrees_with_the_obvious_one(p in "[ab*?é]{0,8}", t in "[abé]{0,8}") {
            let pattern = Pattern::plain(&p, false);
            let chars: Vec<char> = t.chars().collect();
            prop_assert_eq!(pattern.matches(&t), slow(pattern.parts(), &chars));
        }
    }

    #[test]
    fn case_is_folded_for_ascii_only() {
        assert!(Pattern::plain("Cmd.*", true).matches("cMD.exe"));
        assert!(!Pattern::plain("É", true).matches("é"));
        assert!(Pattern::escaped(r"C:\\Win*", false).matches(r"C:\Windows"));
        assert_eq!(Pattern::escaped(r"a\*b*", false).to_string(), r"a\*b*");
        assert!(Pattern::plain("*a*a", false).matches("baaa"));
    }
}
