//! Names for what stands on the chain: whose script, which channel, which transaction in the seed's words. Computed from
//! the transactions and from keys that follow from the parties' seeds; nothing that a node says is believed.
//!
//! ```text
//!   wallet -> F -> C{n}a -> to_local  -> RD | BR        HT -> HTRD | HTBR
//!               |        -> to_remote -> D              HE -> HERD | HEBR
//!               |        -> htlc      -> HT | HE | HED | HTD | HBR
//!               -> X
//! ```

mod channel;
mod label;

pub use channel::NamedChannel;
pub use label::{Label, Stage};

use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use leyden_core::chain::wallet_scripts;
use leyden_core::ids::ChannelId;
use leyden_core::keys::NodeSeed;
use leyden_core::node::NewBlock;
use leyden_core::tx::funding_script;
use leyden_core::units::Sat;
use secp256k1::PublicKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many scripts of a wallet are watched at first, and always so many beyond the last one used.
const SCRIPT_WINDOW: u32 = 6;
/// So many channel keys beyond the last one seen are tried when a funding output is looked for.
const KEY_WINDOW: usize = 4;
/// So many when that finds nothing: an opening that was refused has used up a key that is never seen.
const WIDE_KEY_WINDOW: usize = 20;

/// Someone who owns coins.
#[derive(Clone)]
pub struct Party {
    /// Its name.
    pub name: String,
    /// Its seed and what its channels depend on, if it is a node.
    pub node: Option<NodeParty>,
}

/// What follows from a node's seed and configuration.
#[derive(Clone)]
pub struct NodeParty {
    /// Everything's source.
    pub seed: NodeSeed,
    /// The delay it imposes on its peers' own outputs, in blocks.
    pub to_self_delay: u16,
}

/// One output of a transaction that concerns a party.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// In a party's wallet.
    Wallet {
        /// Whose.
        party: usize,
    },
    /// A channel's funding output.
    Funding {
        /// Which channel.
        channel: usize,
    },
    /// An output of a commitment or of an HTLC transaction.
    Output {
        /// Which channel.
        channel: usize,
        /// The commitment's number and holder.
        state: State,
        /// What it is.
        stage: Stage,
    },
}

/// One signed state of a channel, by its commitment transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct State {
    /// From 1, as the seed counts.
    pub number: u64,
    /// Who can broadcast it.
    pub holder: End,
}

/// An end of a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    /// `a`, who opened.
    Opener,
    /// `b`.
    Acceptor,
}

impl End {
    /// The other end.
    pub fn other(self) -> Self {
        match self {
            End::Opener => End::Acceptor,
            End::Acceptor => End::Opener,
        }
    }

    /// The seed's letter.
    pub fn letter(self) -> char {
        match self {
            End::Opener => 'a',
            End::Acceptor => 'b',
        }
    }
}

/// A known output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// Its value.
    pub value: Sat,
    /// What it is.
    pub what: What,
}

/// Whose script, and which of its wallet's.
#[derive(Clone, Copy, Debug)]
struct Owner {
    party: usize,
    index: u32,
}

/// How an output ended: the height, and the lengths of the witness's elements. The order of equal HTLC outputs in a commitment
/// follows from keys; by how they ended they are told apart the same way in every run.
type Ending = Option<(u32, Vec<usize>)>;

/// Everything that has a name.
#[derive(Default)]
pub struct Names {
    parties: Vec<Party>,
    scripts: BTreeMap<ScriptBuf, Owner>,
    funding_keys: BTreeMap<(usize, usize), PublicKey>,
    channels: Vec<NamedChannel>,
    outputs: BTreeMap<OutPoint, Known>,
    labels: BTreeMap<Txid, Label>,
    endings: BTreeMap<OutPoint, (u32, Vec<usize>)>,
}

impl Names {
    /// Looks ahead: how each output of these blocks ended.
    pub fn foresee(&mut self, blocks: &[Arc<NewBlock>]) {
        self.endings.clear();
        for block in blocks {
            for input in block.block.txdata.iter().skip(1).flat_map(|tx| &tx.input) {
                // A signature is now and then a byte shorter.
                let lengths = input.witness.iter().map(|element| element.len().min(65)).collect();
                self.endings.insert(input.previous_output, (block.height.get(), lengths));
            }
        }
    }

    /// Adds a party; a node's wallet scripts follow from its seed. Its number.
    pub fn add_party(&mut self, party: Party) -> usize {
        self.parties.push(party);
        let number = self.parties.len() - 1;
        self.watch_wallet(number, SCRIPT_WINDOW);
        number
    }

    /// The same parties with the same wallets, and nothing else: no channel, no transaction.
    pub fn forgetful(&self) -> Names {
        Names { parties: self.parties.clone(), scripts: self.scripts.clone(), ..Names::default() }
    }

    /// Every script of every party's wallet that is watched.
    pub fn scripts(&self) -> impl Iterator<Item = &ScriptBuf> {
        self.scripts.keys()
    }

    /// Adds a script to what a party owns.
    pub fn add_script(&mut self, party: usize, script: ScriptBuf) {
        self.scripts.insert(script, Owner { party, index: 0 });
    }

    /// Watches the first `count` scripts of each of a node's keychains.
    fn watch_wallet(&mut self, party: usize, count: u32) {
        let Some(node) = &self.parties[party].node else { return };
        let scripts = wallet_scripts(&node.seed, count);
        // External scripts come first, then as many internal ones.
        let owned = (0..).zip(scripts).map(|(place, script)| (script, Owner { party, index: place % count }));
        self.scripts.extend(owned);
    }

    /// The owner of a script; watches further when a late one is used.
    fn owner(&mut self, script: &ScriptBuf) -> Option<usize> {
        let owner = *self.scripts.get(script)?;
        let last =
            self.scripts.values().filter(|other| other.party == owner.party).map(|other| other.index).max();
        if last.is_some_and(|last| owner.index + SCRIPT_WINDOW / 2 > last) {
            self.watch_wallet(owner.party, owner.index * 2 + SCRIPT_WINDOW);
        }
        Some(owner.party)
    }

    /// Everyone.
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// A party's name.
    pub fn party_name(&self, party: usize) -> &str {
        &self.parties[party].name
    }

    /// All channels whose funding was seen, in that order.
    pub fn channels(&self) -> &[NamedChannel] {
        &self.channels
    }

    /// What is known of an output.
    pub fn output(&self, outpoint: &OutPoint) -> Option<&Known> {
        self.outputs.get(outpoint)
    }

    /// The party that is the world's node of this number.
    pub fn node_party(&self, node: usize) -> Option<usize> {
        let nodes = self.parties.iter().enumerate().filter(|(_, party)| party.node.is_some());
        nodes.map(|(number, _)| number).nth(node)
    }

    /// The transaction with this name.
    pub fn txid_of(&self, label: &str) -> Option<Txid> {
        self.labels.keys().copied().find(|txid| self.full_label(txid).as_deref() == Some(label))
    }

    /// What is known of a transaction.
    pub fn label(&self, txid: &Txid) -> Option<&Label> {
        self.labels.get(txid)
    }

    /// A transaction's name in the seed's words: with its channel in front when there are several.
    pub fn full_label(&self, txid: &Txid) -> Option<String> {
        let label = self.labels.get(txid)?;
        let several = self.channels.len() > 1;
        Some(if several {
            format!("{}/{}", self.channels[label.channel].name, label.seed)
        } else {
            label.seed.clone()
        })
    }

    /// A channel's name by its id.
    pub fn channel_name(&self, id: &ChannelId) -> Option<&str> {
        let named = self.channels.iter().find(|channel| ChannelId::from_funding(channel.funding) == *id);
        named.map(|channel| channel.name.as_str())
    }

    /// What an output is, in words.
    pub fn describe(&self, what: &What) -> String {
        match what {
            What::Wallet { party } => format!("{}'s wallet", self.party_name(*party)),
            What::Funding { channel } => {
                format!("{}: the funding output, channel still open", self.channels[*channel].name)
            }
            What::Output { channel, state, stage } => {
                let channel = &self.channels[*channel];
                let owner =
                    stage.owner(state.holder).map(|end| self.party_name(channel.party(end)).to_string());
                let owner = owner.map_or_else(String::new, |owner| format!("{owner}'s "));
                format!("{}: {owner}{} on {}", channel.name, stage.bolt_name(), stage.home(*state))
            }
        }
    }

    /// Looks at a transaction (again): gives it and its outputs names, if they have any. Parents must come first.
    pub fn observe(&mut self, tx: &Transaction) {
        let inputs: Vec<Option<Known>> =
            tx.input.iter().map(|input| self.outputs.get(&input.previous_output).cloned()).collect();
        let is_ours = |output: &TxOut| self.scripts.contains_key(&output.script_pubkey);
        if inputs.iter().all(Option::is_none) && !tx.output.iter().any(is_ours) {
            return; // nothing can be said of it: not worth its hash, which most blocks' only transaction would cost
        }
        let txid = tx.compute_txid();
        let payer = inputs.iter().flatten().find_map(|known| match known.what {
            What::Wallet { party } => Some(party),
            _ => None,
        });
        for (vout, output) in (0u32..).zip(&tx.output) {
            let outpoint = OutPoint::new(txid, vout);
            let what = match self.owner(&output.script_pubkey) {
                Some(party) => Some(What::Wallet { party }),
                None => payer.and_then(|payer| self.find_funding(payer, outpoint, output)),
            };
            if let Some(what) = what {
                self.know(outpoint, output, what);
            }
        }
        self.observe_channel_inputs(txid, tx, &inputs);
        self.label_funding(txid, tx);
    }

    fn know(&mut self, outpoint: OutPoint, output: &TxOut, what: What) {
        self.outputs.insert(outpoint, Known { value: output.value.into(), what });
    }

    fn label_funding(&mut self, txid: Txid, tx: &Transaction) {
        if self.labels.contains_key(&txid) {
            return;
        }
        let outpoints = (0u32..).zip(&tx.output).map(|(vout, _)| OutPoint::new(txid, vout));
        for outpoint in outpoints {
            if let Some(Known { what: What::Funding { channel }, .. }) = self.outputs.get(&outpoint) {
                let by = self.channels[*channel].opener;
                self.labels.insert(txid, Label::funding(*channel, by));
                return;
            }
        }
    }

    /// What the spending of channel outputs makes of a transaction.
    fn observe_channel_inputs(&mut self, txid: Txid, tx: &Transaction, inputs: &[Option<Known>]) {
        let mut labels: Vec<Label> = Vec::new();
        let taker =
            tx.output.iter().find_map(|output| self.scripts.get(&output.script_pubkey)).map(|o| o.party);
        for (index, known) in inputs.iter().enumerate() {
            match known.as_ref().map(|known| &known.what) {
                Some(What::Funding { channel }) => {
                    labels.push(self.observe_funding_spend(*channel, txid, tx))
                }
                Some(What::Output { channel, state, stage }) => {
                    let named = &self.channels[*channel];
                    let Some(spend) = stage.spent_by(&tx.input[index].witness) else { continue };
                    let by = named.party(spend.claimant(state.holder));
                    let by = if spend.needs_no_key() { taker.unwrap_or(by) } else { by };
                    labels.push(Label::claim(*channel, by, *state, &spend));
                    if let (Some(second), Some(output)) = (spend.second_stage(), tx.output.get(index)) {
                        let what = What::Output { channel: *channel, state: *state, stage: second };
                        self.know(OutPoint::new(txid, index as u32), &output.clone(), what);
                    }
                }
                _ => {}
            }
        }
        if let Some(label) = Label::joined(labels) {
            self.labels.insert(txid, label);
        }
    }

    /// A commitment or a closing transaction.
    fn observe_funding_spend(&mut self, channel: usize, txid: Txid, tx: &Transaction) -> Label {
        let named = &self.channels[channel];
        let ending = |vout| self.endings.get(&OutPoint::new(txid, vout)).cloned();
        let Some(commitment) = named.read_commitment(tx, &ending) else {
            return Label::closing(channel, named.opener);
        };
        let state = commitment.state;
        let label = Label::commitment(channel, named.party(state.holder), state);
        for (vout, stage) in commitment.outputs {
            let output = &tx.output[vout as usize];
            self.know(OutPoint::new(txid, vout), output, What::Output { channel, state, stage });
        }
        label
    }

    /// Whether `output`, paid for by `opener`, is a funding output between it and another node.
    fn find_funding(&mut self, opener: usize, outpoint: OutPoint, output: &TxOut) -> Option<What> {
        if let Some(known) = self.channels.iter().position(|channel| channel.funding == outpoint) {
            return Some(What::Funding { channel: known });
        }
        if !output.script_pubkey.is_p2wsh() {
            return None;
        }
        for window in [KEY_WINDOW, WIDE_KEY_WINDOW] {
            for acceptor in (0..self.parties.len()).filter(|party| *party != opener) {
                if let Some(ends) = self.ends_of(opener, acceptor, window, output) {
                    return Some(self.add_channel(ends, outpoint));
                }
            }
        }
        None
    }

    /// The keys of these two that the funding output is made of, as party and number, if they are within the window.
    fn ends_of(
        &mut self,
        opener: usize,
        acceptor: usize,
        window: usize,
        output: &TxOut,
    ) -> Option<[(usize, usize); 2]> {
        for opener_index in 0..self.keys_used(opener) + window {
            for acceptor_index in 0..self.keys_used(acceptor) + window {
                let one = self.funding_key(opener, opener_index)?;
                let other = self.funding_key(acceptor, acceptor_index)?;
                if funding_script(&one, &other).to_p2wsh() == output.script_pubkey {
                    return Some([(opener, opener_index), (acceptor, acceptor_index)]);
                }
            }
        }
        None
    }

    fn add_channel(&mut self, ends: [(usize, usize); 2], funding: OutPoint) -> What {
        for (party, index) in ends {
            // Each opening takes a script of the wallet, also one that is refused and never seen.
            if let Some(late) = u32::try_from(index).ok().filter(|index| *index >= SCRIPT_WINDOW / 2) {
                self.watch_wallet(party, late + SCRIPT_WINDOW);
            }
        }
        let [(opener, _), (acceptor, _)] = ends;
        let pair = format!("{}-{}", self.party_name(opener), self.party_name(acceptor));
        let same =
            self.channels.iter().filter(|channel| [channel.opener, channel.acceptor] == [opener, acceptor]);
        let name = match same.count() {
            0 => pair,
            others => format!("{pair}-{}", others + 1),
        };
        let node = |party: usize| self.parties[party].node.as_ref();
        if let (Some(a), Some(b)) = (node(opener), node(acceptor)) {
            self.channels.push(NamedChannel::new(name, ends, [a, b], funding));
        }
        What::Funding { channel: self.channels.len() - 1 }
    }

    /// How many of a party's channel keys were seen in use.
    fn keys_used(&self, party: usize) -> usize {
        let indices = self.channels.iter().flat_map(|channel| channel.key_indices());
        indices.filter(|(owner, _)| *owner == party).map(|(_, index)| index + 1).max().unwrap_or(0)
    }

    fn funding_key(&mut self, party: usize, index: usize) -> Option<PublicKey> {
        if let Some(key) = self.funding_keys.get(&(party, index)) {
            return Some(*key);
        }
        let keys = self.parties[party].node.as_ref()?.seed.channel_keys(index as u64);
        let key = keys.funding.public_key(secp256k1::SECP256K1);
        self.funding_keys.insert((party, index), key);
        Some(key)
    }
}
