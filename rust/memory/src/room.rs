//! How much memory an image may take.
//!
//! Pages of a memfd are not refused when memory is overcommitted: filling one past what is there
//! wakes the out-of-memory killer, which may well end the host. So the size is held to what is
//! available before the first page is filled.

use std::{fs, path::Path};

/// Bytes that this process could still fill; `None` where the kernel doesn't say.
pub(crate) fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| machine_available(&text));
    let group = fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| group_available(Path::new("/sys/fs/cgroup"), &text));
    match (machine, group) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (machine, group) => machine.or(group),
    }
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn machine_available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The least that a control group (version 2) of this process, or one above it, has left. Pages of
/// files count as free: they can be dropped.
fn group_available(root: &Path, cgroup: &str) -> Option<u64> {
    let own = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let number = |group: &Path, file: &str| -> Option<u64> {
        fs::read_to_string(group.join(file))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    root.join(own)
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(|group| {
            // "max" is no number: no limit here.
            let limit = number(group, "memory.max")?;
            let used = number(group, "memory.current")?;
            let files: u64 = fs::read_to_string(group.join("memory.stat"))
                .ok()?
                .lines()
                .filter_map(|line| {
                    line.strip_prefix("inactive_file ")
                        .or_else(|| line.strip_prefix("active_file "))
                })
                .filter_map(|bytes| bytes.parse::<u64>().ok())
                .sum();
            Some(limit.saturating_sub(used.saturating_sub(files)))
        })
        .min()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn meminfo_is_read_in_bytes() {
        let text = "MemTotal: 100 kB\nMemAvailable:   23 kB\n";
        assert_eq!(machine_available(text), Some(23 * 1024));
        assert_eq!(machine_available("MemTotal: 100 kB\n"), None);
        assert_eq!(machine_available("MemAvailable: lots\n"), None);
    }

    #[test]
    fn this_machine_says_what_is_available() {
        assert!(available().unwrap() > 0);
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = std::env::temp_dir().join(format!("strongroom-groups-{}", std::process::id()));
        let write = |group: &str, max: &str, current: &str| {
            let group = root.join(group);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("memory.max"), max).unwrap();
            fs::write(group.join("memory.current"), current).unwrap();
            fs::write(
                group.join("memory.stat"),
                "anon 5\ninactive_file 30\nactive_file 10\n",
            )
            .unwrap();
        };
        write("outer", "1000\n", "540\n");
        write("outer/inner", "900\n", "140\n");
        write("outer/inner/free", "max\n", "140\n");
        let at = |path: &str| group_available(&root, &format!("0::/{path}\n"));
        assert_eq!(at("outer"), Some(500));
        assert_eq!(at("outer/inner"), Some(500));
        write("outer/inner", "300\n", "140\n");
        assert_eq!(at("outer/inner/free"), Some(200));
        assert_eq!(at(""), None);
        // Version 1 alone has no line that starts with 0.
        assert_eq!(group_available(&root, "4:memory:/outer\n"), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
