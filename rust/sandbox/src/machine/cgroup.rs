//! The processor time that control groups grant, versions 2 and 1.
//!
//! A quota binds whatever lies below it, so that the least of all groups from ours to the root
//! counts. In a container the root may be its own group, with the path of `/proc/self/cgroup`
//! pointing out of what is mounted: then what is mounted is all that can be asked.

use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A share of processor time, in processors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quota {
    /// No group limits it, or none says so.
    Unlimited,
    /// So many processors' worth.
    Processors(f64),
}

impl Quota {
    /// Reads the groups named in `process`/cgroup below `mount`.
    pub(super) fn read(process: &Path, mount: &Path) -> Self {
        let groups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        groups
            .lines()
            .filter_map(|line| least(line, mount))
            .min_by(f64::total_cmp)
            .map_or(Self::Unlimited, Self::Processors)
    }

    /// Whole processors, at least 1; `None` if unlimited.
    pub fn whole_cores(self) -> Option<usize> {
        match self {
            Self::Unlimited => None,
            // Casting a float saturates, so that no quota wraps.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Self::Processors(processors) => Some((processors as usize).max(1)),
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("none"),
            Self::Processors(processors) => write!(f, "{processors:.2} processors"),
        }
    }
}

/// The least quota from the group of one line of `/proc/self/cgroup` up to the root.
fn least(line: &str, mount: &Path) -> Option<f64> {
    // HIERARCHY:CONTROLLERS:PATH, where version 2 names no controllers.
    let mut fields = line.splitn(3, ':').skip(1);
    let controllers = fields.next()?;
    let path = fields.next()?;
    if controllers.is_empty() {
        least_below([mount, &mount.join("unified")], path, version_2)
    } else if controllers.split(',').any(|name| name == "cpu") {
        least_below(
            [&mount.join(controllers), &mount.join("cpu")],
            path,
            version_1,
        )
    } else {
        None
    }
}

fn least_below(roots: [&Path; 2], path: &str, quota: fn(&Path) -> Option<f64>) -> Option<f64> {
    roots
        .into_iter()
        .flat_map(|root| ancestry(root, path))
        .filter_map(|group| quota(&group))
        .min_by(f64::total_cmp)
}

/// The directories from `path` below `root` up to `root` itself.
fn ancestry(root: &Path, path: &str) -> Vec<PathBuf> {
    let mut directory = root.to_owned();
    let mut all = vec![directory.clone()];
    for part in Path::new(path).components() {
        if let Component::Normal(name) = part {
            directory.push(name);
            all.push(directory.clone());
        }
    }
    all
}

/// `cpu.max`: the quota or `max`, and the period, in microseconds.
fn version_2(group: &Path) -> Option<f64> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let mut words = text.split_whitespace();
    let quota: f64 = words.next()?.parse().ok()?;
    let period: f64 = words.next()?.parse().ok()?;
    share(quota, period)
}

/// `cpu.cfs_quota_us`, -1 for none, and `cpu.cfs_period_us`.
fn version_1(group: &Path) -> Option<f64> {
    let number = |name: &str| {
        let text = fs::read_to_string(group.join(name)).ok()?;
        text.trim().parse::<f64>().ok()
    };
    share(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
}

fn share(quota: f64, period: f64) -> Option<f64> {
    let share = quota / period;
    (share.is_finite() && share > 0.0).then_some(share)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A directory with the files of groups, removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn of(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir()
                .join(format!("strongroom-cgroup-{}-{name}", std::process::id()));
            for (path, content) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            Self(root)
        }

        fn quota(&self) -> Quota {
            Quota::read(&self.0.join("process"), &self.0.join("mount"))
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_least_quota_on_the_way_to_the_root_counts() {
        let tree = Tree::of(
            "least",
            &[
                ("process/cgroup", "0::/service/worker\n"),
                ("mount/service/cpu.max", "150000 100000\n"),
                ("mount/service/worker/cpu.max", "400000 100000\n"),
            ],
        );
        assert_eq!(tree.quota(), Quota::Processors(1.5));
        assert_eq!(tree.quota().whole_cores(), Some(1));
    }

    #[test]
    fn max_is_no_limit() {
        let tree = Tree::of(
            "max",
            &[
                ("process/cgroup", "0::/\n"),
                ("mount/cpu.max", "max 100000\n"),
            ],
        );
        assert_eq!(tree.quota(), Quota::Unlimited);
    }

    #[test]
    fn a_container_that_mounts_its_own_group_as_the_root_is_asked_there() {
        let tree = Tree::of(
            "container",
            &[
                ("process/cgroup", "0::/../../docker/0123\n"),
                ("mount/cpu.max", "300000 100000\n"),
            ],
        );
        assert_eq!(tree.quota(), Quota::Processors(3.0));
    }

    #[test]
    fn version_1_is_read_by_its_controllers() {
        let tree = Tree::of(
            "one",
            &[
                (
                    "process/cgroup",
                    "12:pids:/a\n4:cpu,cpuacct:/a\n1:name=systemd:/a\n",
                ),
                ("mount/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"),
                ("mount/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
                ("mount/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("mount/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ],
        );
        assert_eq!(tree.quota(), Quota::Processors(0.5));
        assert_eq!(tree.quota().whole_cores(), Some(1));
    }

    #[test]
    fn nonsense_is_no_limit() {
        for (name, content) in [("zero", "0 0\n"), ("words", "a b c\n"), ("nothing", "")] {
            let tree = Tree::of(
                name,
                &[("process/cgroup", "0::/\n"), ("mount/cpu.max", content)],
            );
            assert_eq!(tree.quota(), Quota::Unlimited, "{name}");
        }
        let absent = Path::new("/nonexistent");
        assert_eq!(Quota::read(absent, absent), Quota::Unlimited);
    }
}
