//! What several test targets share: how two transcripts are compared.

/// The first line in which two texts differ, in words; nothing if they are the same.
pub fn first_difference(one: &str, other: &str) -> Option<String> {
    if one == other {
        return None;
    }
    let lines = one.lines().zip(other.lines()).enumerate();
    let differing = lines.into_iter().find(|(_, (a, b))| a != b);
    Some(match differing {
        Some((number, (a, b))) => format!("line {} differs:\n  {a}\n  {b}", number + 1),
        None => format!("one has {} lines, the other {}", one.lines().count(), other.lines().count()),
    })
}
