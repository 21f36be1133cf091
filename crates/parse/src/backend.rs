//! Which instruction set the hot loops use: chosen once, when a parser is made.

/// An instruction set that the hot loops are written for, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// 32 bytes an operation, the 16-byte ones up to SSE4.2, BMI1, BMI2 and POPCNT: what came to servers together.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 8 bytes an operation, on every machine; the oracle of the others.
    Scalar,
}

impl Backend {
    /// The best one this machine has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if crate::x86::has_avx2() {
            return Self::Avx2;
        }
        Self::Scalar
    }

    /// All that this machine has, best first.
    pub fn available() -> Vec<Self> {
        let best = Self::detect();
        if best == Self::Scalar { vec![best] } else { vec![best, Self::Scalar] }
    }
}
