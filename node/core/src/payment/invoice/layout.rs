//! The rules of BOLT 11 about a tagged field's length, which are lost once a field is a value: fixed lengths and the
//! shortest form of numbers; and the hash that is signed, over the elements as they came. (`lightning-invoice` hashes
//! them as it would write them itself, which differs for a field whose padding is not zero.)

use super::InvoiceError;
use bitcoin::bech32::{Fe32, Fe32IterExt};
use bitcoin::hashes::{sha256, Hash};
use lightning_invoice::Bolt11ParseError;

/// In elements of five bits.
const TIMESTAMP_LEN: usize = 7;
const SIGNATURE_LEN: usize = 104;
const CHECKSUM_LEN: usize = 6;
/// `p`, `h` and `s`: 256 bits. `n`: 33 bytes.
const FIXED: [(char, usize); 4] = [('p', 52), ('h', 52), ('s', 52), ('n', 53)];
/// Numbers and bits, to be written without zero elements at the start.
const SHORTEST: [char; 3] = ['c', 'x', '9'];

/// Prefix, and the elements between it and the signature, of an invoice whose checksum was found right. `text` is in
/// lower case.
fn parts(text: &str) -> Result<(&str, &[u8]), InvoiceError> {
    let short = InvoiceError::Parse { problem: Bolt11ParseError::TooShortDataPart };
    let Some((prefix, data)) = text.rsplit_once('1') else { return Err(short) };
    let end = data.len().checked_sub(SIGNATURE_LEN + CHECKSUM_LEN);
    match end.and_then(|end| data.as_bytes().get(..end)).filter(|data| data.len() >= TIMESTAMP_LEN) {
        Some(data) => Ok((prefix, data)),
        None => Err(short),
    }
}

/// Checks every tagged field.
pub(super) fn check(text: &str) -> Result<(), InvoiceError> {
    let (_, data) = parts(text)?;
    let mut rest = &data[TIMESTAMP_LEN..];
    while let [field, high, low, after @ ..] = rest {
        let ended = || InvoiceError::from(Bolt11ParseError::UnexpectedEndOfTaggedFields);
        let length =
            element(*high).zip(element(*low)).map(|(high, low)| high * 32 + low).ok_or_else(ended)?;
        let (value, next) = after.split_at_checked(length).ok_or_else(ended)?;
        check_field(char::from(*field), value)?;
        rest = next;
    }
    Ok(())
}

/// What is signed: SHA-256 of the prefix and of the elements as bits, filled with zeros to whole bytes.
pub(super) fn signed_hash(text: &str) -> Result<[u8; 32], InvoiceError> {
    let (prefix, data) = parts(text)?;
    let elements = data.iter().filter_map(|character| Fe32::from_char(char::from(*character)).ok());
    // Enough zero elements for the last byte to come out; what is too much is not taken.
    let bytes = elements.chain([Fe32::Q; 2]).fes_to_bytes().take((data.len() * 5).div_ceil(8));
    let signed: Vec<u8> = prefix.bytes().chain(bytes).collect();
    Ok(sha256::Hash::hash(&signed).to_byte_array())
}

fn check_field(field: char, value: &[u8]) -> Result<(), InvoiceError> {
    let length = value.len();
    if FIXED.iter().any(|(name, fixed)| *name == field && *fixed != length) {
        return Err(InvoiceError::WrongLength { field, length });
    }
    if SHORTEST.contains(&field) && value.first() == Some(&b'q') {
        return Err(InvoiceError::NotMinimal { field });
    }
    Ok(())
}

fn element(character: u8) -> Option<usize> {
    Fe32::from_char(char::from(character)).ok().map(|element| element.to_u8().into())
}
