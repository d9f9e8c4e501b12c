//! Message types by their BOLT names, for faults that single out one of them. A table; it reads no message.
use leyden_core::wire;
use std::fmt;

macro_rules! kinds {
    ($($variant:ident, $name:literal, $kind:expr;)*) => {
        /// A type of message.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl Kind {
            /// Every one.
            pub const ALL: &[Kind] = &[$(Kind::$variant),*];

            /// Its number on the wire.
            pub const fn number(self) -> u16 {
                match self {
                    $(Kind::$variant => $kind,)*
                }
            }

            /// Its BOLT name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$variant => $name,)*
                }
            }
        }
    };
}

kinds! {
    Warning, "warning", wire::Warning::KIND;
    Init, "init", wire::Init::KIND;
    Error, "error", wire::ErrorMessage::KIND;
    Ping, "ping", wire::Ping::KIND;
    Pong, "pong", wire::Pong::KIND;
    OpenChannel, "open_channel", wire::OpenChannel::KIND;
    AcceptChannel, "accept_channel", wire::AcceptChannel::KIND;
    FundingCreated, "funding_created", wire::FundingCreated::KIND;
    FundingSigned, "funding_signed", wire::FundingSigned::KIND;
    ChannelReady, "channel_ready", wire::ChannelReady::KIND;
    Shutdown, "shutdown", wire::Shutdown::KIND;
    ClosingSigned, "closing_signed", wire::ClosingSigned::KIND;
    UpdateAddHtlc, "update_add_htlc", wire::UpdateAddHtlc::KIND;
    UpdateFulfillHtlc, "update_fulfill_htlc", wire::UpdateFulfillHtlc::KIND;
    UpdateFailHtlc, "update_fail_htlc", wire::UpdateFailHtlc::KIND;
    UpdateFailMalformedHtlc, "update_fail_malformed_htlc", wire::UpdateFailMalformedHtlc::KIND;
    CommitmentSigned, "commitment_signed", wire::CommitmentSigned::KIND;
    RevokeAndAck, "revoke_and_ack", wire::RevokeAndAck::KIND;
    UpdateFee, "update_fee", wire::UpdateFee::KIND;
    ChannelReestablish, "channel_reestablish", wire::ChannelReestablish::KIND;
}

impl Kind {
    /// The type of the message in these bytes, if it is one of these.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let number = u16::from_be_bytes(*bytes.first_chunk()?);
        Kind::ALL.iter().copied().find(|kind| kind.number() == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
