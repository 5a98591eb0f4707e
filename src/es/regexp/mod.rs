//! Lucene's regular expressions, anchored at both ends: translated for the regex engine, or, with
//! intersection and complement, made an automaton of our own. Nothing is approximated.

mod automaton;
mod parser;

use automaton::Automaton;
use parser::Node;
use regex_automata::meta::Regex;
use std::fmt::Write;
use std::sync::Arc;

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
    /// The automaton would be too large.
    #[error("the pattern is too large")]
    TooLarge,
}

/// A prepared pattern.
#[derive(Clone, Debug)]
pub struct Regexp {
    text: String,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Regex(Regex),
    /// For `&` and `~`, which the regex engine does not have.
    Automaton(Arc<Automaton>),
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
    /// When the pattern is malformed or too large.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Regexp, RegexpError> {
        let node = parser::parse(pattern, ignore_case)?;
        let text = pattern.to_owned();
        if !node.is_plain() {
            return Ok(Regexp { text, matcher: Matcher::Automaton(Arc::new(Automaton::new(&node)?)) });
        }
        let mut written = String::new();
        write(&node, &mut written);
        let regex = Regex::builder()
            .configure(regex_automata::meta::Config::new().nfa_size_limit(Some(SIZE_LIMIT)))
            .build(&format!(r"\A(?s:{written})\z"))
            .map_err(|_| RegexpError::TooLarge)?;
        Ok(Regexp { text, matcher: Matcher::Regex(regex) })
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
        Ok(Regexp { text: pattern.to_owned(), matcher: Matcher::Regex(regex) })
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        match &self.matcher {
            Matcher::Regex(regex) => regex.is_match(text),
            Matcher::Automaton(automaton) => automaton.matches(text),
        }
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The pattern as the regex engine writes it.
fn write(node: &Node, out: &mut String) {
    match node {
        Node::Set(set) if set.is_empty() => out.push_str(r"[^\s\S]"),
        Node::Set(set) => {
            out.push('[');
            for (from, to) in set {
                let _ = write!(out, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(*from), u32::from(*to));
            }
            out.push(']');
        }
        Node::Concat(parts) => parts.iter().for_each(|p| write(p, out)),
        Node::Union(parts) => {
            for (i, part) in parts.iter().enumerate() {
                out.push_str(if i == 0 { "(?:" } else { "|" });
                write(part, out);
            }
            out.push(')');
        }
        // only what is plain gets here
        Node::Intersection(_) | Node::Complement(_) => {}
        Node::Repeat(inner, least, most) => {
            out.push_str("(?:");
            write(inner, out);
            let _ = match most {
                None => write!(out, "){{{least},}}"),
                Some(most) => write!(out, "){{{least},{most}}}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn intervals_count_digits_only_where_both_bounds_have_as_many() {
        let all = |pattern: &str, yes: &str, no: &str| {
            yes.split(' ').for_each(|t| assert!(matches(pattern, t), "{pattern} {t}"));
            no.split(' ').for_each(|t| assert!(!matches(pattern, t), "{pattern} {t}"));
        };
        all("<1-5>", "1 3 5", "0 6 01 15");
        all("<05-12>", "05 09 10 12", "5 13 04 012");
        all("<7-112>", "7 9 10 99 100 112 007 0112", "6 113 006 1000 7a");
        all("<0-10>", "0 00 5 10 010", "11 a -");
        all("p<12-8>!", "p8! p012!", "p13! p!");
        assert!(Regexp::new("<1-x>", false).is_err() && Regexp::new("<name>", false).is_err());
    }

    #[test]
    fn intersection_and_complement_are_exact() {
        assert!(matches("[a-d]+&~(ab)", "abc") && !matches("[a-d]+&~(ab)", "ab"));
        // a complement binds closer than repetition and concatenation
        assert!(matches("~ab", "b") && matches("~ab", "xxb") && !matches("~ab", "ab"));
        assert!(matches("~(@foo@)", "fo o") && !matches("~(@foo@)", "a foo b"));
        assert!(matches("a.+&.+z|x", "abz") && matches("a.+&.+z|x", "x") && !matches("a.+&.+z|x", "ab"));
        assert!(Regexp::new("~(abc)", true).unwrap().matches("ABCD"));
        assert!(!Regexp::new("~(abc)", true).unwrap().matches("aBc"));
        assert!(!matches("~(a{0,350})", &"a".repeat(350)) && matches("~(a{0,350})", &"a".repeat(351)));
        assert!(matches("~a", "\u{e000}") && matches("~a", ""));
    }

    #[test]
    fn what_is_malformed_or_too_large_is_refused() {
        for text in ["(a", "a)", "*a", "a|", "(|a)", "a&", "~", "a{2", "a{3,2}", "[]", "[b-a]", "\"a"] {
            assert!(matches!(Regexp::new(text, false), Err(RegexpError::Syntax { .. })), "{text}");
        }
        for text in ["(".repeat(5000), "~".repeat(5000), format!("a{}", "?".repeat(5000))] {
            assert_eq!(Regexp::new(&text, false).unwrap_err(), RegexpError::TooLarge);
        }
        // the complement of this needs a state for each set of the last 30 letters
        assert_eq!(Regexp::new("~((a|b)*a(a|b){30})", false).unwrap_err(), RegexpError::TooLarge);
        assert_eq!(Regexp::new("~(a{4000000000})", false).unwrap_err(), RegexpError::TooLarge);
    }

    /// A pattern and what it matches of all short texts, computed by the meaning of its parts.
    fn pattern() -> impl Strategy<Value = (String, Vec<bool>)> {
        let of = |f: &dyn Fn(&str) -> bool| texts().iter().map(|t| f(t)).collect::<Vec<bool>>();
        let leaf = prop_oneof![
            Just(("a".to_owned(), of(&|t| t == "a"))),
            Just(("b".to_owned(), of(&|t| t == "b"))),
            Just((".".to_owned(), of(&|t| t.len() == 1))),
            Just(("@".to_owned(), of(&|_| true))),
            Just(("#".to_owned(), of(&|_| false))),
            Just(("[^a]".to_owned(), of(&|t| t == "b"))),
            Just(("()".to_owned(), of(&|t| t.is_empty()))),
        ];
        leaf.prop_recursive(4, 16, 2, |inner| {
            let two = (inner.clone(), inner.clone());
            prop_oneof![
                two.clone().prop_map(|((p, a), (q, b))| (format!("({p}|{q})"), zip(&a, &b, |a, b| a || b))),
                two.clone().prop_map(|((p, a), (q, b))| (format!("({p}&{q})"), zip(&a, &b, |a, b| a && b))),
                two.prop_map(|((p, a), (q, b))| (format!("({p}{q})"), concat(&a, &b))),
                inner.clone().prop_map(|(p, a)| (format!("~({p})"), a.iter().map(|a| !a).collect())),
                inner.clone().prop_map(|(p, a)| (format!("({p})?"), zip(&a, &empty(), |a, b| a || b))),
                inner.clone().prop_map(|(p, a)| (format!("({p}){{2}}"), concat(&a, &a))),
                inner.prop_map(|(p, a)| {
                    let mut all = empty();
                    for _ in 0..LONGEST {
                        all = zip(&concat(&a, &all), &empty(), |a, b| a || b);
                    }
                    (format!("({p})*"), all)
                }),
            ]
        })
    }

    const LONGEST: usize = 4;

    fn texts() -> Vec<String> {
        let mut out = vec![String::new()];
        let mut from = 0;
        for _ in 0..LONGEST {
            let to = out.len();
            for i in from..to {
                out.extend(["a", "b"].map(|c| format!("{}{c}", out[i])));
            }
            from = to;
        }
        out
    }

    fn empty() -> Vec<bool> {
        texts().iter().map(String::is_empty).collect()
    }

    fn zip(a: &[bool], b: &[bool], f: fn(bool, bool) -> bool) -> Vec<bool> {
        a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
    }

    fn concat(a: &[bool], b: &[bool]) -> Vec<bool> {
        let texts = texts();
        let holds = |set: &[bool], t: &str| set[texts.iter().position(|x| x == t).unwrap()];
        let split =
            |t: &String| (0..=t.len()).map(|i| t.split_at(i)).any(|(x, y)| holds(a, x) && holds(b, y));
        texts.iter().map(split).collect()
    }

    proptest! {
        #[test]
        fn patterns_match_what_their_parts_mean((pattern, want) in pattern()) {
            let regexp = Regexp::new(&pattern, false).unwrap();
            let automaton = Automaton::new(&parser::parse(&pattern, false).unwrap()).unwrap();
            for (text, want) in texts().iter().zip(want) {
                prop_assert_eq!(regexp.matches(text), want, "{} on {:?}", &pattern, text);
                prop_assert_eq!(automaton.matches(text), want, "{} on {:?}", &pattern, text);
            }
        }
    }
}
