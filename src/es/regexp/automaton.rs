//! The automaton of a pattern with `&` or `~`, made by derivatives: what is left to match of a pattern
//! once a character is read is again a pattern, and there are finitely many of them.

use super::RegexpError;
use super::parser::{Node, Set};
use rustc_hash::FxHashMap;

/// A deterministic automaton over classes of characters.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    /// The first character of each class, ascending; the first is `\0`.
    classes: Vec<char>,
    /// The next state, by state and class.
    next: Vec<u32>,
    accepts: Vec<bool>,
}

/// The most states, and patterns on the way to them; what needs more is refused.
const MAX_STATES: usize = 2_000;
const MAX_TERMS: usize = 20_000;
/// The most parts that a pattern may have when its repetitions are written out: terms nest, and are
/// followed down.
const MAX_PARTS: usize = 400;

impl Automaton {
    pub(super) fn new(node: &Node) -> Result<Automaton, RegexpError> {
        let mut terms = Terms::default();
        let root = terms.read(node)?;
        let mut classes = vec!['\0'];
        for (from, to) in terms.sets.iter().flatten() {
            classes.push(*from);
            let beyond =
                if *to == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(*to) + 1) };
            classes.extend(beyond);
        }
        classes.sort_unstable();
        classes.dedup();
        let mut out = Automaton { classes, next: Vec::new(), accepts: Vec::new() };
        let mut states = vec![root];
        let mut known: FxHashMap<u32, u32> = FxHashMap::from_iter([(root, 0)]);
        let mut at = 0;
        while let Some(term) = states.get(at).copied() {
            at += 1;
            out.accepts.push(terms.nullable(term));
            for i in 0..out.classes.len() {
                let Some(c) = out.classes.get(i).copied() else { break };
                let next = terms.derive(term, c)?;
                let fresh = u32::try_from(states.len()).unwrap_or(u32::MAX);
                let state = *known.entry(next).or_insert(fresh);
                if state == fresh {
                    states.push(next);
                }
                out.next.push(state);
            }
            if states.len() > MAX_STATES {
                return Err(RegexpError::TooLarge);
            }
        }
        Ok(out)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let mut state = 0usize;
        for c in text.chars() {
            let class = self.classes.partition_point(|first| *first <= c).saturating_sub(1);
            let Some(next) = self.next.get(state * self.classes.len() + class) else { return false };
            state = *next as usize;
        }
        self.accepts.get(state).copied().unwrap_or(false)
    }
}

/// A pattern by its number; equal ones have one number, as far as that is seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Term {
    /// Nothing matches.
    Nothing,
    /// The empty text.
    Empty,
    /// One character of a set.
    Set(u32),
    Concat(u32, u32),
    Star(u32),
    /// Sorted, each once.
    Union(Vec<u32>),
    Intersection(Vec<u32>),
    Complement(u32),
}

#[derive(Default)]
struct Terms {
    terms: Vec<(Term, bool)>,
    numbers: FxHashMap<Term, u32>,
    sets: Vec<Set>,
    set_numbers: FxHashMap<Set, u32>,
    derived: FxHashMap<(u32, char), u32>,
    parts: usize,
}

impl Terms {
    fn number(&mut self, term: Term) -> Result<u32, RegexpError> {
        if let Some(n) = self.numbers.get(&term) {
            return Ok(*n);
        }
        if self.terms.len() >= MAX_TERMS {
            return Err(RegexpError::TooLarge);
        }
        let nullable = match &term {
            Term::Nothing | Term::Set(_) => false,
            Term::Empty | Term::Star(_) => true,
            Term::Concat(a, b) => self.nullable(*a) && self.nullable(*b),
            Term::Union(parts) => parts.iter().any(|p| self.nullable(*p)),
            Term::Intersection(parts) => parts.iter().all(|p| self.nullable(*p)),
            Term::Complement(a) => !self.nullable(*a),
        };
        let n = u32::try_from(self.terms.len()).unwrap_or(u32::MAX);
        self.terms.push((term.clone(), nullable));
        self.numbers.insert(term, n);
        Ok(n)
    }

    fn nullable(&self, n: u32) -> bool {
        self.terms.get(n as usize).is_some_and(|(_, nullable)| *nullable)
    }

    fn term(&self, n: u32) -> &Term {
        self.terms.get(n as usize).map_or(&Term::Nothing, |(t, _)| t)
    }

    fn concat(&mut self, a: u32, b: u32) -> Result<u32, RegexpError> {
        match (self.term(a).clone(), self.term(b)) {
            (Term::Nothing, _) | (_, Term::Empty) => Ok(a),
            (_, Term::Nothing) | (Term::Empty, _) => Ok(b),
            (Term::Concat(x, y), _) => {
                let rest = self.concat(y, b)?;
                self.number(Term::Concat(x, rest))
            }
            _ => self.number(Term::Concat(a, b)),
        }
    }

    fn star(&mut self, a: u32) -> Result<u32, RegexpError> {
        match self.term(a) {
            Term::Nothing | Term::Empty => self.number(Term::Empty),
            Term::Star(_) => Ok(a),
            _ => self.number(Term::Star(a)),
        }
    }

    fn complement(&mut self, a: u32) -> Result<u32, RegexpError> {
        match self.term(a) {
            Term::Complement(inner) => Ok(*inner),
            _ => self.number(Term::Complement(a)),
        }
    }

    /// A union or an intersection: nested ones are taken apart, equal parts are one.
    fn several(&mut self, parts: &[u32], union: bool) -> Result<u32, RegexpError> {
        let nothing = self.number(Term::Nothing)?;
        let everything = self.number(Term::Complement(nothing))?;
        let (neutral, decides) = if union { (nothing, everything) } else { (everything, nothing) };
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match (self.term(*part), union) {
                (Term::Union(more), true) | (Term::Intersection(more), false) => flat.extend(more),
                _ => flat.push(*part),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        flat.retain(|p| *p != neutral);
        match flat.as_slice() {
            _ if flat.contains(&decides) => Ok(decides),
            [] => Ok(neutral),
            [one] => Ok(*one),
            _ => self.number(if union { Term::Union(flat) } else { Term::Intersection(flat) }),
        }
    }

    fn read(&mut self, node: &Node) -> Result<u32, RegexpError> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(RegexpError::TooLarge);
        }
        match node {
            Node::Set(set) if set.is_empty() => self.number(Term::Nothing),
            Node::Set(set) => {
                let fresh = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
                let n = *self.set_numbers.entry(set.clone()).or_insert(fresh);
                if n == fresh {
                    self.sets.push(set.clone());
                }
                self.number(Term::Set(n))
            }
            Node::Concat(parts) => {
                let mut out = self.number(Term::Empty)?;
                for part in parts.iter().rev() {
                    let part = self.read(part)?;
                    out = self.concat(part, out)?;
                }
                Ok(out)
            }
            Node::Union(parts) | Node::Intersection(parts) => {
                let parts = parts.iter().map(|p| self.read(p)).collect::<Result<Vec<_>, _>>()?;
                self.several(&parts, matches!(node, Node::Union(_)))
            }
            Node::Complement(inner) => {
                let inner = self.read(inner)?;
                self.complement(inner)
            }
            Node::Repeat(inner, least, most) => {
                let one = self.read(inner)?;
                let copies = most.unwrap_or(*least).max(*least) as usize;
                self.parts = self.parts.saturating_add(copies);
                if self.parts > MAX_PARTS {
                    return Err(RegexpError::TooLarge);
                }
                let empty = self.number(Term::Empty)?;
                let mut out = match most {
                    None => self.star(one)?,
                    Some(_) => empty,
                };
                for _ in *least..most.unwrap_or(*least) {
                    let more = self.concat(one, out)?;
                    out = self.several(&[empty, more], true)?;
                }
                for _ in 0..*least {
                    out = self.concat(one, out)?;
                }
                Ok(out)
            }
        }
    }

    /// What is left to match once `c` is read.
    fn derive(&mut self, n: u32, c: char) -> Result<u32, RegexpError> {
        if let Some(d) = self.derived.get(&(n, c)) {
            return Ok(*d);
        }
        let d = match self.term(n).clone() {
            Term::Nothing | Term::Empty => self.number(Term::Nothing)?,
            Term::Set(s) => {
                let inside =
                    self.sets.get(s as usize).is_some_and(|s| s.iter().any(|(a, b)| (*a..=*b).contains(&c)));
                self.number(if inside { Term::Empty } else { Term::Nothing })?
            }
            Term::Concat(a, b) => {
                let first = self.derive(a, c)?;
                let first = self.concat(first, b)?;
                if self.nullable(a) {
                    let second = self.derive(b, c)?;
                    self.several(&[first, second], true)?
                } else {
                    first
                }
            }
            Term::Star(a) => {
                let first = self.derive(a, c)?;
                self.concat(first, n)?
            }
            Term::Union(parts) | Term::Intersection(parts) => {
                let union = matches!(self.term(n), Term::Union(_));
                let parts = parts.iter().map(|p| self.derive(*p, c)).collect::<Result<Vec<_>, _>>()?;
                self.several(&parts, union)?
            }
            Term::Complement(a) => {
                let inner = self.derive(a, c)?;
                self.complement(inner)?
            }
        };
        self.derived.insert((n, c), d);
        Ok(d)
    }
}
