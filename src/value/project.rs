//! Projection: from JSON to the cells of the paths that loaded rules read, without building a tree
//! for the rest of the event.

use super::{Cell, Scalar};
use rustc_hash::FxHashMap;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What of a document a slot collects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// The values at a dotted path.
    Path(String),
    /// Every leaf below a path, as a `flattened` field holds them.
    Subtree(String),
    /// The objects at a path, each by itself, as a `nested` field holds them.
    Objects(String),
}

impl Access {
    /// The dotted path.
    pub fn path(&self) -> &str {
        match self {
            Access::Path(p) | Access::Subtree(p) | Access::Objects(p) => p,
        }
    }

    /// The same, seen from the objects at `path`; unchanged where it does not stand below.
    pub fn below(&self, path: &str) -> Access {
        let rest = |p: &String| match p.strip_prefix(path).and_then(|r| r.strip_prefix('.')) {
            Some(rest) => rest.to_owned(),
            None => p.clone(),
        };
        match self {
            Access::Path(p) => Access::Path(rest(p)),
            Access::Subtree(p) => Access::Subtree(rest(p)),
            Access::Objects(p) => Access::Objects(rest(p)),
        }
    }
}

/// Collects the slots of a projection; equal accesses share a slot.
#[derive(Default, Debug)]
pub struct ProjectionBuilder {
    slots: Vec<Access>,
    known: FxHashMap<Access, usize>,
}

impl ProjectionBuilder {
    /// The slot of an access.
    pub fn slot(&mut self, access: &Access) -> usize {
        if let Some(i) = self.known.get(access) {
            return *i;
        }
        let i = self.slots.len();
        self.slots.push(access.clone());
        self.known.insert(access.clone(), i);
        i
    }

    /// The finished projection.
    pub fn build(self) -> Projection {
        let mut nodes = vec![Node::default()];
        for (slot, access) in self.slots.iter().enumerate() {
            let mut at = 0;
            for part in access.path().split('.') {
                let next = nodes.get(at).and_then(|n| n.children.get(part)).copied();
                at = match next {
                    Some(n) => n,
                    None => {
                        nodes.push(Node::default());
                        let n = nodes.len() - 1;
                        if let Some(node) = nodes.get_mut(at) {
                            node.children.insert(part.into(), n);
                        }
                        n
                    }
                };
            }
            if let Some(node) = nodes.get_mut(at) {
                match access {
                    Access::Path(_) => node.leaf = Some(slot),
                    Access::Subtree(_) => node.subtree = Some(slot),
                    Access::Objects(_) => node.objects = Some(slot),
                }
            }
        }
        let has_objects = nodes.iter().any(|n| n.objects.is_some());
        Projection { slots: self.slots, nodes, has_objects }
    }
}

#[derive(Default, Debug)]
struct Node {
    children: FxHashMap<Box<str>, usize>,
    leaf: Option<usize>,
    subtree: Option<usize>,
    objects: Option<usize>,
}

/// A trie of the paths to collect.
#[derive(Debug)]
pub struct Projection {
    slots: Vec<Access>,
    nodes: Vec<Node>,
    /// Whether some slot collects objects, which costs a look at every dotted key.
    has_objects: bool,
}

/// The collected cells of one document, by slot.
#[derive(Clone, Debug, Default)]
pub struct Document {
    cells: Vec<Cell>,
    /// The objects of the slots that collect them.
    objects: Vec<(usize, serde_json::Value)>,
}

/// Why a text is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is no JSON, or nested too deep.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
}

impl Document {
    /// The cell of a slot; the empty cell where the slot is unknown.
    pub fn cell(&self, slot: usize) -> &Cell {
        static EMPTY: Cell = Cell { values: Vec::new(), explicit_null: false, object: false };
        self.cells.get(slot).unwrap_or(&EMPTY)
    }

    /// Empties it for the next document; what its cells hold of memory is kept.
    fn reset(&mut self, slots: usize) {
        self.objects.clear();
        self.cells.resize_with(slots, Cell::default);
        for cell in &mut self.cells {
            cell.values.clear();
            cell.explicit_null = false;
            cell.object = false;
        }
    }

    /// Copies the values of a slot to another that has none.
    pub fn fill(&mut self, empty: usize, from: usize) {
        if self.cell(empty).values.is_empty() {
            let values = self.cell(from).values.clone();
            self.with(empty, |c| c.values = values);
        }
    }

    /// A document of some of its cells, in the order given.
    pub fn select(&self, slots: &[usize]) -> Document {
        let objects = slots
            .iter()
            .enumerate()
            .flat_map(|(to, from)| self.objects(*from).map(move |object| (to, object.clone())));
        Document { cells: slots.iter().map(|s| self.cell(*s).clone()).collect(), objects: objects.collect() }
    }

    /// The objects of a slot that collects them, in document order.
    pub fn objects(&self, slot: usize) -> impl Iterator<Item = &serde_json::Value> {
        self.objects.iter().filter(move |(s, _)| *s == slot).map(|(_, object)| object)
    }

    fn with(&mut self, slot: usize, f: impl FnOnce(&mut Cell)) {
        if let Some(cell) = self.cells.get_mut(slot) {
            f(cell);
        }
    }
}

impl Projection {
    /// What each slot collects.
    pub fn slots(&self) -> &[Access] {
        &self.slots
    }

    /// Projects the JSON text of one document.
    ///
    /// # Errors
    /// When the text is no JSON object, or is nested deeper than 128 levels.
    pub fn project_slice(&self, json: &[u8]) -> Result<Document, DocumentError> {
        let mut doc = Document::default();
        self.read(json, &mut doc, &mut |_| {}).map_err(|e| {
            if json.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
                DocumentError::Json(e)
            } else {
                DocumentError::NotAnObject
            }
        })?;
        Ok(doc)
    }

    /// The same into a document that is used again, which saves what it costs to make one. `key` is called
    /// with every key at the top, so that what kind of document it is needs no second pass.
    ///
    /// # Errors
    /// When the text is no JSON object, or is nested deeper than 128 levels.
    pub fn read(
        &self,
        json: &[u8],
        doc: &mut Document,
        key: &mut dyn FnMut(&str),
    ) -> Result<(), serde_json::Error> {
        doc.reset(self.slots.len());
        let mut de = serde_json::Deserializer::from_slice(json);
        let seed = Seed { projection: self, doc, nodes: &[0], subtrees: &[] };
        de.deserialize_map(Root { seed, key })?;
        de.end()
    }

    /// Projects a document that is already parsed.
    pub fn project_value(&self, json: &serde_json::Value) -> Document {
        let mut doc = Document::default();
        self.project_value_into(json, &mut doc);
        doc
    }

    /// The same into a document that is used again.
    pub fn project_value_into(&self, json: &serde_json::Value, doc: &mut Document) {
        doc.reset(self.slots.len());
        self.walk(json, &[0], &[], doc);
    }

    fn walk(&self, json: &serde_json::Value, nodes: &[usize], subtrees: &[usize], doc: &mut Document) {
        match json {
            serde_json::Value::Object(map) => {
                self.mark(nodes, doc, |c| c.object = true);
                for slot in nodes.iter().filter_map(|n| self.nodes.get(*n)?.objects) {
                    doc.objects.push((slot, json.clone()));
                }
                for (key, value) in map {
                    self.split_objects(nodes, key, value, doc);
                    let (next, below) = self.enter(nodes, subtrees, key);
                    if !next.is_empty() || !below.is_empty() {
                        self.walk(value, &next, &below, doc);
                    }
                }
            }
            serde_json::Value::Array(items) => {
                for item in items {
                    self.walk(item, nodes, subtrees, doc);
                }
            }
            serde_json::Value::Null => self.mark(nodes, doc, |c| c.explicit_null = true),
            scalar => {
                if let Some(s) = Scalar::from_json(scalar) {
                    self.put(nodes, subtrees, s, doc);
                }
            }
        }
    }

    /// The trie nodes below `nodes` that a (possibly dotted) key leads to, and the subtree slots
    /// that collect what stands there.
    fn enter(&self, nodes: &[usize], subtrees: &[usize], key: &str) -> (Vec<usize>, Vec<usize>) {
        let mut below = subtrees.to_vec();
        let mut at: Vec<usize> = nodes.to_vec();
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            at = at
                .iter()
                .filter_map(|n| self.nodes.get(*n).and_then(|n| n.children.get(part)).copied())
                .collect();
            let found = at.iter().filter_map(|n| self.nodes.get(*n).and_then(|n| n.subtree));
            let found: Vec<usize> = found.filter(|s| !below.contains(s)).collect();
            below.extend(found);
            if at.is_empty() && parts.peek().is_none() {
                break;
            }
        }
        (at, below)
    }

    /// A dotted key that passes through a path of objects stands for an object there.
    fn split_objects(&self, nodes: &[usize], key: &str, value: &serde_json::Value, doc: &mut Document) {
        if !self.has_objects {
            return;
        }
        let mut at: Vec<usize> = nodes.to_vec();
        let mut rest = key;
        while let Some((part, below)) = rest.split_once('.') {
            at = at.iter().filter_map(|n| self.nodes.get(*n)?.children.get(part).copied()).collect();
            for slot in at.iter().filter_map(|n| self.nodes.get(*n)?.objects) {
                let mut object = serde_json::Map::new();
                object.insert(below.to_owned(), value.clone());
                doc.objects.push((slot, object.into()));
            }
            rest = below;
        }
    }

    /// Whether objects are collected at a node or on the way to it through a dotted key.
    fn collects_objects(&self, from: &[usize], key: &str) -> bool {
        if !self.has_objects {
            return false;
        }
        let mut at: Vec<usize> = from.to_vec();
        key.split('.').any(|part| {
            at = at.iter().filter_map(|n| self.nodes.get(*n)?.children.get(part).copied()).collect();
            at.iter().any(|n| self.nodes.get(*n).is_some_and(|n| n.objects.is_some()))
        })
    }

    fn mark(&self, nodes: &[usize], doc: &mut Document, f: impl Fn(&mut Cell)) {
        for slot in nodes.iter().filter_map(|n| self.nodes.get(*n).and_then(|n| n.leaf)) {
            doc.with(slot, &f);
        }
    }

    fn put(&self, nodes: &[usize], subtrees: &[usize], scalar: Scalar, doc: &mut Document) {
        if let ([node], []) = (nodes, subtrees) {
            if let Some(slot) = self.nodes.get(*node).and_then(|n| n.leaf) {
                doc.with(slot, |c| c.values.push(scalar));
            }
            return;
        }
        let leaves = nodes.iter().filter_map(|n| self.nodes.get(*n).and_then(|n| n.leaf));
        for slot in leaves.chain(subtrees.iter().copied()) {
            doc.with(slot, |c| c.values.push(scalar.clone()));
        }
    }
}

struct Seed<'a> {
    projection: &'a Projection,
    doc: &'a mut Document,
    nodes: &'a [usize],
    subtrees: &'a [usize],
}

/// The object at the top of a document.
struct Root<'a, 'k> {
    seed: Seed<'a>,
    key: &'k mut dyn FnMut(&str),
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            (self.key)(&key);
            self.seed.entry(&key, &mut map)?;
        }
        Ok(())
    }
}

impl Seed<'_> {
    /// The value of a key.
    fn entry<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let projection = self.projection;
        let node = |n: usize| projection.nodes.get(n);
        // the common case first: one plain key below one node
        if let ([at], []) = (self.nodes, self.subtrees)
            && !key.contains('.')
        {
            let Some(next) = node(*at).and_then(|n| n.children.get(key)).copied() else {
                return map.next_value::<IgnoredAny>().map(|_| ());
            };
            if node(next).is_some_and(|n| n.subtree.is_none() && n.objects.is_none()) {
                let doc = &mut *self.doc;
                return map.next_value_seed(Seed { projection, doc, nodes: &[next], subtrees: &[] });
            }
        }
        let (nodes, subtrees) = projection.enter(self.nodes, self.subtrees, key);
        if projection.collects_objects(self.nodes, key) {
            // objects are kept whole, so this part of the document becomes a tree
            let value: serde_json::Value = map.next_value()?;
            projection.split_objects(self.nodes, key, &value, self.doc);
            projection.walk(&value, &nodes, &subtrees, self.doc);
            return Ok(());
        }
        if nodes.is_empty() && subtrees.is_empty() {
            return map.next_value::<IgnoredAny>().map(|_| ());
        }
        let doc = &mut *self.doc;
        map.next_value_seed(Seed { projection, doc, nodes: &nodes, subtrees: &subtrees })
    }

    fn scalar(self, scalar: Scalar) {
        self.projection.put(self.nodes, self.subtrees, scalar, self.doc);
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        de.deserialize_any(self)
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = std::borrow::Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<Self::Value, D::Error> {
        de.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = std::borrow::Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(v.into())
    }

    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(v.to_owned().into())
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_bool<E>(self, v: bool) -> Result<(), E> {
        self.scalar(Scalar::Bool(v));
        Ok(())
    }

    fn visit_i64<E>(self, v: i64) -> Result<(), E> {
        self.scalar(Scalar::Int(v));
        Ok(())
    }

    fn visit_u64<E>(self, v: u64) -> Result<(), E> {
        self.scalar(i64::try_from(v).map_or(Scalar::Float(v as f64), Scalar::Int));
        Ok(())
    }

    fn visit_f64<E>(self, v: f64) -> Result<(), E> {
        self.scalar(Scalar::Float(v));
        Ok(())
    }

    fn visit_str<E>(self, v: &str) -> Result<(), E> {
        self.scalar(Scalar::Str(v.into()));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.projection.mark(self.nodes, self.doc, |c| c.explicit_null = true);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let (nodes, subtrees) = (self.nodes, self.subtrees);
            let seed = Seed { projection: self.projection, doc: self.doc, nodes, subtrees };
            if seq.next_element_seed(seed)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.projection.mark(self.nodes, self.doc, |c| c.object = true);
        while let Some(key) = map.next_key_seed(Key)? {
            self.entry(&key, &mut map)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(paths: &[Access], json: &str) -> Document {
        let mut b = ProjectionBuilder::default();
        for p in paths {
            b.slot(p);
        }
        let p = b.build();
        let fast = p.project_slice(json.as_bytes()).unwrap();
        let slow = p.project_value(&serde_json::from_str(json).unwrap());
        assert_eq!(fast.cells, slow.cells);
        assert_eq!(fast.objects, slow.objects);
        fast
    }

    #[test]
    fn dotted_keys_and_objects_are_the_same_path() {
        let p = [Access::Path("a.b.c".into())];
        for json in [r#"{"a":{"b":{"c":1}}}"#, r#"{"a.b":{"c":1}}"#, r#"{"a":{"b.c":1}}"#, r#"{"a.b.c":1}"#] {
            assert_eq!(both(&p, json).cell(0).values, [Scalar::Int(1)], "{json}");
        }
    }

    #[test]
    fn arrays_are_flattened_and_null_is_told_from_absence() {
        let p = [Access::Path("a.b".into()), Access::Subtree("a".into()), Access::Path("a".into())];
        let d = both(&p, r#"{"a":[{"b":["x",["y"]],"c":true},{"b":null}],"z":{"a":{"b":9}}}"#);
        assert_eq!(d.cell(0).values.len(), 2);
        assert!(d.cell(0).explicit_null);
        assert_eq!(d.cell(1).values.len(), 3);
        assert!(d.cell(2).object);
    }

    #[test]
    fn objects_are_kept_each_by_itself() {
        let p = [Access::Objects("n".into()), Access::Path("n.a".into()), Access::Objects("n.i".into())];
        let d = both(&p, r#"{"n":[{"a":1,"i":{"c":2}},{"a":3,"i.c":4}]}"#);
        let of = |slot| d.objects(slot).map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of(0), [r#"{"a":1,"i":{"c":2}}"#, r#"{"a":3,"i.c":4}"#]);
        assert_eq!(d.cell(1).values.len(), 2);
        assert_eq!(of(2), [r#"{"c":2}"#, r#"{"c":4}"#]);
        assert_eq!(both(&p, r#"{"n.a":5}"#).objects(0).next().unwrap().to_string(), r#"{"a":5}"#);
        assert_eq!(Access::Objects("n.i".into()).below("n"), Access::Objects("i".into()));
        assert_eq!(Access::Path("no".into()).below("n"), Access::Path("no".into()));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let p = ProjectionBuilder::default().build();
        assert!(matches!(p.project_slice(b"[1]"), Err(DocumentError::NotAnObject)));
        assert!(matches!(p.project_slice(b"{\"a\":"), Err(DocumentError::Json(_))));
    }
}
