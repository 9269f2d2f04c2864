//! A value of any type in secure memory.

use std::{fmt, ptr::NonNull, sync::Arc};

use crate::{
    arena::{Arena, ArenaError, Backing, Held, page_size},
    stack,
};

/// A value in an arena: a key with its schedule, say. It never expires.
///
/// It is made and dropped on a [wiped stack](crate::wiped_stack), and its memory is wiped after its
/// destructor. What it points to on the heap isn't protected: types that hold all their bytes belong here.
pub struct Guarded<T> {
    held: Arc<Held>,
    value: NonNull<T>,
}

impl<T> Guarded<T> {
    /// Puts there what `make` returns.
    ///
    /// # Errors
    /// As [`Arena::allocate`] and [`wiped_stack`](crate::wiped_stack).
    pub fn new(arena: &Arena, purpose: &str, make: impl FnOnce() -> T) -> Result<Self, ArenaError> {
        Self::try_new(arena, purpose, || Ok(make()))
    }

    /// Puts there what `make` returns, if it does.
    ///
    /// # Errors
    /// As [`new`](Self::new), and those of `make`.
    pub fn try_new<E: From<ArenaError>>(
        arena: &Arena,
        purpose: &str,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Self, E> {
        if align_of::<T>() > page_size() {
            return Err(E::from(ArenaError::Invalid {
                name: "a value",
                reason: "is aligned to more than a page",
            }));
        }
        let held = arena.hold(size_of::<T>().max(1), purpose)?;
        // A value of no bytes may lie at any aligned address.
        let value = if size_of::<T>() == 0 {
            NonNull::dangling()
        } else {
            held.start().cast()
        };
        if let Err(error) = held.view() {
            held.abandon();
            return Err(error.into());
        }
        let room = Room(&held);
        let outcome = stack::wiped_stack(|| {
            make().map(|made| {
                // SAFETY: a slot of this size, that nobody else views. It ends with a page, and the
                // size is a multiple of the alignment, which divides a page: so it is aligned.
                unsafe { value.write(made) };
            })
        });
        match outcome.map_err(E::from).flatten() {
            Ok(()) => {
                std::mem::forget(room);
                Ok(Self { held, value })
            }
            Err(error) => Err(error),
        }
    }

    /// The value.
    ///
    /// # Errors
    /// [`ArenaError::Forked`] in a forked child, [`ArenaError::Invalid`] while the process exits.
    pub fn get(&self) -> Result<&T, ArenaError> {
        self.held.is_usable()?;
        // SAFETY: `try_new` wrote it, and it is dropped with `self` alone; the view that was counted
        // keeps the memory; this is the process that has it.
        Ok(unsafe { self.value.as_ref() })
    }

    /// The value, to change.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_mut(&mut self) -> Result<&mut T, ArenaError> {
        self.held.is_usable()?;
        // SAFETY: as in `get`, and `self` is borrowed exclusively.
        Ok(unsafe { self.value.as_mut() })
    }

    /// What it is for.
    pub fn purpose(&self) -> &str {
        &self.held.purpose
    }

    /// What holds its pages.
    pub fn backing(&self) -> Backing {
        self.held.slot.backing
    }
}

/// Frees the memory of a value that wasn't made: `make` failed or panicked.
struct Room<'a>(&'a Held);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.abandon();
        self.0.unview();
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // A forked child doesn't have it; at exit it may be zeros, which a destructor must not see.
        if self.held.is_usable().is_ok() {
            stack::if_possible(|| {
                // SAFETY: `try_new` wrote it, and nobody can refer to it any more.
                unsafe { self.value.drop_in_place() };
            });
        }
        self.held.abandon();
        self.held.unview();
    }
}

// SAFETY: it owns the value, as a box does.
unsafe impl<T: Send> Send for Guarded<T> {}
// SAFETY: a shared reference gives one to the value, and no more.
unsafe impl<T: Sync> Sync for Guarded<T> {}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guarded({:?})", self.purpose())
    }
}
