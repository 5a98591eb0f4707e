//! Times of a rule: `now-14d`, `5m`. Only what is a fixed distance from `now` has a length.

const SECOND: i128 = 1_000_000_000;

/// Nanoseconds of a unit of fixed length.
fn unit(letter: &str) -> Option<i128> {
    Some(match letter {
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" | "H" => 3_600 * SECOND,
        "d" => 86_400 * SECOND,
        "w" => 7 * 86_400 * SECOND,
        _ => return None,
    })
}

/// The length of an interval such as `5m`, in nanoseconds; at most some thousand years.
pub fn interval(text: &str) -> Option<i128> {
    let (number, letter) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u32 = number.parse().ok()?;
    unit(letter).map(|u| u * i128::from(number))
}

/// How long before `now` a time such as `now-14d` or `now-1d-6h` is, in nanoseconds. `None` where that
/// is not fixed: absolute dates, rounding, months and years.
pub fn lookback(text: &str) -> Option<i128> {
    let mut rest = text.trim().strip_prefix("now")?;
    let mut total = 0;
    while let Some(sign) = rest.chars().next() {
        let body = rest.strip_prefix(['-', '+'])?;
        let digits = body.bytes().take_while(u8::is_ascii_digit).count();
        // the unit is the character behind the digits; without digits it stands for one of it
        let end = digits + body.get(digits..)?.chars().next()?.len_utf8();
        let step = body.get(..end)?;
        let length = if digits == 0 { unit(step)? } else { interval(step)? };
        total += if sign == '-' { length } else { -length };
        rest = body.get(end..)?;
    }
    Some(total)
}

/// A length of time in nanoseconds as people write it: `90s`, `1.5s`, `2d`.
pub fn length(nanos: i128) -> String {
    let millis = nanos / 1_000_000;
    for (unit, n) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= n && millis % n == 0 {
            return format!("{}{unit}", millis / n);
        }
    }
    if nanos % 1_000_000 == 0 && millis < 1_000 {
        return format!("{millis}ms");
    }
    format!("{}s", nanos as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_distances_have_a_length() {
        assert_eq!(lookback("now"), Some(0));
        assert_eq!(lookback("now-6m"), Some(360 * SECOND));
        assert_eq!(lookback("now-1d-12h"), Some(129_600 * SECOND));
        assert_eq!(lookback("now+5m"), Some(-300 * SECOND));
        assert_eq!(interval("90s"), Some(90 * SECOND));
    }

    #[test]
    fn what_depends_on_the_calendar_has_none() {
        for text in ["now-1M", "now-7d/d", "2026-01-01", "now-", "now-é", "yesterday", ""] {
            assert_eq!(lookback(text), None, "{text}");
        }
        assert_eq!(interval("m"), None);
        assert_eq!(interval("é"), None);
    }

    #[test]
    fn lengths_are_told_in_the_largest_whole_unit() {
        let ms = 1_000_000;
        assert_eq!(length(90_000 * ms), "90s");
        assert_eq!(length(120_000 * ms), "2m");
        assert_eq!(length(1_500 * ms), "1.5s");
        assert_eq!(length(20 * ms), "20ms");
        assert_eq!(length(14 * 86_400_000 * ms), "14d");
    }
}
