//! The worlds by name, and what one of them says when it cannot do a verb.
use std::fmt;
use std::str::FromStr;

/// A verb that the live world cannot do. It ends the run, which counts as skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CannotHere {
    /// Which.
    pub verb: &'static str,
}

/// What is under the nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WorldKind {
    /// The embedded chain.
    Sim,
    /// Real Bitcoin Core, driven synchronously.
    Regtest,
    /// The same Core, and a process for each node.
    Live,
}

impl WorldKind {
    /// Every world.
    pub const ALL: [WorldKind; 3] = [WorldKind::Sim, WorldKind::Regtest, WorldKind::Live];
    /// Those in which the nodes are in this process: bugs can be planted, faults set, and all of it repeated byte for byte.
    pub const IN_PROCESS: [WorldKind; 2] = [WorldKind::Sim, WorldKind::Regtest];

    /// Whether it stands on Bitcoin Core.
    pub const fn needs_core(self) -> bool {
        matches!(self, WorldKind::Regtest | WorldKind::Live)
    }
}

impl fmt::Display for WorldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WorldKind::Sim => "sim",
            WorldKind::Regtest => "regtest",
            WorldKind::Live => "live",
        })
    }
}

/// No world has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no world is named {0:?}: sim, regtest, live")]
pub struct UnknownWorld(String);

impl FromStr for WorldKind {
    type Err = UnknownWorld;

    fn from_str(text: &str) -> Result<Self, UnknownWorld> {
        let named = WorldKind::ALL.into_iter().find(|kind| kind.to_string() == text);
        named.ok_or_else(|| UnknownWorld(text.into()))
    }
}
