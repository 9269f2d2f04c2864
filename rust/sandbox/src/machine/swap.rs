//! Swap devices.

use std::fmt;
use std::io;

/// Where the kernel could write the pages of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// Nowhere.
    None,
    /// To these devices and files.
    Devices(Vec<String>),
    /// It can't be known.
    Unknown,
}

impl Swap {
    /// Reads the content of `/proc/swaps`: a heading, then a line for each device. A kernel built
    /// without swap has no such file.
    pub(super) fn read(swaps: io::Result<String>) -> Self {
        match swaps {
            Ok(text) => {
                let devices: Vec<_> = text
                    .lines()
                    .skip(1)
                    .filter_map(|line| line.split_whitespace().next())
                    .map(str::to_owned)
                    .collect();
                if devices.is_empty() {
                    Self::None
                } else {
                    Self::Devices(devices)
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && proc_is_there() => Self::None,
            Err(_) => Self::Unknown,
        }
    }
}

fn proc_is_there() -> bool {
    std::path::Path::new("/proc/self/status").exists()
}

impl fmt::Display for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Devices(devices) => f.write_str(&devices.join(", ")),
            Self::Unknown => f.write_str("unknown: /proc/swaps can't be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    #[test]
    fn only_a_heading_is_no_swap() {
        assert_eq!(Swap::read(Ok(HEADING.to_owned())), Swap::None);
    }

    #[test]
    fn each_line_is_a_device() {
        let text = format!(
            "{HEADING}/dev/sda2                               partition\t999420\t\t0\t\t-2\n/swapfile file 8 0 -3\n"
        );
        assert_eq!(
            Swap::read(Ok(text)),
            Swap::Devices(vec!["/dev/sda2".to_owned(), "/swapfile".to_owned()])
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_none() {
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Swap::read(Err(error)), Swap::Unknown);
    }
}
