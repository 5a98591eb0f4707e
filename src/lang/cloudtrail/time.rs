//! Times of a record as the document writes them: UTC, three fractional digits, `Z`.

use crate::es::date;

/// The time of an ISO 8601 text.
pub(super) fn iso(text: &str) -> Option<String> {
    if let Some(text) = whole_seconds(text) {
        return Some(text);
    }
    // the reader below also takes milliseconds since the epoch, which ISO 8601 is not
    if text.len() != 4 && text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    if text != text.trim() {
        return None;
    }
    Some(date::format(date::truncate(date::parse_value(text)?, false)))
}

/// The time of an ISO 8601 text, or of one without separators: `20200108T151216Z`.
pub(super) fn iso_or_basic(text: &str) -> Option<String> {
    iso(text).or_else(|| {
        let (day, time) = text.split_once('T')?;
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let (clock, rest) = time.split_at_checked(6)?;
        if day.len() != 8 || !digits(day) || !digits(clock) {
            return None;
        }
        let zone = match rest.strip_prefix('.') {
            Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => rest,
        };
        if zone.is_empty() {
            return None;
        }
        let ((year, month_day), (hour, minute_second)) =
            (day.split_at_checked(4)?, clock.split_at_checked(2)?);
        let ((month, day), (minute, second)) =
            (month_day.split_at_checked(2)?, minute_second.split_at_checked(2)?);
        iso(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}{rest}"))
    })
}

/// The usual form of a record, `2024-09-27T14:34:49Z`, without a detour over numbers.
fn whole_seconds(text: &str) -> Option<String> {
    let bytes: &[u8; 20] = text.as_bytes().try_into().ok()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'Z'] = bytes
    else {
        return None;
    };
    let digits = [y1, y2, y3, y4, m1, m2, d1, d2, h1, h2, n1, n2, s1, s2];
    if !digits.iter().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |tens: &u8, ones: &u8| (tens - b'0') * 10 + (ones - b'0');
    // days above 28 depend on the month: left to the calendar
    let plain = (1..=12).contains(&number(m1, m2))
        && (1..=28).contains(&number(d1, d2))
        && number(h1, h2) < 24
        && number(n1, n2) < 60
        && number(s1, s2) < 60;
    if !plain {
        return None;
    }
    Some([text.get(..19)?, ".000Z"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_fractional_digits_in_utc() {
        assert_eq!(iso("2024-09-27T14:34:49Z").as_deref(), Some("2024-09-27T14:34:49.000Z"));
        assert_eq!(iso("2024-02-29T23:59:59Z").as_deref(), Some("2024-02-29T23:59:59.000Z"));
        assert_eq!(iso("2024-09-27T14:34:49.1239Z").as_deref(), Some("2024-09-27T14:34:49.123Z"));
        assert_eq!(iso("2024-09-27T14:34:49+02:00").as_deref(), Some("2024-09-27T12:34:49.000Z"));
        assert_eq!(iso("2023-02-29T00:00:00Z"), None);
        assert_eq!((iso("1718409600000"), iso("yesterday"), iso(" 2024-09-27")), (None, None, None));
    }

    #[test]
    fn session_times_may_lack_separators() {
        assert_eq!(iso_or_basic("20200108T151216Z").as_deref(), Some("2020-01-08T15:12:16.000Z"));
        assert_eq!(iso_or_basic("20200108T151216.5Z").as_deref(), Some("2020-01-08T15:12:16.500Z"));
        assert_eq!(iso_or_basic("20200108T151216"), None);
        assert_eq!(iso_or_basic("20201308T151216Z"), None);
    }
}
