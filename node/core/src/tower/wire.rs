//! The two messages between a node and its tower, over BOLT 8 like any other. Their types are odd and from the range for custom
//! messages (BOLT 1, "Lightning Message Format"): whoever does not know them ignores them.
//!
//! ```text
//!   1. type: 40961 (justice)        client to tower
//!      [16*byte:locator] [u16:part] [u16:len] [len*byte:sealed]
//!   2. type: 40963 (justice_ack)    tower to client
//!      [16*byte:locator] [u16:part] [byte:verdict]       0 kept, 1 wrong size, 2 full, 3 too many clients
//! ```
//! A `justice` that is not acknowledged is sent again when the connection stands again; one that is refused too, since the limits
//! are the tower's and may change.
use super::{Justice, Locator, Refused};
use crate::wire::{ReadError, Reader, Writer};

/// The type of `justice`.
pub const JUSTICE: u16 = 40_961;
/// The type of `justice_ack`.
pub const JUSTICE_ACK: u16 = 40_963;

/// What passes between a node and its tower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TowerMessage {
    /// To be kept.
    Justice(Justice),
    /// What became of it.
    Ack(JusticeAck),
}

/// `justice_ack`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JusticeAck {
    /// The box's locator.
    pub locator: Locator,
    /// Its part.
    pub part: u16,
    /// Whether it is kept.
    pub verdict: Verdict,
}

/// What a tower says to a box.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is on the tower's disk.
    Kept,
    /// No box has this size.
    Size,
    /// The client has as much as it may.
    Full,
    /// The tower takes no more clients.
    TooManyClients,
}

/// Why bytes are not such a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TowerDecodeError {
    /// Another type, or none.
    #[error("not a message between a node and its tower")]
    Type,
    /// Cut short, or with bytes behind its end.
    #[error("message of type {kind}: {problem}")]
    Field {
        /// The message's type.
        kind: u16,
        /// What was wrong.
        problem: ReadError,
    },
    /// A verdict that is not known here.
    #[error("justice_ack: no verdict is {0}")]
    Verdict(u8),
}

impl TowerMessage {
    /// The bytes for the wire, type first.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Self::Justice(Justice { locator, part, sealed }) => {
                writer.u16(JUSTICE);
                writer.bytes(&locator.0);
                writer.u16(*part);
                writer.sized_u16(sealed);
            }
            Self::Ack(JusticeAck { locator, part, verdict }) => {
                writer.u16(JUSTICE_ACK);
                writer.bytes(&locator.0);
                writer.u16(*part);
                writer.u8(verdict.number());
            }
        }
        writer.into_bytes()
    }

    /// Reads one, type first. Nothing may stand behind its end.
    pub fn decode(bytes: &[u8]) -> Result<Self, TowerDecodeError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u16().map_err(|_| TowerDecodeError::Type)?;
        let field = |problem| TowerDecodeError::Field { kind, problem };
        let message = match kind {
            JUSTICE => Self::Justice(justice(&mut reader).map_err(field)?),
            JUSTICE_ACK => {
                let (locator, part, number) = ack(&mut reader).map_err(field)?;
                let verdict = Verdict::of_number(number).ok_or(TowerDecodeError::Verdict(number))?;
                Self::Ack(JusticeAck { locator, part, verdict })
            }
            _ => return Err(TowerDecodeError::Type),
        };
        reader.finish().map_err(field)?;
        Ok(message)
    }
}

fn justice(reader: &mut Reader<'_>) -> Result<Justice, ReadError> {
    let (locator, part) = (Locator(reader.array()?), reader.u16()?);
    Ok(Justice { locator, part, sealed: reader.sized_u16()?.to_vec() })
}

fn ack(reader: &mut Reader<'_>) -> Result<(Locator, u16, u8), ReadError> {
    Ok((Locator(reader.array()?), reader.u16()?, reader.u8()?))
}

impl Verdict {
    /// What became of a box, for its client.
    pub fn of<T>(taken: &Result<T, Refused>) -> Self {
        match taken {
            Ok(_) => Verdict::Kept,
            Err(Refused::Size { .. }) => Verdict::Size,
            Err(Refused::Full { .. }) => Verdict::Full,
            Err(Refused::TooManyClients { .. }) => Verdict::TooManyClients,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Verdict::Kept => 0,
            Verdict::Size => 1,
            Verdict::Full => 2,
            Verdict::TooManyClients => 3,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        let all = [Verdict::Kept, Verdict::Size, Verdict::Full, Verdict::TooManyClients];
        all.into_iter().find(|verdict| verdict.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SEALED_SIZES;
    use super::*;
    use crate::wire::MAX_MESSAGE_LEN;

    fn justice() -> Justice {
        Justice { locator: Locator([7; 16]), part: 3, sealed: vec![9; SEALED_SIZES[0]] }
    }

    #[test]
    fn messages_read_back_the_same() {
        let all = [Verdict::Kept, Verdict::Size, Verdict::Full, Verdict::TooManyClients];
        let acks = all.map(|verdict| {
            TowerMessage::Ack(JusticeAck { locator: Locator([1; 16]), part: 0xffff, verdict })
        });
        for message in acks.into_iter().chain([TowerMessage::Justice(justice())]) {
            let bytes = message.encode();
            assert_eq!(bytes[1] % 2, 1, "an odd type: whoever does not know it ignores it");
            assert_eq!(TowerMessage::decode(&bytes), Ok(message));
        }
    }

    #[test]
    fn the_largest_box_fits_into_one_message() {
        for size in SEALED_SIZES {
            let message = TowerMessage::Justice(Justice { sealed: vec![0; size], ..justice() });
            let bytes = message.encode();
            assert!(bytes.len() <= MAX_MESSAGE_LEN);
            assert_eq!(TowerMessage::decode(&bytes), Ok(message));
        }
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        let bytes = TowerMessage::Justice(justice()).encode();
        for len in (0..30).chain([bytes.len() - 1]) {
            assert!(TowerMessage::decode(&bytes[..len]).is_err(), "{len} bytes are no message");
        }
        assert!(TowerMessage::decode(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn other_types_and_verdicts_are_refused() {
        assert_eq!(TowerMessage::decode(&[0, 16, 0, 0]), Err(TowerDecodeError::Type));
        let ack = JusticeAck { locator: Locator([1; 16]), part: 0, verdict: Verdict::Kept };
        let mut bytes = TowerMessage::Ack(ack).encode();
        *bytes.last_mut().expect("it has bytes") = 4;
        assert_eq!(TowerMessage::decode(&bytes), Err(TowerDecodeError::Verdict(4)));
    }
}
