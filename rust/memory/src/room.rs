//! Memory for an image that is being read, and how much it may take.
//!
//! Pages of a memfd are not refused when memory is overcommitted: filling one past what is there
//! wakes the out-of-memory killer, which may well end the host. So the size is held to what is
//! available before the first page is filled.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use strongroom_verify::Digest;

use crate::{SourceError, Unproven, filling::Filling, source::io_error};

/// Bytes that one which grows needs to be available when it does.
const STRETCH: u64 = 16 << 20;

/// Memory for an image, which nobody but this process sees yet.
#[derive(Debug)]
pub(crate) struct Room {
    filling: Filling,
    length: usize,
}

impl Room {
    /// For the `size` bytes of the model at `path`; refused before any is taken where they are more
    /// than is allowed or available.
    pub(crate) fn reserve(
        path: &Path,
        size: u64,
        size_limit: Option<u64>,
    ) -> Result<Self, SourceError> {
        if let Some(limit) = size_limit.filter(|&limit| size > limit) {
            return Err(SourceError::OverLimit {
                path: path.to_owned(),
                size,
                limit,
            });
        }
        if let Some(available) = available().filter(|&available| size > available) {
            return Err(too_large(path, size, available));
        }
        let length = usize::try_from(size).map_err(|_| too_large(path, size, usize::MAX as u64))?;
        let filling = Filling::new(length)
            .map_err(|errno| io_error("make memory for", path.to_owned(), errno))?;
        Ok(Self { filling, length })
    }

    /// Makes it `size` bytes long, as one that grows; as much has to be allowed, and available.
    pub(crate) fn grow(
        &mut self,
        path: &Path,
        size: u64,
        size_limit: Option<u64>,
    ) -> Result<(), SourceError> {
        if let Some(limit) = size_limit.filter(|&limit| size > limit) {
            return Err(SourceError::OverLimit {
                path: path.to_owned(),
                size,
                limit,
            });
        }
        // What the kernel says is read again for every stretch, not for every piece.
        let stretches = |size: u64| size.div_ceil(STRETCH);
        if stretches(size) > stretches(self.length as u64)
            && let Some(available) = available().filter(|&available| STRETCH > available)
        {
            return Err(too_large(path, size, available));
        }
        let length = usize::try_from(size).map_err(|_| too_large(path, size, usize::MAX as u64))?;
        self.filling
            .resize(length)
            .map_err(|errno| io_error("make memory for", path.to_owned(), errno))?;
        self.length = length;
        Ok(())
    }

    /// Writes the next bytes, which come from the file at `path`.
    pub(crate) fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), SourceError> {
        let written = self.filling.write(bytes);
        written.map_err(|errno| self.not_written(path, errno))
    }

    /// Writes bytes where they belong; none past the end.
    pub(crate) fn write_at(
        &self,
        path: &Path,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), SourceError> {
        let offset = usize::try_from(offset).ok().filter(|&offset| {
            offset
                .checked_add(bytes.len())
                .is_some_and(|end| end <= self.length)
        });
        let written = offset.map_or(Err(Errno::FBIG), |offset| {
            self.filling.write_at(offset, bytes)
        });
        written.map_err(|errno| self.not_written(path, errno))
    }

    fn not_written(&self, path: &Path, errno: Errno) -> SourceError {
        match errno {
            Errno::NOMEM | Errno::NOSPC => {
                too_large(path, self.length as u64, available().unwrap_or_default())
            }
            errno => io_error("fill memory from", path.to_owned(), errno),
        }
    }

    /// Bytes in all.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// The memory itself.
    pub(crate) const fn filling_mut(&mut self) -> &mut Filling {
        &mut self.filling
    }

    /// A second descriptor of the memory.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(crate) fn duplicate(&self) -> std::os::fd::OwnedFd {
        self.filling.duplicate()
    }

    /// Seals what was written.
    pub(crate) fn seal(
        mut self,
        path: &Path,
        real_path: Option<PathBuf>,
        digests: Vec<Digest>,
        parts: Vec<Vec<Digest>>,
    ) -> Result<Unproven, SourceError> {
        let memory = self
            .filling
            .seal()
            .map_err(|errno| io_error("seal the image of", path.to_owned(), errno))?;
        let length = self.length;
        Ok(Unproven::new(
            memory, length, path, real_path, digests, parts,
        ))
    }
}

fn too_large(path: &Path, size: u64, available: u64) -> SourceError {
    SourceError::TooLarge {
        path: path.to_owned(),
        size,
        available,
    }
}

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
