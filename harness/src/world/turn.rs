//! One turn of a node: the event in, then what it saves, then what it asks for, in this order and no other. Here is also where a
//! planned kill strikes. It knows no node's insides.
use super::kill::{is_answer, Point};
use super::queue::Happening;
use super::{World, WorldError};
use crate::transcript::{Cause, Entry};
use leyden_core::channel::Mutant;
use leyden_core::node::{Action, Event, Turn};

impl World {
    /// Hands an event to a node: first save, then act. A node that is killed on the way leaves the rest undone; one that is killed
    /// before its save never had the event.
    pub(super) fn handle(&mut self, node: usize, event: Event) -> Result<(), WorldError> {
        let env = self.env(node);
        let cause = Cause::of(&event, &self.ids);
        let news = Happening::of_chain(&event);
        let mut turn = self.seats[node].handle(event, &env);
        let saves = !turn.save.records.is_empty();
        let point = saves.then(|| self.strikes(node)).flatten();
        let early = env.plants(Mutant::ActsBeforeItSaves);
        if early {
            self.transcript.turn(node, cause.clone());
            std::mem::take(&mut turn.actions).into_iter().try_for_each(|action| self.act(node, action))?;
        }
        if point == Some(Point::Before) {
            return self.fall(node, Point::Before, news);
        }
        if !early {
            self.transcript.turn(node, cause);
        }
        if saves && self.is_slow(node) {
            self.begin_save(node, turn);
            return Ok(());
        }
        self.finish(node, turn, point.map(|point| (point, news)))
    }

    /// Saves, then acts, as far as the node comes.
    pub(super) fn finish(
        &mut self,
        node: usize,
        turn: Turn,
        struck: Option<(Point, Option<Happening>)>,
    ) -> Result<(), WorldError> {
        let Turn { save, mut actions, wake } = turn;
        if !save.records.is_empty() {
            let keys = self.seats[node].save(save)?;
            self.note_saved(node, &keys, &actions);
            self.transcript.push(self.now, Entry::Save { node, keys });
        }
        match struck {
            Some((Point::After(acts), _)) => actions.truncate(acts as usize),
            Some((Point::Unanswered, _)) => actions.retain(|action| !is_answer(action)),
            Some((Point::Before, _)) | None => {}
        }
        for action in actions {
            self.act(node, action)?;
        }
        if let Some((point, news)) = struck {
            return self.fall(node, point, news);
        }
        if let Some((at, why)) = wake {
            self.queue.push(at.max(self.now), node, Happening::Wake(why));
        }
        Ok(())
    }

    fn act(&mut self, node: usize, action: Action) -> Result<(), WorldError> {
        match action {
            Action::Send { peer, bytes } => self.send(node, peer, bytes),
            Action::Disconnect { peer } => self.hang_up(node, peer),
            Action::Broadcast { role: _, channel: _, tx } => return self.broadcast(node, &tx),
            Action::BroadcastPackage { channel: _, transactions } => {
                return self.broadcast_package(node, &transactions);
            }
            Action::Guard { justice } => self.guard(node, &justice),
            Action::Reply { call, result } => self.answer(call, result),
            Action::Notice(notice) => self.tell_owner(node, notice),
        }
        Ok(())
    }
}
