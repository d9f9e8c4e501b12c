//! What two sides say to each other when their link stands again (BOLT 2, "Message Retransmission"): how far each has come,
//! then what the other has not received. Judges and repeats; nothing new is signed or revoked here.
//!
//! ```text
//!   A                                        B
//!   |--- channel_reestablish -------------->|   both at once, and nothing else of the channel before the other's
//!   |<------------- channel_reestablish ----|
//!   |--- what B missed -------------------->|   channel_ready; revoke_and_ack, and commitment_signed with its updates, in
//!   |<--------------------- what A missed --|   the order in which they were first sent; then shutdown
//!   |--- what nobody signed yet ----------->|   HTLCs settled or refused meanwhile, a feerate
//! ```
use super::stage::Stage;
use super::{Base, Env, Funded, Link, Mutant, Out, Violation};
use crate::tx::Side;
use crate::units::CommitmentNumber;
use crate::wire::{ChannelReady, ChannelReestablish, CommitmentSigned, Message, RevokeAndAck};
use serde::{Deserialize, Serialize};

/// Which of the two messages that may both have to be sent again was sent last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LastSent {
    /// `commitment_signed`.
    Signature,
    /// `revoke_and_ack`.
    Revocation,
}

/// What a peer's `channel_reestablish` tells of us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The channel goes on; what the peer had missed is on its way again.
    Level,
    /// The peer proved that we revoked this commitment of ours, which our books do not know: they are old.
    Behind(CommitmentNumber),
}

/// What the peer has not received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Missed {
    ready: bool,
    signature: bool,
    revocation: bool,
}

impl Base {
    /// The link stands again: says where we are and waits for the same of the peer.
    pub(super) fn reconnect(&mut self, funded: &Funded, out: &mut Out) {
        if self.link == Link::Offline {
            self.link = Link::Reestablishing;
            out.save = true;
            out.send(Message::ChannelReestablish(funded.position()));
        }
    }
}

impl Funded {
    /// Where we stand.
    fn position(&self) -> ChannelReestablish {
        let last = self.remote.number.previous().and_then(|number| self.secrets.get(number));
        ChannelReestablish {
            channel_id: self.channel_id(),
            next_commitment_number: self.local.commitment.number.next().get(),
            next_revocation_number: self.remote.number.get(),
            your_last_per_commitment_secret: last.map_or([0; 32], |secret| secret.secret_bytes()),
            my_current_per_commitment_point: self.local.commitment.keys.per_commitment_point,
            unknown: Vec::new(),
        }
    }

    /// The peer says where it stands: repeats what it missed, in the order of the first time.
    pub fn on_reestablish(
        &mut self,
        base: &mut Base,
        message: &ChannelReestablish,
        env: &Env,
        out: &mut Out,
    ) -> Result<Standing, Violation> {
        if base.link != Link::Reestablishing {
            let phase = if base.is_online() { "re-established already" } else { "offline" };
            return Err(Violation::OutOfOrder { message: "channel_reestablish", phase });
        }
        if let Some(number) = self.proven_revoked(base, message, env) {
            if !env.plants(Mutant::BroadcastThoughFallenBehind) {
                return Ok(Standing::Behind(number));
            }
        }
        let missed = self.missed(base, message)?;
        base.link = Link::Online;
        out.save = true;
        if missed.ready {
            out.send(self.channel_ready(base));
        }
        let signature = missed.signature && !env.plants(Mutant::NoSignatureAgain);
        let mut last = self.last_sent;
        if env.plants(Mutant::SignatureBeforeRevocation) {
            last = LastSent::Revocation;
        }
        match last {
            LastSent::Signature => {
                self.repeat_revocation(base, missed.revocation, out);
                self.repeat_signature(base, signature, out);
            }
            LastSent::Revocation => {
                self.repeat_signature(base, signature, out);
                self.repeat_revocation(base, missed.revocation, out);
            }
        }
        Ok(Standing::Level)
    }

    /// Our commitment that the peer knows as revoked, though it is our newest or later: only a side that lost states can hear
    /// that.
    fn proven_revoked(
        &self,
        base: &Base,
        message: &ChannelReestablish,
        env: &Env,
    ) -> Option<CommitmentNumber> {
        let number = message.next_revocation_number.checked_sub(1).map(CommitmentNumber::new)?;
        let unknown = number >= self.local.commitment.number;
        let proven = base.signer.is_secret_of(number, &message.your_last_per_commitment_secret)
            || env.plants(Mutant::BelievesEveryProof);
        (unknown && proven).then_some(number)
    }

    /// What the peer has not received, or what is impossible in what it says.
    fn missed(&self, base: &Base, message: &ChannelReestablish) -> Result<Missed, Violation> {
        let (local, next) = (self.local.commitment.number, self.remote.number.next());
        let (got, due) = (message.next_commitment_number, next.get());
        // Zero, the number of the opening, is among what is refused here.
        let signature = match &self.remote_next {
            Some(_) if got == due => true,
            Some(_) if got == next.next().get() => false,
            None if got == due => false,
            Some(_) | None => return Err(Violation::NextCommitmentNumber { got, due }),
        };
        let (got, due) = (message.next_revocation_number, local.get());
        let revocation = local.previous().is_some_and(|last| got == last.get());
        if got != due && !revocation {
            return Err(Violation::NextRevocationNumber { got, due });
        }
        let secret = &message.your_last_per_commitment_secret;
        let right = match got.checked_sub(1).map(CommitmentNumber::new) {
            None => *secret == [0; 32],
            Some(number) => base.signer.is_secret_of(number, secret),
        };
        if !right {
            return Err(Violation::LastSecret);
        }
        let fresh = message.next_commitment_number == 1 && local == CommitmentNumber::ZERO;
        Ok(Missed { ready: fresh && self.ready_sent, signature, revocation })
    }

    /// Our `channel_ready`.
    pub fn channel_ready(&self, base: &Base) -> Message {
        Message::ChannelReady(ChannelReady {
            channel_id: base.id,
            second_per_commitment_point: base.signer.point(CommitmentNumber::ZERO.next()),
            alias: None,
            unknown: Vec::new(),
        })
    }

    /// The last `revoke_and_ack`, to the byte.
    fn repeat_revocation(&self, base: &Base, missed: bool, out: &mut Out) {
        if let Some(revoked) = self.local.commitment.number.previous().filter(|_| missed) {
            out.send(Message::RevokeAndAck(RevokeAndAck {
                channel_id: self.channel_id(),
                per_commitment_secret: base.signer.released_secret(revoked),
                next_per_commitment_point: self.next_local_point,
            }));
        }
    }

    /// The `commitment_signed` that waits for its revocation, to the byte: signatures are deterministic. Its updates first.
    fn repeat_signature(&self, base: &mut Base, missed: bool, out: &mut Out) {
        let Some(commitment) = self.remote_next.as_ref().filter(|_| missed) else { return };
        self.send_updates(Stage::Signed, out);
        let (signature, htlc_signatures) = base.signer.sign_remote(&self.terms, commitment);
        out.send(Message::CommitmentSigned(CommitmentSigned {
            channel_id: self.channel_id(),
            signature,
            htlc_signatures,
            unknown: Vec::new(),
        }));
    }

    /// What we want changed and did not sign yet, told (again): the peer forgot it with the old link, or never heard of it.
    pub fn repeat_proposals(&self, out: &mut Out) {
        self.send_updates(Stage::Proposed, out);
        self.ask_for_commit(out);
    }

    /// Our updates of one stage. Removals first: what they free may be what the offers need.
    fn send_updates(&self, stage: Stage, out: &mut Out) {
        let htlcs = || self.ledger.htlcs().iter();
        let removed = htlcs().filter(|htlc| htlc.offerer == Side::Remote);
        let removed = removed.filter(|htlc| htlc.remove.as_ref().is_some_and(|(at, _)| *at == stage));
        out.effects.extend(removed.filter_map(|htlc| self.removal_message(htlc)).map(super::Effect::Send));
        if self.terms.opener == Side::Local {
            let feerate = self.ledger.proposed_feerate(stage);
            feerate.into_iter().for_each(|feerate| out.send(self.fee_message(feerate)));
        }
        let added = htlcs().filter(|htlc| htlc.offerer == Side::Local && htlc.add == stage);
        out.effects.extend(added.filter_map(|htlc| self.add_message(htlc)).map(super::Effect::Send));
    }
}
