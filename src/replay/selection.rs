//! Which part of the input counts: a span of time, accounts and regions, a sample. Files of an S3 delivery
//! say in their path what they hold, so that most of them need not be opened.

use crate::es::date::{self, Nanos};
use std::hash::Hasher;
use std::path::Path;

const DAY: Nanos = 86_400 * 1_000_000_000;

/// Which part of the input counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only events from here on, in nanoseconds since the epoch.
    pub since: Option<Nanos>,
    /// Only events before this.
    pub until: Option<Nanos>,
    /// Only these accounts; none means all.
    pub accounts: Vec<String>,
    /// Only these regions; none means all.
    pub regions: Vec<String>,
    /// One of so many records; `None` for all.
    pub sample: Option<u64>,
    /// Whether a CloudTrail record that was read before counts again.
    pub keep_duplicates: bool,
}

/// Where an event is, seen from the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It counts.
    In,
    /// It is too early; it may still be history.
    Early,
    /// It does not count.
    Out,
}

impl Selection {
    /// Whether events must be looked at to tell whether they count.
    pub fn looks_at_events(&self) -> bool {
        self.since.is_some() || self.until.is_some() || !self.accounts.is_empty() || !self.regions.is_empty()
    }

    /// Whether an event counts. What it does not say is taken to fit, but an event without a time is in no
    /// span of time.
    pub fn admits(&self, time: Option<Nanos>, account: Option<&str>, region: Option<&str>) -> Admission {
        let fits = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_none_or(|v| wanted.iter().any(|w| w == v))
        };
        if !fits(&self.accounts, account) || !fits(&self.regions, region) {
            return Admission::Out;
        }
        match (time, self.since, self.until) {
            (_, None, None) => Admission::In,
            (None, ..) => Admission::Out,
            (Some(t), _, Some(until)) if t >= until => Admission::Out,
            (Some(t), Some(since), _) if t < since => Admission::Early,
            _ => Admission::In,
        }
    }

    /// Whether a record is in the sample. The same text is always in it or never, in whichever file.
    pub fn samples(&self, record: &[u8]) -> bool {
        let Some(n) = self.sample.filter(|n| *n > 1) else { return true };
        let mut hasher = rustc_hash::FxHasher::default();
        hasher.write(record);
        // the low bits of this hash are weak
        (hasher.finish() >> 20).is_multiple_of(n)
    }

    /// Whether something below a path may count. `earlier` is how much before `since` is read as history.
    pub fn may_hold(&self, path: &Path, earlier: Nanos) -> bool {
        let place = S3Place::of(path);
        let other = |wanted: &[String], value: &Option<String>| {
            !wanted.is_empty() && value.as_ref().is_some_and(|v| !wanted.contains(v))
        };
        if other(&self.accounts, &place.account) || other(&self.regions, &place.region) {
            return false;
        }
        let Some((from, to)) = place.days else { return true };
        // a file lies below the day of its delivery: after its events, and seldom a day after
        let late = self.since.is_some_and(|since| to <= since - earlier);
        let early = self.until.is_some_and(|until| from - DAY >= until);
        !late && !early
    }
}

/// What a path of an S3 delivery says: `AWSLogs/[o-…/]ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/…`.
#[derive(Debug, Default, PartialEq, Eq)]
struct S3Place {
    account: Option<String>,
    region: Option<String>,
    /// The days that it may hold, half open, in nanoseconds since the epoch.
    days: Option<(Nanos, Nanos)>,
}

impl S3Place {
    fn of(path: &Path) -> S3Place {
        let parts: Vec<std::borrow::Cow<'_, str>> =
            path.components().map(|c| c.as_os_str().to_string_lossy()).collect();
        let mut out = S3Place::default();
        let layout = parts.windows(2).position(|w| match w {
            [account, service] => is_account(account) && service == "CloudTrail",
            _ => false,
        });
        if let Some(at) = layout {
            let part = |i: usize| parts.get(at + i).map(AsRef::as_ref);
            out.account = part(0).map(str::to_owned);
            out.region = part(2).filter(|r| is_region(r)).map(str::to_owned);
            out.days = part(3).filter(|_| out.region.is_some()).and_then(|year| days(year, part(4), part(5)));
        } else if let Some(at) = parts.iter().position(|p| p == "AWSLogs") {
            // a folder above the service: its account is known already
            let below = parts.get(at + 1..).unwrap_or_default();
            out.account = below.iter().take(2).find(|p| is_account(p)).map(|p| p.clone().into_owned());
        }
        if let Some(named) = parts.last().and_then(|name| file_name(name))
            && layout.is_none_or(|_| out.days.is_none())
        {
            return named;
        }
        out
    }
}

/// The days of a year, a month or a day.
fn days(year: &str, month: Option<&str>, day: Option<&str>) -> Option<(Nanos, Nanos)> {
    let number = |text: &str, digits: usize| {
        let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<i16>().ok()).flatten()
    };
    let year = number(year, 4)?;
    let month = month.and_then(|m| number(m, 2));
    let day = day.filter(|_| month.is_some()).and_then(|d| number(d, 2));
    let at = |y: i16, m: i16, d: i16| date::parse_value(&format!("{y:04}-{m:02}-{d:02}"));
    match (month, day) {
        (None, _) => Some((at(year, 1, 1)?, at(year.checked_add(1)?, 1, 1)?)),
        (Some(12), None) => Some((at(year, 12, 1)?, at(year.checked_add(1)?, 1, 1)?)),
        (Some(m), None) => Some((at(year, m, 1)?, at(year, m + 1, 1)?)),
        (Some(m), Some(d)) => at(year, m, d).map(|from| (from, from + DAY)),
    }
}

/// `ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_….json.gz`, which a copy without its folders still has.
fn file_name(name: &str) -> Option<S3Place> {
    let mut parts = name.split('_');
    let account = parts.next().filter(|a| is_account(a))?;
    parts.next().filter(|s| *s == "CloudTrail")?;
    let region = parts.next().filter(|r| is_region(r))?;
    let time = parts.next().filter(|t| t.len() >= 9 && t.as_bytes().get(8) == Some(&b'T'))?;
    let days = days(time.get(..4)?, time.get(4..6), time.get(6..8))?;
    Some(S3Place { account: Some(account.to_owned()), region: Some(region.to_owned()), days: Some(days) })
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// `eu-west-1`, `us-gov-east-1`.
fn is_region(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.matches('-').count() >= 2
        && text.ends_with(|c: char| c.is_ascii_digit())
}

/// A moment on the command line: a date, a time, or so long ago, as `7d`.
pub fn moment(text: &str, now: Nanos) -> Option<Nanos> {
    if let Some((number, unit)) =
        text.char_indices().last().and_then(|(i, unit)| Some((text.get(..i)?, unit)))
        && let Ok(n) = number.parse::<u32>()
    {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => 0,
        };
        if seconds > 0 {
            return Some(now - Nanos::from(n) * seconds * 1_000_000_000);
        }
    }
    // a bare number would be read as milliseconds
    let dated = text.bytes().take(4).all(|b| b.is_ascii_digit()) && text.get(4..5) == Some("-");
    date::parse_value(text).filter(|_| dated)
}

/// The ids of the records that were read last, to tell duplicates. It holds no more than [`Recent::HELD`] of
/// them, so its size does not grow with the input.
#[derive(Debug, Default)]
pub struct Recent {
    new: rustc_hash::FxHashSet<u64>,
    old: rustc_hash::FxHashSet<u64>,
}

impl Recent {
    /// The least number of ids that are remembered.
    pub const HELD: usize = 4_000_000;

    /// Notes an id; whether it was there already.
    pub fn seen(&mut self, id: &str) -> bool {
        let mut hasher = rustc_hash::FxHasher::default();
        hasher.write(id.as_bytes());
        let hash = hasher.finish();
        if self.old.contains(&hash) || !self.new.insert(hash) {
            return true;
        }
        if self.new.len() >= Recent::HELD {
            self.old = std::mem::take(&mut self.new);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Nanos {
        date::parse_value(text).unwrap()
    }

    fn between(since: &str, until: &str) -> Selection {
        let some = |t: &str| (!t.is_empty()).then(|| at(t));
        Selection { since: some(since), until: some(until), ..Selection::default() }
    }

    const DAY_FILE: &str = "logs/AWSLogs/o-abc/111122223333/CloudTrail/eu-west-1/2026/01/15/x.json.gz";

    #[test]
    fn paths_of_other_days_are_left_out_and_the_day_after_is_not() {
        let holds = |since: &str, until: &str, path: &str| between(since, until).may_hold(Path::new(path), 0);
        assert!(holds("2026-01-15T23:59:59Z", "", DAY_FILE));
        assert!(!holds("2026-01-16", "", DAY_FILE));
        // what is delivered on the 15th may have happened on the 14th
        assert!(holds("", "2026-01-15", DAY_FILE));
        assert!(!holds("", "2026-01-14", DAY_FILE));
        assert!(between("2026-01-16", "").may_hold(Path::new(DAY_FILE), 2 * DAY));
        for folder in
            ["a/111122223333/CloudTrail/eu-west-1/2026/01", "111122223333/CloudTrail/eu-west-1/2026"]
        {
            assert!(holds("2026-01-31", "", folder), "{folder}");
            assert!(holds("", "2026-02-01", folder) && holds("2026-01-01", "", folder));
        }
        assert!(!holds("2026-02-01", "", "111122223333/CloudTrail/eu-west-1/2026/01"));
        assert!(!holds("2027-01-01", "", "111122223333/CloudTrail/eu-west-1/2026"));
        assert!(holds("2026-12-31", "", "111122223333/CloudTrail/eu-west-1/2026/12"));
        let flat = "copies/111122223333_CloudTrail_eu-west-1_20260115T0640Z_Ab.json.gz";
        assert!(!holds("2026-01-16", "", flat) && holds("2026-01-15", "", flat));
    }

    #[test]
    fn paths_of_other_accounts_and_regions_are_left_out() {
        let holds = |account: &str, region: &str, path: &str| {
            let some = |t: &str| if t.is_empty() { vec![] } else { vec![t.to_owned()] };
            Selection { accounts: some(account), regions: some(region), ..Selection::default() }
                .may_hold(Path::new(path), 0)
        };
        assert!(holds("111122223333", "eu-west-1", DAY_FILE));
        assert!(!holds("444455556666", "", DAY_FILE) && !holds("", "us-gov-east-1", DAY_FILE));
        assert!(!holds("444455556666", "", "AWSLogs/111122223333"));
        assert!(
            holds("444455556666", "", "AWSLogs") && holds("", "us-east-1", "AWSLogs/111122223333/CloudTrail")
        );
        assert!(holds("444455556666", "us-east-1", "trail.json"));
        // digests and other services say nothing about regions here
        assert!(holds("", "us-east-1", "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026"));
    }

    #[test]
    fn events_are_admitted_by_time_account_and_region() {
        let mut s = between("2026-01-08", "2026-01-15");
        s.accounts = vec!["111122223333".to_owned()];
        let ask = |t: &str, account: Option<&str>| s.admits(Some(at(t)), account, Some("eu-west-1"));
        assert_eq!(ask("2026-01-08", None), Admission::In);
        assert_eq!(ask("2026-01-07T23:59:59.999Z", None), Admission::Early);
        assert_eq!(ask("2026-01-15", None), Admission::Out);
        assert_eq!(ask("2026-01-10", Some("444455556666")), Admission::Out);
        assert_eq!(s.admits(None, None, None), Admission::Out);
        assert_eq!(Selection::default().admits(None, None, None), Admission::In);
    }

    #[test]
    fn moments_are_dates_times_or_so_long_ago() {
        let now = at("2026-01-15T12:00:00Z");
        assert_eq!(moment("7d", now), Some(at("2026-01-08T12:00:00Z")));
        assert_eq!(moment("90m", now), Some(at("2026-01-15T10:30:00Z")));
        assert_eq!(moment("2026-01-08", now), Some(at("2026-01-08")));
        assert_eq!(moment("2026-01-08T10:00:00Z", now), Some(at("2026-01-08T10:00:00Z")));
        for text in ["", "d", "7", "7y", "-7d", "yesterday", "99999999999d", "é", "20260108"] {
            assert_eq!(moment(text, now), None, "{text}");
        }
    }

    #[test]
    fn a_sample_takes_about_its_share_and_always_the_same() {
        let s = Selection { sample: Some(10), ..Selection::default() };
        let taken = (0..10_000).filter(|i| s.samples(format!("{{\"eventID\":\"{i}\"}}").as_bytes())).count();
        assert!((800..1_200).contains(&taken), "{taken}");
        assert!(Selection { sample: Some(1), ..Selection::default() }.samples(b"x"));
    }

    #[test]
    fn ids_are_remembered() {
        let mut recent = Recent::default();
        assert!(!recent.seen("a") && !recent.seen("b") && recent.seen("a"));
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "[0-9a-zA-Z/_.-]{0,60}", year in any::<i16>(), text in "\\PC{0,12}") {
            let s = between("2026-01-08", "2026-01-15");
            let _ = s.may_hold(Path::new(&path), 0);
            let _ = s.may_hold(Path::new(&format!("111122223333/CloudTrail/eu-west-1/{year:04}/12/31")), 0);
            let _ = moment(&text, 0);
        }
    }
}
