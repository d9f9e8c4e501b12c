//! HTLC spends of the adversary's own making: which outputs, with which coins, for which fee, with what else. It builds and signs
//! whatever it is told, also what no honest node would.
//!
//! ```text
//!   let htlcs = net.htlc_spends(mallory, old);
//!   let coin = net.coin("mallory", 50_000);
//!   let tx = net.build(&Spend::of(&htlcs).coins(&[coin]).fee(500));      // aggregated, at a low fee
//!   net.publish(mallory, &tx);
//! ```
use super::{Coin, Net, NodeRef, State};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use leyden_core::channel::HtlcSpend;

/// What to build.
#[derive(Clone, Debug)]
pub struct Spend {
    htlcs: Vec<HtlcSpend>,
    coins: Vec<Coin>,
    outputs: Vec<TxOut>,
    to: Option<ScriptBuf>,
    fee: Amount,
}

impl Spend {
    /// Spends these HTLC outputs, in this order, each with the output at its place that the peer signed.
    pub fn of(htlcs: &[HtlcSpend]) -> Self {
        Self { htlcs: htlcs.to_vec(), coins: Vec::new(), outputs: Vec::new(), to: None, fee: Amount::ZERO }
    }

    /// Adds inputs that the scenario has the keys of (P2WPKH); what they bring and is not spent goes back to the first one's script.
    pub fn coins(mut self, coins: &[Coin]) -> Self {
        self.coins.extend_from_slice(coins);
        self
    }

    /// Pays this fee in satoshis, beyond what the HTLC transactions of `static_remotekey` pay by themselves.
    pub fn fee(mut self, sat: u64) -> Self {
        self.fee = Amount::from_sat(sat);
        self
    }

    /// What is left goes to this script.
    pub fn to(mut self, script: ScriptBuf) -> Self {
        self.to = Some(script);
        self
    }

    /// One more output.
    pub fn output(mut self, output: TxOut) -> Self {
        self.outputs.push(output);
        self
    }

    /// The transaction, unsigned.
    fn unsigned(&self) -> Transaction {
        let input = self.htlcs.iter().map(HtlcSpend::input).chain(self.coins.iter().map(coin_input));
        let prescribed: Vec<TxOut> = self.htlcs.iter().filter_map(|htlc| htlc.output.clone()).collect();
        // What an HTLC of `static_remotekey` leaves for its own fee is no change.
        let free = |htlc: &&HtlcSpend| htlc.output.is_none();
        let brought = self.htlcs.iter().filter(free).map(|htlc| htlc.amount.to_amount());
        let brought: Amount = brought.chain(self.coins.iter().map(|coin| coin.output.value)).sum();
        let other: Amount = self.outputs.iter().map(|output| output.value).sum();
        let change = brought.checked_sub(other).and_then(|rest| rest.checked_sub(self.fee));
        let script = self.to.clone().or(self.coins.first().map(|coin| coin.output.script_pubkey.clone()));
        let change = script.zip(change).map(|(script_pubkey, value)| TxOut { value, script_pubkey });
        let change = change.filter(|output| output.value >= output.script_pubkey.minimal_non_dust());
        let lock_time = self.htlcs.first().map_or(bitcoin::absolute::LockTime::ZERO, |htlc| htlc.lock_time);
        Transaction {
            version: Version::TWO,
            lock_time,
            input: input.collect(),
            output: prescribed.into_iter().chain(self.outputs.clone()).chain(change).collect(),
        }
    }
}

impl Net {
    /// HT and HE of a state of the node's own: every HTLC output of its commitment, in output order.
    #[track_caller]
    pub fn htlc_spends(&self, node: NodeRef, state: State) -> Vec<HtlcSpend> {
        if state.node != node {
            panic!("{} cannot spend from a state of {}", self.name(node), self.name(state.node));
        }
        self.past(state).own_htlcs()
    }

    /// HED and HTD of a commitment of the peer's: every HTLC output of it, if it was valid at this state of the node's.
    #[track_caller]
    pub fn peer_htlc_spends(&self, state: State, commitment: Txid) -> Vec<HtlcSpend> {
        self.past(state).peer_htlcs(commitment)
    }

    /// Builds and signs it; claims with R need a preimage that somebody gave away (see [`Net::reveal`]).
    #[track_caller]
    pub fn build(&self, spend: &Spend) -> Transaction {
        let mut tx = spend.unsigned();
        if spend.htlcs.iter().any(|htlc| htlc.lock_time != tx.lock_time) {
            panic!("HTLCs of different lock times cannot be spent together: the peer's signatures cover it");
        }
        let mut witnesses = Vec::new();
        for (index, htlc) in spend.htlcs.iter().enumerate() {
            let hash = htlc.htlc.payment_hash;
            let preimage = self.world.preimage(&hash);
            if htlc.needs_preimage() && preimage.is_none() {
                panic!("nobody gave away the preimage of {hash}: the HTLC cannot be claimed");
            }
            witnesses.extend(htlc.witness(&tx, index, preimage.as_ref()));
        }
        for (coin, index) in spend.coins.iter().zip(spend.htlcs.len()..) {
            witnesses.push(self.coin_witness(&tx, index, coin));
        }
        for (input, witness) in tx.input.iter_mut().zip(witnesses) {
            input.witness = witness;
        }
        tx
    }

    #[track_caller]
    fn coin_witness(&self, tx: &Transaction, index: usize, coin: &Coin) -> Witness {
        let (script, value) = (&coin.output.script_pubkey, coin.output.value);
        let mut cache = SighashCache::new(tx);
        let hash = self.need(cache.p2wpkh_signature_hash(index, script, value, EcdsaSighashType::All));
        let signature = secp256k1::SECP256K1.sign_ecdsa(&hash.into(), &coin.key);
        let signature = bitcoin::ecdsa::Signature::sighash_all(signature);
        Witness::p2wpkh(&signature, &coin.public_key().inner)
    }
}

/// What the transaction would weigh with signatures of the greatest length: a fee by this is the same for every seed.
pub(super) fn heaviest(tx: &Transaction) -> u64 {
    const LONGEST: usize = 72;
    let elements = tx.input.iter().flat_map(|input| input.witness.iter());
    let signatures = elements.filter(|element| element.first() == Some(&0x30) && element.len() <= LONGEST);
    let missing: usize = signatures.map(|signature| LONGEST - signature.len()).sum();
    tx.weight().to_wu() + missing as u64
}

fn coin_input(coin: &Coin) -> TxIn {
    TxIn {
        previous_output: coin.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}
