//! `java.util.Map.toString()`: the order in which a `HashMap` iterates its keys, and the text that
//! the pipeline makes of request parameters and their like.

use super::record::{Map, Node};
use std::fmt::Write;

/// `String.hashCode`: over UTF-16 units, wrapping at 32 bits.
fn hash(text: &str) -> u32 {
    let step = |h: u32, unit: u32| h.wrapping_mul(31).wrapping_add(unit);
    if text.is_ascii() {
        text.bytes().fold(0, |h, b| step(h, b.into()))
    } else {
        text.encode_utf16().fold(0, |h, u| step(h, u.into()))
    }
}

/// The table size of a map that once held so many keys. (Tables that grow early because nine keys
/// share a bucket are not modelled.)
fn capacity(keys: usize) -> u32 {
    let mut capacity = 16_u32;
    while keys.saturating_mul(4) > capacity as usize * 3 && capacity < 1 << 30 {
        capacity *= 2;
    }
    capacity
}

fn bucket(key: &str, capacity: u32) -> u32 {
    let h = hash(key);
    (h ^ (h >> 16)) & (capacity - 1)
}

/// Sorts what was inserted under these keys as a `HashMap` iterates it: by bucket, and by age in a
/// bucket.
pub(super) fn sort<T>(entries: &mut [(String, T)]) {
    let capacity = capacity(entries.len());
    entries.sort_by_key(|(key, _)| bucket(key, capacity));
}

/// The text of values as Java prints them. Keeps a buffer, so one of these serves a whole record.
#[derive(Default)]
pub(super) struct Printer {
    /// Bucket and position of the entries of the maps that are being printed, innermost last.
    order: Vec<(u32, u32)>,
}

impl Printer {
    /// The text of a value.
    pub fn print(&mut self, node: &Node<'_>, size_hint: usize) -> String {
        let mut out = String::with_capacity(size_hint);
        self.write(node, &mut out);
        out
    }

    // nested as deep as the parser lets values be, 128 levels
    fn write(&mut self, node: &Node<'_>, out: &mut String) {
        match node {
            Node::Str(s) => out.push_str(s),
            Node::Map(map) => self.write_map(map, out),
            Node::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    self.write(item, out);
                }
                out.push(']');
            }
            Node::Null => out.push_str("null"),
            Node::Int(i) => _ = write!(out, "{i}"),
            scalar => out.push_str(&scalar.text().unwrap_or_default()),
        }
    }

    fn write_map(&mut self, map: &Map<'_>, out: &mut String) {
        let capacity = capacity(map.keys);
        let start = self.order.len();
        let places = map.entries.iter().zip(0_u32..).map(|((key, _), i)| (bucket(key, capacity), i));
        self.order.extend(places);
        if let Some(added) = self.order.get_mut(start..) {
            added.sort_unstable();
        }
        out.push('{');
        for i in start..start + map.entries.len() {
            let Some((_, place)) = self.order.get(i).copied() else { break };
            let Some((key, value)) = map.entries.get(place as usize) else { break };
            if i > start {
                out.push_str(", ");
            }
            out.push_str(key);
            out.push('=');
            self.write(value, out);
        }
        out.push('}');
        self.order.truncate(start);
    }
}

/// The length of a text in UTF-16 units, which is what Java calls its length.
pub(super) fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

#[cfg(test)]
mod tests {
    use super::super::needs::Needs;
    use super::super::record::{Field, Record};
    use super::*;

    fn print(json: &str) -> String {
        let text = format!("{{\"requestParameters\":{json}}}");
        let record = Record::parse(&text, &Needs::all()).unwrap();
        Printer::default().print(record.get(Field::RequestParameters), 0)
    }

    #[test]
    fn hash_codes_are_those_of_java() {
        assert_eq!(hash(""), 0);
        assert_eq!(hash("Aa"), hash("BB"));
        assert_eq!(hash("Hello"), 69_609_650);
        // U+1F600 counts as two units
        assert_eq!(hash("\u{1F600}"), 0xD83D * 31 + 0xDE00);
    }

    #[test]
    fn keys_come_in_the_order_of_their_buckets() {
        assert_eq!(print(r#"{"userName":"bob","policyArn":"arn:x"}"#), "{policyArn=arn:x, userName=bob}");
        assert_eq!(print(r#"{"groupName":"g","policyArn":"p"}"#), "{policyArn=p, groupName=g}");
        assert_eq!(
            print(r#"{"userName":"Bob","newUserName":"Robert"}"#),
            "{newUserName=Robert, userName=Bob}"
        );
    }

    #[test]
    fn keys_of_one_bucket_keep_their_age() {
        assert_eq!(print(r#"{"BB":1,"Aa":2}"#), "{BB=1, Aa=2}");
        assert_eq!(print(r#"{"Aa":2,"BB":1}"#), "{Aa=2, BB=1}");
    }

    #[test]
    fn the_table_is_as_large_as_the_keys_before_the_clean_up_need() {
        // "b" and "q" are 98 and 113: buckets 2 and 1 of 16, but 2 and 17 of 32
        assert_eq!(print(r#"{"b":1,"q":2}"#), "{q=2, b=1}");
        let nulls: String = (0..11).map(|i| format!("\"n{i}\":null,")).collect();
        assert_eq!(print(&format!("{{{nulls}\"b\":1,\"q\":2}}")), "{b=1, q=2}");
        assert_eq!(
            [capacity(0), capacity(12), capacity(13), capacity(24), capacity(25)],
            [16, 16, 32, 32, 64]
        );
    }

    #[test]
    fn values_print_as_java_prints_them() {
        assert_eq!(
            print(r#"{"a":[1,"x",{"b":true},[2.0,1e10]],"c":"line\nnext, k=v"}"#),
            "{a=[1, x, {b=true}, [2.0, 1.0E10]], c=line\nnext, k=v}"
        );
        assert_eq!(print("\"plain\""), "plain");
    }

    #[test]
    fn lengths_count_utf16_units() {
        assert_eq!((length("abc"), length("é"), length("\u{1F600}")), (3, 1, 2));
    }
}
