//! The random numbers of NumPy's `default_rng`, so that sacreBLEU's resamples can be drawn again.
//!
//! `SeedSequence` (O'Neill 2015) makes the state of `PCG64`, the 128-bit generator of O'Neill (2014) with the output
//! XSL-RR. NumPy promises its streams to stay as they are within a release of a bit generator; those of `choice` and
//! `integers` haven't moved since NumPy 1.17, and a fixture holds some.

const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

/// `numpy.random.default_rng(seed)`.
#[derive(Debug, Clone)]
pub(super) struct NumpyRng {
    state: u128,
    increment: u128,
    /// The upper half of a number whose lower half was given out.
    half: Option<u32>,
    /// Bits that are left of one, lowest first.
    bits: (u32, u32),
}

impl NumpyRng {
    pub fn new(seed: u64) -> Self {
        let [a, b, c, d] = seed_sequence(seed);
        let wide = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        let increment = wide(c, d) << 1 | 1;
        let mut rng = NumpyRng {
            state: 0,
            increment,
            half: None,
            bits: (0, 0),
        };
        rng.step();
        rng.state = rng.state.wrapping_add(wide(a, b));
        rng.step();
        rng
    }

    fn step(&mut self) {
        self.state = self
            .state
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(self.increment);
    }

    fn next_u64(&mut self) -> u64 {
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    fn next_u32(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        let both = self.next_u64();
        self.half = Some((both >> 32) as u32);
        both as u32
    }

    /// One of `choice(count, replace=True)`, below `count`; by Lemire's method (2019).
    pub fn choice(&mut self, count: u32) -> u32 {
        if count <= 1 {
            return 0;
        }
        let mut product = u64::from(self.next_u32()) * u64::from(count);
        if (product as u32) < count {
            let threshold = count.wrapping_neg() % count;
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(count);
            }
        }
        (product >> 32) as u32
    }

    /// One of `integers(2, dtype=bool)`; those of one call of NumPy's, as bits that are left over are thrown away between
    /// calls.
    pub fn bool(&mut self) -> bool {
        let (bits, left) = self.bits;
        self.bits = match left {
            0 => (self.next_u32(), 31),
            _ => (bits >> 1, left - 1),
        };
        self.bits.0 & 1 == 1
    }
}

/// `SeedSequence(seed).generate_state(4, uint64)`.
fn seed_sequence(seed: u64) -> [u64; 4] {
    const POOL: usize = 4;
    let entropy = [seed as u32, (seed >> 32) as u32, 0, 0];
    let mut constant = 0x43b0_d7e5_u32;
    let mut hashed = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(constant);
        value ^ value >> 16
    };
    let mixed = |x: u32, y: u32| {
        let value = x
            .wrapping_mul(0xca01_f9dd)
            .wrapping_sub(y.wrapping_mul(0x4973_f715));
        value ^ value >> 16
    };
    let mut pool = entropy.map(&mut hashed);
    for from in 0..POOL {
        for to in (0..POOL).filter(|&to| to != from) {
            pool[to] = mixed(pool[to], hashed(pool[from]));
        }
    }
    let mut constant = 0x8b51_f9dd_u32;
    let mut words = pool.iter().cycle().map(|&word| {
        let value = word ^ constant;
        constant = constant.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(constant);
        u64::from(value ^ value >> 16)
    });
    let mut word = || words.next().unwrap_or_default();
    [(); 4].map(|()| word() | word() << 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The first line of what `scripts/fixtures/resampling.py` wrote.
    fn draws() -> Value {
        let text = include_str!("../../../tests/fixtures/scores/resampling.jsonl");
        serde_json::from_str(text.lines().next().unwrap()).unwrap()
    }

    fn numbers(value: &Value) -> Vec<u32> {
        let of = |v: &Value| match v {
            Value::Array(list) => list.iter().flat_map(numbers).collect(),
            number => vec![number.as_u64().unwrap() as u32],
        };
        of(value)
    }

    #[test]
    fn draws_are_those_of_numpy() {
        let draws = draws();
        let mut rng = NumpyRng::new(12_345);
        let choice = numbers(&draws["choice"]);
        assert_eq!(choice.len(), 16);
        assert_eq!(
            choice,
            choice.iter().map(|_| rng.choice(1012)).collect::<Vec<_>>()
        );
        let bools = numbers(&draws["bool"]);
        assert_eq!(
            bools,
            bools
                .iter()
                .map(|_| u32::from(rng.bool()))
                .collect::<Vec<_>>()
        );

        let mut rng = NumpyRng::new(draws["seed"].as_u64().unwrap());
        let large = numbers(&draws["large"]);
        assert_eq!(
            large,
            large
                .iter()
                .map(|_| rng.choice(3_000_000_000))
                .collect::<Vec<_>>()
        );
        assert_eq!(rng.choice(1), 0);
    }
}
