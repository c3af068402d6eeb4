//! Chance from a seed: the same seed, the same morning.

/// Steele, Lea and Flood's generator.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    /// A stream of its own for each purpose.
    pub(crate) fn new(seed: u64, purpose: u64) -> Chance {
        let mut chance = Chance { state: seed };
        let mixed = chance.draw();
        Chance { state: mixed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93) }
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number less than `bound`; zero when `bound` is zero.
    #[expect(clippy::cast_possible_truncation, reason = "less than a 32-bit bound")]
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u32
    }

    pub(crate) fn permille(&mut self, share: u32) -> bool {
        self.below(1_000) < share
    }

    /// At least 0, less than 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn part(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How long until the next of events that come by themselves, `rate` in the unit of time.
    pub(crate) fn until_next(&mut self, rate: f64) -> f64 {
        -(1.0 - self.part()).ln() / rate
    }
}
