//! Towers as processes, beside stock nodes and a real Core: an old state is punished while its victim is killed, also by a tower
//! that was killed itself (corpus 61 to 63); and what lies on a tower's disk before says nothing of any channel.
mod tower_process;

use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid};
use leyden_core::ids::ChannelId;
use leyden_core::tower::Locator;
use tower_process::{holds, pay, spends, wait_until, Ground, Process};

/// What the channel holds, and what the cheater still has in the state that it publishes.
const CHANNEL: u64 = 1_000_000;
const CHEATED: u64 = 700_000;

/// A channel whose opener has kept a state that it revoked since, and all that takes part.
struct Cheat {
    ground: Ground,
    victim: Process,
    cheater: Process,
    channel: ChannelId,
    /// The old state.
    lie: Transaction,
}

impl Cheat {
    /// The cheater has 1,000,000 sat, pays 200,000, keeps that state, and pays 300,000 more.
    fn prepare(mut ground: Ground, towers: &mut [&mut Process]) -> Self {
        let named: Vec<String> = towers.iter().map(|tower| format!("--tower={}", tower.address())).collect();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let victim = ground.node("victim", &named);
        let mut cheater = ground.node("cheater", &[]);
        let channel = ground.open(&cheater, &victim, CHANNEL);
        pay(&cheater, &victim, 200_000);
        assert!(cheater.terminate().success(), "SIGTERM ends a node cleanly");
        let (_, lie) = cheater.state(channel);
        cheater.start_again("127.0.0.1:0");
        let mut client = cheater.client();
        wait_until("the channel", || client.listchannels().expect("it answers").iter().any(|one| one.usable));
        pay(&cheater, &victim, 300_000);
        let locator = Locator::of(&lie.compute_txid()).to_string();
        for tower in towers {
            tower.await_line(&["a box is acknowledged", &locator, "Kept"]);
        }
        Self { ground, victim, cheater, channel, lie }
    }

    fn txid(&self) -> Txid {
        self.lie.compute_txid()
    }

    /// The victim is killed, and the old state goes to the chain.
    fn publish(&mut self) {
        self.victim.kill();
        self.cheater.kill();
        self.ground.publish(&self.lie);
    }

    /// Mines the penalties that wait: how many there are.
    fn confirm(&mut self) -> usize {
        let hash = self.ground.mine(1);
        let (txid, block) = (self.txid(), self.ground.block(&hash));
        block.txdata.iter().filter(|tx| spends(tx, txid)).count()
    }

    /// The victim comes back and finds what it was to lose.
    fn check(&mut self) {
        self.victim.start_again("127.0.0.1:0");
        self.ground.settle(&[&self.victim]);
        let mut client = self.victim.client();
        let wallet = client.getbalances().expect("it answers").wallet.get();
        // A penalty may cost some of it.
        assert!(wallet > CHEATED, "the victim has {wallet} sat of {CHANNEL}");
    }
}

#[test]
fn a_tower_punishes_while_the_victim_is_dead() {
    let ground = Ground::new();
    let mut tower = ground.tower("tower");
    let mut cheat = Cheat::prepare(ground, &mut [&mut tower]);
    says_nothing(&tower, &cheat);
    cheat.publish();
    // Seen in the mempool already.
    cheat.ground.await_spend_of(cheat.txid());
    assert_ne!(cheat.confirm(), 0, "the penalty confirms");
    cheat.check();
    cheat.ground.settle(&[&tower]);
    assert!(tower.terminate().success(), "SIGTERM ends a tower cleanly");
}

#[test]
fn a_tower_that_was_killed_punishes_from_what_it_saved() {
    let ground = Ground::new();
    let mut tower = ground.tower("tower");
    let (_, address) = tower.place();
    let mut cheat = Cheat::prepare(ground, &mut [&mut tower]);
    tower.kill();
    cheat.publish();
    assert_eq!(cheat.confirm(), 0, "nobody is there to punish");
    tower.start_again(&address);
    cheat.ground.await_spend_of(cheat.txid());
    // Killed again, between the penalty and its block.
    tower.kill();
    tower.start_again(&address);
    tower.await_line(&["its penalty goes to the chain"]);
    assert_ne!(cheat.confirm(), 0, "the penalty confirms");
    cheat.check();
}

#[test]
fn two_towers_and_the_victim_race_and_nothing_is_lost() {
    let ground = Ground::new();
    let (mut first, mut second) = (ground.tower("first"), ground.tower("second"));
    let mut cheat = Cheat::prepare(ground, &mut [&mut first, &mut second]);
    cheat.publish();
    cheat.victim.start_again("127.0.0.1:0");
    for tower in [&mut first, &mut second] {
        tower.await_line(&["its penalty goes to the chain"]);
    }
    cheat.ground.await_spend_of(cheat.txid());
    let mut spent = cheat.confirm();
    cheat.ground.settle(&[&first, &second, &cheat.victim]);
    spent += cheat.confirm();
    assert_ne!(spent, 0, "the penalty confirms");
    cheat.victim.kill();
    cheat.check();
    cheat.ground.settle(&[&first, &second]);
}

#[test]
fn a_tower_without_core_says_so_takes_boxes_and_punishes_once_core_is_back() {
    let ground = Ground::new();
    let (there, cookie) = (ground.cookie(), ground.folder("cookie"));
    // A new tower begins at Core's tip: it has nothing to do before.
    let mut tower = ground.tower_behind("tower", &cookie);
    tower.await_line(&["Bitcoin Core does not answer", "waiting for it"]);
    std::fs::copy(&there, &cookie).expect("Core's cookie");
    tower.await_line(&["Bitcoin Core answers again"]);
    tower.await_line(&["the tower runs"]);
    let (_, address) = tower.place();
    let mut cheat = Cheat::prepare(ground, &mut [&mut tower]);
    tower.kill();
    std::fs::remove_file(&cookie).expect("Core's cookie");
    // One that has begun takes boxes all the same.
    pay_back_and_forth(&cheat);
    let missed = cheat.victim.boxes();
    tower.start_again(&address);
    tower.await_line(&["Bitcoin Core does not answer", "waiting for it"]);
    cheat.victim.await_guarded();
    assert!(missed > 0 && tower.boxes() > missed, "it keeps {} boxes, {missed} of them new", tower.boxes());
    assert!(!tower.client().getinfo().expect("it answers").synced, "Core is still away");
    cheat.publish();
    std::fs::copy(&there, &cookie).expect("Core's cookie");
    cheat.ground.await_spend_of(cheat.txid());
    assert_ne!(cheat.confirm(), 0, "the penalty confirms");
    cheat.check();
}

/// A payment each way, after which the victim has more than before.
fn pay_back_and_forth(cheat: &Cheat) {
    pay(&cheat.cheater, &cheat.victim, 50_000);
    pay(&cheat.victim, &cheat.cheater, 10_000);
}

/// Nothing on a tower's disk names the channel, its parties, its transactions or its amounts.
fn says_nothing(tower: &Process, cheat: &Cheat) {
    let lie = cheat.txid().to_byte_array();
    let locator = &lie[..16];
    assert!(holds(&tower.folder, locator), "the box is there");
    let funding = cheat.lie.input[0].previous_output.txid.to_byte_array();
    let mut secrets = vec![lie[16..].to_vec(), funding.to_vec(), funding[..16].to_vec()];
    secrets.push(cheat.channel.0.to_vec());
    for process in [&cheat.victim, &cheat.cheater] {
        let (id, _) = process.place();
        secrets.extend([id.serialize().to_vec(), id.to_string().into_bytes()]);
    }
    for output in &cheat.lie.output {
        let amount = output.value.to_sat();
        secrets.push(output.script_pubkey.to_bytes());
        secrets.extend([amount.to_le_bytes().to_vec(), amount.to_be_bytes().to_vec()]);
    }
    for secret in secrets {
        let reversed: Vec<u8> = secret.iter().rev().copied().collect();
        for bytes in [&secret, &reversed] {
            assert!(!holds(&tower.folder, bytes), "the tower's folder holds {bytes:02x?}");
        }
    }
}
