//! `leyden-node-lab`: the same node on a harness's lead. Not for money: whoever holds its standard input holds the node.
fn main() -> std::process::ExitCode {
    leyden_node::start::lab_main()
}
