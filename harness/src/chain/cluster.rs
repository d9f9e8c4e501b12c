//! Feerate diagrams of connected unconfirmed transactions: the best order to mine them in, cut into chunks, and whether one
//! diagram is better than another. This is what Core 31 judges a replacement by. Exact: each chunk is the subset closed
//! under parents with the highest feerate, found by minimum cuts. Pure arithmetic; knows no transactions.
use std::cmp::Ordering;
use std::collections::VecDeque;

/// One transaction of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Fee, in satoshis.
    pub fee: i64,
    /// Size, in weight units.
    pub size: i64,
    /// Positions of its unconfirmed parents.
    pub parents: Vec<usize>,
}

/// Fee and size of transactions that are mined together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Fee, in satoshis.
    pub fee: i64,
    /// Size, in weight units.
    pub size: i64,
}

impl Chunk {
    /// Compares feerates.
    pub fn cmp_feerate(&self, other: &Chunk) -> Ordering {
        let cross = |fee: i64, size: i64| i128::from(fee) * i128::from(size);
        cross(self.fee, other.size).cmp(&cross(other.fee, self.size))
    }
}

/// The chunks of the best order, highest feerate first.
pub fn chunks(nodes: &[Node]) -> Vec<Chunk> {
    chunked(nodes).into_iter().map(|(chunk, _)| chunk).collect()
}

/// The same, each with the positions of its members.
pub fn chunked(nodes: &[Node]) -> Vec<(Chunk, Vec<usize>)> {
    let mut left = vec![true; nodes.len()];
    let mut found = Vec::new();
    while left.iter().any(|in_it| *in_it) {
        let best = best_closure(nodes, &left);
        let members = (0..nodes.len()).filter(|index| best[*index]).collect();
        found.push((sum(nodes, &best), members));
        for (stays, taken) in left.iter_mut().zip(&best) {
            *stays &= !taken;
        }
    }
    found
}

/// The same, cut where feerates are equal too: no chunk has a part that could be mined before the rest at no loss.
pub fn finest(nodes: &[Node]) -> Vec<(Chunk, Vec<usize>)> {
    let mut found = Vec::new();
    for (chunk, members) in chunked(nodes) {
        let mut left = vec![false; nodes.len()];
        members.iter().for_each(|index| left[*index] = true);
        while let Some(part) = smallest_part(nodes, &left, chunk) {
            let members: Vec<usize> = (0..nodes.len()).filter(|index| part[*index]).collect();
            members.iter().for_each(|index| left[*index] = false);
            found.push((sum(nodes, &part), members));
        }
    }
    found
}

/// Is the diagram of `new` nowhere below and somewhere above that of `old`?
pub fn improves(new: &[Chunk], old: &[Chunk]) -> bool {
    let mut points: Vec<i64> = breakpoints(new).chain(breakpoints(old)).collect();
    points.sort_unstable();
    points.dedup();
    let mut above = false;
    for x in points {
        let (n, n_div) = fee_up_to(new, x);
        let (o, o_div) = fee_up_to(old, x);
        match (n * o_div).cmp(&(o * n_div)) {
            Ordering::Less => return false,
            Ordering::Greater => above = true,
            Ordering::Equal => {}
        }
    }
    above
}

fn breakpoints(diagram: &[Chunk]) -> impl Iterator<Item = i64> + '_ {
    diagram.iter().scan(0i64, |size, chunk| {
        *size += chunk.size;
        Some(*size)
    })
}

/// The fee of the first `x` weight units as a fraction; flat after the last chunk.
fn fee_up_to(diagram: &[Chunk], x: i64) -> (i128, i128) {
    let (mut size, mut fee) = (0i64, 0i64);
    for chunk in diagram {
        if x < size + chunk.size {
            let whole = i128::from(fee) * i128::from(chunk.size);
            return (whole + i128::from(chunk.fee) * i128::from(x - size), i128::from(chunk.size));
        }
        size += chunk.size;
        fee += chunk.fee;
    }
    (i128::from(fee), 1)
}

fn sum(nodes: &[Node], set: &[bool]) -> Chunk {
    nodes.iter().zip(set).filter(|(_, taken)| **taken).fold(Chunk { fee: 0, size: 0 }, |total, (node, _)| {
        Chunk { fee: total.fee + node.fee, size: total.size + node.size }
    })
}

/// The subset of `left`, closed under parents, with the highest feerate (Dinkelbach's iteration).
fn best_closure(nodes: &[Node], left: &[bool]) -> Vec<bool> {
    let mut best = left.to_vec();
    loop {
        let gain = gains(nodes, sum(nodes, &best));
        match heaviest_closure(nodes, left, &gain) {
            Some(better) => best = better,
            None => return best,
        }
    }
}

/// What each node has more than this feerate asks for, in one unit.
fn gains(nodes: &[Node], rate: Chunk) -> Vec<i128> {
    let gain = |node: &Node| {
        i128::from(node.fee) * i128::from(rate.size) - i128::from(node.size) * i128::from(rate.fee)
    };
    nodes.iter().map(gain).collect()
}

/// The smallest subset of `left`, closed under parents, that has this feerate, which is the highest in it.
fn smallest_part(nodes: &[Node], left: &[bool], rate: Chunk) -> Option<Vec<bool>> {
    let candidates = (0..nodes.len()).filter(|index| left[*index]);
    if candidates.clone().count() < 2 {
        return candidates.clone().next().map(|_| left.to_vec());
    }
    let gain = gains(nodes, rate);
    let parts = candidates.filter_map(|forced| {
        // One that must be in it: its gain is raised until it outweighs all that it needs.
        let mut gain = gain.clone();
        let enough: i128 = gain.iter().map(|gain| gain.abs()).sum::<i128>() + 1;
        gain[forced] += enough;
        let part = heaviest_closure(nodes, left, &gain)?;
        let fits = (0..nodes.len()).filter(|index| part[*index]).map(|index| gain[index]).sum::<i128>();
        (fits == enough).then_some(part)
    });
    parts.min_by_key(|part| sum(nodes, part).size)
}

/// The closed subset of `left` with the largest gain, if any gains more than nothing: the source side of a minimum cut.
fn heaviest_closure(nodes: &[Node], left: &[bool], gain: &[i128]) -> Option<Vec<bool>> {
    let count = nodes.len();
    let (source, sink) = (count, count + 1);
    let mut capacity = vec![vec![0i128; count + 2]; count + 2];
    for (index, node) in nodes.iter().enumerate().filter(|(index, _)| left[*index]) {
        if gain[index] > 0 {
            capacity[source][index] = gain[index];
        } else {
            capacity[index][sink] = -gain[index];
        }
        for &parent in node.parents.iter().filter(|parent| left[**parent]) {
            capacity[index][parent] = i128::MAX / 4;
        }
    }
    let reached = loop {
        let before = search(&capacity, source);
        if before[sink].is_none() {
            break before;
        }
        let path = path_to(&before, source, sink);
        let flow = path.iter().map(|&(from, to)| capacity[from][to]).min().unwrap_or(0);
        for (from, to) in path {
            capacity[from][to] -= flow;
            capacity[to][from] += flow;
        }
    };
    let set: Vec<bool> = (0..count).map(|index| reached[index].is_some()).collect();
    set.contains(&true).then_some(set)
}

/// Breadth first from `source`: who reached each place.
fn search(capacity: &[Vec<i128>], source: usize) -> Vec<Option<usize>> {
    let mut before = vec![None; capacity.len()];
    before[source] = Some(source);
    let mut queue = VecDeque::from([source]);
    while let Some(from) = queue.pop_front() {
        for to in 0..capacity.len() {
            if before[to].is_none() && capacity[from][to] > 0 {
                before[to] = Some(from);
                queue.push_back(to);
            }
        }
    }
    before
}

fn path_to(before: &[Option<usize>], source: usize, sink: usize) -> Vec<(usize, usize)> {
    let mut path = Vec::new();
    let mut to = sink;
    while to != source {
        let Some(from) = before[to] else { break };
        path.push((from, to));
        to = from;
    }
    path
}
