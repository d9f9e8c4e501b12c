//! SQLite's journal, looked at before SQLite reads it. SQLite takes the commits up to the first broken frame and forgets the
//! rest without a word: right for the one commit that was being written, wrong for those that were acknowledged. So a
//! journal with more than one commit behind a broken frame is refused. Read only; the format is SQLite's ("WAL File Format").

use super::StoreError;
use std::fs;
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number, but for its last bit, which says how words are read for the checksums.
const MAGIC: u32 = 0x377f_0682;

/// Refuses a journal that has lost acknowledged commits. A missing or empty one has none.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::Folder(path.to_owned(), error)),
    };
    let (read, lost) = count(&bytes);
    // The header is on the disk before any frame is written, and each commit before the next.
    match lost > u32::from(read.is_some()) {
        true => {
            Err(StoreError::JournalDamaged { path: path.to_owned(), read: read.unwrap_or_default(), lost })
        }
        false => Ok(()),
    }
}

/// The commits before the first broken frame (nothing when the header is broken), and those behind it.
fn count(bytes: &[u8]) -> (Option<u32>, u32) {
    let Some((header, frames)) = bytes.split_first_chunk::<HEADER>() else { return (Some(0), 0) };
    let little = word(header, 0) == MAGIC;
    let sum = checksum(little, (0, 0), &header[..24]);
    let is_sound = word(header, 0) & !1 == MAGIC && sum == (word(header, 24), word(header, 28));
    let page = word(header, 8) as usize;
    if !is_sound || !(512..=65536).contains(&page) {
        return (None, u32::from(!frames.is_empty()));
    }
    let salt = &header[16..24];
    let (mut sum, mut whole) = (sum, true);
    let (mut read, mut lost) = (0, 0);
    for frame in frames.chunks_exact(FRAME_HEADER + page) {
        // Frames of an earlier round of the journal have another salt, and are in the database already.
        let has_salt = frame[8..16] == *salt;
        let mut is_current = has_salt;
        if whole {
            let next = checksum(little, checksum(little, sum, &frame[..8]), &frame[FRAME_HEADER..]);
            let fits = next == (word(frame, 16), word(frame, 20));
            // The salt itself may be what is damaged: no old frame has these sums.
            is_current |= fits;
            whole = has_salt && fits;
            sum = next;
        }
        let is_commit = word(frame, 4) != 0;
        match whole {
            true => read += u32::from(is_commit),
            false => lost += u32::from(is_commit && is_current),
        }
    }
    (Some(read), lost)
}

fn word(bytes: &[u8], place: usize) -> u32 {
    bytes[place..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

/// SQLite's running sums over pairs of words.
fn checksum(little: bool, sum: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let read = if little { u32::from_le_bytes } else { u32::from_be_bytes };
    bytes.chunks_exact(8).fold(sum, |(first, second), pair| {
        let [a, b, c, d, e, f, g, h] = *pair else { return (first, second) };
        let first = first.wrapping_add(read([a, b, c, d])).wrapping_add(second);
        (first, second.wrapping_add(read([e, f, g, h])).wrapping_add(first))
    })
}
