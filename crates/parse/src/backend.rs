//! Which instruction set the hot loops use: chosen once, when a parser is made.

/// Names the instruction set that is used in place of the best one: that of a [`Backend`] in lower case. For tests and
/// measurements; one that this machine does not have is passed over.
const VARIABLE: &str = "FLOWQUET_BACKEND";

/// An instruction set that the hot loops are written for, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// 64 bytes an operation, with masks and with bytes drawn together by them (VBMI2): Intel since Ice Lake, AMD since Zen 4.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 32 bytes an operation, the 16-byte ones up to SSE4.2, BMI1, BMI2 and POPCNT: what came to servers together.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 16 bytes an operation: ARM.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// 8 bytes an operation, on every machine; the oracle of the others.
    Scalar,
}

impl Backend {
    /// The best one this machine has, unless `FLOWQUET_BACKEND` names another of those.
    pub fn detect() -> Self {
        let available = Self::available();
        let named = std::env::var(VARIABLE).ok();
        let is_named = |backend: &&Self| named.as_deref() == Some(backend.name());
        *available.iter().find(is_named).unwrap_or(&available[0])
    }

    /// All that this machine has, best first.
    pub fn available() -> Vec<Self> {
        let mut available = Vec::new();
        #[cfg(target_arch = "x86_64")]
        if crate::x86::has_avx2() {
            available.extend(crate::x86::has_avx512().then_some(Self::Avx512));
            available.push(Self::Avx2);
        }
        #[cfg(target_arch = "aarch64")]
        available.extend(crate::arm::has_neon().then_some(Self::Neon));
        available.push(Self::Scalar);
        available
    }

    fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            Self::Scalar => "scalar",
        }
    }
}
