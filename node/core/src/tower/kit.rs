//! What is inside a box: what the commitment was made of, and the victim's signatures of the penalties, each output alone, at
//! several fees. Written and read here; what does not fit the breach is left out, whatever a client may have sent.
use super::justice::Revoked;
use crate::ids::PaymentHash;
use crate::tx::{ChannelType, Claim, CommitmentKeys, Direction, Forfeited, HtlcOutput, HtlcTerms, Presigned};
use crate::units::{CltvExpiry, FeeratePerKw, Msat, Sat};
use crate::wire::{ReadError, Reader, Writer};
use bitcoin::{OutPoint, Script, ScriptBuf, Transaction};

/// The first byte. Another layout gets another number.
const VERSION: u8 = 1;
/// What penalties pay, in sat per 1000 weight; each is a good deal more than the one before, so that it replaces it in any mempool.
/// Where the output is not worth the next, the last pays all that it can.
const FEERATES: [u32; 4] = [1_000, 4_000, 16_000, 64_000];

/// The content of one box.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kit {
    format: ChannelType,
    keys: CommitmentKeys,
    /// The cheater's, in blocks: so long the tower has for delayed outputs.
    pub(super) to_self_delay: u16,
    destination: ScriptBuf,
    to_local: Option<Penalty>,
    htlcs: Vec<HtlcPenalty>,
}

/// An output and the penalties on it, the cheapest first.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Penalty {
    vout: u16,
    offers: Vec<Presigned>,
}

/// The same for an HTLC, and for the second stage that may take its place.
#[derive(Clone, PartialEq, Eq, Debug)]
struct HtlcPenalty {
    direction: Direction,
    payment_hash: PaymentHash,
    cltv_expiry: CltvExpiry,
    direct: Penalty,
    /// None with anchors, where the second stage's txid is not known before.
    second_stage: Vec<Presigned>,
}

/// An output that can be taken, with the complete penalties on it: the cheapest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) outpoint: OutPoint,
    pub(super) penalties: Vec<(FeeratePerKw, Transaction)>,
}

impl Kit {
    /// All that punishes this state.
    pub fn of(revoked: &Revoked<'_>) -> Self {
        let Revoked { commitment, terms, keys, secret, destination } = *revoked;
        let claims = Claim::penalties(commitment, terms, keys, secret);
        let on = |vout: u32| {
            let claim = claims.iter().find(|claim| claim.outpoint.vout == vout);
            // BOLT 3: a commitment has at most 2 * 483 + 4 outputs.
            Penalty {
                vout: vout as u16,
                offers: claim.map_or_else(Vec::new, |claim| offers(claim, destination)),
            }
        };
        let stages = commitment.htlc_transactions(terms).map(|stage| {
            let outpoint = OutPoint { txid: stage.tx.compute_txid(), vout: 0 };
            let amount = stage.tx.output.first().map_or(Sat::ZERO, |output| output.value.into());
            let claim = Claim::second_stage_penalty(commitment, terms, keys, secret, outpoint, amount);
            let claim = claim.filter(|_| !terms.channel_type.has_anchors());
            claim.map_or_else(Vec::new, |claim| offers(&claim, destination))
        });
        let htlcs = commitment.htlcs.iter().zip(stages).map(|(HtlcOutput { htlc, vout }, second_stage)| {
            let HtlcTerms { direction, payment_hash, cltv_expiry, .. } = *htlc;
            HtlcPenalty { direction, payment_hash, cltv_expiry, direct: on(*vout), second_stage }
        });
        Self {
            format: terms.channel_type,
            keys: commitment.keys,
            to_self_delay: terms.remote.to_self_delay,
            destination: destination.to_owned(),
            to_local: commitment.to_local.map(on),
            htlcs: htlcs.collect(),
        }
    }

    /// The same in kits of at most `room` bytes each.
    pub fn split(mut self, room: usize) -> Vec<Self> {
        let mut kits = Vec::new();
        loop {
            let mut len = Self { htlcs: Vec::new(), ..self.clone() }.encode().len();
            let fits = self.htlcs.iter().take_while(|htlc| {
                let mut writer = Writer::new();
                htlc.write(&mut writer);
                len += writer.into_bytes().len();
                len <= room
            });
            let fits = fits.count().max(1).min(self.htlcs.len());
            let rest = self.htlcs.split_off(fits);
            let next = Self { to_local: None, htlcs: rest, ..self.clone() };
            kits.push(self);
            if next.htlcs.is_empty() {
                return kits;
            }
            self = next;
        }
    }

    /// Where the money goes.
    pub fn destination(&self) -> &Script {
        &self.destination
    }

    /// What of the breach can be taken: its own outputs, and those of these second stages from it.
    pub fn targets(&self, breach: &Transaction, stages: &[&Transaction]) -> Vec<Target> {
        let mut targets = Vec::new();
        if let Some(Penalty { vout, offers }) = &self.to_local {
            let output = Forfeited::delayed(breach, (*vout).into(), &self.keys, self.to_self_delay);
            targets.extend(output.and_then(|output| self.target(&output, offers)));
        }
        for htlc in &self.htlcs {
            let terms = HtlcTerms {
                direction: htlc.direction,
                id: 0,
                amount: Msat::ZERO,
                payment_hash: htlc.payment_hash,
                cltv_expiry: htlc.cltv_expiry,
            };
            let vout = htlc.direct.vout.into();
            let output = Forfeited::htlc(breach, vout, self.format, &self.keys, &terms);
            let Some(output) = output else { continue };
            targets.extend(self.target(&output, &htlc.direct.offers));
            let spends = |stage: &&&Transaction| {
                stage.input.first().is_some_and(|input| input.previous_output == output.outpoint)
            };
            let stage = stages.iter().find(spends);
            let output = stage.and_then(|tx| Forfeited::delayed(tx, 0, &self.keys, self.to_self_delay));
            targets.extend(output.and_then(|output| self.target(&output, &htlc.second_stage)));
        }
        targets
    }

    /// The output with those of the penalties that are valid; nothing if none is.
    fn target(&self, output: &Forfeited, offers: &[Presigned]) -> Option<Target> {
        let penalties = offers.iter().filter_map(|offer| {
            let tx = output.taken(&self.destination, offer)?;
            let feerate = offer.fee.get().saturating_mul(1000) / tx.weight().to_wu().max(1);
            Some((FeeratePerKw::new(u32::try_from(feerate).unwrap_or(u32::MAX)), tx))
        });
        let mut penalties: Vec<_> = penalties.collect();
        penalties.sort_by_key(|(feerate, _)| *feerate);
        (!penalties.is_empty()).then_some(Target { outpoint: output.outpoint, penalties })
    }
}

/// The penalties on one output: at each feerate that it is worth, and where it is not worth the next, with all it has.
fn offers(claim: &Claim, destination: &Script) -> Vec<Presigned> {
    let mut offers: Vec<Presigned> = Vec::new();
    for feerate in FEERATES.map(FeeratePerKw::new) {
        match claim.presign(destination, feerate) {
            Ok(offer) => offers.push(offer),
            Err(_) => {
                let last = claim.presign(destination, claim.dearest_feerate(destination)).ok();
                let paid = offers.last().map_or(Sat::ZERO, |offer| offer.fee);
                // A little more than the one before would not replace it.
                offers.extend(last.filter(|last| last.fee.get() / 5 >= paid.get() / 4));
                break;
            }
        }
    }
    offers
}

impl Kit {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(VERSION);
        writer.u8(match self.format {
            ChannelType::StaticRemotekey => 0,
            ChannelType::AnchorsZeroFeeHtlc => 1,
        });
        let CommitmentKeys {
            per_commitment_point,
            revocation,
            delayed_payment,
            holder_htlc,
            counterparty_htlc,
            counterparty_payment,
        } = &self.keys;
        for key in [
            per_commitment_point,
            revocation,
            delayed_payment,
            holder_htlc,
            counterparty_htlc,
            counterparty_payment,
        ] {
            writer.point(key);
        }
        writer.u16(self.to_self_delay);
        writer.sized_u16(self.destination.as_bytes());
        writer.u8(self.to_local.is_some().into());
        self.to_local.iter().for_each(|penalty| penalty.write(&mut writer));
        writer.u16(self.htlcs.len() as u16);
        self.htlcs.iter().for_each(|htlc| htlc.write(&mut writer));
        writer.into_bytes()
    }

    /// The kit in these bytes, which may have zeros behind it; nothing if they are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let kit = Self::read(&mut reader).ok()??;
        reader.rest().iter().all(|byte| *byte == 0).then_some(kit)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, ReadError> {
        let format = match (reader.u8()?, reader.u8()?) {
            (VERSION, 0) => ChannelType::StaticRemotekey,
            (VERSION, 1) => ChannelType::AnchorsZeroFeeHtlc,
            _ => return Ok(None),
        };
        let keys = CommitmentKeys {
            per_commitment_point: reader.point()?,
            revocation: reader.point()?,
            delayed_payment: reader.point()?,
            holder_htlc: reader.point()?,
            counterparty_htlc: reader.point()?,
            counterparty_payment: reader.point()?,
        };
        let to_self_delay = reader.u16()?;
        let destination = ScriptBuf::from_bytes(reader.sized_u16()?.to_vec());
        let to_local = match reader.u8()? {
            0 => None,
            _ => Some(Penalty::read(reader)?),
        };
        let mut htlcs = Vec::new();
        for _ in 0..reader.u16()? {
            htlcs.push(HtlcPenalty::read(reader)?);
        }
        Ok(Some(Self { format, keys, to_self_delay, destination, to_local, htlcs }))
    }
}

impl Penalty {
    fn write(&self, writer: &mut Writer) {
        writer.u16(self.vout);
        write_offers(&self.offers, writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        Ok(Self { vout: reader.u16()?, offers: read_offers(reader)? })
    }
}

impl HtlcPenalty {
    fn write(&self, writer: &mut Writer) {
        writer.u8(match self.direction {
            Direction::Offered => 0,
            Direction::Received => 1,
        });
        writer.bytes(&self.payment_hash.0);
        writer.u32(self.cltv_expiry.get());
        self.direct.write(writer);
        write_offers(&self.second_stage, writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        let direction = match reader.u8()? {
            0 => Direction::Offered,
            _ => Direction::Received,
        };
        Ok(Self {
            direction,
            payment_hash: PaymentHash(reader.array()?),
            cltv_expiry: CltvExpiry::new(reader.u32()?),
            direct: Penalty::read(reader)?,
            second_stage: read_offers(reader)?,
        })
    }
}

fn write_offers(offers: &[Presigned], writer: &mut Writer) {
    writer.u8(offers.len() as u8);
    for Presigned { fee, signature } in offers {
        writer.u64(fee.get());
        writer.signature(signature);
    }
}

fn read_offers(reader: &mut Reader<'_>) -> Result<Vec<Presigned>, ReadError> {
    let mut offers = Vec::new();
    for _ in 0..reader.u8()? {
        offers.push(Presigned { fee: Sat::new(reader.u64()?), signature: reader.signature()? });
    }
    Ok(offers)
}
