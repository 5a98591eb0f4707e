//! What a pull found, and how it is told: lines, verdict, JSON.

use super::changes;
use super::terminal::count;
use crate::import::lists::ItemAction;
use crate::target::http::one_line;
use crate::target::kibana::{Change, FieldChange, Live};
use serde_json::{Value, json};

/// Where what is said about a rule begins on lines of its own.
const INDENT: usize = 14;

/// What a rule is that was not compared value by value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The pack has it no more.
    GoneHere,
    /// Kibana has it not yet, or no more.
    GoneThere,
    /// It cannot be the pack's, and why.
    Foreign(String),
}

/// A rule that differs.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its name in the pack.
    pub name: String,
    /// Its rule id.
    pub rule_id: String,
    /// Who wrote it last in Kibana.
    pub by: String,
    /// Whether it gets a file.
    pub is_new: bool,
    /// What the file takes over; `from` is the pack's value.
    pub taken: Vec<FieldChange>,
    /// What was changed on both sides.
    pub conflicts: Vec<FieldChange>,
    /// What was changed here only.
    pub ahead: Vec<FieldChange>,
    /// What was changed in Kibana and has no place in the file, and why.
    pub left: Vec<String>,
}

impl Row {
    /// A rule on both sides.
    pub fn new(change: &Change) -> Row {
        let by = change.live.as_ref().map(|l| one_line(l.updated_by())).unwrap_or_default();
        Row { name: change.name.clone(), rule_id: change.rule_id.clone(), by, ..Row::default() }
    }

    /// A rule of Kibana that gets a file.
    pub fn added(live: &Live, name: &str) -> Row {
        let by = one_line(live.updated_by());
        Row { name: name.to_owned(), rule_id: live.rule_id().to_owned(), by, is_new: true, ..Row::default() }
    }

    /// A rule of Kibana that cannot get a file.
    pub fn refused(live: &Live, name: &str, why: String) -> Row {
        let name = one_line(name);
        Row { name, rule_id: live.rule_id().to_owned(), left: vec![why], ..Row::default() }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        !self.is_new
            && self.taken.is_empty()
            && self.conflicts.is_empty()
            && self.ahead.is_empty()
            && self.left.is_empty()
    }

    fn word(&self) -> (&'static str, &'static str) {
        if self.is_new {
            ("+", "new")
        } else if !self.conflicts.is_empty() {
            ("!", "conflict")
        } else if !self.taken.is_empty() {
            ("~", "pull")
        } else if !self.left.is_empty() {
            ("!", "left")
        } else {
            ("=", "ahead")
        }
    }
}

/// An exception list that differs.
#[derive(Clone, Debug, Default)]
pub struct ListRow {
    /// Its file, or its id where it gets none.
    pub path: String,
    /// Whether the file is new.
    pub is_new: bool,
    /// Its exceptions that differ.
    pub items: Vec<(String, ItemAction)>,
    /// Rules that Kibana links to it and the pack did not.
    pub rules: Vec<String>,
    /// What has no place in the file, and why.
    pub left: Vec<String>,
}

impl ListRow {
    /// A list that could not be taken over.
    pub fn refused(list_id: &str, why: String) -> ListRow {
        ListRow { path: one_line(list_id), left: vec![why], ..ListRow::default() }
    }

    fn count(&self, action: ItemAction) -> usize {
        self.items.iter().filter(|(_, a)| *a == action).count()
    }

    fn taken(&self) -> usize {
        [ItemAction::Added, ItemAction::Changed, ItemAction::Removed].map(|a| self.count(a)).iter().sum()
    }

    fn conflicts(&self) -> usize {
        self.count(ItemAction::Conflict)
    }

    fn word(&self) -> (&'static str, &'static str) {
        if self.conflicts() > 0 {
            ("!", "conflict")
        } else if self.is_new {
            ("+", "new")
        } else if self.taken() > 0 || (self.left.is_empty() && !self.rules.is_empty()) {
            ("~", "pull")
        } else if !self.left.is_empty() {
            ("!", "left")
        } else {
            ("=", "ahead")
        }
    }
}

/// Everything that is told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Rules that differ.
    pub rows: Vec<Row>,
    /// Rules on one side only, or not the pack's.
    pub apart: Vec<(String, String, State)>,
    /// Exception lists that differ.
    pub lists: Vec<ListRow>,
    /// How many rules are the same.
    pub same: usize,
    /// How many rules belong to other packs.
    pub others: usize,
    /// How many lists of Elastic Defend there are.
    pub endpoint: usize,
}

impl Told {
    /// A rule that was not compared.
    pub fn rule(&mut self, change: &Change, state: State) {
        self.apart.push((change.name.clone(), change.rule_id.clone(), state));
    }

    /// Whether something was changed in Kibana.
    pub fn is_changed_there(&self) -> bool {
        let rule = |r: &Row| r.is_new || !(r.taken.is_empty() && r.conflicts.is_empty() && r.left.is_empty());
        let list = |l: &ListRow| l.is_new || l.taken() + l.conflicts() + l.rules.len() + l.left.len() > 0;
        self.rows.iter().any(rule) || self.lists.iter().any(list)
    }

    /// The lines about rules and lists, then one that counts the rest.
    pub fn lines(&self, target: &str) -> Vec<String> {
        let mut out = Vec::new();
        let names = self.rows.iter().map(|r| &r.name).chain(self.apart.iter().map(|a| &a.0));
        let names = names.chain(self.lists.iter().map(|l| &l.path));
        let width = names.map(|n| n.chars().count()).max().unwrap_or(0).min(50);
        let mut line = |mark: &str, word: &str, name: &str, detail: &str, more: Vec<String>| {
            out.push(format!("{mark:4}{word:10}{name:width$}   {detail}").trim_end().to_owned());
            out.extend(more.into_iter().map(|m| format!("{:INDENT$}{m}", "")));
        };
        let fields = |list: &[FieldChange]| list.iter().map(changes::field).collect::<Vec<_>>().join(", ");
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|r| {
            ["new", "pull", "conflict", "left", "ahead"].iter().position(|w| *w == r.word().1)
        });
        for row in rows {
            let (mark, word) = row.word();
            let by = if row.by.is_empty() { String::new() } else { format!(" by {}", row.by) };
            let mut more: Vec<String> = Vec::new();
            let detail = match word {
                "new" => format!("made in Kibana{by}"),
                "conflict" => {
                    more.push("left alone; here -> in Kibana:".to_owned());
                    more.extend(row.conflicts.iter().map(|f| format!("  {}", changes::field(f))));
                    if !row.taken.is_empty() {
                        more.push(format!("taken over: {}", fields(&row.taken)));
                    }
                    more.push(format!("help: rulepack pull --target {target} --overwrite {}", row.name));
                    let of = row.conflicts.iter().map(|f| format!("`{}`", f.field));
                    format!("{}: changed here and{by} in Kibana", of.collect::<Vec<_>>().join(", "))
                }
                "pull" => fields(&row.taken),
                "left" => row.left.join("; "),
                _ => format!("{}: changed here only, for `deploy`", fields(&row.ahead)),
            };
            if word != "left" {
                more.extend(row.left.iter().map(|l| format!("not taken over: {l}")));
            }
            line(mark, word, &row.name, &detail, more);
        }
        for list in &self.lists {
            let (mark, word) = list.word();
            let (mut details, mut more) = (Vec::new(), Vec::new());
            for (action, verb) in [
                (ItemAction::Added, "new"),
                (ItemAction::Changed, "changed"),
                (ItemAction::Removed, "removed"),
                (ItemAction::Ahead, "changed here only"),
            ] {
                let n = list.count(action);
                if n > 0 {
                    details.push(format!("{} {verb}", count(n, "exception")));
                }
            }
            if !list.rules.is_empty() && list.left.is_empty() {
                details.push(format!("for {}", list.rules.join(", ")));
            }
            let conflicts = list.items.iter().filter(|(_, a)| *a == ItemAction::Conflict);
            more.extend(conflicts.map(|(name, _)| {
                format!("`{}`: changed here and in Kibana; left alone without --overwrite", one_line(name))
            }));
            more.extend(list.left.iter().cloned());
            line(mark, word, &list.path, &details.join(", "), more);
        }
        for (name, _, state) in &self.apart {
            match state {
                State::GoneHere => line(
                    "-",
                    "gone",
                    name,
                    "not in the pack; `deploy --prune` deletes it, --overwrite takes it back",
                    Vec::new(),
                ),
                State::GoneThere => line("=", "ahead", name, "not in Kibana", Vec::new()),
                State::Foreign(why) => line("!", "left", name, why, Vec::new()),
            }
        }
        if self.same > 0 && !out.is_empty() {
            out.push(format!("{:4}{:10}{}", "=", "same", count(self.same, "rule")));
        }
        if self.others > 0 {
            out.push(format!("note: {} of other packs left out", count(self.others, "rule")));
        }
        if self.endpoint > 0 {
            out.push(
                "note: lists of Elastic Defend are not supported yet (RP9001); they stay in Kibana"
                    .to_owned(),
            );
        }
        out
    }

    fn counts(&self) -> Vec<(&'static str, usize)> {
        let rows = |word: &str| self.rows.iter().filter(|r| r.word().1 == word).count();
        let taken = self.rows.iter().filter(|r| !r.taken.is_empty()).count();
        let ahead = self.apart.iter().filter(|a| a.2 == State::GoneThere).count();
        let foreign = self.apart.iter().filter(|a| matches!(a.2, State::Foreign(_))).count();
        let lists = self.lists.iter().filter(|l| l.is_new || l.taken() > 0).count();
        vec![
            ("changed", taken),
            ("new", rows("new")),
            ("lists", lists),
            ("conflict", rows("conflict") + self.lists.iter().filter(|l| l.conflicts() > 0).count()),
            ("left", rows("left") + foreign),
            ("gone", self.apart.iter().filter(|a| a.2 == State::GoneHere).count()),
            ("ahead", rows("ahead") + ahead),
            ("same", self.same),
        ]
    }

    /// The verdict.
    pub fn verdict(&self, target: &str, dry_run: bool) -> String {
        let counts = self.counts();
        let of = |word: &str| counts.iter().find(|c| c.0 == word).map_or(0, |c| c.1);
        let mut done = Vec::new();
        if of("changed") > 0 {
            done.push(format!("{} changed", count(of("changed"), "rule")));
        }
        if of("new") > 0 {
            done.push(format!(
                "{} new",
                if done.is_empty() { count(of("new"), "rule") } else { of("new").to_string() }
            ));
        }
        if of("lists") > 0 {
            done.push(count(of("lists"), "exception list"));
        }
        let mut rest = Vec::new();
        if of("conflict") > 0 {
            rest.push(format!("{} left alone", count(of("conflict"), "conflict")));
        }
        for (word, text) in
            [("left", "not taken over"), ("gone", "gone here"), ("ahead", "changed here only")]
        {
            if of(word) > 0 {
                rest.push(format!("{} {text}", of(word)));
            }
        }
        let rest = rest.iter().map(|r| format!("; {r}")).collect::<String>();
        if done.is_empty() {
            return format!(
                "no changes: nothing in {target} is newer than the pack{rest}; {} same",
                of("same")
            );
        }
        let verb = if dry_run { "plan" } else { "ok" };
        let tail = if dry_run { " · nothing was written" } else { "" };
        format!("{verb}: {}{rest}; {} same{tail}", done.join(", "), of("same"))
    }

    /// One document. Of actions and links to exception lists only the names of the properties are told.
    pub fn json(&self, target: &str, verdict: &str, dry_run: bool) -> Value {
        let field = |f: &FieldChange| {
            if matches!(f.field.as_str(), "actions" | "exceptions_list" | "response_actions") {
                json!({ "field": f.field })
            } else {
                json!({ "field": f.field, "here": f.from, "there": f.to })
            }
        };
        let all = |list: &[FieldChange]| list.iter().map(field).collect::<Vec<_>>();
        let row = |r: &Row| {
            json!({
                "rule": { "id": r.rule_id, "name": r.name }, "change": r.word().1, "by": r.by,
                "taken": all(&r.taken), "conflicts": all(&r.conflicts), "ahead": all(&r.ahead), "left": r.left,
            })
        };
        let apart = |(name, id, state): &(String, String, State)| {
            let (word, why) = match state {
                State::GoneHere => ("gone", None),
                State::GoneThere => ("ahead", None),
                State::Foreign(why) => ("left", Some(why)),
            };
            json!({ "rule": { "id": id, "name": name }, "change": word, "reason": why })
        };
        let action = |a: ItemAction| match a {
            ItemAction::Added => "new",
            ItemAction::Changed => "pull",
            ItemAction::Removed => "remove",
            ItemAction::Conflict => "conflict",
            ItemAction::Ahead => "ahead",
        };
        let list = |l: &ListRow| {
            let items = l.items.iter().map(|(n, a)| json!({ "name": n, "change": action(*a) }));
            json!({ "file": l.path, "change": l.word().1, "exceptions": items.collect::<Vec<_>>(),
                "rules": l.rules, "left": l.left })
        };
        let summary: serde_json::Map<String, Value> =
            self.counts().into_iter().map(|(k, n)| (k.to_owned(), json!(n))).collect();
        json!({
            "target": target,
            "dry_run": dry_run,
            "summary": summary,
            "changes": self.rows.iter().map(row).chain(self.apart.iter().map(apart)).collect::<Vec<_>>(),
            "exception_lists": self.lists.iter().map(list).collect::<Vec<_>>(),
            "verdict": verdict,
        })
    }
}
