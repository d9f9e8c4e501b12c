//! The fuzzer's bytes as choices: each taken once, in order; when they end, so does the run.

use std::ops::Range;

pub struct Bytes<'a> {
    left: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { left: data }
    }

    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(*first)
    }

    pub fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// A number of any size: the first byte says how many bits the next ones are shifted, so that few bytes reach every
    /// magnitude.
    pub fn number(&mut self) -> Option<u64> {
        let shift = self.byte()? % 64;
        Some(u64::from(self.short()?) << shift)
    }

    /// One of so many; nothing of none.
    pub fn pick(&mut self, range: Range<usize>) -> Option<usize> {
        let choice = usize::from(self.byte()?);
        (!range.is_empty()).then(|| range.start + choice % range.len())
    }

    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.left.split_at(count.min(self.left.len()));
        self.left = rest;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}
