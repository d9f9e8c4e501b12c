//! A stock node, its Core, and counterparts with channels: what most tests of bad input begin from. When a call returns, whatever it
//! led to has happened: the node took in every message and block, and said all that it had to say. There is no sleep here.
use super::{Counterpart, RawError, StockNode, PATIENCE};
use crate::chain::core_process::PeerPort;
use crate::chain::core_rpc::CoreChain;
use crate::chain::{Chain, ChainError, Miner};
use bitcoin::{Amount, Block, OutPoint, Transaction, TxOut};
use leyden_core::channel::OpenRequest;
use leyden_core::ids::{ChannelId, NodeId, PaymentHash};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{ChannelInfo, Command, NewBlock, NodeConfig, Notice, Reply};
use leyden_core::tx::ChannelType;
use leyden_core::units::{BlockHeight, FeeratePerKw, Msat, Sat};
use leyden_node::control::client::Client;
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

/// What each party has in its wallet at the start.
const COINS: Amount = Amount::from_sat(10_000_000);
/// Confirmations that a channel needs here.
const DEPTH: usize = 3;

/// A node under test and its peers.
pub struct Bench {
    /// The node.
    pub node: StockNode,
    /// Its owner.
    pub client: Client,
    /// Its peers.
    pub peers: Vec<Counterpart>,
    /// Its chain.
    pub chain: CoreChain,
    miner: Miner,
}

impl Bench {
    /// A node with these further flags and so many counterparts, connected; all have coins.
    ///
    /// # Errors
    /// Core or the node does not start.
    pub fn start(peers: usize, flags: &[&str]) -> Result<Self, RawError> {
        Self::with(vec![NodeConfig::default(); peers], flags)
    }

    /// [`Bench::start`] with counterparts that behave so.
    ///
    /// # Errors
    /// As there.
    pub fn with(configs: Vec<NodeConfig>, flags: &[&str]) -> Result<Self, RawError> {
        let mut chain = CoreChain::with_initial_blocks(PeerPort::Closed)?;
        let miner = Miner::bootstrap(&mut chain)?;
        let node = StockNode::start(chain.process(), flags)?;
        let client = node.client()?;
        let tip = chain.tip();
        let birthday = (BlockHeight::new(tip.height), tip.hash);
        let peers = configs
            .into_iter()
            .zip(1u8..)
            .map(|(config, number)| Counterpart::new(NodeSeed::new([number; 32]), config, birthday, node.id));
        let peers = peers.collect();
        let mut bench = Self { node, client, peers, chain, miner };
        let mut scripts = vec![bench.client.newaddress()?.script_pubkey()];
        for peer in &mut bench.peers {
            if let Reply::Address(script) = peer.command(Command::NewAddress)? {
                scripts.push(script);
            }
        }
        let coins = scripts.into_iter().map(|script_pubkey| TxOut { value: COINS, script_pubkey });
        bench.pay(coins.collect())?;
        bench.mine(1)?;
        for peer in &mut bench.peers {
            peer.connect(bench.node.listen)?;
        }
        bench.settle()?;
        Ok(bench)
    }

    /// A transaction of the miner's in the mempool that pays these outputs, in this order.
    ///
    /// # Errors
    /// Core refuses it.
    pub fn pay(&mut self, outputs: Vec<TxOut>) -> Result<Transaction, RawError> {
        Ok(self.miner.fund(&mut self.chain, outputs)?)
    }

    /// Kills the node and starts it again with an old folder, as somebody does who restores a copy. The counterparts are not connected.
    ///
    /// # Errors
    /// It does not start.
    pub fn go_back(&mut self, folder: TempDir) -> Result<(), RawError> {
        self.peers.iter_mut().for_each(Counterpart::disconnect);
        self.node.kill();
        self.node = StockNode::start_in(self.chain.process(), folder, &[])?;
        self.client = self.node.client()?;
        Ok(())
    }

    /// Until nobody has anything to say, and Core has what the counterparts publish.
    ///
    /// # Errors
    /// A connection or Core broke in a way that no test asks for.
    pub fn settle(&mut self) -> Result<(), RawError> {
        loop {
            let mut talked = false;
            for peer in &mut self.peers {
                talked |= peer.talk()?;
                while let Some(transactions) = peer.broadcasts.pop_front() {
                    talked = true;
                    publish(&mut self.chain, &transactions)?;
                }
            }
            if !talked {
                return Ok(());
            }
        }
    }

    /// Mines so many blocks with all that the mempool holds; everybody takes them in, one by one.
    ///
    /// # Errors
    /// Core broke, or the node does not follow it.
    pub fn mine(&mut self, blocks: usize) -> Result<(), RawError> {
        for _ in 0..blocks {
            self.chain.look_again();
            let block = self.miner.mine(&mut self.chain)?;
            self.show(block)?;
        }
        Ok(())
    }

    /// Puts a block that the test made on the tip; everybody takes it in.
    ///
    /// # Errors
    /// Core refuses it, or the node does not follow.
    pub fn connect(&mut self, block: Block) -> Result<(), RawError> {
        self.chain.connect(&block)?;
        self.show(block)
    }

    fn show(&mut self, block: Block) -> Result<(), RawError> {
        let tip = self.chain.tip();
        let block = Arc::new(NewBlock { height: BlockHeight::new(tip.height), hash: tip.hash, block });
        self.peers.iter_mut().for_each(|peer| peer.see(&block));
        self.until("word of the new block", |bench| {
            let info = bench.client.getinfo()?;
            Ok((info.block_hash == tip.hash).then_some(()))
        })?;
        self.settle()
    }

    /// Asks again and again until there is an answer. Each question is an exchange with another process, which is all the waiting.
    ///
    /// # Errors
    /// There is none in time.
    pub fn until<T>(
        &mut self,
        what: &'static str,
        mut question: impl FnMut(&mut Self) -> Result<Option<T>, RawError>,
    ) -> Result<T, RawError> {
        let begun = Instant::now();
        loop {
            if let Some(answer) = question(self)? {
                return Ok(answer);
            }
            if begun.elapsed() > PATIENCE {
                eprintln!("the node's log ends:\n{}", self.node.log_tail());
                return Err(RawError::Slow(what));
            }
        }
    }

    /// The transaction in Core's mempool that spends this output: waited for.
    ///
    /// # Errors
    /// None comes.
    pub fn spend_of(&mut self, outpoint: OutPoint) -> Result<Transaction, RawError> {
        self.until("transaction that spends the output", |bench| {
            let spends = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == outpoint);
            bench.chain.look_again();
            Ok(bench.chain.mempool()?.into_iter().find(spends))
        })
    }

    /// The counterpart proposes a channel; the funding is in the mempool when this returns.
    ///
    /// # Errors
    /// It does not come so far.
    pub fn propose(&mut self, who: usize, sat: u64, push: u64) -> Result<(), RawError> {
        let request = request(self.node.id, sat, push);
        self.peers[who].command(Command::Open(request))?;
        self.settle()
    }

    /// The node proposes a channel to the counterpart; the funding is in the mempool when this returns.
    ///
    /// # Errors
    /// It does not come so far.
    pub fn be_proposed(&mut self, who: usize, sat: u64, push: u64) -> Result<(), RawError> {
        let request = request(self.peers[who].id(), sat, push);
        self.client.openchannel(request)?;
        self.settle()?;
        let funding = self.peers[who].channels().into_iter().find_map(|channel| channel.terms);
        let funding = funding.ok_or(RawError::Slow("channel with the counterpart"))?.funding.txid;
        self.until("funding transaction of the node", |bench| {
            bench.chain.look_again();
            Ok(bench.chain.mempool()?.iter().find(|tx| tx.compute_txid() == funding).map(|_| ()))
        })
    }

    /// Mines until what was proposed is ready; the channel of each counterpart, if it has one.
    ///
    /// # Errors
    /// As [`Bench::mine`].
    pub fn confirm(&mut self) -> Result<Vec<Option<ChannelId>>, RawError> {
        self.mine(DEPTH)?;
        let ready = |peer: &Counterpart| {
            peer.notices.iter().rev().find_map(|notice| match notice {
                Notice::ChannelReady { channel, .. } => Some(*channel),
                _ => None,
            })
        };
        Ok(self.peers.iter().map(ready).collect())
    }

    /// The node's channels.
    ///
    /// # Errors
    /// The control port.
    pub fn channels(&mut self) -> Result<Vec<ChannelInfo>, RawError> {
        Ok(self.client.listchannels()?)
    }

    /// One of the node's channels.
    ///
    /// # Errors
    /// The node does not have it (any more).
    pub fn channel(&mut self, id: ChannelId) -> Result<ChannelInfo, RawError> {
        let found = self.channels()?.into_iter().find(|channel| channel.channel_id == id);
        found.ok_or(RawError::Slow("channel of this id"))
    }

    /// The counterpart pays an invoice of the node's; whether the money arrived.
    ///
    /// # Errors
    /// It does not come so far.
    pub fn pays(&mut self, who: usize, msat: u64) -> Result<bool, RawError> {
        let (invoice, hash) = self.client.invoice(Some(Msat::new(msat)), "a test", None)?;
        self.peers[who].command(Command::Pay { invoice, amount: None, max_fee: Msat::ZERO })?;
        self.settle()?;
        Ok(self.peers[who].has_paid(hash))
    }

    /// The node begins to pay an invoice of the counterpart's; what it says of it waits to be heard.
    ///
    /// # Errors
    /// One of the two refuses.
    pub fn is_paid(&mut self, who: usize, msat: u64) -> Result<PaymentHash, RawError> {
        let command = Command::Invoice {
            amount: Some(Msat::new(msat)),
            description: "a test".to_owned(),
            min_final_cltv_delta: None,
        };
        let Reply::Invoice { text, payment_hash } = self.peers[who].command(command)? else {
            return Err(RawError::Slow("invoice of the counterpart"));
        };
        self.client.pay(&text, None, Some(Msat::ZERO))?;
        Ok(payment_hash)
    }
}

impl Counterpart {
    /// Whether it was told that its payment arrived.
    pub fn has_paid(&self, hash: PaymentHash) -> bool {
        let sent = |notice: &Notice| matches!(notice, Notice::PaymentSent { payment_hash, .. } if *payment_hash == hash);
        self.notices.iter().any(sent)
    }
}

/// What a proposal of the bench asks for.
pub fn request(peer: NodeId, sat: u64, push: u64) -> OpenRequest {
    OpenRequest {
        peer,
        funding_amount: Sat::new(sat),
        push: Sat::new(push).to_msat(),
        channel_type: ChannelType::AnchorsZeroFeeHtlc,
        commitment_feerate: FeeratePerKw::new(1000),
        funding_feerate: FeeratePerKw::new(1000),
        public: true,
    }
}

/// A refusal is the chain's word and no failure of the bench.
fn publish(chain: &mut CoreChain, transactions: &[Transaction]) -> Result<(), RawError> {
    let result = match transactions {
        [tx] => chain.submit(tx).map(drop),
        several => chain.submit_package(several).map(drop),
    };
    match result {
        Ok(()) | Err(ChainError::Refused { .. }) => Ok(()),
        Err(error @ ChainError::Backend(_)) => Err(error.into()),
    }
}
