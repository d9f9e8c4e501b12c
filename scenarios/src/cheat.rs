//! The ground of the breach scenarios: Mallory with a channel for each way to cheat, each towards a victim of its own, and what
//! must be true when all is over. Words and numbers; the scenarios are in `breach.rs`, `breach_race.rs`, `breach_reorg.rs`, `tower.rs`.
use leyden_harness::prelude::*;

/// The delay on everybody's own outputs: so long a cheater waits, so long a victim has.
pub(crate) const DELAY: u16 = 30;
/// What each channel holds.
pub(crate) const CAPACITY: u64 = 1_000_000;
/// What moves between two states.
pub(crate) const AMOUNT: Msat = sat(100_000);
/// More blocks than any HTLC of a payment over two hops lives.
pub(crate) const EXPIRED: u32 = 100;

/// One way to cheat.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    /// Whether Mallory opens the channel (her commitments are `a`'s) or its victim does (hers are `b`'s).
    pub opens: bool,
    /// Whether the HTLCs of the old state are hers (to be timed out) or the victim's (to be claimed with R).
    pub pays: bool,
}

/// Who opened, and whose HTLC it is: all four.
pub(crate) const WAYS: [Way; 4] = [
    Way { opens: true, pays: true },
    Way { opens: true, pays: false },
    Way { opens: false, pays: true },
    Way { opens: false, pays: false },
];

/// A channel in which Mallory cheats.
#[derive(Clone, Copy)]
pub(crate) struct Cheat {
    /// Whom.
    pub victim: NodeRef,
    /// Where.
    pub channel: ChannelRef,
    /// How.
    pub way: Way,
}

/// Mallory and her channels.
pub(crate) struct Ground {
    /// The cheater.
    pub mallory: NodeRef,
    /// One for each way.
    pub cheats: Vec<Cheat>,
}

impl Ground {
    /// A channel for each of these ways, half of it on each side.
    pub fn new(net: &mut Net, ways: &[Way]) -> Self {
        Self::with(net, ways, Open::sat(CAPACITY).push_sat(CAPACITY / 2))
    }

    /// The same with channels of this kind.
    pub fn with(net: &mut Net, ways: &[Way], open: Open) -> Self {
        Self::configured(net, ways, open, NodeConfig::default())
    }

    /// The same with victims that are configured like this, but for the delay.
    pub fn configured(net: &mut Net, ways: &[Way], open: Open, mut victims: NodeConfig) -> Self {
        let mut config = NodeConfig::default();
        config.channel.to_self_delay = DELAY;
        victims.channel.to_self_delay = DELAY;
        let mallory = net.node_with("mallory", config);
        let mut cheats = Vec::new();
        for (way, name) in ways.iter().zip(["alice", "bob", "carol", "dave"]) {
            let victim = net.node_with(name, victims.clone());
            let (opener, acceptor) = if way.opens { (mallory, victim) } else { (victim, mallory) };
            let channel = net.open(opener, acceptor, open.clone());
            cheats.push(Cheat { victim, channel, way: *way });
        }
        net.dishonest(mallory);
        Self { mallory, cheats }
    }

    /// In each channel this payment arrives, in the direction of its way: two more states.
    pub fn pay(&self, net: &mut Net) {
        for cheat in &self.cheats {
            let (from, to) = self.direction(cheat);
            net.pay(from, to, AMOUNT);
        }
    }

    /// In each channel so many payments are pending together, and then they arrive: at a node behind the one that is paid, which
    /// is silent for a while.
    pub fn pay_together(&self, net: &mut Net, count: usize) {
        for (cheat, name) in self.cheats.iter().zip(["wim", "xena", "yves", "zoe"]) {
            let (from, over) = self.direction(cheat);
            let [to] = net.nodes([name]);
            net.open(over, to, Open::sat(CAPACITY));
            net.silence(to);
            let payments: Vec<Payment> = (0..count).map(|_| net.start_pay(from, to, AMOUNT)).collect();
            net.run();
            net.speak(to);
            payments.into_iter().for_each(|payment| net.expect_success(payment));
        }
    }

    fn direction(&self, cheat: &Cheat) -> (NodeRef, NodeRef) {
        if cheat.way.pays {
            (self.mallory, cheat.victim)
        } else {
            (cheat.victim, self.mallory)
        }
    }

    /// Mallory's newest state of the channel that holds so many HTLCs.
    pub fn old(&self, net: &Net, cheat: &Cheat, htlcs: usize) -> State {
        let states = net.states(self.mallory, cheat.channel).into_iter().rev();
        let mut fitting = states.filter(|state| net.htlc_spends(self.mallory, *state).len() == htlcs);
        match fitting.next() {
            Some(state) => state,
            None => panic!("mallory never had a state with {htlcs} HTLCs"),
        }
    }

    /// Mallory publishes, in each channel, her newest state with so many HTLCs.
    pub fn lie(&self, net: &mut Net, htlcs: usize) {
        for cheat in &self.cheats {
            let old = self.old(net, cheat, htlcs);
            net.broadcast(self.mallory, old);
        }
    }

    /// Mallory has nothing of any of her channels: what she put in is lost, and nothing came out.
    pub fn expect_nothing_for_mallory(&self, net: &mut Net) {
        let opened = self.cheats.iter().filter(|cheat| cheat.way.opens).count() as u64 * CAPACITY;
        let settlement = net.settlement();
        let line = settlement.parties.iter().find(|line| line.name == "mallory");
        let line = line.expect("mallory is a party");
        let (start, end) = (line.start.get(), line.end.get());
        assert!(
            end + opened <= start,
            "mallory began with {start} sat, put {opened} in, and ends with {end}"
        );
    }
}

/// Mines this many blocks without any penalty: somebody pays the miners for that.
pub(crate) fn mine_without_penalties(net: &mut Net, blocks: u32) {
    for _ in 0..blocks {
        let penalties = penalties(net).into_iter().map(|(_, txid)| txid).collect::<Vec<_>>();
        net.mine_without(1, &penalties);
    }
}

/// The penalties in the mempool, by name.
pub(crate) fn penalties(net: &mut Net) -> Vec<(String, bitcoin::Txid)> {
    let labels = net.mempool_labels().into_iter();
    let waiting = net.mempool();
    let all = labels.zip(waiting.iter().map(bitcoin::Transaction::compute_txid));
    all.filter(|(label, _)| label.contains("BR")).collect()
}

/// What a transaction in the mempool pays that spends what is mined, in sat per 1000 weight.
pub(crate) fn feerate(net: &mut Net, txid: bitcoin::Txid) -> u64 {
    let waiting = net.mempool();
    let tx = waiting.iter().find(|tx| tx.compute_txid() == txid).expect("it waits in the mempool");
    let mut fee = 0;
    for input in &tx.input {
        let spent = net.chain().unspent(input.previous_output).expect("the chain answers");
        fee += spent.expect("what it spends is mined").0.value.to_sat();
    }
    fee -= tx.output.iter().map(|output| output.value.to_sat()).sum::<u64>();
    fee * 1000 / tx.weight().to_wu()
}
