//! The README's "Run two nodes by hand", with the watchtower below it, done by bash as it stands there: in a new home, with free ports in the place of those
//! written down, and nothing else changed. What the nodes say in the end is compared with what must be.
use leyden_harness::chain::ports::Port;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const SECTION: &str = "## Run two nodes by hand";

/// The ports that the README writes.
const PORTS: [&str; 7] = ["18443", "9735", "9736", "9745", "9746", "9755", "9756"];

/// The fenced lines of the section.
fn lines(readme: &str) -> String {
    let (_, section) = readme.split_once(SECTION).expect("the README has the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks: Vec<&str> = section.split("```").skip(1).step_by(2).collect();
    blocks.iter().filter_map(|block| block.strip_prefix("bash\n")).collect()
}

/// With free ports, which stay ours as long as they are held.
fn with_ports(lines: &str, free: &[Port]) -> String {
    // In two passes, so that no free port is taken for one of the README's.
    let marked = PORTS.iter().enumerate().fold(lines.to_owned(), |text, (index, port)| {
        assert!(text.contains(port), "the README no longer names port {port}");
        text.replace(port, &format!("<port {index}>"))
    });
    free.iter().enumerate().fold(marked, |text, (index, port)| {
        text.replace(&format!("<port {index}>"), &port.number().to_string())
    })
}

/// The home that a tool keeps its things in, though `HOME` is another one now.
fn kept(variable: &str, usual: &str) -> std::path::PathBuf {
    let home = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(usual);
    std::env::var_os(variable).map_or_else(home, Into::into)
}

/// Processes whose command line names this folder.
fn processes_in(folder: &Path) -> Vec<String> {
    let name = folder.to_string_lossy().into_owned();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let texts = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    let cwd = |entry: fs::DirEntry| fs::read_link(entry.path().join("cwd")).ok();
    let inside = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(cwd);
    let inside = inside.filter(|cwd| cwd.starts_with(folder)).map(|cwd| cwd.display().to_string());
    texts.filter(|line| line.contains(&name)).chain(inside).collect()
}

#[test]
fn every_line_of_the_readme_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let readme = fs::read_to_string(root.join("README.md")).expect("there is a README");
    let lines = lines(&readme);
    assert!(lines.contains("leyden-node cli") && !lines.contains("sleep"), "{lines}");
    let home = tempfile::tempdir().expect("a folder");
    let script = home.path().join("by-hand.sh");
    let free = PORTS.map(|_| Port::choose().expect("a free port"));
    fs::write(&script, with_ports(&lines, &free)).expect("a script");
    // Whatever fails, nothing stays behind: the nodes are asked to stop, Core is this shell's own child.
    let wrapper = r#"trap 'status=$?; [ $status = 0 ] || { cat ~/two-nodes/*/log; alice stop; bob stop; tower stop; kill $!; wait; }' EXIT; . "$0""#;
    let ended = Command::new("bash")
        .args(["-euo", "pipefail", "-c", wrapper])
        .arg(&script)
        .current_dir(root)
        .env("HOME", home.path())
        .env("CARGO_HOME", kept("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", kept("RUSTUP_HOME", ".rustup"))
        .env("XDG_CACHE_HOME", kept("XDG_CACHE_HOME", ".cache"))
        .stdin(Stdio::null())
        .output()
        .expect("there is a bash");
    let (said, wrong) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let all = format!("{said}\n--- stderr\n{wrong}");
    assert!(ended.status.success(), "{}\n{all}", ended.status);
    judge(&said, &all);
    assert_eq!(processes_in(home.path()), Vec::<String>::new(), "{all}");
}

/// What must have been said, in this order.
fn judge(said: &str, all: &str) {
    let words: Vec<&str> = said.split_whitespace().collect();
    let mut rest = words.as_slice();
    for wanted in [
        ["wallet", "505000000000"], // 101 blocks of 50 BTC
        ["normal", "102x1x0"],
        ["800000", "200000"],
        ["payment_sent", "amount_msat=50000000"],
        ["payment_sent", "amount_msat=1000000"],
        ["1", "sent"],
        ["0", "received"],
        // 149 blocks of 50 BTC, 58 of 25, their fees, less what is Bob's.
        ["together", "889999751000"],
        ["together", "249000"],
    ] {
        let fits = |two: &[&str]| two[0] == wanted[0] && two[1].starts_with(wanted[1]);
        let place = rest.windows(2).position(fits).unwrap_or_else(|| panic!("no {wanted:?}:\n{all}"));
        rest = &rest[place + 2..];
    }
    // The tower's own word, after all else: how much came depends on what Bob had given up by then, and something he had.
    let boxes = rest.windows(2).find(|two| two[0] == "boxes").and_then(|two| two[1].parse().ok());
    assert!(boxes.is_some_and(|boxes: u32| boxes > 0), "the tower has {boxes:?} boxes:\n{all}");
}
