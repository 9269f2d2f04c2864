//! The thread that wipes what lies idle while nobody asks the arena for anything.

use std::{
    io,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use super::Inner;

/// How often it looks: a fraction of the age, within bounds.
fn interval(max_age: Duration) -> Duration {
    (max_age / 8).clamp(Duration::from_millis(10), Duration::from_secs(10))
}

/// Starts it; it ends when the arena is gone.
pub(super) fn start(arena: &Arc<Inner>, max_age: Duration) -> io::Result<()> {
    let arena: Weak<Inner> = Arc::downgrade(arena);
    thread::Builder::new()
        .name("strongroom-age".to_owned())
        .stack_size(64 << 10)
        .spawn(move || {
            loop {
                thread::sleep(interval(max_age));
                match arena.upgrade() {
                    Some(arena) => drop(arena.reclaim()),
                    None => return,
                }
            }
        })
        .map(drop)
}
