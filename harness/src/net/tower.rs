//! Watchtowers, as a scenario has them: who watches for whom, what it is told, when it is down. A node hands boxes over only if its
//! configuration says `tower`.
use super::{Net, NodeRef};
use crate::names::Party;
use crate::world::TowerStore;
use leyden_core::channel::MIN_FEERATE;
use leyden_core::tower::{Justice, Refused, TowerConfig};
use leyden_core::units::FeeratePerKw;

/// A tower of the scenario.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TowerRef(usize);

impl Net {
    /// A tower of this name that watches for these nodes, from what they hand over now on. It is a party that owns nothing.
    #[track_caller]
    pub fn tower(&mut self, name: &str, clients: &[NodeRef]) -> TowerRef {
        self.tower_with(name, clients, TowerConfig::default())
    }

    /// The same with these limits.
    #[track_caller]
    pub fn tower_with(&mut self, name: &str, clients: &[NodeRef], config: TowerConfig) -> TowerRef {
        let deaf = clients.iter().find(|node| !self.nodes[node.0].config.tower);
        if let Some(node) = deaf {
            panic!("{} is not configured to have a tower", self.name(*node));
        }
        let party = self.names.add_party(Party { name: name.into(), node: None });
        let clients: Vec<usize> = clients.iter().map(|node| node.0).collect();
        let tower = TowerRef(self.world.add_tower(name, party, &clients, config));
        self.run();
        tower
    }

    /// From now on this tower is told this feerate, in sat per 1000 weight.
    pub fn tower_feerate(&mut self, tower: TowerRef, sat_per_kw: u32) {
        let feerate = FeeratePerKw::new(sat_per_kw).max(MIN_FEERATE);
        self.highest_feerate = self.highest_feerate.max(feerate.get());
        self.world.tell_feerate_to_tower(tower.0, feerate);
    }

    /// From now on nothing reaches the tower, until [`Net::start_tower`].
    pub fn stop_tower(&mut self, tower: TowerRef) {
        self.world.take_tower_down(tower.0);
    }

    /// The tower's process starts (again) from what it has saved; it catches up with the chain, and its clients find it again.
    #[track_caller]
    pub fn start_tower(&mut self, tower: TowerRef) {
        let started = self.world.start_tower(tower.0);
        self.need(started);
        self.run();
    }

    /// What the tower has saved.
    pub fn tower_store(&self, tower: TowerRef) -> &TowerStore {
        self.world.tower_store(tower.0)
    }

    /// Somebody with a key of the scenario's own hands the tower a box.
    pub fn hand_box(&mut self, tower: TowerRef, justice: Justice) -> Result<(), Refused> {
        let (_, key) = self.fresh_key();
        self.world.hand_box(tower.0, key.0, justice)
    }
}
