//! Dates as Elasticsearch reads them: `strict_date_optional_time||epoch_millis`, date math, and the
//! rounding of partial dates to a bound. Instants are nanoseconds since the epoch.

use jiff::civil::{Date, DateTime, Time};

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type Nanos = i128;

/// The last instant that a `date_nanos` field stores; the first is the epoch.
pub const MAX_NANOS: Nanos = i64::MAX as Nanos;

const MILLI: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLI;

/// Which end of an inexact date is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// The first instant: `gte`, `lt`.
    Down,
    /// The last instant: `gt`, `lte`.
    Up,
}

/// What a date text is read against.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What `now` means.
    pub now: Nanos,
    /// Offset in seconds for dates that name no zone, and for rounding.
    pub offset: i32,
    /// Whether instants have nanoseconds (`date_nanos`) or milliseconds.
    pub nanos: bool,
}

/// Reads a date with optional date math. `None` for a text that is no date.
pub fn parse(text: &str, round: Round, clock: &Clock) -> Option<Nanos> {
    let text = text.trim();
    if let Some(math) = text.strip_prefix("now") {
        return apply_math(clock.now, math, round, clock);
    }
    if let Some((date, math)) = text.split_once("||") {
        // with math, missing parts count as their lowest value before it is applied
        let start = parse_plain(date, if math.is_empty() { round } else { Round::Down }, clock)?;
        return apply_math(start, math, round, clock);
    }
    parse_plain(text, round, clock)
}

/// Reads the date of a document's field.
pub fn parse_value(text: &str) -> Option<Nanos> {
    parse_plain(text, Round::Down, &Clock { now: 0, offset: 0, nanos: true })
}

/// Whether a date has a time without seconds, which the default format of `date_nanos` does not allow.
pub fn lacks_seconds(text: &str) -> bool {
    let date = text.split("||").next().unwrap_or(text);
    date.split_once('T').is_some_and(|(_, time)| {
        let end = time.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ','));
        let time = time.get(..end.unwrap_or(time.len())).unwrap_or(time);
        !time.is_empty() && time.matches(':').count() < 2
    })
}

/// Truncates to what the field keeps: `date` has milliseconds.
pub fn truncate(nanos: Nanos, keeps_nanos: bool) -> Nanos {
    if keeps_nanos { nanos } else { nanos.div_euclid(MILLI) * MILLI }
}

/// Milliseconds since the epoch as nanoseconds.
pub fn from_millis(millis: i64) -> Nanos {
    Nanos::from(millis) * MILLI
}

/// ISO 8601 in UTC with milliseconds, or with nanoseconds where there are some.
pub fn format(nanos: Nanos) -> String {
    let (seconds, sub) = (nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND));
    let Some(at) = to_civil(nanos) else { return seconds.to_string() };
    let (date, time) = (at.date(), at.time());
    let head = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    if sub % MILLI == 0 { format!("{head}.{:03}Z", sub / MILLI) } else { format!("{head}.{sub:09}Z") }
}

fn to_civil(nanos: Nanos) -> Option<DateTime> {
    let (seconds, sub) = (nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND));
    let ts = jiff::Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(sub).ok()?).ok()?;
    Some(jiff::tz::Offset::UTC.to_datetime(ts))
}

fn from_civil(at: DateTime) -> Option<Nanos> {
    jiff::tz::Offset::UTC.to_timestamp(at).ok().map(jiff::Timestamp::as_nanosecond)
}

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn digits(&mut self, n: usize) -> Option<i32> {
        let head = self.rest.get(..n)?;
        if !head.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.rest = self.rest.get(n..)?;
        head.parse().ok()
    }

    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

fn parse_plain(text: &str, round: Round, clock: &Clock) -> Option<Nanos> {
    parse_iso(text, round, clock).or_else(|| parse_epoch(text))
}

fn parse_epoch(text: &str) -> Option<Nanos> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = whole.parse().ok()?;
    let mut sub: Nanos = 0;
    if !fraction.is_empty() {
        let padded = format!("{fraction:0<6}");
        sub = padded.get(..6)?.parse().ok()?;
    }
    Some(from_millis(millis) + if whole.starts_with('-') { -sub } else { sub })
}

/// `yyyy[-MM[-dd['T'HH[:mm[:ss[.S{1,9}]]]][zone]]]`; four digits are a year.
fn parse_iso(text: &str, round: Round, clock: &Clock) -> Option<Nanos> {
    let up = round == Round::Up;
    let mut c = Cursor { rest: text };
    let year = c.digits(4)?;
    let mut month = None;
    let mut day = None;
    let (mut hour, mut minute, mut second) = (None, None, None);
    let mut fraction: Option<Nanos> = None;
    let mut offset = clock.offset;
    if c.eat('-') {
        month = Some(c.digits(2)?);
        if c.eat('-') {
            day = Some(c.digits(2)?);
        }
    }
    if day.is_some() && c.eat('T') && !c.rest.is_empty() {
        hour = Some(c.digits(2)?);
        if c.eat(':') {
            minute = Some(c.digits(2)?);
            if c.eat(':') {
                second = Some(c.digits(2)?);
                if c.eat('.') || c.eat(',') {
                    let n = c.rest.bytes().take_while(u8::is_ascii_digit).count();
                    if !(1..=9).contains(&n) {
                        return None;
                    }
                    let digits = c.rest.get(..n)?;
                    fraction = format!("{digits:0<9}").parse().ok();
                    c.rest = c.rest.get(n..)?;
                }
            }
        }
        if !c.rest.is_empty() {
            offset = parse_zone(c.rest)?;
            c.rest = "";
        }
    }
    if !c.rest.is_empty() {
        return None;
    }
    // a missing month or day is the first one at both ends, only a missing time is filled to its last instant
    let (month, day) = (month.unwrap_or(1), day.unwrap_or(1));
    let date =
        Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let part = |v: Option<i32>, most: i8| match v {
        Some(v) => i8::try_from(v).ok(),
        None => Some(if up { most } else { 0 }),
    };
    let time = Time::new(part(hour, 23)?, part(minute, 59)?, part(second, 59)?, 0).ok()?;
    let fill = if up { if clock.nanos { SECOND - 1 } else { SECOND - MILLI } } else { 0 };
    let instant = from_civil(DateTime::from_parts(date, time))?;
    Some(instant + fraction.unwrap_or(fill) - Nanos::from(offset) * SECOND)
}

/// Seconds east of UTC of `Z`, `+hh:mm`, `+hhmm` or `+hh`.
pub fn parse_zone(text: &str) -> Option<i32> {
    if matches!(text, "Z" | "z" | "UTC" | "Zulu" | "GMT") {
        return Some(0);
    }
    let (sign, rest) = match text.strip_prefix('+') {
        Some(r) => (1, r),
        None => (-1, text.strip_prefix('-')?),
    };
    let mut c = Cursor { rest };
    let hours = c.digits(2)?;
    c.eat(':');
    let minutes = if c.rest.is_empty() { 0 } else { c.digits(2)? };
    (c.rest.is_empty() && hours <= 18 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn apply_math(start: Nanos, math: &str, round: Round, clock: &Clock) -> Option<Nanos> {
    let mut at = start;
    let mut rest = math;
    while !rest.is_empty() {
        let op = rest.chars().next()?;
        rest = rest.get(1..)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let amount: i64 = if digits == 0 { 1 } else { rest.get(..digits)?.parse().ok()? };
        rest = rest.get(digits..)?;
        let unit = rest.chars().next()?;
        rest = rest.get(unit.len_utf8()..)?;
        at = match op {
            '+' => shift(at, amount, unit)?,
            '-' => shift(at, -amount, unit)?,
            '/' if digits == 0 => round_to(at, unit, round, clock)?,
            _ => return None,
        };
    }
    Some(at)
}

fn shift(at: Nanos, amount: i64, unit: char) -> Option<Nanos> {
    let seconds = |n: i64| Some(at + Nanos::from(amount) * Nanos::from(n) * SECOND);
    match unit {
        's' => seconds(1),
        'm' => seconds(60),
        'h' | 'H' => seconds(3_600),
        'd' => seconds(86_400),
        'w' => seconds(604_800),
        'M' | 'y' => {
            let months = amount.checked_mul(if unit == 'y' { 12 } else { 1 })?;
            let civil = to_civil(at)?;
            let moved = civil.checked_add(jiff::Span::new().try_months(months).ok()?).ok()?;
            from_civil(moved)
        }
        _ => None,
    }
}

fn round_to(at: Nanos, unit: char, round: Round, clock: &Clock) -> Option<Nanos> {
    let offset = Nanos::from(clock.offset) * SECOND;
    let local = at + offset;
    let civil = to_civil(local)?;
    let start = match unit {
        's' => local.div_euclid(SECOND) * SECOND,
        'm' => local.div_euclid(60 * SECOND) * 60 * SECOND,
        'h' | 'H' => local.div_euclid(3_600 * SECOND) * 3_600 * SECOND,
        'd' => local.div_euclid(86_400 * SECOND) * 86_400 * SECOND,
        'w' => {
            let back = i64::from(civil.date().weekday().to_monday_zero_offset());
            shift(local.div_euclid(86_400 * SECOND) * 86_400 * SECOND, -back, 'd')?
        }
        'M' => from_civil(civil.date().first_of_month().to_datetime(Time::midnight()))?,
        'y' => from_civil(civil.date().first_of_year().to_datetime(Time::midnight()))?,
        _ => return None,
    };
    let rounded = match round {
        Round::Down => start,
        Round::Up => shift(start, 1, unit)? - if clock.nanos { 1 } else { MILLI },
    };
    Some(rounded - offset)
}

/// A time zone such as `+01:00` or `Zulu` as seconds east of UTC; `None` for the names of regions, whose
/// offset changes with the seasons.
pub fn zone(text: &str) -> Option<i32> {
    if matches!(text, "Z" | "Zulu" | "UTC" | "GMT" | "Etc/UTC") {
        return Some(0);
    }
    // a date with this zone, read by the one parser of dates there is
    let (here, there) =
        (parse_value("2000-01-01T00:00:00Z")?, parse_value(&format!("2000-01-01T00:00:00{text}"))?);
    i32::try_from((here - there) / 1_000_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_offsets() {
        assert_eq!((zone("Zulu"), zone("-07:00"), zone("+05:30")), (Some(0), Some(-25_200), Some(19_800)));
        assert_eq!((zone("America/Phoenix"), zone("7")), (None, None));
    }

    fn clock() -> Clock {
        Clock { now: parse_value("2024-06-15T12:30:00Z").unwrap(), offset: 0, nanos: false }
    }

    fn text(s: &str, round: Round) -> String {
        parse(s, round, &clock()).map_or("none".into(), format)
    }

    #[test]
    fn partial_times_cover_their_whole_unit_and_partial_dates_their_first_day() {
        assert_eq!(text("2024", Round::Down), "2024-01-01T00:00:00.000Z");
        assert_eq!(text("2024", Round::Up), "2024-01-01T23:59:59.999Z");
        assert_eq!(text("2024-02", Round::Up), "2024-02-01T23:59:59.999Z");
        assert_eq!(text("2024-02||/M", Round::Up), "2024-02-29T23:59:59.999Z");
        assert_eq!(text("2024-06-15T10", Round::Up), "2024-06-15T10:59:59.999Z");
        assert_eq!(text("2024-06-15T10:00:00", Round::Up), "2024-06-15T10:00:00.999Z");
        assert_eq!(text("2024-06-15T10:00:00.5+02:00", Round::Up), "2024-06-15T08:00:00.500Z");
        assert_eq!(text("2024-13-01", Round::Up), "none");
    }

    #[test]
    fn date_math_is_applied_left_to_right_and_rounded() {
        assert_eq!(text("now-1d", Round::Down), "2024-06-14T12:30:00.000Z");
        assert_eq!(text("now/d", Round::Down), "2024-06-15T00:00:00.000Z");
        assert_eq!(text("now/d", Round::Up), "2024-06-15T23:59:59.999Z");
        assert_eq!(text("2024-01-31||+1M", Round::Down), "2024-02-29T00:00:00.000Z");
        assert_eq!(text("now/w", Round::Down), "2024-06-10T00:00:00.000Z");
        assert_eq!(text("now-1x", Round::Down), "none");
    }

    #[test]
    fn numbers_are_epoch_milliseconds() {
        assert_eq!(text("1718409600000", Round::Down), "2024-06-15T00:00:00.000Z");
        assert_eq!(text("-1", Round::Down), "1969-12-31T23:59:59.999Z");
        assert_eq!(
            format(parse_value("2024-06-15T00:00:00.123456789Z").unwrap()),
            "2024-06-15T00:00:00.123456789Z"
        );
    }
}
