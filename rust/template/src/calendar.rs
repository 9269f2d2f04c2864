//! `strftime_now`: today's date, in UTC, because the sandbox has no time zone.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// `now` in the `format` of C's `strftime`, in the C locale and in UTC; `None` for a conversion
/// that templates don't use.
pub(crate) fn format(now: SystemTime, format: &str) -> Option<String> {
    let seconds = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = civil(days);
    let month_name = MONTHS[usize::try_from(month - 1).ok()?];
    let weekday = WEEKDAYS[usize::try_from(days % 7).ok()?];
    let twelve = (hour + 11) % 12 + 1;
    let day_of_year = days - days_before(year) + 1;

    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut conversion = chars.next()?;
        let bare = conversion == '-';
        if bare {
            conversion = chars.next()?;
        }
        let number = |value: u64, width: usize| {
            let width = if bare { 0 } else { width };
            format!("{value:0width$}")
        };
        let piece = match conversion {
            'Y' => number(year, 4),
            'y' => number(year % 100, 2),
            'm' => number(month, 2),
            'd' => number(day, 2),
            'e' => format!("{day:2}"),
            'j' => number(day_of_year, 3),
            'H' => number(hour, 2),
            'I' => number(twelve, 2),
            'M' => number(minute, 2),
            'S' => number(second, 2),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'B' => month_name.to_owned(),
            'b' | 'h' => month_name[..3].to_owned(),
            'A' => weekday.to_owned(),
            'a' => weekday[..3].to_owned(),
            'F' => format!("{year:04}-{month:02}-{day:02}"),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        };
        out.push_str(&piece);
    }
    Some(out)
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01; years start in March, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// Days from 1970-01-01 to the first of January of `year`.
fn days_before(year: u64) -> u64 {
    let before = year - 1;
    before * 365 + before / 4 - before / 100 + before / 400 - 719_162
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64, pattern: &str) -> String {
        format(UNIX_EPOCH + Duration::from_secs(seconds), pattern).unwrap()
    }

    #[test]
    fn known_days_are_named() {
        assert_eq!(at(0, "%A %d %B %Y"), "Thursday 01 January 1970");
        assert_eq!(at(951_782_400, "%a %e %b %y %j"), "Tue 29 Feb 00 060");
        assert_eq!(at(1_721_952_000, "%d %b %Y"), "26 Jul 2024");
        assert_eq!(
            at(1_735_689_599, "%F %T %p %I %j"),
            "2024-12-31 23:59:59 PM 11 366"
        );
        assert_eq!(at(4_107_542_400, "%-d.%-m.%Y %%"), "1.3.2100 %");
    }

    #[test]
    fn an_unknown_conversion_is_refused() {
        assert_eq!(format(UNIX_EPOCH, "%Q"), None);
        assert_eq!(format(UNIX_EPOCH, "%"), None);
    }
}
