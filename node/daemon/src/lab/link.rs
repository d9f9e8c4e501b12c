//! The socket between a lab node and its harness: frames out, each written before what it tells of is done, so that a node that is
//! killed did nothing that was not told; orders in from a thread, which ends the process when the harness is gone.
use super::Nudge;
use crate::chain::Look;
use crate::owner::Input;
use crate::trace::{Begin, Order, Seen, Told, TraceError, TurnTrace, Wire};
use leyden_core::channel::{Env, Mutant};
use leyden_core::ids::NodeId;
use leyden_core::node::Turn;
use leyden_core::units::{FeeratePerKw, Timestamp};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{mpsc, Arc, Mutex, PoisonError};

/// Tells the harness. Cheap to clone.
#[derive(Clone)]
pub struct Teller(Arc<Mutex<UnixStream>>);

impl Teller {
    /// Returns when the harness's socket has it. A harness that is gone ends this process elsewhere.
    pub fn send(&self, told: &Told) {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = Wire::write(&mut *stream, told);
    }
}

/// The owner's end.
pub struct Lab {
    told: Teller,
    /// To be told once the round is durable, in order.
    noted: Vec<Told>,
    clock: Option<Timestamp>,
    feerate: Option<FeeratePerKw>,
    mutant: Option<Mutant>,
    paused: bool,
    blind: bool,
    deaf: BTreeSet<NodeId>,
    diverted: BTreeSet<NodeId>,
    /// What waits, in order.
    held: VecDeque<Input>,
}

impl Lab {
    /// Takes up the stream that the harness gave as standard input, and reads who the node is. The sender is for whoever else
    /// has something to tell.
    pub fn begin() -> Result<(Self, Begin, Teller, UnixStream), TraceError> {
        let mut stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let begin = Wire::read(&mut stream)?.ok_or_else(gone)?;
        let told = Teller(Arc::new(Mutex::new(stream.try_clone()?)));
        let lab = Self {
            told: told.clone(),
            noted: Vec::new(),
            clock: None,
            feerate: None,
            mutant: None,
            paused: false,
            blind: false,
            deaf: BTreeSet::new(),
            diverted: BTreeSet::new(),
            held: VecDeque::new(),
        };
        Ok((lab, begin, told, stream))
    }

    /// Carries out orders until the harness is gone; then the process ends, whatever it is doing.
    pub fn obey(
        mut stream: UnixStream,
        inbox: tokio::sync::mpsc::Sender<Input>,
        looks: mpsc::Sender<Look>,
        dial: impl Fn(NodeId, String) + Send + 'static,
    ) -> io::Result<()> {
        std::thread::Builder::new().name("lab orders".into()).spawn(move || {
            while let Ok(Some((number, order))) = Wire::read::<(u64, Order)>(&mut stream) {
                let input = match order {
                    Order::Clock(micros) => Input::Lab(Nudge::Clock(Timestamp::new(micros))),
                    Order::Feerate(feerate) => Input::Lab(Nudge::Feerate(FeeratePerKw::new(feerate))),
                    Order::Pause => Input::Lab(Nudge::Pause(true)),
                    Order::Blind(blind) => Input::Lab(Nudge::Blind(blind)),
                    Order::Deaf(peer, deaf) => Input::Lab(Nudge::Deaf(peer, deaf)),
                    Order::Divert(peer) => Input::Lab(Nudge::Divert(peer)),
                    Order::Inject(peer, bytes) => Input::Lab(Nudge::Inject(peer, bytes)),
                    Order::Run => Input::Lab(Nudge::Pause(false)),
                    Order::Plant(name) => Input::Lab(Nudge::Plant(name.parse().ok())),
                    Order::Dial(peer, address) => {
                        dial(peer, address);
                        if inbox.blocking_send(Input::Lab(Nudge::Obeyed(number))).is_err() {
                            break;
                        }
                        continue;
                    }
                    Order::Look => {
                        let _ = looks.send(Look::AndTell(number));
                        continue;
                    }
                };
                let done = Input::Lab(Nudge::Obeyed(number));
                if inbox.blocking_send(input).is_err() || inbox.blocking_send(done).is_err() {
                    break;
                }
            }
            // As if killed: a harness that is gone wants nothing saved.
            std::process::exit(0);
        })?;
        Ok(())
    }

    /// Takes a change in.
    pub fn nudge(&mut self, nudge: Nudge) {
        match nudge {
            Nudge::Clock(now) => self.clock = Some(now),
            Nudge::Feerate(feerate) => self.feerate = Some(feerate),
            Nudge::Pause(paused) => self.paused = paused,
            Nudge::Blind(blind) => self.blind = blind,
            Nudge::Deaf(peer, true) => drop(self.deaf.insert(peer)),
            Nudge::Deaf(peer, false) => drop(self.deaf.remove(&peer)),
            Nudge::Divert(peer) => drop(self.diverted.insert(peer)),
            // The owner sends it.
            Nudge::Inject(..) => {}
            Nudge::Plant(mutant) => self.mutant = mutant,
            Nudge::Obeyed(number) => self.noted.push(Told::Obeyed(number)),
        }
    }

    /// Whether nothing is signed now.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether this has to wait now.
    fn waits(&self, input: &Input) -> bool {
        match input {
            Input::Command { .. } | Input::CaughtUp | Input::Lab(_) | Input::Stop => false,
            Input::Messages { peer, .. } => self.paused || self.deaf.contains(peer),
            _ => self.paused,
        }
    }

    /// Keeps back what has to wait; the rest comes back.
    pub fn hold(&mut self, input: Input) -> Option<Input> {
        if !self.waits(&input) {
            return Some(input);
        }
        self.held.push_back(input);
        None
    }

    /// The next of what waited and need not any more.
    pub fn release(&mut self) -> Option<Input> {
        let place = self.held.iter().position(|input| !self.waits(input))?;
        self.held.remove(place)
    }

    /// Whether transactions are only told.
    pub fn is_blind(&self) -> bool {
        self.blind
    }

    /// Whether what goes to this peer is only told.
    pub fn diverts(&self, peer: &NodeId) -> bool {
        self.diverted.contains(peer)
    }

    /// What the node is told of its surroundings.
    pub fn env(&self, env: Env) -> Env {
        let now = self.clock.unwrap_or(env.now);
        Env::new(now, env.height, self.feerate.unwrap_or(env.feerate)).with(self.mutant)
    }

    /// A turn, to be told once it is durable.
    pub fn note(&mut self, seen: Seen, turn: &Turn) {
        self.noted.push(Told::Turn(TurnTrace::of(seen, turn)));
    }

    /// Everything noted is durable.
    pub fn tell(&mut self) {
        for told in self.noted.drain(..) {
            self.told.send(&told);
        }
    }
}
