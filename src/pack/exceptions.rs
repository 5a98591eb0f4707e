//! The exception lists of a pack: `exceptions/**/*.toml`, and the value lists in `exceptions/lists/`.

use super::target::{Overlay, Target};
use super::{Pack, files};
use crate::diag::{Code, Diagnostic};
use crate::lang::exception::{ExceptionFile, ExceptionItem, ExceptionList};
use crate::lang::rule::Rule;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where value lists stand, below the folder of exceptions: one value a line, named by the list's id.
pub const VALUE_LISTS: &str = "lists";

/// The exception lists of a pack.
#[derive(Clone, Debug, Default)]
pub struct Exceptions {
    /// The files, sorted by name.
    pub files: Vec<ExceptionFile>,
    /// What was found while reading.
    pub diagnostics: Vec<Diagnostic>,
    values: BTreeMap<String, Result<Vec<String>, String>>,
    folder: String,
    /// The overlays whose exceptions apply too; none unless a target was named.
    overlays: Vec<Overlay>,
}

/// An exception that applies to a rule.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'p> {
    /// Its file.
    pub file: &'p ExceptionFile,
    /// Its list.
    pub list: &'p ExceptionList,
    /// The item.
    pub item: &'p ExceptionItem,
}

impl Exceptions {
    /// Reads the files of a pack.
    pub(super) fn load(pack: &Pack) -> Exceptions {
        let folder = pack.root.join(&pack.config.exceptions);
        let shown = pack.shown(&pack.config.exceptions);
        let mut out = Exceptions { folder: shown.clone(), ..Exceptions::default() };
        if pack.config.document.is_none() || !folder.is_dir() {
            return out;
        }
        let wanted = |name: &str| name.ends_with(".toml");
        let (entries, found) = files::walk(&pack.root, &folder, &shown, &wanted);
        out.diagnostics.extend(found);
        for entry in entries {
            let file = format!("{shown}/{}", entry.name);
            match super::read_file(&entry.path) {
                Ok(bytes) => {
                    let (read, found) = ExceptionFile::read(&file, bytes);
                    out.diagnostics.extend(found);
                    out.files.extend(read);
                }
                Err(message) => out.diagnostics.push(files::about(&file, Code::RP0001, message)),
            }
        }
        let lists = folder.join(VALUE_LISTS);
        if lists.is_dir() {
            let under = format!("{shown}/{VALUE_LISTS}");
            let (entries, found) = files::walk(&pack.root, &lists, &under, &|_| true);
            out.diagnostics.extend(found);
            for entry in entries.into_iter().filter(|e| !e.name.ends_with(".toml")) {
                let values = super::read_file(&entry.path).and_then(|bytes| {
                    let text = String::from_utf8(bytes)
                        .map_err(|_| "the value list is not UTF-8 text".to_owned())?;
                    Ok(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect())
                });
                out.values.insert(entry.name, values);
            }
        }
        out.find_duplicates();
        out
    }

    /// Items that share an id: the target would keep only one of them.
    fn find_duplicates(&mut self) {
        let mut seen: BTreeMap<(String, &'static str), String> = BTreeMap::new();
        let mut found = Vec::new();
        for file in &self.files {
            for list in &file.lists {
                let place = file.source.name().to_owned();
                let mut twice = |id: &str, what: &'static str, pointer: &str| {
                    if let Some(first) = seen.insert((id.to_owned(), what), place.clone()) {
                        let d = Diagnostic::new(Code::RP0007, format!("the {what} `{id}` is used twice"))
                            .at(file.span(pointer), "")
                            .note(format!("also in {first}"))
                            .in_source(&file.source);
                        found.push(d);
                    }
                };
                twice(&list.id, "list id", "/exceptions");
                for item in &list.items {
                    if let Some(id) = item.json.get("item_id").and_then(Value::as_str) {
                        twice(id, "item id", &format!("{}/item_id", item.pointer));
                    }
                }
            }
        }
        self.diagnostics.extend(found);
    }

    /// The list of an id.
    pub fn list(&self, id: &str) -> Option<(&ExceptionFile, &ExceptionList)> {
        self.files.iter().find_map(|f| Some((f, f.lists.iter().find(|l| l.id == id)?)))
    }

    /// From now on the exceptions of a target's overlays apply too.
    pub fn at_target(&mut self, target: &Target) {
        self.overlays = target.overlays.iter().filter(|o| !o.exceptions.is_empty()).cloned().collect();
    }

    /// The lists that apply to a rule at a target alone, because its overlays say so.
    pub fn only_at<'p>(
        &'p self,
        target: &Target,
        rule: &Rule,
    ) -> Vec<(&'p ExceptionFile, &'p ExceptionList)> {
        let anywhere = self.named_by(rule);
        self.overlaid(&target.overlays, rule)
            .filter(|(_, list)| !anywhere.iter().any(|(_, known)| same(known, list)))
            .collect()
    }

    fn overlaid<'p>(
        &'p self,
        overlays: &[Overlay],
        rule: &Rule,
    ) -> impl Iterator<Item = (&'p ExceptionFile, &'p ExceptionList)> {
        let applying: Vec<&Overlay> = overlays.iter().filter(|o| o.applies_to(rule)).collect();
        let files = self.files.iter().filter(move |f| applying.iter().any(|o| o.has_exceptions(f)));
        files.flat_map(|f| f.lists.iter().map(move |l| (f, l)))
    }

    /// The lists that apply to a rule: those that it names, those of the files that name it, and those of the
    /// overlays of the target that was named.
    pub fn lists_of<'p>(&'p self, rule: &Rule) -> Vec<(&'p ExceptionFile, &'p ExceptionList)> {
        let mut out = self.named_by(rule);
        for one in self.overlaid(&self.overlays, rule) {
            if !out.iter().any(|(_, known)| same(known, one.1)) {
                out.push(one);
            }
        }
        out
    }

    fn named_by<'p>(&'p self, rule: &Rule) -> Vec<(&'p ExceptionFile, &'p ExceptionList)> {
        let named: Vec<&str> = list_ids(rule).collect();
        let mut out = Vec::new();
        for file in &self.files {
            let whole = file.rule_ids.iter().any(|id| id == rule.rule_id())
                || (file.rule_ids.is_empty() && file.rule_names.iter().any(|n| n == rule.title()));
            let lists = file.lists.iter().filter(|l| whole || named.contains(&l.id.as_str()));
            out.extend(lists.map(|list| (file, list)));
        }
        out
    }

    /// The exceptions that apply to a rule.
    pub fn of<'p>(&'p self, rule: &Rule) -> Vec<Applied<'p>> {
        let lists = self.lists_of(rule).into_iter();
        lists
            .flat_map(|(file, list)| list.items.iter().map(move |item| Applied { file, list, item }))
            .collect()
    }

    /// The values of a value list.
    ///
    /// # Errors
    /// In words, when it is not there or cannot be read.
    pub fn values(&self, id: &str) -> Result<Vec<String>, String> {
        let found = self.values.get(id).or_else(|| self.values.get(&format!("{id}.txt")));
        found.cloned().unwrap_or_else(|| {
            Err(format!("the value list `{id}` has no file `{}/{VALUE_LISTS}/{id}`", self.folder))
        })
    }
}

fn same(a: &ExceptionList, b: &ExceptionList) -> bool {
    (&a.id, &a.namespace) == (&b.id, &b.namespace)
}

/// The ids of the lists that a rule names.
pub(super) fn list_ids(rule: &Rule) -> impl Iterator<Item = &str> {
    let lists = rule.json().get("exceptions_list").and_then(Value::as_array);
    lists.into_iter().flatten().filter_map(|l| l.get("list_id")?.as_str())
}
