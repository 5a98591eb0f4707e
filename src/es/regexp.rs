//! Lucene's regular expressions, anchored at both ends, translated for an automaton. What cannot be
//! translated faithfully is refused, never approximated.

use regex_automata::meta::Regex;
use std::fmt::Write;

/// Why a pattern is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RegexpError {
    /// The pattern is malformed.
    #[error("{message}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Byte offset in the pattern.
        at: usize,
    },
    /// The operator exists in Lucene, but is not supported yet.
    #[error("the Lucene operator `{operator}` is not supported yet")]
    Unsupported {
        /// The operator.
        operator: char,
        /// Byte offset in the pattern.
        at: usize,
    },
    /// The automaton would be too large.
    #[error("the pattern is too large")]
    TooLarge,
}

/// A prepared pattern.
#[derive(Clone, Debug)]
pub struct Regexp {
    text: String,
    regex: Regex,
}

impl PartialEq for Regexp {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The largest automaton, in bytes.
const SIZE_LIMIT: usize = 4 << 20;
const MAX_DEPTH: usize = 200;

impl Regexp {
    /// Prepares a pattern with all of Lucene's operators on; with `ignore_case`, ASCII letters match
    /// in either case.
    ///
    /// # Errors
    /// When the pattern is malformed, needs `~`, `&` or `<n-m>`, or is too large.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Regexp, RegexpError> {
        let mut t = Translator { text: pattern, at: 0, ignore_case, out: String::new(), depth: 0 };
        t.union()?;
        if t.at < pattern.len() {
            return Err(t.error("a `)` has no `(`"));
        }
        let regex = Regex::builder()
            .configure(regex_automata::meta::Config::new().nfa_size_limit(Some(SIZE_LIMIT)))
            .build(&format!(r"\A(?s:{})\z", t.out))
            .map_err(|_| RegexpError::TooLarge)?;
        Ok(Regexp { text: pattern.to_owned(), regex })
    }

    /// Prepares a pattern of the flavour that scripts use (Java's), matched against the whole text.
    ///
    /// # Errors
    /// When the pattern is malformed, needs look-around or back-references, or is too large.
    pub fn java(pattern: &str, ignore_case: bool) -> Result<Regexp, RegexpError> {
        use regex_automata::util::syntax;
        let malformed = || RegexpError::Syntax {
            message: "the pattern is malformed, or needs look-around or back-references".to_owned(),
            at: 0,
        };
        let config = syntax::Config::new().nest_limit(MAX_DEPTH as u32);
        // on its own first, so that no bracket pairs with those around it
        syntax::parse_with(pattern, &config).map_err(|_| malformed())?;
        let flags = if ignore_case { "i" } else { "" };
        let regex = Regex::builder()
            .syntax(config)
            .configure(regex_automata::meta::Config::new().nfa_size_limit(Some(SIZE_LIMIT)))
            .build(&format!(r"\A(?{flags}:{pattern})\z"))
            .map_err(|e| if e.size_limit().is_some() { RegexpError::TooLarge } else { malformed() })?;
        Ok(Regexp { text: pattern.to_owned(), regex })
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

struct Translator<'a> {
    text: &'a str,
    at: usize,
    ignore_case: bool,
    out: String,
    depth: usize,
}

impl Translator<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn error(&self, message: &str) -> RegexpError {
        RegexpError::Syntax { message: message.to_owned(), at: self.at }
    }

    fn unsupported(&self, operator: char) -> RegexpError {
        RegexpError::Unsupported { operator, at: self.at }
    }

    fn union(&mut self) -> Result<(), RegexpError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(RegexpError::TooLarge);
        }
        self.concatenation()?;
        while self.peek() == Some('|') {
            self.next();
            self.out.push('|');
            self.concatenation()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn concatenation(&mut self) -> Result<(), RegexpError> {
        while let Some(c) = self.peek() {
            match c {
                '|' | ')' => break,
                '&' | '~' => return Err(self.unsupported(c)),
                _ => self.repeated()?,
            }
        }
        Ok(())
    }

    fn repeated(&mut self) -> Result<(), RegexpError> {
        let start = self.out.len();
        self.atom()?;
        while let Some(c) = self.peek() {
            match c {
                '?' | '*' | '+' => {
                    self.next();
                    self.group(start);
                    self.out.push(c);
                }
                '{' => {
                    self.next();
                    let rest = self.text.get(self.at..).unwrap_or("");
                    let Some(end) = rest.find('}') else { return Err(self.error("a `{` has no `}`")) };
                    let body = rest.get(..end).unwrap_or("").to_owned();
                    let numbers: Vec<&str> = body.split(',').collect();
                    let ok = match numbers.as_slice() {
                        [n] => n.parse::<u32>().is_ok(),
                        [n, ""] => n.parse::<u32>().is_ok(),
                        [n, m] => n.parse::<u32>().ok().zip(m.parse().ok()).is_some_and(|(n, m)| n <= m),
                        _ => false,
                    };
                    if !ok {
                        return Err(self.error("a repetition is `{n}`, `{n,}` or `{n,m}`"));
                    }
                    self.at += end + 1;
                    self.group(start);
                    let _ = write!(self.out, "{{{body}}}");
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// Encloses what was written since `start`, so that an operator applies to all of it.
    fn group(&mut self, start: usize) {
        self.out.insert_str(start, "(?:");
        self.out.push(')');
    }

    fn atom(&mut self) -> Result<(), RegexpError> {
        let at = self.at;
        match self.next() {
            None => Err(self.error("the pattern ends too early")),
            Some('.') => {
                self.out.push('.');
                Ok(())
            }
            Some('@') => {
                self.out.push_str("(?:.*)");
                Ok(())
            }
            Some('#') => {
                self.out.push_str(r"[^\s\S]");
                Ok(())
            }
            Some('"') => {
                let rest = self.text.get(self.at..).unwrap_or("");
                let Some(end) = rest.find('"') else { return Err(self.error("a `\"` has no end")) };
                self.out.push_str("(?:");
                for c in rest.get(..end).unwrap_or("").chars() {
                    self.literal(c);
                }
                self.out.push(')');
                self.at += end + 1;
                Ok(())
            }
            Some('<') => {
                self.at = at;
                Err(self.unsupported('<'))
            }
            Some('(') => {
                if self.peek() == Some(')') {
                    self.next();
                    self.out.push_str("(?:)");
                    return Ok(());
                }
                self.out.push_str("(?:");
                self.union()?;
                if self.next() != Some(')') {
                    return Err(self.error("a `(` has no `)`"));
                }
                self.out.push(')');
                Ok(())
            }
            Some('[') => self.class(),
            Some('\\') => match self.next() {
                None => Err(self.error("a `\\` ends the pattern")),
                Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => {
                    self.out.push_str(predefined(c));
                    Ok(())
                }
                Some(c) => {
                    self.literal(c);
                    Ok(())
                }
            },
            Some(c @ ('*' | '+' | '?' | '{')) => {
                self.at = at;
                Err(self.error(&format!("`{c}` has nothing to repeat")))
            }
            Some(c) => {
                self.literal(c);
                Ok(())
            }
        }
    }

    fn literal(&mut self, c: char) {
        if self.ignore_case && c.is_ascii_alphabetic() {
            let _ = write!(self.out, "[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase());
        } else {
            push_escaped(&mut self.out, c);
        }
    }

    fn class(&mut self) -> Result<(), RegexpError> {
        self.out.push('[');
        if self.peek() == Some('^') {
            self.next();
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = match self.next() {
                None => return Err(self.error("a `[` has no `]`")),
                Some(']') if !first => break,
                Some(']') => return Err(self.error("a character class is empty")),
                Some('\\') => match self.next() {
                    None => return Err(self.error("a `\\` ends the pattern")),
                    Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => {
                        self.out.push_str(predefined(c));
                        first = false;
                        continue;
                    }
                    Some(c) => c,
                },
                Some(c) => c,
            };
            first = false;
            let ahead = self.text.get(self.at..).unwrap_or("");
            if ahead.starts_with('-') && !ahead.starts_with("-]") {
                self.next();
                let to = match self.next() {
                    Some('\\') => self.next(),
                    to => to,
                };
                let Some(to) = to else { return Err(self.error("a `[` has no `]`")) };
                if c > to {
                    return Err(self.error("a range in a character class runs backwards"));
                }
                self.range(c, to);
            } else {
                self.range(c, c);
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn range(&mut self, from: char, to: char) {
        let mut put = |a: char, b: char| {
            push_escaped(&mut self.out, a);
            if a != b {
                self.out.push('-');
                push_escaped(&mut self.out, b);
            }
        };
        put(from, to);
        if self.ignore_case {
            let (lo, hi) = (from.max('a'), to.min('z'));
            if lo <= hi {
                put(lo.to_ascii_uppercase(), hi.to_ascii_uppercase());
            }
            let (lo, hi) = (from.max('A'), to.min('Z'));
            if lo <= hi {
                put(lo.to_ascii_lowercase(), hi.to_ascii_lowercase());
            }
        }
    }
}

fn predefined(c: char) -> &'static str {
    match c {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => r"[ \t\n\r]",
        _ => r"[^ \t\n\r]",
    }
}

/// Everything but letters and digits goes in by its number: no character is special then.
fn push_escaped(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{{{:x}}}", u32::from(c));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Regexp::new(pattern, false).unwrap().matches(text)
    }

    #[test]
    fn patterns_are_anchored_and_have_lucene_operators() {
        assert!(matches("ab*", "abbb"));
        assert!(!matches("ab*", "xabbb"));
        assert!(matches("a.c", "a\nc"));
        assert!(matches("^a$", "^a$"));
        assert!(matches("a@z", "a---z"));
        assert!(!matches("a#", "a"));
        assert!(matches(r#""a.b"+"#, "a.ba.b"));
        assert!(matches("[a-c&&]x", "&x"));
        assert!(matches(r"\d{2,3}\.exe", "123.exe"));
        assert!(Regexp::new("CMD[a-f]", true).unwrap().matches("cmdB"));
    }

    #[test]
    fn scripts_use_another_flavour() {
        let java = |p: &str, t: &str| Regexp::java(p, true).unwrap().matches(t);
        assert!(java(r"^a\d+$", "A12"));
        assert!(!java("a.c", "a\nc"));
        assert!(!java("b", "abc"));
        assert!(Regexp::java("(", false).is_err());
        assert!(Regexp::java("a)(b", false).is_err());
        assert!(Regexp::java("(?=a)", false).is_err());
        assert!(Regexp::java(&"(".repeat(5000), false).is_err());
    }

    #[test]
    fn what_cannot_be_translated_is_refused() {
        assert!(matches!(Regexp::new("a&b", false), Err(RegexpError::Unsupported { operator: '&', .. })));
        assert!(matches!(Regexp::new("<1-5>", false), Err(RegexpError::Unsupported { operator: '<', .. })));
        assert!(matches!(Regexp::new("(a", false), Err(RegexpError::Syntax { .. })));
        assert!(matches!(Regexp::new("a)", false), Err(RegexpError::Syntax { .. })));
        assert!(matches!(Regexp::new("*a", false), Err(RegexpError::Syntax { .. })));
        assert!(Regexp::new(&"(".repeat(5000), false).is_err());
    }
}
