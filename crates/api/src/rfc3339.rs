//! Times as RFC 3339 writes them.

use govc_engine::Time;
use jiff::civil::{Date, DateTime, Time as Clock};

/// A moment as RFC 3339 text says it: seconds since the epoch, the fraction, and the offset at
/// which it was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970-01-01 00:00 UTC, rounded down.
    pub seconds: i64,
    /// The fraction of a second, in microseconds; further digits are dropped.
    pub micros: i64,
    /// Minutes east of UTC.
    pub offset_minutes: i32,
    /// It was written with `-00:00`: the offset is not known.
    pub offset_unknown: bool,
}

impl Moment {
    /// As the server keeps time.
    pub fn time(self) -> Time {
        Time(self.seconds * 1_000_000 + self.micros)
    }
}

/// Reads `2024-05-01T10:00:00+02:00`, with any number of fractional digits, `Z` for `+00:00`, and
/// `t`, `z` or a space where RFC 3339 allows them.
///
/// `None` when `text` is not that, or is no day or time that exists.
pub fn parse(text: &str) -> Option<Moment> {
    let bytes = text.as_bytes();
    let date = parse_date(text.get(..10)?)?;
    if !matches!(bytes.get(10)?, b'T' | b't' | b' ') || bytes.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (digits(bytes.get(11..13)?)?, digits(bytes.get(14..16)?)?);
    if bytes.get(16) != Some(&b':') {
        return None;
    }
    let second = digits(bytes.get(17..19)?)?;
    let mut rest = bytes.get(19..)?;
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if length == 0 {
            return None;
        }
        for place in 0..6 {
            let digit = fraction[..length]
                .get(place)
                .map_or(0, |b| i64::from(b - b'0'));
            micros = micros * 10 + digit;
        }
        rest = &fraction[length..];
    }
    let (offset_minutes, offset_unknown) = offset(rest)?;
    // A leap second is the second after 59, as everywhere in Unix time.
    let leap = i64::from(second == 60);
    let clock = Clock::new(
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second - leap as i32).ok()?,
        0,
    )
    .ok()?;
    let local = seconds_of(DateTime::from_parts(date, clock)) + leap;
    Some(Moment {
        seconds: local - i64::from(offset_minutes) * 60,
        micros,
        offset_minutes,
        offset_unknown,
    })
}

/// Reads `2024-05-01` as 00:00 UTC of that day.
pub fn parse_day(text: &str) -> Option<Time> {
    if text.len() != 10 {
        return None;
    }
    let date = parse_date(text)?;
    let midnight = DateTime::from_parts(date, Clock::midnight());
    Some(Time(seconds_of(midnight) * 1_000_000))
}

/// A moment of the server's, in UTC, with microseconds: `2024-05-01T08:00:00.000000Z`.
pub fn server_time(time: Time) -> String {
    let seconds = time.0.div_euclid(1_000_000);
    let micros = time.0.rem_euclid(1_000_000);
    match local(seconds) {
        Some(text) => format!("{text}.{micros:06}Z"),
        // The server's clock stands outside of the years 0 to 9999: nothing sensible can be said.
        None => "9999-12-31T23:59:59.999999Z".to_owned(),
    }
}

/// A person's moment, in whole seconds, at its offset: `2024-05-01T10:00:00+02:00`. `None` where
/// RFC 3339 cannot say it.
pub fn format(seconds: i64, offset_minutes: i32, offset_unknown: bool) -> Option<String> {
    if offset_minutes.abs() >= 24 * 60 {
        return None;
    }
    let text = local(seconds.checked_add(i64::from(offset_minutes) * 60)?)?;
    let sign = if offset_minutes < 0 || offset_unknown {
        '-'
    } else {
        '+'
    };
    let minutes = offset_minutes.abs();
    Some(format!(
        "{text}{sign}{:02}:{:02}",
        minutes / 60,
        minutes % 60
    ))
}

/// Seconds since the epoch of a date and time in UTC.
fn seconds_of(at: DateTime) -> i64 {
    days_since_epoch(at.date()) * 86_400
        + i64::from(at.hour()) * 3600
        + i64::from(at.minute()) * 60
        + i64::from(at.second())
}

fn days_since_epoch(date: Date) -> i64 {
    i64::from((date - Date::constant(1970, 1, 1)).get_days())
}

/// `seconds` as date and time without offset; `None` outside of the years 0 to 9999.
fn local(seconds: i64) -> Option<String> {
    let days = i32::try_from(seconds.div_euclid(86_400)).ok()?;
    let date = Date::constant(1970, 1, 1)
        .checked_add(jiff::Span::new().try_days(days).ok()?)
        .ok()?;
    if date.year() < 0 {
        return None;
    }
    let second = seconds.rem_euclid(86_400);
    Some(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        second / 3600,
        second / 60 % 60,
        second % 60
    ))
}

fn parse_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    Date::new(
        i16::try_from(digits(bytes.get(..4)?)?).ok()?,
        i8::try_from(digits(bytes.get(5..7)?)?).ok()?,
        i8::try_from(digits(bytes.get(8..10)?)?).ok()?,
    )
    .ok()
}

/// `Z`, `+02:00`, `-00:00` as minutes, and whether it is the last.
fn offset(rest: &[u8]) -> Option<(i32, bool)> {
    match rest {
        b"Z" | b"z" => Some((0, false)),
        [sign @ (b'+' | b'-'), clock @ ..] => {
            if clock.len() != 5 || clock[2] != b':' {
                return None;
            }
            let (hours, minutes) = (digits(&clock[..2])?, digits(&clock[3..])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let total = hours * 60 + minutes;
            let negative = *sign == b'-';
            Some((
                if negative { -total } else { total },
                negative && total == 0,
            ))
        }
        _ => None,
    }
}

fn digits(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0i32, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i32::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_their_offset() {
        let check = |text: &str, expected: Option<(i64, i64, i32, bool)>| {
            let found =
                parse(text).map(|m| (m.seconds, m.micros, m.offset_minutes, m.offset_unknown));
            assert_eq!(found, expected, "{text}");
        };
        check("1970-01-01T00:00:00Z", Some((0, 0, 0, false)));
        check(
            "2024-05-01T10:00:00+02:00",
            Some((1_714_550_400, 0, 120, false)),
        );
        check(
            "2024-05-01 10:00:00.25-03:30",
            Some((1_714_570_200, 250_000, -210, false)),
        );
        check(
            "2024-05-01t10:00:00.123456789z",
            Some((1_714_557_600, 123_456, 0, false)),
        );
        check(
            "2024-05-01T10:00:00-00:00",
            Some((1_714_557_600, 0, 0, true)),
        );
        check("2016-12-31T23:59:60Z", Some((1_483_228_800, 0, 0, false)));
        check("1969-12-31T23:59:59.5Z", Some((-1, 500_000, 0, false)));
        for wrong in [
            "",
            "2024",
            "2024-05-01",
            "2024-05-01T10:00:00",
            "2024-13-01T10:00:00Z",
            "2024-02-30T10:00:00Z",
            "2024-05-01T24:00:00Z",
            "2024-05-01T10:00:61Z",
            "2024-05-01T10:00:00+24:00",
            "2024-05-01T10:00:00+0200",
            "2024-05-01T10:00:00.Z",
            "2024-05-01T10:00:00Z ",
            "2024-05-01X10:00:00Z",
            "2024-05-01T10:00:00é",
            "+024-05-01T10:00:00Z",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (seconds, offset, unknown) in [
            (0, 0, false),
            (1_714_550_400, 120, false),
            (-86_400 * 365, -210, false),
            (1, 0, true),
        ] {
            let text = format(seconds, offset, unknown).unwrap();
            let read = parse(&text).unwrap();
            assert_eq!(
                (read.seconds, read.offset_minutes, read.offset_unknown),
                (seconds, offset, unknown),
                "{text}"
            );
        }
        assert_eq!(
            format(1_714_550_400, 120, false).unwrap(),
            "2024-05-01T10:00:00+02:00"
        );
        assert_eq!(format(0, 1440, false), None);
        assert_eq!(format(i64::MAX, 0, false), None);
        assert_eq!(format(253_402_300_800, 0, false), None, "the year 10000");
        assert_eq!(
            server_time(Time(1_714_550_400_000_001)),
            "2024-05-01T08:00:00.000001Z"
        );
        assert_eq!(server_time(Time(-1)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(parse_day("2024-05-01"), Some(Time(1_714_521_600_000_000)));
        assert_eq!(parse_day("2024-5-1"), None);
    }
}
