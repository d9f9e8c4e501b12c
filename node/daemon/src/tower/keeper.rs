//! The one thread that owns the tower. Like a node's owner it takes all that came in, makes it durable with one commit, and only
//! then acknowledges boxes and broadcasts penalties. It reads no box and knows no channel.
use crate::chain::Broadcaster;
use crate::net::{ConnectionId, Peers};
use crate::owner::{now, Input, Standing};
use crate::store::{BlockMark, StoreError, TowerStore};
use bitcoin::Transaction;
use leyden_core::channel::Env;
use leyden_core::ids::NodeId;
use leyden_core::peer::{Heard, Peer};
use leyden_core::tower::wire::{JusticeAck, TowerMessage, Verdict, JUSTICE};
use leyden_core::tower::{Justice, Tower, TowerBatch, TowerTurn};
use leyden_core::units::BlockHeight;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, watch};

/// The most inputs that one commit covers: some 60 MB of the largest boxes.
const MOST_INPUTS: usize = 1_000;

/// What the tower works with.
pub struct Keeper {
    /// The tower.
    pub tower: Tower,
    /// Where it saves.
    pub store: TowerStore,
    /// The connections with its clients.
    pub peers: Peers,
    /// The way to the chain.
    pub chain: Broadcaster,
    /// The tip, told to everyone who asks.
    pub standing: watch::Sender<Standing>,
}

/// The state of the loop.
struct Desk {
    keeper: Keeper,
    links: BTreeMap<NodeId, (ConnectionId, Peer)>,
    standing: Standing,
    /// What was broadcast before the restart may never have left: once the chain is caught up with, it goes again.
    restarted: bool,
    stopping: bool,
}

/// What one commit covers.
#[derive(Default)]
struct Round {
    inputs: usize,
    save: TowerBatch,
    marks: Vec<BlockMark>,
    said: Vec<(NodeId, ConnectionId, Said)>,
    penalties: Vec<Transaction>,
}

/// Something for a client.
enum Said {
    Message(Vec<u8>),
    Ack(JusticeAck),
    HangUp,
}

impl Keeper {
    /// Runs until [`Input::Stop`], or until nothing can be saved any more. Blocks its thread.
    ///
    /// # Errors
    /// The store failed: nothing of the failed round was acknowledged or broadcast.
    pub fn run(self, mut inbox: mpsc::Receiver<Input>) -> Result<(), StoreError> {
        let standing = *self.standing.borrow();
        let mut desk =
            Desk { keeper: self, links: BTreeMap::new(), standing, restarted: true, stopping: false };
        while let Some(first) = inbox.blocking_recv() {
            let mut round = Round::default();
            let mut next = Some(first);
            while let Some(input) = next.take() {
                desk.take(input, &mut round);
                round.inputs += 1;
                if round.inputs < MOST_INPUTS && !desk.stopping {
                    next = inbox.try_recv().ok();
                }
            }
            desk.finish(round)?;
            if desk.stopping {
                break;
            }
        }
        Ok(())
    }
}

impl Desk {
    fn take(&mut self, input: Input, round: &mut Round) {
        match input {
            Input::Connected { peer, connection } => {
                self.links.insert(peer, (connection, Peer::default()));
                round.said.push((peer, connection, Said::Message(Peer::hello().encode())));
            }
            Input::Disconnected { peer, connection } => {
                if self.links.get(&peer).is_some_and(|(current, _)| *current == connection) {
                    self.links.remove(&peer);
                }
            }
            Input::Messages { peer, connection, messages } => {
                messages.iter().for_each(|bytes| self.hear(peer, connection, bytes, round));
            }
            Input::Block(block) => {
                round.marks.push(self.standing.connect(&block));
                let env = self.env(block.height);
                let turn = self.keeper.tower.on_block(&block.block, &env);
                round.note(turn);
            }
            Input::BlockGone { height } => {
                round.marks.push(self.standing.disconnect(height));
                round.note(self.keeper.tower.on_block_gone(height));
            }
            Input::Unconfirmed(tx) => {
                let env = self.env(self.keeper.tower.tip());
                round.note(self.keeper.tower.on_unconfirmed(&tx, &env));
            }
            Input::Feerate(feerate) => self.standing.feerate = feerate,
            Input::CaughtUp => {
                self.standing.synced = true;
                if std::mem::take(&mut self.restarted) {
                    let env = self.env(self.keeper.tower.tip());
                    round.note(self.keeper.tower.broadcast_again(&env));
                }
            }
            Input::Stop => self.stopping = true,
            // Of a node's, not of a tower's. A tower waits for its clients.
            Input::Silent { .. }
            | Input::TowerReady { .. }
            | Input::Guarded { .. }
            | Input::Command { .. } => {}
            #[cfg(feature = "lab")]
            Input::Lab(_) => {}
        }
    }

    fn hear(&mut self, client: NodeId, connection: ConnectionId, bytes: &[u8], round: &mut Round) {
        let Some((current, peer)) = self.links.get_mut(&client) else { return };
        if *current != connection {
            return;
        }
        if peer.is_ready() && bytes.starts_with(&JUSTICE.to_be_bytes()) {
            match TowerMessage::decode(bytes) {
                Ok(TowerMessage::Justice(justice)) => self.keep(client, connection, justice, round),
                Ok(TowerMessage::Ack(_)) => {}
                Err(error) => {
                    tracing::debug!(%client, %error, "a client does not speak as a client should");
                    peer.drop_soon();
                    round.said.push((client, connection, Said::HangUp));
                }
            }
            return;
        }
        match peer.hear(bytes) {
            Heard::Answer(answer) => {
                round.said.push((client, connection, Said::Message(answer.encode())));
            }
            Heard::Drop(breach) => {
                tracing::debug!(%client, %breach, "a client breaks a rule of BOLT 1");
                peer.drop_soon();
                round.said.push((client, connection, Said::HangUp));
            }
            Heard::Ready => {
                tracing::debug!(%client, "a client is there");
                self.keeper.peers.mark_ready(&client);
            }
            // A tower has no channels: it ignores what is said of any.
            Heard::Nothing
            | Heard::Open(_)
            | Heard::ForChannel(..)
            | Heard::Error { .. }
            | Heard::Warning { .. } => {}
        }
    }

    /// Takes a box, or says why not. The word goes out behind the commit.
    fn keep(&mut self, client: NodeId, connection: ConnectionId, justice: Justice, round: &mut Round) {
        let (locator, part) = (justice.locator, justice.part);
        let taken = self.keeper.tower.take(client, justice);
        let verdict = Verdict::of(&taken);
        match taken {
            Ok(save) => round.save.records.extend(save.records),
            Err(refused) => tracing::info!(%client, %refused, "a box is not taken"),
        }
        round.said.push((client, connection, Said::Ack(JusticeAck { locator, part, verdict })));
    }

    fn env(&self, height: BlockHeight) -> Env {
        Env::new(now(), height, self.standing.feerate)
    }

    /// Saves, then acknowledges and broadcasts.
    fn finish(&mut self, round: Round) -> Result<(), StoreError> {
        self.keeper.store.commit(&round.save, &round.marks)?;
        self.standing.commits = self.keeper.store.commits();
        self.standing.boxes = self.keeper.tower.boxes();
        self.keeper.standing.send_if_modified(|old| std::mem::replace(old, self.standing) != self.standing);
        for (client, connection, said) in round.said {
            match said {
                Said::Message(bytes) => self.keeper.peers.send(&client, connection, vec![bytes]),
                Said::Ack(ack) => {
                    let JusticeAck { locator, part, verdict } = ack;
                    tracing::debug!(%client, %locator, part, ?verdict, "a box is acknowledged");
                    self.keeper.peers.send(&client, connection, vec![TowerMessage::Ack(ack).encode()]);
                }
                Said::HangUp => self.keeper.peers.hang_up(&client, connection),
            }
        }
        for tx in round.penalties {
            tracing::warn!(txid = %tx.compute_txid(), "a revoked state was published: its penalty goes to the chain");
            self.keeper.chain.broadcast(vec![tx]);
        }
        Ok(())
    }
}

impl Round {
    fn note(&mut self, turn: TowerTurn) {
        self.save.records.extend(turn.save.records);
        self.penalties.extend(turn.broadcast);
    }
}
