//! Slots that are ready: mapping and locking pages takes microseconds, taking a slot doesn't.

use std::collections::BTreeMap;

use super::{
    ArenaError, Backing, Fallback,
    pages::{Layout, Mapped, page_size},
    process::Process,
    slot::{CANARY, Slot},
};

/// Pages of a slot, and slots of a mapping. Larger buffers get a mapping each, which goes with them.
const CLASSES: [(usize, usize); 3] = [(1, 16), (4, 4), (16, 1)];

/// A mapping, and how many of its slots are taken.
#[derive(Debug)]
struct Slab {
    mapped: Mapped,
    taken: usize,
}

/// The slots of an arena.
#[derive(Debug)]
pub(crate) struct Pool {
    process: &'static Process,
    backing: Backing,
    fallback: Fallback,
    slabs: BTreeMap<u64, Slab>,
    next: u64,
    ready: [Vec<Slot>; CLASSES.len()],
    /// What was asked for and not given, with the kernel's reason; each once.
    pub(crate) fallbacks: Vec<String>,
}

impl Pool {
    pub(crate) fn new(process: &'static Process, backing: Backing, fallback: Fallback) -> Self {
        Self {
            process,
            backing,
            fallback,
            slabs: BTreeMap::new(),
            next: 0,
            ready: Default::default(),
            fallbacks: Vec::new(),
        }
    }

    /// A slot for a buffer of `length` bytes, all zeros.
    pub(crate) fn take(&mut self, length: usize) -> Result<Slot, ArenaError> {
        let pages = (length + CANARY).div_ceil(page_size());
        let class = CLASSES.iter().position(|(size, _)| *size >= pages);
        if let Some(class) = class
            && let Some(slot) = self.ready[class].pop()
        {
            self.taken(slot.slab);
            return Ok(slot);
        }
        let (pages, slots) = class.map_or((pages, 1), |class| CLASSES[class]);
        let layout = Layout {
            slot: pages * page_size(),
            slots,
        };
        let mapped = self.map(layout)?;
        let slot = self.shelve(mapped, class);
        self.taken(slot.slab);
        Ok(slot)
    }

    fn taken(&mut self, slab: u64) {
        if let Some(slab) = self.slabs.get_mut(&slab) {
            slab.taken += 1;
        }
    }

    /// Maps with the backing that was asked for, or what may replace it.
    fn map(&mut self, layout: Layout) -> Result<Mapped, ArenaError> {
        let mut backing = self.backing;
        loop {
            let refused = match Mapped::new(layout, backing) {
                Ok(mapped) => return Ok(mapped),
                Err(error @ ArenaError::Refused { .. }) => return Err(error),
                // Limits are of what is mapped: what waits on the shelves counts too.
                Err(error) if !self.trim() => error,
                Err(_) => continue,
            };
            if self.fallback == Fallback::Refuse {
                return Err(refused);
            }
            backing = match backing {
                Backing::Secret => Backing::Locked,
                Backing::Locked => Backing::Swappable,
                Backing::Swappable => return Err(refused),
            };
            let told = format!("{} memory instead: {refused}", backing.as_str());
            if !self.fallbacks.contains(&told) {
                self.fallbacks.push(told);
            }
        }
    }

    /// Keeps a new mapping; returns its first slot, and shelves the others.
    fn shelve(&mut self, mapped: Mapped, class: Option<usize>) -> Slot {
        let slab = self.next;
        self.next += 1;
        self.process.register(mapped.start, mapped.layout);
        let slot = |index: usize| Slot {
            // SAFETY: the layout is that of the mapping.
            start: unsafe { mapped.start.add(mapped.layout.offset(index)) },
            bytes: mapped.layout.slot,
            backing: mapped.backing,
            slab,
            class,
        };
        if let Some(class) = class {
            self.ready[class].extend((1..mapped.layout.slots).rev().map(slot));
        }
        let first = slot(0);
        self.slabs.insert(slab, Slab { mapped, taken: 0 });
        first
    }

    /// Takes back a slot of zeros.
    pub(crate) fn give_back(&mut self, slot: Slot) {
        if let Some(slab) = self.slabs.get_mut(&slot.slab) {
            slab.taken -= 1;
        }
        match slot.class {
            Some(class) => self.ready[class].push(slot),
            None => self.unmap(slot.slab),
        }
    }

    /// Unmaps what nobody has taken a slot of; whether there was any.
    fn trim(&mut self) -> bool {
        let idle: Vec<u64> = self
            .slabs
            .iter()
            .filter_map(|(id, slab)| (slab.taken == 0).then_some(*id))
            .collect();
        for ready in &mut self.ready {
            ready.retain(|slot| !idle.contains(&slot.slab));
        }
        for id in &idle {
            self.unmap(*id);
        }
        !idle.is_empty()
    }

    fn unmap(&mut self, id: u64) {
        if let Some(slab) = self.slabs.remove(&id) {
            self.process.forget(slab.mapped.start);
            slab.mapped.unmap();
        }
    }

    /// Bytes of memory that are mapped with this backing, guard pages not counted.
    pub(crate) fn mapped(&self, backing: Backing) -> usize {
        self.slabs
            .values()
            .filter(|slab| slab.mapped.backing == backing)
            .map(|slab| slab.mapped.layout.bytes())
            .sum()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // In a forked child the addresses may be somebody else's by now.
        if self.process.runs() {
            let ids: Vec<u64> = self.slabs.keys().copied().collect();
            for id in ids {
                self.unmap(id);
            }
        }
    }
}
