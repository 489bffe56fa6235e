//! Byte ranges (RFC 9110, section 14), for contents that are sent raw.

use std::ops::Range;

use http::{HeaderMap, header};

use crate::app::error::AppError;

/// Which bytes of `size` are asked for; `None`: all. Several ranges at once are answered with all,
/// as one may.
///
/// # Errors
/// [`AppError::Range`] when the range begins behind the end.
pub fn wanted(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, AppError> {
    let Some(value) = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
    else {
        return Ok(None);
    };
    let Some((unit, set)) = value.split_once('=') else {
        return Ok(None);
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Ok(None);
    }
    let Some((first, last)) = set.trim().split_once('-') else {
        return Ok(None);
    };
    let range = match (number(first), number(last)) {
        // The last so many bytes.
        (None, Some(length)) if first.trim().is_empty() => {
            if length == 0 || size == 0 {
                return Err(AppError::Range { size });
            }
            size.saturating_sub(length)..size
        }
        (Some(first), None) if last.trim().is_empty() => first..size,
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        // What cannot be read is as if it were not there.
        _ => return Ok(None),
    };
    if range.start >= size {
        return Err(AppError::Range { size });
    }
    Ok(Some(range))
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit are more than any size.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_of_bytes_that_are_there() {
        let check = |value: &str, expected: Result<Option<Range<u64>>, ()>| {
            let headers = HeaderMap::from_iter([(header::RANGE, value.parse().unwrap())]);
            assert_eq!(wanted(&headers, 10).map_err(|_| ()), expected, "{value}");
        };
        check("bytes=0-0", Ok(Some(0..1)));
        check("bytes=2-5", Ok(Some(2..6)));
        check("bytes=2-", Ok(Some(2..10)));
        check("bytes=-3", Ok(Some(7..10)));
        check("bytes=-30", Ok(Some(0..10)));
        check("bytes=5-99999999999999999999999", Ok(Some(5..10)));
        check("bytes=10-", Err(()));
        check("bytes=10-12", Err(()));
        check("bytes=-0", Err(()));
        check("bytes=5-2", Ok(None));
        check("bytes=0-1,3-4", Ok(None));
        check("bytes=x-", Ok(None));
        check("lines=0-1", Ok(None));
        assert_eq!(wanted(&HeaderMap::new(), 10).unwrap(), None);
    }
}
