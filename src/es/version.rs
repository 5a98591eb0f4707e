//! The order of the `version` field type: valid semantic versions by precedence, a pre-release before
//! its release, then everything else as text.

use std::cmp::Ordering;

/// Compares two versions by precedence.
pub fn compare(a: &str, b: &str) -> Ordering {
    match (Parsed::new(a), Parsed::new(b)) {
        (Some(x), Some(y)) => x.compare(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

struct Parsed<'a> {
    main: Vec<&'a str>,
    pre: Option<&'a str>,
}

fn number_order(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn is_number(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit())
}

impl<'a> Parsed<'a> {
    fn new(text: &'a str) -> Option<Self> {
        let core = text.split_once('+').map_or(text, |(c, _)| c);
        let (main, pre) = match core.split_once('-') {
            Some((m, p)) => (m, Some(p)),
            None => (core, None),
        };
        let main: Vec<&str> = main.split('.').collect();
        let pre_ok = pre.is_none_or(|p| {
            p.split('.').all(|i| !i.is_empty() && i.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        });
        (main.iter().all(|p| is_number(p)) && pre_ok).then_some(Parsed { main, pre })
    }

    fn compare(&self, other: &Self) -> Ordering {
        for i in 0..self.main.len().max(other.main.len()) {
            let part = |v: &Vec<&'a str>| v.get(i).copied().unwrap_or("0");
            let o = number_order(part(&self.main), part(&other.main));
            if o != Ordering::Equal {
                return o;
            }
        }
        match (self.pre, other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => {
                let (mut a, mut b) = (a.split('.'), b.split('.'));
                loop {
                    match (a.next(), b.next()) {
                        (None, None) => return Ordering::Equal,
                        (None, Some(_)) => return Ordering::Less,
                        (Some(_), None) => return Ordering::Greater,
                        (Some(x), Some(y)) => {
                            let o = match (is_number(x), is_number(y)) {
                                (true, true) => number_order(x, y),
                                (true, false) => Ordering::Less,
                                (false, true) => Ordering::Greater,
                                (false, false) => x.cmp(y),
                            };
                            if o != Ordering::Equal {
                                return o;
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_precedence() {
        let order =
            ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.2", "1.11.0", "x"];
        for pair in order.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }
}
