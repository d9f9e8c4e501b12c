//! Connections between nodes, and the faults of a network: links that break, nodes that fall silent. Carries nothing itself.
use super::queue::Due;
use std::collections::{BTreeMap, BTreeSet};

/// One connection between two nodes; each end can be down before the other has noticed.
#[derive(Clone, Copy, Default, Debug)]
struct Link {
    /// Counts connections, so that a message of an old one is never taken for one of the new.
    connection: u64,
    /// Whether the end of the lower-numbered and of the higher-numbered node is up.
    up: [bool; 2],
}

/// All connections, and what is held back.
#[derive(Default, Debug)]
pub(super) struct Links {
    links: BTreeMap<(usize, usize), Link>,
    silent: BTreeSet<usize>,
    held: Vec<Due>,
}

impl Links {
    /// A new connection; its number.
    pub fn connect(&mut self, a: usize, b: usize) -> u64 {
        let link = self.links.entry(pair(a, b)).or_default();
        link.connection += 1;
        link.up = [true; 2];
        link.connection
    }

    /// Takes down the end of `node`. Whether it was up.
    pub fn take_down(&mut self, node: usize, peer: usize) -> bool {
        let link = self.links.entry(pair(node, peer)).or_default();
        std::mem::replace(&mut link.up[end(node, peer)], false)
    }

    /// The connection that `node` can use to `peer`, if its end is up.
    pub fn connection(&self, node: usize, peer: usize) -> Option<u64> {
        let link = self.links.get(&pair(node, peer))?;
        link.up[end(node, peer)].then_some(link.connection)
    }

    /// The newest connection between the two, up or not.
    pub fn newest(&self, a: usize, b: usize) -> u64 {
        self.links.get(&pair(a, b)).map_or(0, |link| link.connection)
    }

    /// Whether both ends are up.
    pub fn stands(&self, a: usize, b: usize) -> bool {
        self.links.get(&pair(a, b)).is_some_and(|link| link.up == [true; 2])
    }

    /// Every pair that was ever connected and is not now.
    pub fn broken(&self) -> Vec<(usize, usize)> {
        self.links.iter().filter(|(_, link)| link.up != [true; 2]).map(|(pair, _)| *pair).collect()
    }

    /// The nodes that `node` is connected to.
    pub fn peers(&self, node: usize) -> Vec<usize> {
        let pairs = self.links.keys().filter(|(a, b)| *a == node || *b == node);
        let others = pairs.map(|(a, b)| if *a == node { *b } else { *a });
        others.filter(|peer| self.stands(node, *peer)).collect()
    }

    /// The nodes to which the end of `node` is up, whether theirs is or not.
    pub fn ends_of(&self, node: usize) -> Vec<usize> {
        let own = self.links.iter().filter_map(|((a, b), link)| match node {
            _ if *a == node => Some((*b, link)),
            _ if *b == node => Some((*a, link)),
            _ => None,
        });
        own.filter(|(peer, link)| link.up[end(node, *peer)]).map(|(peer, _)| peer).collect()
    }

    /// From now on nothing reaches the node and nothing leaves it.
    pub fn silence(&mut self, node: usize) {
        self.silent.insert(node);
    }

    /// The node takes part again; what was held back for it and by it, in order.
    pub fn speak(&mut self, node: usize) -> Vec<Due> {
        self.silent.remove(&node);
        std::mem::take(&mut self.held)
    }

    /// Every silent node.
    pub fn silent(&self) -> Vec<usize> {
        self.silent.iter().copied().collect()
    }

    /// Whether a message between these two has to wait.
    pub fn holds(&self, a: usize, b: usize) -> bool {
        self.silent.contains(&a) || self.silent.contains(&b)
    }

    /// Keeps a message back until its node speaks again.
    pub fn hold(&mut self, due: Due) {
        self.held.push(due);
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

fn end(node: usize, peer: usize) -> usize {
    usize::from(node > peer)
}
