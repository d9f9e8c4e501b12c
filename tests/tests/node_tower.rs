//! A node and the boxes for its tower: durable with the state that they are for, handed over until they are acknowledged.
mod node_world;

use leyden_core::node::{Action, Command, Event, Node, NodeConfig, RecordKey, Turn};
use leyden_core::tower::{Justice, Locator};
use node_world::{birthday, seed, World};
use std::cell::Cell;

/// Two nodes and a channel; the first has a tower that never answers, and each pays the other.
fn world() -> World {
    let watched = NodeConfig { tower: true, ..NodeConfig::default() };
    let mut world = World::with(vec![watched, NodeConfig::default()]);
    world.check_saves = true;
    world.open(0, 1, 1_000_000, 400_000);
    assert!(world.pay(0, 1, 10_000_000).is_ok());
    assert!(world.pay(1, 0, 5_000_000).is_ok());
    world
}

fn boxes_of(turn: &Turn) -> Vec<Justice> {
    let boxes = turn.actions.iter().filter_map(|action| match action {
        Action::Guard { justice } => Some(justice.clone()),
        _ => None,
    });
    boxes.collect()
}

fn unguarded(world: &World, n: usize) -> usize {
    world.records[n].keys().filter(|key| matches!(key, RecordKey::Unguarded(..))).count()
}

#[test]
fn a_box_is_saved_in_the_batch_that_says_the_state_is_revoked() {
    let mut world = world();
    let (text, _) = world.invoice(1, 1_000_000);
    let boxes = Cell::new(0);
    world.order(0, Command::Pay { invoice: text, amount: None, max_fee: leyden_core::units::Msat::ZERO });
    world.run_until(|n, turn| {
        for justice in boxes_of(turn) {
            assert_eq!(n, 0, "the other has no tower");
            let saved = &turn.save.records;
            assert!(saved.contains_key(&RecordKey::Unguarded(justice.locator, justice.part)));
            assert!(saved.keys().any(|key| matches!(key, RecordKey::Channel(_))));
            boxes.set(boxes.get() + 1);
        }
        false
    });
    assert_eq!(boxes.get(), 2, "a payment has two states of the peer revoked");
}

#[test]
fn what_is_not_acknowledged_is_handed_over_again_also_after_a_restart() {
    let mut world = world();
    let (before, env) = (unguarded(&world, 0), world.env);
    assert_eq!((before, unguarded(&world, 1)), (4, 0), "two payments, two states each");
    let config = world.configs[0].clone();
    let mut restored =
        Node::restore(seed(0), config, birthday(), &world.records[0]).expect("its records are readable");
    let again = boxes_of(&restored.handle(Event::TowerReady { from: None }, &env));
    assert_eq!(again, boxes_of(&world.nodes[0].handle(Event::TowerReady { from: None }, &env)));
    assert_eq!(again.len(), before);
    let from = Some((again[2].locator, again[2].part));
    assert_eq!(boxes_of(&restored.handle(Event::TowerReady { from }, &env)), again[2..]);
    for justice in &again[1..] {
        world.deliver(0, Event::Guarded { locator: justice.locator, part: justice.part });
    }
    assert_eq!(unguarded(&world, 0), 1);
    assert_eq!(boxes_of(&world.nodes[0].handle(Event::TowerReady { from: None }, &env)), again[..1]);
    let stranger = Event::Guarded { locator: Locator([0; 16]), part: 0 };
    assert!(world.nodes[0].handle(stranger, &env).save.records.is_empty());
}

#[test]
fn a_forgotten_channel_needs_no_tower() {
    let mut world = world();
    let channel = world.channels(0)[0].channel_id;
    assert!(world.command(0, Command::Close { channel, feerate: None }).is_ok());
    world.mine(1);
    assert_eq!(unguarded(&world, 0), 4, "an old state may still win");
    world.mine(110);
    assert_eq!((world.channels(0).len(), unguarded(&world, 0)), (0, 0));
}
