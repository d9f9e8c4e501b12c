//! Messages as bytes and as values (BOLT 1 framing and TLV, BOLT 2 channel messages). Knows nothing of channels:
//! it says what was written, never whether it was allowed.

mod bigsize;
mod closing;
mod codec;
mod features;
mod htlc;
mod opening;
mod reader;
mod setup;
mod tlv;
mod writer;

pub use bigsize::*;
pub use closing::*;
pub use codec::*;
pub use features::*;
pub use htlc::*;
pub use opening::*;
pub use reader::*;
pub use setup::*;
pub use tlv::*;
pub use writer::*;

/// Every message that this node understands.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // each variant is its own documented message
pub enum Message {
    Warning(Warning),
    Init(Init),
    Error(ErrorMessage),
    Ping(Ping),
    Pong(Pong),
    OpenChannel(Box<OpenChannel>),
    AcceptChannel(Box<AcceptChannel>),
    FundingCreated(FundingCreated),
    FundingSigned(FundingSigned),
    ChannelReady(ChannelReady),
    Shutdown(Shutdown),
    ClosingSigned(ClosingSigned),
    UpdateAddHtlc(UpdateAddHtlc),
    UpdateFulfillHtlc(UpdateFulfillHtlc),
    UpdateFailHtlc(UpdateFailHtlc),
    UpdateFailMalformedHtlc(UpdateFailMalformedHtlc),
    CommitmentSigned(CommitmentSigned),
    RevokeAndAck(RevokeAndAck),
    UpdateFee(UpdateFee),
    ChannelReestablish(ChannelReestablish),
    /// An odd type that is not known here: to be ignored (BOLT 1).
    Unknown {
        /// The message's type, an odd number.
        kind: u16,
    },
}
