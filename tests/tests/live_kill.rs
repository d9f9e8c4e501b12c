//! Processes killed with SIGKILL, each somewhere: channels are opened, a payment goes over three hops, all is closed, and in the middle
//! of it one node dies and starts again from its folder. Nothing is lost, whenever that was.
//! `cargo leyden sweep pay-a-b-c-d --kill --world live --only 200@7` runs many more.

#[test]
fn whoever_is_killed_whenever_nothing_is_lost() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let line = "leyden sweep pay-a-b-c-d --kill --world live --only 6@4";
    let code = leyden::cli::run(line.split(' ').map(Into::into), &mut out, &mut err);
    let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    assert!(code == 0 && out.contains("pay-a-b-c-d --kill: 6 passed, 0 failed"), "{out}{err}");
}
