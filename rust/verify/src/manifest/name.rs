//! Names in a manifest: paths inside a tree, in one spelling.

use std::ops::Range;

use super::text;

/// What a single file is listed as.
pub(super) const SINGLE: &str = ".";

/// Longest path and component, as Linux has them.
const LONGEST_PATH: usize = 4095;
const LONGEST_COMPONENT: usize = 255;

/// Refuses a path that is absolute, leaves the tree, or has a second spelling.
pub(super) fn check(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.len() > LONGEST_PATH {
        return Err("it is longer than any path");
    }
    if path.starts_with('/') {
        return Err("it is absolute");
    }
    for component in path.split('/') {
        match component {
            "" => return Err("it has an empty component"),
            "." => return Err("it has the component \".\""),
            ".." => return Err("it leaves the tree"),
            long if long.len() > LONGEST_COMPONENT => return Err("it has too long a component"),
            nul if nul.contains('\0') => return Err("it holds a NUL"),
            _ => {}
        }
    }
    Ok(())
}

/// Takes `a.bin:0:1048576` apart.
pub(super) fn shard(name: &str) -> Result<(&str, Range<u64>), &'static str> {
    let malformed = "it is no path, start and end with colons between";
    let mut parts = name.split(':');
    let (Some(path), Some(start), Some(end), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed);
    };
    let (Some(start), Some(end)) = (offset(start), offset(end)) else {
        return Err(malformed);
    };
    if start >= end {
        return Err("its shard is empty or backwards");
    }
    Ok((path, start..end))
}

/// Decimal digits, without a sign or zeros before them.
fn offset(digits: &str) -> Option<u64> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| canonical)
}

/// The name of a path and range in a manifest of shards.
pub(super) fn of_shard(path: &str, range: &Range<u64>) -> String {
    format!("{path}:{}:{}", range.start, range.end)
}

/// The order that a manifest lists paths in: component by component.
pub(super) fn order(one: &str, other: &str) -> std::cmp::Ordering {
    one.split('/').cmp(other.split('/'))
}

/// A path that may be no text, for a message.
pub(super) fn shown(path: &[u8]) -> String {
    text::shown(&String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_in_one_spelling_inside_the_tree_pass() {
        for path in [
            "a", "a/b", "a b", ".a", "..a", "a..", "a\\b", "é", "a:b", "...",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        for path in [
            "", "/", "/a", "//a", "a/", "a//b", ".", "./a", "a/.", "a/./b", "..", "../a", "a/..",
            "a/../b", "a\0b", "\0",
        ] {
            assert!(check(path).is_err(), "{path:?}");
        }
        assert!(check(&"a".repeat(256)).is_err());
        assert!(check(&"a/".repeat(3000)).is_err());
    }

    #[test]
    fn shards_have_one_spelling() {
        assert_eq!(shard("a.bin:0:1048576"), Ok(("a.bin", 0..1_048_576)));
        assert_eq!(shard(".:0:5"), Ok((".", 0..5)));
        for name in [
            "",
            "a",
            "a:0",
            "a:0:",
            "a::1",
            "a:0:5:0:5",
            "a:00:5",
            "a:0:05",
            "a:+0:5",
            "a:0:-5",
            "a:0: 5",
            "a:5:5",
            "a:6:5",
            "a:0:18446744073709551616",
            "a:0:٣",
        ] {
            assert!(shard(name).is_err(), "{name}");
        }
    }

    #[test]
    fn paths_are_ordered_by_component() {
        let mut paths = ["b", "a-b", "a/b", "a", "a.b/c"];
        paths.sort_by(|one, other| order(one, other));
        assert_eq!(paths, ["a", "a/b", "a-b", "a.b/c", "b"]);
    }
}
