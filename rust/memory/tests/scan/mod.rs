//! Reading the memory of another process.

use std::{fs, os::unix::fs::FileExt};

use memchr::memmem;

/// What could be read of a process's memory, at one moment.
pub(crate) struct Memory(Vec<Vec<u8>>);

impl Memory {
    /// That of a child, wherever it can be read. Memory of `memfd_secret` can't be.
    pub(crate) fn of(pid: u32) -> Self {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
        let regions = maps.lines().filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (from, to) = fields.next()?.split_once('-')?;
            fields.next().filter(|access| access.starts_with('r'))?;
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let length = usize::try_from(address(to) - address(from)).unwrap();
            let mut region = vec![0; length];
            memory.read_exact_at(&mut region, address(from)).ok()?;
            Some(region)
        });
        Self(regions.collect())
    }

    /// How often these bytes are in it.
    pub(crate) fn count(&self, bytes: &[u8]) -> usize {
        let finder = memmem::Finder::new(bytes);
        let regions = self.0.iter();
        regions.map(|region| finder.find_iter(region).count()).sum()
    }
}
