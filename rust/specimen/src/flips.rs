//! Positions of bits to flip.

use crate::random::Random;

/// `count` positions of bits, drawn from the first `length` bytes; the same for the same `seed`.
///
/// Nothing comes out when `length` is 0.
pub fn flips(seed: u64, count: usize, length: usize) -> impl Iterator<Item = Flip> {
    let mut random = Random::new(seed);
    let count = if length == 0 { 0 } else { count };
    (0..count).map(move |_| Flip {
        byte: random.below(length as u64) as usize,
        bit: (random.bits() % 8) as u8,
    })
}

/// One bit of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip {
    /// The byte's offset.
    pub byte: usize,
    /// The bit within it, 0 to 7.
    pub bit: u8,
}

impl Flip {
    /// Flips the bit; flipping it again restores it.
    ///
    /// # Panics
    /// If `bytes` is shorter than the length that the flip was drawn for.
    pub fn apply(self, bytes: &mut [u8]) {
        bytes[self.byte] ^= 1 << self.bit;
    }
}

#[cfg(test)]
mod tests {
    use super::flips;

    #[test]
    fn a_seed_names_its_flips() {
        let drawn: Vec<_> = flips(1, 100, 64).collect();
        assert_eq!(drawn, flips(1, 100, 64).collect::<Vec<_>>());
        assert_ne!(drawn, flips(2, 100, 64).collect::<Vec<_>>());
        assert!(drawn.iter().all(|flip| flip.byte < 64 && flip.bit < 8));
        assert_eq!(flips(1, 100, 0).count(), 0);
    }

    #[test]
    fn flipping_twice_restores() {
        let mut bytes = [0_u8; 16];
        for flip in flips(3, 8, 16) {
            flip.apply(&mut bytes);
            flip.apply(&mut bytes);
        }
        assert_eq!(bytes, [0; 16]);
    }
}
