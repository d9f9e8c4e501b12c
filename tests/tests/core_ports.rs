//! Core's ports are chosen before it binds them: another program may be quicker.
use leyden_harness::chain::core_process::{CoreProcess, PeerPort, Ports};
use leyden_harness::chain::ports::Port;
use leyden_harness::provision;
use std::net::{Ipv4Addr, TcpListener};

/// Core says so early and much else afterwards, more for the port for peers than for that of its RPC.
#[test]
fn a_core_whose_port_somebody_takes_starts_on_others() {
    let exe = provision::bitcoind().expect("Core is there");
    let rpc = |ports: &Ports| ports.rpc.number();
    let peers = |ports: &Ports| ports.peers.as_ref().map(Port::number).expect("a port for peers");
    for of in [rpc, peers] {
        let ports = Ports::choose(PeerPort::Loopback).expect("free ports");
        let taken = of(&ports);
        let _thief = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).expect("it was free");
        let core =
            CoreProcess::launch_on(&exe, ports).and_then(|launch| launch.ready()).expect("Core starts");
        assert_ne!(core.rpc_port(), taken);
        assert!(core.peer_port().is_some_and(|port| port != taken), "it still listens for peers");
        core.client().expect("it answers");
    }
}
