//! BOLT 9 feature bits: even is required, odd is optional. Kept as a bit set without leading zero bytes.

/// A set of feature bits.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Features {
    /// Big-endian, as on the wire, no leading zero byte.
    bytes: Vec<u8>,
}

impl Features {
    /// Bit 12: `option_static_remotekey`, required.
    pub const STATIC_REMOTEKEY: usize = 12;
    /// Bit 22: `option_anchors` (zero-fee HTLC transactions), required.
    pub const ANCHORS: usize = 22;

    /// From the wire; leading zero bytes are dropped.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Self { bytes: bytes[zeros..].to_vec() }
    }

    /// The bytes for the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A set of exactly these bits.
    pub fn of(bits: &[usize]) -> Self {
        let mut features = Self::default();
        bits.iter().for_each(|bit| features.set(*bit));
        features
    }

    /// Adds one bit.
    pub fn set(&mut self, bit: usize) {
        let needed = bit / 8 + 1;
        if self.bytes.len() < needed {
            let missing = needed - self.bytes.len();
            self.bytes.splice(0..0, std::iter::repeat_n(0, missing));
        }
        let index = self.bytes.len() - needed;
        self.bytes[index] |= 1 << (bit % 8);
    }

    /// All bits of either set.
    pub fn union(&self, other: &Self) -> Self {
        let (mut longer, shorter) = match self.bytes.len() < other.bytes.len() {
            true => (other.clone(), self),
            false => (self.clone(), other),
        };
        let pairs = longer.bytes.iter_mut().rev().zip(shorter.bytes.iter().rev());
        pairs.for_each(|(byte, more)| *byte |= more);
        longer
    }

    /// Whether exactly this bit is there.
    pub fn has(&self, bit: usize) -> bool {
        let byte = self.bytes.iter().rev().nth(bit / 8).copied().unwrap_or(0);
        byte & 1 << (bit % 8) != 0
    }

    /// Whether the feature is supported, required or not.
    pub fn supports(&self, even_bit: usize) -> bool {
        self.has(even_bit & !1) || self.has(even_bit | 1)
    }

    /// The bits that are there, lowest first.
    pub fn bits(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.bytes.len() * 8).filter(|bit| self.has(*bit))
    }
}
