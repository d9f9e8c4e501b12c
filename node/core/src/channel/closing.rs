//! The fee of the closing transaction (BOLT 2, "Legacy Closing Negotiation", with `fee_range`): the opener names a fee and a
//! range, the acceptor takes it or picks another within both ranges, and then both have X.
use super::funded::verifiable;
use super::limits::MIN_FEERATE;
use super::on_chain::OnChain;
use super::{Base, Env, Out, Phase, ShuttingDown, Stop, Violation};
use crate::tx::{closing_fee, dust_threshold, ClosingSpec, ClosingTransaction, Side};
use crate::units::{FeeratePerKw, Sat};
use crate::wire::{ClosingSigned, FeeRange, Message};
use bitcoin::ScriptBuf;
use secp256k1::ecdsa::Signature;
use serde::{Deserialize, Serialize};

/// What we last proposed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Negotiation {
    sent: Option<Proposed>,
}

/// One proposal of ours, with the fees we would take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Proposed {
    fee: Sat,
    min: Sat,
    max: Sat,
}

/// Both scripts, once both `shutdown`s were exchanged.
#[derive(Clone)]
struct Scripts {
    local: ScriptBuf,
    remote: ScriptBuf,
}

impl ShuttingDown {
    /// Both scripts, when nothing is left but to close.
    fn ready(&self) -> Option<Scripts> {
        let (local, remote) = (self.local_script.clone()?, self.remote_script.clone()?);
        self.funded.is_at_rest().then_some(Scripts { local, remote })
    }

    /// Opener: sends the first `closing_signed` when all is ready.
    pub(super) fn open_negotiation(
        &mut self,
        base: &Base,
        env: &Env,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let opener = self.funded.terms.opener == Side::Local;
        let Some(scripts) = self.ready().filter(|_| opener && self.negotiation.sent.is_none()) else {
            return Ok(());
        };
        let proposed = self.acceptable(&scripts, env);
        let closing = self.closing(&scripts, proposed.fee, Side::Local)?;
        self.propose(base, &closing, proposed, out);
        Ok(())
    }

    /// What we would take: the opener up to twice its own estimate and never more than it has, the acceptor, who does not
    /// pay, whatever is relayed.
    fn acceptable(&self, scripts: &Scripts, env: &Env) -> Proposed {
        let opener = self.funded.terms.opener;
        let has = self.funded.ledger.settled(opener).floor_to_sat();
        let at = |feerate| closing_fee(feerate, &scripts.local, &scripts.remote);
        let wanted = self.feerate.unwrap_or(env.feerate).max(FeeratePerKw::new(1));
        let fee = at(wanted).min(has);
        let min = at(MIN_FEERATE.min(wanted)).min(fee);
        let max = match opener {
            Side::Local => Sat::new(fee.get().saturating_mul(2)).min(has),
            Side::Remote => has.max(fee),
        };
        Proposed { fee, min, max }
    }

    /// The closing transaction for this fee as `signer` would build it: outputs below its dust limit are left out.
    fn closing(&self, scripts: &Scripts, fee: Sat, signer: Side) -> Result<ClosingTransaction, Violation> {
        let (ledger, terms) = (&self.funded.ledger, &self.funded.terms);
        if fee > ledger.settled(terms.opener).floor_to_sat() {
            return Err(Violation::ClosingFeeUnaffordable { fee });
        }
        let spec = ClosingSpec {
            to_local: ledger.settled(Side::Local),
            to_remote: ledger.settled(Side::Remote),
            local_script: scripts.local.clone(),
            remote_script: scripts.remote.clone(),
            fee,
            dust_limit: terms.party(signer).dust_limit,
        };
        let closing = ClosingTransaction::build(terms, &spec).map_err(|_| Violation::ClosingDust)?;
        let dust = |output: &bitcoin::TxOut| Sat::from(output.value) < dust_threshold(&output.script_pubkey);
        if closing.tx.output.iter().any(dust) {
            return Err(Violation::ClosingDust);
        }
        Ok(closing)
    }

    fn propose(
        &mut self,
        base: &Base,
        closing: &ClosingTransaction,
        proposed: Proposed,
        out: &mut Out,
    ) -> Signature {
        let signature = closing.sign(&self.funded.terms, base.signer.keys());
        self.negotiation.sent = Some(proposed);
        self.funded.remember_closing(closing.tx.compute_txid());
        out.save = true;
        let (min_fee_satoshis, max_fee_satoshis) = (proposed.min, proposed.max);
        out.send(Message::ClosingSigned(ClosingSigned {
            channel_id: base.id,
            fee_satoshis: proposed.fee,
            signature,
            fee_range: Some(FeeRange { min_fee_satoshis, max_fee_satoshis }),
            unknown: Vec::new(),
        }));
        signature
    }

    /// The peer proposes a fee, or takes ours.
    pub(super) fn on_closing_signed(
        self,
        base: &mut Base,
        message: &ClosingSigned,
        env: &Env,
        out: &mut Out,
    ) -> Result<Phase, Stop> {
        let Some(scripts) = self.ready() else { return Err(Violation::ClosingTooEarly.into()) };
        let mut next = self;
        let closing = next.signed_by_peer(&scripts, message, env)?;
        let own = next.negotiation.sent.unwrap_or_else(|| next.acceptable(&scripts, env));
        let fee = next.answer(message, own)?;
        if fee != message.fee_satoshis {
            let counter = next.closing(&scripts, fee, Side::Local)?;
            let max = own.max.max(fee);
            next.propose(base, &counter, Proposed { fee, max, ..own }, out);
            return Ok(Phase::ShuttingDown(next));
        }
        let known = next.negotiation.sent.is_some_and(|sent| sent.fee == fee);
        let signature = if known {
            next.funded.remember_closing(closing.tx.compute_txid());
            closing.sign(&next.funded.terms, base.signer.keys())
        } else {
            next.propose(base, &closing, Proposed { fee, ..own }, out)
        };
        let tx = closing.complete(&next.funded.terms, &signature, &message.signature);
        Ok(OnChain::together(next.funded, tx, out))
    }

    /// The variant that the peer signed: by our dust limit or by its own, with or without its own output (BOLT 3).
    fn signed_by_peer(
        &self,
        scripts: &Scripts,
        message: &ClosingSigned,
        env: &Env,
    ) -> Result<ClosingTransaction, Violation> {
        let signature = verifiable(&message.signature, env);
        for builder in [Side::Remote, Side::Local] {
            let closing = self.closing(scripts, message.fee_satoshis, builder)?;
            if let Some(signed) = closing.signed_by_peer(&self.funded.terms, &signature) {
                return Ok(signed);
            }
        }
        Err(Violation::ClosingSignature)
    }

    /// The fee that we answer with: the peer's, if it can be had.
    fn answer(&self, message: &ClosingSigned, own: Proposed) -> Result<Sat, Violation> {
        let fee = message.fee_satoshis;
        let sent = self.negotiation.sent.map(|sent| sent.fee);
        if sent == Some(fee) {
            return Ok(fee);
        }
        let outside = Violation::ClosingFee { fee, min: own.min, max: own.max };
        let Some(range) = message.fee_range else {
            return if fee >= own.min && fee <= own.max { Ok(fee) } else { Err(outside) };
        };
        let (min, max) = (range.min_fee_satoshis, range.max_fee_satoshis);
        let (low, high) = (own.min.max(min), own.max.min(max));
        if low > high {
            return Err(Violation::ClosingFeeRange { min, max, our_min: own.min, our_max: own.max });
        }
        let within = fee >= low && fee <= high;
        match (self.funded.terms.opener, sent) {
            (Side::Remote, Some(_)) => Err(outside),
            (Side::Remote, None) => Ok(self.feerate.map_or(fee, |_| own.fee).clamp(low, high)),
            (Side::Local, _) if within => Ok(fee),
            (Side::Local, _) => Err(outside),
        }
    }
}
