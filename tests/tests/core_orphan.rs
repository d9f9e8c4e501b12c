//! A harness that is killed without warning leaves no bitcoind, no electrs and no folder behind.
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leyden_harness::chain::core_process::PeerPort;
use leyden_harness::chain::core_rpc::CoreChain;
use leyden_harness::chain::{Chain, Electrs};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{pidfd_open, Pid, PidfdFlags};

/// Set in the process that is to be killed: this same test binary, told to run [`owns_a_core_until_killed`].
const VICTIM: &str = "LEYDEN_TEST_VICTIM";

#[test]
fn sigkill_of_the_owner_ends_its_bitcoind_and_electrs_and_removes_the_folder() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owns_a_core_until_killed", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let told = lines.map(Result::unwrap).find_map(|line| {
        let mut told = line.strip_prefix("core ")?.splitn(3, ' ');
        let (pid, address) = (told.next()?.parse::<i32>().ok()?, told.next()?.to_owned());
        Some((pid, address, PathBuf::from(told.next()?)))
    });
    let (pid, address, folder) = told.expect("the owner did not start Core and electrs");
    assert!(folder.is_dir());
    let mut electrs = TcpStream::connect(address).expect("electrs listens");
    electrs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let core = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();

    owner.kill().unwrap();
    owner.wait().unwrap();

    let timeout = Timespec { tv_sec: 20, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&core, PollFlags::IN)], Some(&timeout)).unwrap();
    assert_eq!(ended, 1, "bitcoind {pid} lives on after its owner was killed");
    let read = electrs.read(&mut [0]);
    let ended = matches!(&read, Ok(0))
        || read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
    assert!(ended, "electrs lives on after its owner was killed: {read:?}");
    // The supervisor removes the folder right after; it is nobody's child that could be waited for.
    let deadline = Instant::now() + Duration::from_secs(20);
    while folder.exists() {
        assert!(Instant::now() < deadline, "{} was left behind", folder.display());
        std::thread::yield_now();
    }
}

/// The victim of the test above; as a test of its own it has nothing to do.
#[test]
fn owns_a_core_until_killed() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let mut chain = CoreChain::with_initial_blocks(PeerPort::Loopback).unwrap();
    let tip = chain.tip();
    let process = chain.process();
    let electrs = Electrs::on(process, tip).unwrap();
    println!("\ncore {} {} {}", process.pid().unwrap(), electrs.address(), process.folder().display());
    // Until our parent kills us, or is gone itself and closes the pipe.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
