//! Which part of the input counts: the flags that `replay`, `query` and `convert` share.

use super::terminal::{Terminal, count};
use crate::es::date::{self, Nanos};
use crate::replay::Selection;
use crate::replay::selection::moment;
use clap::Args;

/// Which part of the input counts.
#[derive(Args, Clone, Default)]
pub struct InputFlags {
    /// Only events from here on: a date, a time, or so long ago as 7d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events before this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only events of this account; repeatable
    #[arg(long, value_name = "ID")]
    account: Vec<String>,
    /// Only events of this region; repeatable
    #[arg(long, value_name = "NAME")]
    region: Vec<String>,
    /// Look at one of N records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// Count CloudTrail records that come twice twice
    #[arg(long)]
    keep_duplicates: bool,
}

impl InputFlags {
    /// The selection; `now` is what relative times count from.
    ///
    /// # Errors
    /// In words, when a time is none.
    pub fn selection(&self, now: Nanos) -> Result<Selection, String> {
        let at = |flag: &str, given: &Option<String>| match given {
            None => Ok(None),
            Some(text) => moment(text, now).map(Some).ok_or_else(|| {
                format!("`{flag} {text}` is no time; write 7d, 2026-01-31 or 2026-01-31T12:00:00Z")
            }),
        };
        let (since, until) = (at("--since", &self.since)?, at("--until", &self.until)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let text = |t: Nanos| date::format(t).replace(".000Z", "Z");
            return Err(format!("--since {} is not before --until {}", text(since), text(until)));
        }
        Ok(Selection {
            since,
            until,
            accounts: self.account.clone(),
            regions: self.region.clone(),
            sample: self.sample,
            keep_duplicates: self.keep_duplicates,
        })
    }
}

/// What was left out, as the end of a sentence: `3 files by path`, `2 duplicates`.
pub fn left_out(pruned: usize, outside: u64, duplicates: u64, sample: Option<u64>) -> Vec<String> {
    let n = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut out = Vec::new();
    if pruned > 0 {
        out.push(format!("{} left out by what their names say", count(pruned, "path")));
    }
    if outside > 0 {
        out.push(format!("{} outside of what was asked for", count(n(outside), "event")));
    }
    if duplicates > 0 {
        out.push(format!("{} dropped", count(n(duplicates), "duplicate")));
    }
    if let Some(sample) = sample.filter(|s| *s > 1) {
        out.push(format!("a sample: one of {sample} records was looked at"));
    }
    out
}

/// Says a mistake of usage.
pub fn usage(why: &str, terminal: &mut Terminal) -> super::Exit {
    terminal.note(&format!("error: {why}"));
    super::Exit::Usage
}
