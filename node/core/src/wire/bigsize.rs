//! BOLT 1 BigSize: an integer of one, three, five or nine bytes, always in its shortest form. Here it is only read
//! from and written to bytes; what the number means is the caller's matter.
use super::{ReadError, Reader, Writer};

impl Reader<'_> {
    /// Reads a BigSize (BOLT 1 Appendix A). A longer form than needed is refused.
    pub fn bigsize(&mut self) -> Result<u64, ReadError> {
        let (value, least) = match self.u8()? {
            0xff => (self.u64()?, 1 << 32),
            0xfe => (u64::from(self.u32()?), 1 << 16),
            0xfd => (u64::from(self.u16()?), 0xfd),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(ReadError::NotMinimal);
        }
        Ok(value)
    }
}

impl Writer {
    /// Writes a BigSize in its only allowed form (BOLT 1 Appendix A).
    pub fn bigsize(&mut self, value: u64) {
        match value {
            0..=0xfc => self.bytes(&[value as u8]),
            0xfd..=0xffff => {
                self.u8(0xfd);
                self.u16(value as u16);
            }
            0x1_0000..=0xffff_ffff => {
                self.u8(0xfe);
                self.u32(value as u32);
            }
            _ => {
                self.u8(0xff);
                self.u64(value);
            }
        }
    }
}

/// How many bytes a BigSize takes: 1, 3, 5 or 9.
pub const fn bigsize_len(value: u64) -> usize {
    match value {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}
