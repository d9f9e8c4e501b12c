//! From bytes to messages and back: the type number, the fixed fields, the extension (BOLT 1, "Lightning Message
//! Format"). Says what is wrong with bytes, never what to do about it.
use super::*;
use crate::ids::ChannelId;

/// Why bytes are not a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not even a type.
    #[error("a message of {len} bytes has no type")]
    NoType {
        /// How many bytes there were.
        len: usize,
    },
    /// More than the transport can carry.
    #[error("message of type {kind} has {len} bytes, the limit is {MAX_MESSAGE_LEN}")]
    TooLong {
        /// The message's type.
        kind: u16,
        /// Its length, the type counted.
        len: usize,
    },
    /// An even type that is not known here (BOLT 1: MUST close the connection).
    #[error("unknown message of even type {kind}")]
    UnknownEven {
        /// The message's type.
        kind: u16,
    },
    /// A field is missing, cut short or not what it should be.
    #[error("message of type {kind}, field {field}: {problem}")]
    Field {
        /// The message's type.
        kind: u16,
        /// The field's name in the BOLT.
        field: &'static str,
        /// What was wrong.
        problem: ReadError,
    },
    /// The bytes after the fields are not a TLV stream of this message.
    #[error("message of type {kind}, extension: {problem}")]
    Extension {
        /// The message's type.
        kind: u16,
        /// What was wrong.
        problem: TlvError,
    },
}

impl DecodeError {
    /// The message's type, where there was one.
    pub const fn kind(&self) -> Option<u16> {
        match self {
            Self::NoType { .. } => None,
            Self::TooLong { kind, .. }
            | Self::UnknownEven { kind }
            | Self::Field { kind, .. }
            | Self::Extension { kind, .. } => Some(*kind),
        }
    }
}

/// A message's payload on its way to becoming a value: every read is named after the field it is for.
pub(super) struct Fields<'a> {
    kind: u16,
    reader: Reader<'a>,
}

impl<'a> Fields<'a> {
    /// The next field.
    pub(super) fn read<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, ReadError>,
    ) -> Result<T, DecodeError> {
        let kind = self.kind;
        read(&mut self.reader).map_err(|problem| DecodeError::Field { kind, field, problem })
    }

    /// `channel_id`, the first field of most messages.
    pub(super) fn channel_id(&mut self) -> Result<ChannelId, DecodeError> {
        self.read("channel_id", Reader::array).map(ChannelId)
    }

    /// The rest of the message as its extension; `known` are the types that will be taken out of it.
    pub(super) fn extension(mut self, known: &[u64]) -> Result<Extension, DecodeError> {
        let kind = self.kind;
        TlvStream::parse(self.reader.rest(), known)
            .map(|records| Extension { kind, records })
            .map_err(|problem| DecodeError::Extension { kind, problem })
    }

    /// The rest of a message that has no records of its own: checked, then dropped.
    pub(super) fn end(self) -> Result<(), DecodeError> {
        self.extension(&[]).map(|_| ())
    }
}

/// The TLV stream behind a message's fields.
pub(super) struct Extension {
    kind: u16,
    records: TlvStream,
}

impl Extension {
    /// Takes one known record out.
    pub(super) fn take<T>(
        &mut self,
        record: u64,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<Option<T>, DecodeError> {
        let kind = self.kind;
        self.records.take(record, read).map_err(|problem| DecodeError::Extension { kind, problem })
    }

    /// What was not understood.
    pub(super) fn unknown(self) -> Vec<TlvRecord> {
        self.records.into_records()
    }
}

impl Message {
    /// The message's type number.
    pub const fn kind(&self) -> u16 {
        match self {
            Self::Warning(_) => Warning::KIND,
            Self::Init(_) => Init::KIND,
            Self::Error(_) => ErrorMessage::KIND,
            Self::Ping(_) => Ping::KIND,
            Self::Pong(_) => Pong::KIND,
            Self::OpenChannel(_) => OpenChannel::KIND,
            Self::AcceptChannel(_) => AcceptChannel::KIND,
            Self::FundingCreated(_) => FundingCreated::KIND,
            Self::FundingSigned(_) => FundingSigned::KIND,
            Self::ChannelReady(_) => ChannelReady::KIND,
            Self::Shutdown(_) => Shutdown::KIND,
            Self::ClosingSigned(_) => ClosingSigned::KIND,
            Self::UpdateAddHtlc(_) => UpdateAddHtlc::KIND,
            Self::UpdateFulfillHtlc(_) => UpdateFulfillHtlc::KIND,
            Self::UpdateFailHtlc(_) => UpdateFailHtlc::KIND,
            Self::UpdateFailMalformedHtlc(_) => UpdateFailMalformedHtlc::KIND,
            Self::CommitmentSigned(_) => CommitmentSigned::KIND,
            Self::RevokeAndAck(_) => RevokeAndAck::KIND,
            Self::UpdateFee(_) => UpdateFee::KIND,
            Self::ChannelReestablish(_) => ChannelReestablish::KIND,
            Self::Unknown { kind } => *kind,
        }
    }

    /// The message's name in the BOLTs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Warning(_) => "warning",
            Self::Init(_) => "init",
            Self::Error(_) => "error",
            Self::Ping(_) => "ping",
            Self::Pong(_) => "pong",
            Self::OpenChannel(_) => "open_channel",
            Self::AcceptChannel(_) => "accept_channel",
            Self::FundingCreated(_) => "funding_created",
            Self::FundingSigned(_) => "funding_signed",
            Self::ChannelReady(_) => "channel_ready",
            Self::Shutdown(_) => "shutdown",
            Self::ClosingSigned(_) => "closing_signed",
            Self::UpdateAddHtlc(_) => "update_add_htlc",
            Self::UpdateFulfillHtlc(_) => "update_fulfill_htlc",
            Self::UpdateFailHtlc(_) => "update_fail_htlc",
            Self::UpdateFailMalformedHtlc(_) => "update_fail_malformed_htlc",
            Self::CommitmentSigned(_) => "commitment_signed",
            Self::RevokeAndAck(_) => "revoke_and_ack",
            Self::UpdateFee(_) => "update_fee",
            Self::ChannelReestablish(_) => "channel_reestablish",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The channel (or, while it opens, the temporary channel) that the message is about; none for the connection's
    /// own messages.
    pub const fn channel_id(&self) -> Option<ChannelId> {
        match self {
            Self::Init(_) | Self::Ping(_) | Self::Pong(_) | Self::Unknown { .. } => None,
            Self::Warning(message) => Some(message.channel_id),
            Self::Error(message) => Some(message.channel_id),
            Self::OpenChannel(message) => Some(message.temporary_channel_id),
            Self::AcceptChannel(message) => Some(message.temporary_channel_id),
            Self::FundingCreated(message) => Some(message.temporary_channel_id),
            Self::FundingSigned(message) => Some(message.channel_id),
            Self::ChannelReady(message) => Some(message.channel_id),
            Self::Shutdown(message) => Some(message.channel_id),
            Self::ClosingSigned(message) => Some(message.channel_id),
            Self::UpdateAddHtlc(message) => Some(message.channel_id),
            Self::UpdateFulfillHtlc(message) => Some(message.channel_id),
            Self::UpdateFailHtlc(message) => Some(message.channel_id),
            Self::UpdateFailMalformedHtlc(message) => Some(message.channel_id),
            Self::CommitmentSigned(message) => Some(message.channel_id),
            Self::RevokeAndAck(message) => Some(message.channel_id),
            Self::UpdateFee(message) => Some(message.channel_id),
            Self::ChannelReestablish(message) => Some(message.channel_id),
        }
    }

    /// The bytes for the wire, type first: at most [`MAX_MESSAGE_LEN`], whatever the value holds. What would exceed
    /// that is left out: the end of `data`, `reason` or a script, signatures and TLV records that no longer fit. An
    /// [`Message::Unknown`] is its type alone.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::message(self.kind());
        let w = &mut writer;
        match self {
            Self::Warning(message) => message.write(w),
            Self::Init(message) => message.write(w),
            Self::Error(message) => message.write(w),
            Self::Ping(message) => message.write(w),
            Self::Pong(message) => message.write(w),
            Self::OpenChannel(message) => message.write(w),
            Self::AcceptChannel(message) => message.write(w),
            Self::FundingCreated(message) => message.write(w),
            Self::FundingSigned(message) => message.write(w),
            Self::ChannelReady(message) => message.write(w),
            Self::Shutdown(message) => message.write(w),
            Self::ClosingSigned(message) => message.write(w),
            Self::UpdateAddHtlc(message) => message.write(w),
            Self::UpdateFulfillHtlc(message) => message.write(w),
            Self::UpdateFailHtlc(message) => message.write(w),
            Self::UpdateFailMalformedHtlc(message) => message.write(w),
            Self::CommitmentSigned(message) => message.write(w),
            Self::RevokeAndAck(message) => message.write(w),
            Self::UpdateFee(message) => message.write(w),
            Self::ChannelReestablish(message) => message.write(w),
            Self::Unknown { .. } => {}
        }
        writer.into_bytes()
    }

    /// Reads one message, type first. Bytes behind the known fields are a TLV stream, also where the message has no
    /// records of its own yet.
    pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
        let len = bytes.len();
        let mut reader = Reader::new(bytes);
        let kind = reader.u16().map_err(|_| DecodeError::NoType { len })?;
        if len > MAX_MESSAGE_LEN {
            return Err(DecodeError::TooLong { kind, len });
        }
        let fields = Fields { kind, reader };
        Ok(match kind {
            Warning::KIND => Self::Warning(Warning::read(fields)?),
            Init::KIND => Self::Init(Init::read(fields)?),
            ErrorMessage::KIND => Self::Error(ErrorMessage::read(fields)?),
            Ping::KIND => Self::Ping(Ping::read(fields)?),
            Pong::KIND => Self::Pong(Pong::read(fields)?),
            OpenChannel::KIND => Self::OpenChannel(Box::new(OpenChannel::read(fields)?)),
            AcceptChannel::KIND => Self::AcceptChannel(Box::new(AcceptChannel::read(fields)?)),
            FundingCreated::KIND => Self::FundingCreated(FundingCreated::read(fields)?),
            FundingSigned::KIND => Self::FundingSigned(FundingSigned::read(fields)?),
            ChannelReady::KIND => Self::ChannelReady(ChannelReady::read(fields)?),
            Shutdown::KIND => Self::Shutdown(Shutdown::read(fields)?),
            ClosingSigned::KIND => Self::ClosingSigned(ClosingSigned::read(fields)?),
            UpdateAddHtlc::KIND => Self::UpdateAddHtlc(UpdateAddHtlc::read(fields)?),
            UpdateFulfillHtlc::KIND => Self::UpdateFulfillHtlc(UpdateFulfillHtlc::read(fields)?),
            UpdateFailHtlc::KIND => Self::UpdateFailHtlc(UpdateFailHtlc::read(fields)?),
            UpdateFailMalformedHtlc::KIND => {
                Self::UpdateFailMalformedHtlc(UpdateFailMalformedHtlc::read(fields)?)
            }
            CommitmentSigned::KIND => Self::CommitmentSigned(CommitmentSigned::read(fields)?),
            RevokeAndAck::KIND => Self::RevokeAndAck(RevokeAndAck::read(fields)?),
            UpdateFee::KIND => Self::UpdateFee(UpdateFee::read(fields)?),
            ChannelReestablish::KIND => Self::ChannelReestablish(ChannelReestablish::read(fields)?),
            odd if odd % 2 == 1 => Self::Unknown { kind },
            _ => return Err(DecodeError::UnknownEven { kind }),
        })
    }

    /// The channel id in bytes that need not be a whole valid message, so that what cannot be decoded can still
    /// fail the channel it is about. None where the type has no channel id or the bytes do not reach that far.
    pub fn peek_channel_id(bytes: &[u8]) -> Option<ChannelId> {
        let mut reader = Reader::new(bytes);
        match reader.u16().ok()? {
            // Behind the chain hash.
            OpenChannel::KIND => reader.bytes(32).map(|_| ()).ok()?,
            Warning::KIND | ErrorMessage::KIND => {}
            AcceptChannel::KIND..=ChannelReady::KIND | Shutdown::KIND | ClosingSigned::KIND => {}
            UpdateAddHtlc::KIND | UpdateFulfillHtlc::KIND..=ChannelReestablish::KIND => {}
            _ => return None,
        }
        reader.array().map(ChannelId).ok()
    }
}
