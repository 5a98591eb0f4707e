//! From a Lucene pattern to its tree.

use super::{MAX_DEPTH, RegexpError};

/// Ranges of characters, ascending and apart; the bounds belong to them.
pub(super) type Set = Vec<(char, char)>;

/// A regular expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// One character of a set; of the empty set there is none.
    Set(Set),
    /// One after the other; without parts, the empty text.
    Concat(Vec<Node>),
    /// One of them.
    Union(Vec<Node>),
    /// All of them at once.
    Intersection(Vec<Node>),
    /// Everything else.
    Complement(Box<Node>),
    /// From so many to so many times; `None` is without end.
    Repeat(Box<Node>, u32, Option<u32>),
}

impl Node {
    /// Whether a plain regular expression can say it.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Node::Set(_) => true,
            Node::Concat(parts) | Node::Union(parts) => parts.iter().all(Node::is_plain),
            Node::Intersection(_) | Node::Complement(_) => false,
            Node::Repeat(node, ..) => node.is_plain(),
        }
    }
}

const ALL: [(char, char); 1] = [('\0', char::MAX)];

/// Sorted and joined where they touch.
fn normal(mut ranges: Set) -> Set {
    ranges.sort_unstable();
    let mut out: Set = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match out.last_mut() {
            Some(last) if from <= last.1 || after(last.1) == Some(from) => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

/// The next character; the surrogates are none.
fn after(c: char) -> Option<char> {
    match c {
        '\u{d7ff}' => Some('\u{e000}'),
        c => char::from_u32(u32::from(c) + 1),
    }
}

fn before(c: char) -> Option<char> {
    match c {
        '\u{e000}' => Some('\u{d7ff}'),
        c => char::from_u32(u32::from(c).checked_sub(1)?),
    }
}

fn negated(set: &Set) -> Set {
    let mut out = Vec::new();
    let mut next = Some('\0');
    for (from, to) in set {
        if let (Some(start), Some(end)) = (next, before(*from))
            && start <= end
        {
            out.push((start, end));
        }
        next = after(*to);
    }
    out.extend(next.map(|start| (start, char::MAX)));
    out
}

/// `\d`, `\w`, `\s` and their opposites.
fn predefined(c: char) -> Set {
    let set: Set = match c.to_ascii_lowercase() {
        'd' => vec![('0', '9')],
        'w' => vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        _ => vec![('\t', '\n'), ('\r', '\r'), (' ', ' ')],
    };
    if c.is_ascii_uppercase() { negated(&set) } else { set }
}

/// Reads a pattern with all of Lucene's operators on; with `ignore_case`, ASCII letters stand for both
/// of their forms.
pub(super) fn parse(pattern: &str, ignore_case: bool) -> Result<Node, RegexpError> {
    if pattern.is_empty() {
        return Ok(Node::Concat(Vec::new()));
    }
    let mut p = Parser { text: pattern, at: 0, ignore_case, depth: 0 };
    let node = p.union()?;
    if p.at < pattern.len() {
        return Err(p.error("a `)` has no `(`"));
    }
    Ok(node)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    ignore_case: bool,
    depth: usize,
}

/// One part as itself, several as what `of` makes of them.
fn joined(mut parts: Vec<Node>, of: fn(Vec<Node>) -> Node) -> Node {
    match (parts.len(), parts.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            parts.extend(last);
            of(parts)
        }
    }
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.next();
        }
        found
    }

    fn error(&self, message: &str) -> RegexpError {
        RegexpError::Syntax { message: message.to_owned(), at: self.at }
    }

    fn union(&mut self) -> Result<Node, RegexpError> {
        self.deeper()?;
        let mut parts = vec![self.intersection()?];
        while self.eat('|') {
            parts.push(self.intersection()?);
        }
        self.depth -= 1;
        Ok(joined(parts, Node::Union))
    }

    fn deeper(&mut self) -> Result<(), RegexpError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(RegexpError::TooLarge) } else { Ok(()) }
    }

    fn intersection(&mut self) -> Result<Node, RegexpError> {
        let mut parts = vec![self.concatenation()?];
        while self.eat('&') {
            parts.push(self.concatenation()?);
        }
        Ok(joined(parts, Node::Intersection))
    }

    fn concatenation(&mut self) -> Result<Node, RegexpError> {
        let mut parts = Vec::new();
        while self.peek().is_some_and(|c| !matches!(c, '|' | '&' | ')')) {
            parts.push(self.repeated()?);
        }
        if parts.is_empty() {
            // Lucene would take the operator that follows for a plain character
            return Err(self.error("an alternative is empty"));
        }
        Ok(joined(parts, Node::Concat))
    }

    fn repeated(&mut self) -> Result<Node, RegexpError> {
        let mut node = self.complement()?;
        let outer = self.depth;
        loop {
            let (least, most) = match self.peek() {
                Some('?') => (0, Some(1)),
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('{') => {
                    self.next();
                    let Some((body, _)) = self.rest().split_once('}') else {
                        return Err(self.error("a `{` has no `}`"));
                    };
                    let range = match body.split_once(',') {
                        None => body.parse().ok().map(|n: u32| (n, Some(n))),
                        Some((n, "")) => n.parse().ok().map(|n| (n, None)),
                        Some((n, m)) => {
                            let both = n.parse().ok().zip(m.parse().ok());
                            both.filter(|(n, m): &(u32, u32)| n <= m).map(|(n, m)| (n, Some(m)))
                        }
                    };
                    let Some(range) = range else {
                        return Err(self.error("a repetition is `{n}`, `{n,}` or `{n,m}`"));
                    };
                    // the closing bracket is eaten below
                    self.at += body.len();
                    range
                }
                _ => break,
            };
            self.next();
            self.deeper()?;
            node = Node::Repeat(Box::new(node), least, most);
        }
        self.depth = outer;
        Ok(node)
    }

    fn complement(&mut self) -> Result<Node, RegexpError> {
        if !self.eat('~') {
            return self.atom();
        }
        self.deeper()?;
        let node = self.complement()?;
        self.depth -= 1;
        Ok(Node::Complement(Box::new(node)))
    }

    fn atom(&mut self) -> Result<Node, RegexpError> {
        let at = self.at;
        let any = || Node::Set(ALL.to_vec());
        match self.next() {
            None => Err(self.error("the pattern ends too early")),
            Some('.') => Ok(any()),
            Some('@') => Ok(Node::Repeat(Box::new(any()), 0, None)),
            Some('#') => Ok(Node::Set(Vec::new())),
            Some('"') => {
                let Some((body, _)) = self.rest().split_once('"') else {
                    return Err(self.error("a `\"` has no end"));
                };
                let text = Node::Concat(body.chars().map(|c| self.literal(c)).collect());
                self.at += body.len() + 1;
                Ok(text)
            }
            Some('<') => {
                let Some((body, _)) = self.rest().split_once('>') else {
                    return Err(self.error("a `<` has no `>`"));
                };
                let Some(interval) = interval(body) else {
                    return Err(self.error("an interval is `<n-m>`"));
                };
                self.at += body.len() + 1;
                Ok(interval)
            }
            Some('(') => {
                if self.eat(')') {
                    return Ok(Node::Concat(Vec::new()));
                }
                let inner = self.union()?;
                if !self.eat(')') {
                    return Err(self.error("a `(` has no `)`"));
                }
                Ok(inner)
            }
            Some('[') => self.class().map(Node::Set),
            Some('\\') => match self.next() {
                None => Err(self.error("a `\\` ends the pattern")),
                Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => Ok(Node::Set(predefined(c))),
                Some(c) => Ok(self.literal(c)),
            },
            Some(c @ ('*' | '+' | '?' | '{')) => {
                self.at = at;
                Err(self.error(&format!("`{c}` has nothing to repeat")))
            }
            Some(c) => Ok(self.literal(c)),
        }
    }

    fn literal(&self, c: char) -> Node {
        Node::Set(self.range(c, c))
    }

    /// A range, with the other case of its ASCII letters if case is ignored.
    fn range(&self, from: char, to: char) -> Set {
        let mut out = vec![(from, to)];
        if self.ignore_case {
            let (lo, hi) = (from.max('a'), to.min('z'));
            if lo <= hi {
                out.push((lo.to_ascii_uppercase(), hi.to_ascii_uppercase()));
            }
            let (lo, hi) = (from.max('A'), to.min('Z'));
            if lo <= hi {
                out.push((lo.to_ascii_lowercase(), hi.to_ascii_lowercase()));
            }
        }
        normal(out)
    }

    fn class(&mut self) -> Result<Set, RegexpError> {
        let negative = self.eat('^');
        let mut set = Vec::new();
        loop {
            let c = match self.next() {
                None => return Err(self.error("a `[` has no `]`")),
                Some(']') if !set.is_empty() => break,
                Some(']') => return Err(self.error("a character class is empty")),
                Some('\\') => match self.next() {
                    None => return Err(self.error("a `\\` ends the pattern")),
                    Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => {
                        set.extend(predefined(c));
                        continue;
                    }
                    Some(c) => c,
                },
                Some(c) => c,
            };
            let ahead = self.rest();
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
                set.extend(self.range(c, to));
            } else {
                set.extend(self.range(c, c));
            }
        }
        let set = normal(set);
        Ok(if negative { negated(&set) } else { set })
    }
}

/// `<n-m>`: numbers from `n` to `m`. With bounds of one length numbers have that many digits, otherwise
/// any number of zeros may stand before them.
fn interval(body: &str) -> Option<Node> {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (from, to) = body.split_once('-').filter(|(a, b)| digits(a) && digits(b))?;
    let (a, b): (i32, i32) = (from.parse().ok()?, to.parse().ok()?);
    let (a, b) = (a.min(b), a.max(b));
    let padded = |n: i32, width: usize| format!("{n:0width$}").into_bytes();
    if from.len() == to.len() {
        return Some(between(&padded(a, from.len()), &padded(b, from.len())));
    }
    let mut lengths = Vec::new();
    for length in a.to_string().len()..=b.to_string().len() {
        let exponent = u32::try_from(length).ok()?;
        let least = if length == 1 { 0 } else { 10i64.pow(exponent - 1) }.max(i64::from(a));
        let most = (10i64.pow(exponent) - 1).min(i64::from(b));
        let text = |n: i64| n.to_string().into_bytes();
        lengths.push(between(&text(least), &text(most)));
    }
    let zeros = Node::Repeat(Box::new(Node::Set(vec![('0', '0')])), 0, None);
    Some(Node::Concat(vec![zeros, joined(lengths, Node::Union)]))
}

/// Digits from `from` to `to`, which have the same length.
fn between(from: &[u8], to: &[u8]) -> Node {
    let (Some((a, from)), Some((b, to))) = (from.split_first(), to.split_first()) else {
        return Node::Concat(Vec::new());
    };
    let digit = |a: u8, b: u8| Node::Set(vec![(char::from(a), char::from(b))]);
    if a == b {
        return Node::Concat(vec![digit(*a, *a), between(from, to)]);
    }
    let (lowest, highest) = (vec![b'0'; from.len()], vec![b'9'; from.len()]);
    let mut parts = vec![
        Node::Concat(vec![digit(*a, *a), between(from, &highest)]),
        Node::Concat(vec![digit(*b, *b), between(&lowest, to)]),
    ];
    if a + 1 < *b {
        let any = vec![digit(b'0', b'9'); from.len()];
        parts.push(Node::Concat(std::iter::once(digit(a + 1, b - 1)).chain(any).collect()));
    }
    Node::Union(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_negated_around_the_surrogates() {
        assert_eq!(negated(&vec![('\0', '\u{d7ff}')]), [('\u{e000}', char::MAX)]);
        assert_eq!(negated(&vec![('b', 'c')]), [('\0', 'a'), ('d', char::MAX)]);
        assert_eq!(negated(&ALL.to_vec()), []);
        assert_eq!(negated(&Vec::new()), ALL);
        assert_eq!(normal(vec![('c', 'd'), ('a', 'b'), ('x', 'z'), ('y', 'y')]), [('a', 'd'), ('x', 'z')]);
    }
}
