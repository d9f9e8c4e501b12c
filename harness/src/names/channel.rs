//! A channel as the chain and the parties' seeds show it: reads a commitment transaction back into state, holder and outputs.
use super::{End, Ending, NodeParty, Stage, State};
use bitcoin::{OutPoint, ScriptBuf, Transaction};
use leyden_core::keys::{derive_public_key, derive_revocation_public_key, Basepoints, ChannelKeys};
use leyden_core::tx::{
    anchor_script, decode_commitment_number, to_local_script, to_remote_script_pubkey, ChannelType,
    ANCHOR_AMOUNT,
};
use leyden_core::units::CommitmentNumber;
use secp256k1::PublicKey;

/// A channel whose funding was seen.
pub struct NamedChannel {
    /// `alice-bob`; a second one between the same two is `alice-bob-2`.
    pub name: String,
    /// The party that paid for it.
    pub opener: usize,
    /// The other party.
    pub acceptor: usize,
    /// The funding output.
    pub funding: OutPoint,
    indices: [usize; 2],
    keys: [ChannelKeys; 2],
    basepoints: [Basepoints; 2],
    /// The delay on each end's own outputs: what the other end asked for.
    delays: [u16; 2],
}

/// A commitment transaction, read back.
pub(super) struct ReadCommitment {
    pub state: State,
    pub outputs: Vec<(u32, Stage)>,
}

/// The scripts that a commitment with this holder would have.
struct Expected {
    to_local: ScriptBuf,
    to_remote: [ScriptBuf; 2],
    anchors: [(ScriptBuf, End); 2],
}

impl NamedChannel {
    pub(super) fn new(
        name: String,
        ends: [(usize, usize); 2],
        nodes: [&NodeParty; 2],
        funding: OutPoint,
    ) -> Self {
        let [(opener, opener_index), (acceptor, acceptor_index)] = ends;
        let [a, b] = nodes;
        let keys = [a.seed.channel_keys(opener_index as u64), b.seed.channel_keys(acceptor_index as u64)];
        Self {
            name,
            opener,
            acceptor,
            funding,
            indices: [opener_index, acceptor_index],
            basepoints: [keys[0].basepoints(), keys[1].basepoints()],
            keys,
            delays: [b.to_self_delay, a.to_self_delay],
        }
    }

    /// The party at an end.
    pub fn party(&self, end: End) -> usize {
        match end {
            End::Opener => self.opener,
            End::Acceptor => self.acceptor,
        }
    }

    pub(super) fn key_indices(&self) -> [(usize, usize); 2] {
        [(self.opener, self.indices[0]), (self.acceptor, self.indices[1])]
    }

    /// The commitment that this spend of the funding is; nothing if it is a closing transaction.
    /// Equal HTLCs are told apart by what `ends` says of each output's end.
    pub(super) fn read_commitment(
        &self,
        tx: &Transaction,
        ends: &dyn Fn(u32) -> Ending,
    ) -> Option<ReadCommitment> {
        let [opener, acceptor] = &self.basepoints;
        let number = decode_commitment_number(tx, &opener.payment, &acceptor.payment)?;
        let readings = [End::Opener, End::Acceptor].map(|holder| self.read_as(tx, number, holder, ends));
        let [as_opener, as_acceptor] = readings;
        // Each side's keys fit only its own commitment; with both balances trimmed the anchors do not tell, HTLCs would.
        let own = |reading: &ReadCommitment| {
            reading
                .outputs
                .iter()
                .filter(|(_, stage)| matches!(stage, Stage::ToLocal | Stage::ToRemote))
                .count()
        };
        Some(if own(&as_opener) >= own(&as_acceptor) { as_opener } else { as_acceptor })
    }

    fn read_as(
        &self,
        tx: &Transaction,
        number: CommitmentNumber,
        holder: End,
        ends: &dyn Fn(u32) -> Ending,
    ) -> ReadCommitment {
        let expected = self.expected(number, holder);
        let mut htlcs = Vec::new();
        let mut outputs = Vec::new();
        for (vout, output) in (0u32..).zip(&tx.output) {
            match expected.stage(output) {
                Some(stage) => outputs.push((vout, stage)),
                None => htlcs.push((output.value, ends(vout), vout)),
            }
        }
        htlcs.sort();
        let several = htlcs.len() > 1;
        let places = (0u32..).zip(htlcs);
        outputs
            .extend(places.map(|(place, (_, _, vout))| (vout, Stage::Htlc(Some(place).filter(|_| several)))));
        outputs.sort_by_key(|(vout, _)| *vout);
        ReadCommitment { state: State { number: number.get() + 1, holder }, outputs }
    }

    fn expected(&self, number: CommitmentNumber, holder: End) -> Expected {
        let (own, other) = match holder {
            End::Opener => (0, 1),
            End::Acceptor => (1, 0),
        };
        let point: PublicKey = self.keys[own].per_commitment_point(number);
        let revocation = derive_revocation_public_key(&self.basepoints[other].revocation, &point);
        let delayed = derive_public_key(&self.basepoints[own].delayed_payment, &point);
        let payment = &self.basepoints[other].payment;
        let formats = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlc];
        let anchor = |end: usize| anchor_script(&self.basepoints[end].funding_pubkey).to_p2wsh();
        Expected {
            to_local: to_local_script(&revocation, self.delays[own], &delayed).to_p2wsh(),
            to_remote: formats.map(|format| to_remote_script_pubkey(format, payment)),
            anchors: [(anchor(0), End::Opener), (anchor(1), End::Acceptor)],
        }
    }
}

impl Expected {
    /// What this output is; nothing if it must be an HTLC's.
    fn stage(&self, output: &bitcoin::TxOut) -> Option<Stage> {
        let script = &output.script_pubkey;
        if *script == self.to_local {
            return Some(Stage::ToLocal);
        }
        if self.to_remote.contains(script) {
            return Some(Stage::ToRemote);
        }
        let anchor = self.anchors.iter().find(|(anchor, _)| anchor == script)?;
        (output.value == ANCHOR_AMOUNT.to_amount()).then_some(Stage::Anchor(anchor.1))
    }
}
