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
