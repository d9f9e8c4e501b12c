//! The lab: bugs that can be planted in a node, one named switch each, so that a check or a scenario can prove that it would
//! notice. Without the feature `lab` nothing can be planted, and what asks is compiled to "no".

/// A planted bug. Its doc says what the sound node does and which duty or danger it stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mutant {
    /// The penalty on `to_local` of a revoked commitment is left out (BOLT 5, "Revoked Transaction Close Handling").
    NoPenaltyOnToLocal,
}

impl Mutant {
    /// Every one.
    pub const ALL: [Mutant; 1] = [Mutant::NoPenaltyOnToLocal];
}

impl super::Env {
    /// Whether this bug is planted in the node.
    #[cfg(feature = "lab")]
    pub fn plants(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Nothing is planted in a normal node.
    #[cfg(not(feature = "lab"))]
    pub const fn plants(&self, _: Mutant) -> bool {
        false
    }

    /// The same world for a node with this bug.
    #[cfg(feature = "lab")]
    pub fn with(self, mutant: Option<Mutant>) -> Self {
        Self { mutant, ..self }
    }
}
