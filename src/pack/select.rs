//! Selectors: a name, a path, a pattern, a rule id, `tag:…` or `severity:…`; several add up. `changed[:REV]`
//! asks git, so the command line makes names of it.

use super::{Pack, RuleFile};
use crate::diag::{Code, Diagnostic, did_you_mean};
use globset::GlobBuilder;

/// Whether a selector selects a file.
type Test<'a> = Box<dyn Fn(&RuleFile) -> bool + 'a>;

impl Pack {
    /// The files that one of the selectors selects, in the pack's order; all without a selector.
    ///
    /// # Errors
    /// One finding for each selector that selects nothing.
    pub fn select(&self, selectors: &[String]) -> Result<Vec<&RuleFile>, Vec<Diagnostic>> {
        if selectors.is_empty() {
            return Ok(self.files.iter().collect());
        }
        let mut chosen = vec![false; self.files.len()];
        let mut found = Vec::new();
        for selector in selectors {
            match self.selects(selector) {
                Ok(test) => {
                    let mut any = false;
                    for (file, chosen) in self.files.iter().zip(&mut chosen) {
                        if test(file) {
                            (any, *chosen) = (true, true);
                        }
                    }
                    if !any {
                        found.push(self.selects_nothing(selector));
                    }
                }
                Err(d) => found.push(*d),
            }
        }
        if found.is_empty() {
            Ok(self.files.iter().zip(chosen).filter(|(_, c)| *c).map(|(f, _)| f).collect())
        } else {
            Err(found)
        }
    }

    fn selects<'a>(&'a self, selector: &'a str) -> Result<Test<'a>, Box<Diagnostic>> {
        if let Some(tag) = selector.strip_prefix("tag:") {
            return Ok(Box::new(move |f| {
                f.rule.as_ref().is_some_and(|r| r.tags().iter().any(|t| t.eq_ignore_ascii_case(tag)))
            }));
        }
        if let Some(severity) = selector.strip_prefix("severity:") {
            return Ok(Box::new(move |f| f.rule.as_ref().is_some_and(|r| r.severity() == severity)));
        }
        let path = selector.replace('\\', "/");
        let path = path.strip_prefix("./").unwrap_or(&path).trim_end_matches('/').to_owned();
        if path.contains(['*', '?', '[', '{']) {
            let glob = GlobBuilder::new(&path).literal_separator(true).build().map_err(|e| {
                Box::new(Diagnostic::new(Code::RP0707, format!("`{selector}` is no pattern: {}", e.kind())))
            })?;
            let matcher = glob.compile_matcher();
            return Ok(Box::new(move |f| matcher.is_match(&f.name) || matcher.is_match(&f.file)));
        }
        Ok(Box::new(move |f| {
            let below = |whole: &str| {
                whole.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            path.is_empty()
                || below(&f.name)
                || below(&f.file)
                || f.rule.as_ref().is_some_and(|r| r.rule_id() == path)
        }))
    }

    fn selects_nothing(&self, selector: &str) -> Diagnostic {
        let d = Diagnostic::new(Code::RP0707, format!("`{selector}` selects no rule"));
        if let Some(tag) = selector.strip_prefix("tag:") {
            let tags: Vec<&str> = self.rules().flat_map(|r| r.tags()).collect();
            return match did_you_mean(tag, tags) {
                Some(near) => d.help(format!("did you mean `tag:{near}`?")),
                None => d.help("`rulepack validate --format json` lists the rules with their tags"),
            };
        }
        if selector.starts_with("severity:") {
            return d.help("severities are `low`, `medium`, `high` and `critical`");
        }
        match nearest(selector, self.files.iter().map(|f| f.name.as_str())) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None if self.files.is_empty() => d.note("the pack has no rules"),
            None => d.help("a rule is selected by its path below the rules folder, such as `aws/iam/*`"),
        }
    }
}

/// The known path nearest to one that was mistyped, the folder left out, or in another folder.
pub(super) fn nearest<'a>(path: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let path = path.strip_suffix(".toml").unwrap_or(path);
    let last = |p: &'a str| p.rsplit('/').next().unwrap_or(p);
    let wanted = path.rsplit('/').next().unwrap_or(path);
    known.clone().find(|k| last(k) == wanted).or_else(|| did_you_mean(path, known.clone())).or_else(|| {
        let near = did_you_mean(wanted, known.clone().map(last))?;
        known.clone().find(|k| last(k) == near)
    })
}
