//! From bytes to records: finds where each JSON record begins and ends, without parsing it, in memory
//! that does not grow with the file. A record that is broken costs only itself.

use super::input;
use crate::diag::Code;
use std::io::{self, Read};

/// The longest record that is read, in bytes.
pub const MAX_RECORD: usize = 64 << 20;
const CHUNK: usize = 256 << 10;

/// One record: its text, its number from 1, and its line where records are lines.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The JSON text.
    pub text: &'a [u8],
    /// Its number in the file, from 1.
    pub number: u64,
    /// Its line in the file, from 1, where each line is a record.
    pub line: Option<u64>,
    /// Whether it stood in a `Records` array, as CloudTrail delivers them.
    pub delivered: bool,
}

/// Something that kept a record, or the rest of the file, from being read.
#[derive(Debug)]
pub enum Trouble {
    /// Reading failed: the file is cut off or damaged.
    Io(io::Error),
    /// A record is longer than [`MAX_RECORD`]; it was passed over.
    TooLong,
    /// The text stops inside a record.
    Unfinished,
    /// Text where a record should begin; it was skipped up to the next line or element.
    NoRecord,
}

/// Where a trouble occurred.
#[derive(Debug)]
pub struct TroubleAt {
    /// What.
    pub trouble: Trouble,
    /// The number of the record it kept from being read, from 1.
    pub number: u64,
    /// Its line, where each line is a record.
    pub line: Option<u64>,
}

impl TroubleAt {
    /// Its code.
    pub fn code(&self) -> Code {
        match &self.trouble {
            // only unpacking misses an end or finds wrong data
            Trouble::Io(e) if is_of_gzip(e) => Code::RP0010,
            Trouble::Io(_) => Code::RP0001,
            Trouble::TooLong => Code::RP0008,
            Trouble::Unfinished | Trouble::NoRecord => Code::RP0009,
        }
    }

    /// What is wrong, in words.
    pub fn message(&self) -> String {
        match &self.trouble {
            Trouble::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => "truncated gzip".to_owned(),
            Trouble::Io(e) if is_of_gzip(e) => format!("damaged gzip ({})", input::reason(e)),
            Trouble::Io(e) => format!("the file was not read to its end: {}", input::reason(e)),
            Trouble::TooLong => format!("the record is longer than {} MB", MAX_RECORD >> 20),
            Trouble::Unfinished => "the text stops inside a record".to_owned(),
            Trouble::NoRecord => "not a JSON object".to_owned(),
        }
    }

    /// `line 3`, `record 12`, or `after record 11` where the text breaks off.
    pub fn place(&self) -> String {
        match &self.trouble {
            Trouble::Io(_) => format!("after record {}", self.number.saturating_sub(1)),
            _ => place(self.number, self.line),
        }
    }
}

fn is_of_gzip(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(e.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// `line 3` where each line is a record, else `record 12`.
pub fn place(number: u64, line: Option<u64>) -> String {
    line.map_or_else(|| format!("record {number}"), |l| format!("line {l}"))
}

/// A file and a place in it: `a.json:3` for a line, else `a.json, record 12`.
pub fn in_file(file: &str, place: &str) -> String {
    match place.strip_prefix("line ") {
        _ if place.is_empty() => file.to_owned(),
        Some(line) => format!("{file}:{line}"),
        None => format!("{file}, {place}"),
    }
}

/// Calls `record` for every record of a text and `trouble` for what could not be read.
pub fn split(reader: &mut dyn Read, record: &mut dyn FnMut(Record<'_>), trouble: &mut dyn FnMut(TroubleAt)) {
    let mut s = Splitter {
        buffer: Buffer { data: Vec::new(), at: 0, reader, done: false, failed: None },
        number: 0,
        line: 1,
        record,
        trouble,
    };
    s.run();
    if let Some(e) = s.buffer.failed.take() {
        (s.trouble)(TroubleAt { trouble: Trouble::Io(e), number: s.number + 1, line: None });
    }
}

struct Buffer<'r> {
    data: Vec<u8>,
    at: usize,
    reader: &'r mut dyn Read,
    done: bool,
    failed: Option<io::Error>,
}

impl Buffer<'_> {
    fn rest(&self) -> &[u8] {
        self.data.get(self.at..).unwrap_or(&[])
    }

    /// Reads more; false at the end of the text.
    fn fill(&mut self) -> bool {
        if self.done {
            return false;
        }
        if self.at > 0 {
            self.data.drain(..self.at);
            self.at = 0;
        }
        let from = self.data.len();
        self.data.resize(from + CHUNK.max(from / 2), 0);
        loop {
            let Some(space) = self.data.get_mut(from..) else { return false };
            match self.reader.read(space) {
                Ok(0) => {
                    self.data.truncate(from);
                    self.done = true;
                    return false;
                }
                Ok(n) => {
                    self.data.truncate(from + n);
                    return true;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.data.truncate(from);
                    self.done = true;
                    self.failed = Some(e);
                    return false;
                }
            }
        }
    }

    fn peek(&mut self) -> Option<u8> {
        loop {
            if let Some(b) = self.data.get(self.at) {
                return Some(*b);
            }
            if !self.fill() {
                return None;
            }
        }
    }
}

struct Splitter<'r, 'f> {
    buffer: Buffer<'r>,
    number: u64,
    line: u64,
    record: &'f mut dyn FnMut(Record<'_>),
    trouble: &'f mut dyn FnMut(TroubleAt),
}

/// Where an object ends, searched from `from` on. The state survives between calls, so that no byte is
/// looked at twice.
#[derive(Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
}

impl Scan {
    /// The length of the object at the start of `text`, if it ends there.
    fn end(&mut self, text: &[u8]) -> Option<usize> {
        loop {
            let rest = text.get(self.at..)?;
            if self.in_string {
                let i = memchr::memchr2(b'"', b'\\', rest)?;
                if rest.get(i) == Some(&b'"') {
                    self.in_string = false;
                    self.at += i + 1;
                } else {
                    // an escape: skip the next byte, if it is there yet
                    rest.get(i + 1)?;
                    self.at += i + 2;
                }
                continue;
            }
            let Some(i) = memchr::memchr3(b'"', b'{', b'}', rest) else {
                self.at = text.len();
                return None;
            };
            self.at += i + 1;
            match rest.get(i) {
                Some(b'"') => self.in_string = true,
                Some(b'{') => self.depth += 1,
                _ => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
            }
        }
    }
}

impl Splitter<'_, '_> {
    fn run(&mut self) {
        if self.buffer.peek().is_some() {
            while self.buffer.rest().len() < 3 && self.buffer.fill() {}
            if self.buffer.rest().starts_with(b"\xef\xbb\xbf") {
                self.buffer.at += 3;
            }
        }
        // several texts may have been joined, so go on after each array
        loop {
            self.skip_space();
            match self.buffer.peek() {
                None => return,
                Some(b'[') => {
                    self.buffer.at += 1;
                    self.elements(false);
                }
                Some(b'{') if self.enter_records() => {
                    self.elements(true);
                    self.skip_rest_of_object();
                }
                Some(b'{') if self.is_lines() => return self.lines(),
                Some(b'{') => return self.stream(),
                Some(_) => return self.lines(),
            }
        }
    }

    fn skip_space(&mut self) {
        while let Some(b) = self.buffer.peek() {
            if !b.is_ascii_whitespace() {
                return;
            }
            self.line += u64::from(b == b'\n');
            self.buffer.at += 1;
        }
    }

    /// Whether the object starts with `"Records": [`; if so, goes behind the bracket.
    fn enter_records(&mut self) -> bool {
        const HEAD: usize = 256;
        while self.buffer.rest().len() < HEAD && self.buffer.fill() {}
        let rest = self.buffer.rest();
        let mut at = 1;
        let mut eat = |token: &[u8]| {
            while rest.get(at).is_some_and(u8::is_ascii_whitespace) {
                at += 1;
            }
            let found = rest.get(at..).is_some_and(|r| r.starts_with(token));
            at += token.len();
            found
        };
        if eat(b"\"Records\"") && eat(b":") && eat(b"[") {
            self.buffer.at += at;
            return true;
        }
        false
    }

    /// Whether each line is a record: the first line is a whole object, or the second one starts anew
    /// at its first column.
    fn is_lines(&mut self) -> bool {
        let mut scan = Scan::default();
        let mut searched = 0;
        loop {
            let rest = self.buffer.rest();
            if let Some(end) = scan.end(rest) {
                let first = rest.get(..end).unwrap_or(rest);
                if memchr::memchr(b'\n', first).is_none() {
                    return true;
                }
            }
            if let Some(i) = memchr::memchr(b'\n', rest.get(searched..).unwrap_or(&[])) {
                let next = searched + i + 1;
                let after = rest.get(next..).unwrap_or(&[]);
                match after.iter().find(|b| !matches!(b, b'\r' | b'\n')) {
                    Some(b) => return *b == b'{',
                    None if self.buffer.done => return true,
                    None => {}
                }
            } else {
                searched = rest.len();
            }
            if self.buffer.rest().len() > MAX_RECORD || !self.buffer.fill() {
                return false;
            }
        }
    }

    fn lines(&mut self) {
        let mut searched = 0;
        loop {
            let rest = self.buffer.rest();
            let found = memchr::memchr(b'\n', rest.get(searched..).unwrap_or(&[])).map(|i| searched + i);
            match found {
                Some(end) if end <= MAX_RECORD => {
                    self.one_line(end);
                    self.buffer.at += end + 1;
                    self.line += 1;
                    searched = 0;
                }
                _ => {
                    searched = rest.len();
                    if searched > MAX_RECORD {
                        self.number += 1;
                        self.report(Trouble::TooLong, true);
                        self.skip_line();
                        searched = 0;
                        continue;
                    }
                    if !self.buffer.fill() {
                        let end = self.buffer.rest().len();
                        // a text that was cut off does not end in a record
                        if self.buffer.failed.is_none() {
                            self.one_line(end);
                        }
                        self.buffer.at += end;
                        return;
                    }
                }
            }
        }
    }

    fn one_line(&mut self, end: usize) {
        let text = self.buffer.rest().get(..end).unwrap_or(&[]).trim_ascii();
        if text.is_empty() {
            return;
        }
        self.number += 1;
        if text.first() == Some(&b'{') || text.first() == Some(&b'[') {
            (self.record)(Record { text, number: self.number, line: Some(self.line), delivered: false });
        } else {
            self.report(Trouble::NoRecord, true);
        }
    }

    fn report(&mut self, trouble: Trouble, lines: bool) {
        (self.trouble)(TroubleAt { trouble, number: self.number, line: lines.then_some(self.line) });
    }

    /// Objects one after the other, each over several lines.
    fn stream(&mut self) {
        loop {
            self.skip_space();
            match self.buffer.peek() {
                None => return,
                Some(b'{') => {
                    if !self.object(false) {
                        return;
                    }
                }
                Some(b',') => self.buffer.at += 1,
                Some(_) => {
                    self.number += 1;
                    self.report(Trouble::NoRecord, false);
                    self.skip_line();
                }
            }
        }
    }

    fn skip_line(&mut self) {
        while self.buffer.peek().is_some() {
            let rest = self.buffer.rest();
            match memchr::memchr(b'\n', rest) {
                Some(end) => {
                    self.buffer.at += end + 1;
                    self.line += 1;
                    return;
                }
                None => self.buffer.at += rest.len(),
            }
        }
    }

    /// Passes over the rest of an object without keeping it; false when the text ends inside.
    fn skip_object(&mut self, mut scan: Scan) -> bool {
        loop {
            if let Some(end) = scan.end(self.buffer.rest()) {
                self.buffer.at += end;
                return true;
            }
            self.buffer.at += scan.at;
            scan.at = 0;
            if !self.buffer.fill() {
                return false;
            }
        }
    }

    /// The elements of an array, up to its end.
    fn elements(&mut self, delivered: bool) {
        loop {
            self.skip_space();
            match self.buffer.peek() {
                None => {
                    if self.buffer.failed.is_none() {
                        self.number += 1;
                        self.report(Trouble::Unfinished, false);
                    }
                    return;
                }
                Some(b']') => {
                    self.buffer.at += 1;
                    return;
                }
                Some(b',') => self.buffer.at += 1,
                Some(b'{') => {
                    if !self.object(delivered) {
                        return;
                    }
                }
                Some(_) => {
                    self.number += 1;
                    self.report(Trouble::NoRecord, false);
                    while let Some(b) = self.buffer.peek() {
                        if matches!(b, b',' | b']' | b'{') {
                            break;
                        }
                        self.buffer.at += 1;
                    }
                }
            }
        }
    }

    /// One object; false when the text cannot be read on.
    fn object(&mut self, delivered: bool) -> bool {
        self.number += 1;
        let mut scan = Scan::default();
        loop {
            let end = scan.end(self.buffer.rest());
            if let Some(end) = end.filter(|end| *end <= MAX_RECORD) {
                let text = self.buffer.data.get(self.buffer.at..self.buffer.at + end).unwrap_or(&[]);
                (self.record)(Record { text, number: self.number, line: None, delivered });
                self.buffer.at += end;
                return true;
            }
            if self.buffer.rest().len() > MAX_RECORD {
                self.report(Trouble::TooLong, false);
                if let Some(end) = end {
                    self.buffer.at += end;
                    return true;
                }
                return self.skip_object(scan);
            }
            if !self.buffer.fill() {
                if self.buffer.failed.is_none() {
                    self.report(Trouble::Unfinished, false);
                } else {
                    // the failure names the last record that was read
                    self.number -= 1;
                }
                return false;
            }
        }
    }

    /// What follows `]` in `{"Records": […], …}`.
    fn skip_rest_of_object(&mut self) {
        let mut scan = Scan { at: 0, depth: 1, in_string: false };
        loop {
            if let Some(end) = scan.end(self.buffer.rest()) {
                self.buffer.at += end;
                return;
            }
            let all = self.buffer.rest().len();
            if all > MAX_RECORD || !self.buffer.fill() {
                self.buffer.at += self.buffer.rest().len();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(out.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn records(text: &str) -> (Vec<String>, Vec<String>) {
        let mut all = Vec::new();
        for step in [1, 3, 7, 1 << 20] {
            let (mut found, mut troubles) = (Vec::new(), Vec::new());
            split(
                &mut Drip(text.as_bytes(), step),
                &mut |r| found.push(String::from_utf8_lossy(r.text).into_owned()),
                &mut |t| troubles.push(format!("{:?} {} {:?}", t.trouble, t.number, t.line)),
            );
            all.push((found, troubles));
        }
        assert!(all.windows(2).all(|w| w[0] == w[1]), "chunks change the answer: {all:?}");
        all.remove(0)
    }

    #[test]
    fn every_shape_is_split_into_its_records() {
        let one = [r#"{"a":"}{\"","b":{}}"#, "{}"];
        for text in [
            r#"{"Records":[{"a":"}{\"","b":{}},{}],"x":1}"#,
            "{ \"Records\" : [\n {\"a\":\"}{\\\"\",\"b\":{}} ,\n {} ] }",
            r#"[{"a":"}{\"","b":{}},{}]"#,
            "{\"a\":\"}{\\\"\",\"b\":{}}\r\n\r\n{}",
            "\u{feff}{\"a\":\"}{\\\"\",\"b\":{}}\n{}\n",
        ] {
            assert_eq!(records(text), (one.iter().map(|s| (*s).to_owned()).collect(), vec![]), "{text}");
        }
        assert_eq!(records("{\n \"a\": 1\n}\n{\n \"b\": 2\n}").0.len(), 2);
        assert_eq!(records("").0.len(), 0);
    }

    #[test]
    fn a_broken_record_costs_only_itself() {
        let (found, troubles) = records("{\"a\":1}\n{\"b\": \"x\n{\"c\":3}\noops\n{\"d\":4}");
        assert_eq!(found.len(), 4);
        assert_eq!(troubles, ["NoRecord 4 Some(4)"]);
        let (found, troubles) = records(r#"{"Records":[{"a":1}, 7, {"b":2}, {"c":"#);
        assert_eq!(found, [r#"{"a":1}"#, r#"{"b":2}"#]);
        assert_eq!(troubles, ["NoRecord 2 None", "Unfinished 4 None"]);
    }
}
