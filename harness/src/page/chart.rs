//! Each party's balance from block to block, as one small drawing each: wallet, what is due to it on the chain, what it has in open
//! channels, one on the other. Stretches in which nothing changes are drawn short.
use super::text::{colour, Text};
use crate::net::Net;
use crate::run::Run;
use crate::settlement::grouped;
use crate::settlement::history::{History, Holding};
use std::fmt::Write;

/// The drawing's inner width and height, in pixels.
const WIDTH: f64 = 500.0;
const HEIGHT: f64 = 120.0;
/// Room for the amounts at the left, and for the heights below.
const LEFT: f64 = 96.0;
const BELOW: f64 = 22.0;
/// A column is no wider than this.
const WIDEST: f64 = 42.0;

/// From where to where one layer of a column reaches.
type Layer<'a> = dyn Fn(&Holding) -> (f64, f64) + 'a;

/// One drawing for each party.
pub(super) fn section(run: &Run, net: &mut Net) -> String {
    let first = net.start_height();
    let blocks = net.world.ground().blocks().to_vec();
    let history = History::read(&blocks, &net.names, net.probe.samples(), first);
    let columns = columns(&history);
    if columns.len() < 2 {
        return "<p class=\"quiet\">No block was mined.</p>\n".into();
    }
    let source = match net.probe.samples().is_empty() {
        true => "Open channels count as their opener's: the chain cannot tell more.",
        false => "The share in an open channel is what its own end said when the block came; all else is the chain's.",
    };
    let mut text = format!(
        "<p class=\"legend\"><span class=\"key wallet\">wallet</span><span class=\"key claimable\">due on the chain</span>\
         <span class=\"key open\">in open channels</span><span class=\"quiet\">{source} The axis does not begin at 0.</span></p>\n\
         <p id=\"readout\" class=\"readout quiet\">Point at a block.</p>\n<div class=\"charts\">\n"
    );
    for (party, held) in history.parties.iter().enumerate() {
        let name = run.settlement.party_name(party);
        let last = held.last().copied().unwrap_or_default();
        let _ = writeln!(
            text,
            "<figure style=\"{}\"><figcaption><span class=\"party\" style=\"{}\">{}</span> <b>{}</b> sat at the end</figcaption>{}</figure>",
            colour(Some(party)),
            colour(Some(party)),
            Text(name),
            grouped(last.total().get()),
            draw(name, &history.heights, held, &columns),
        );
    }
    text.push_str("</div>\n");
    text
}

/// The blocks that are drawn: the first and the last, each that changed somebody's holding, and the one before it.
fn columns(history: &History) -> Vec<usize> {
    let count = history.heights.len();
    let changes =
        |place: usize| place > 0 && history.parties.iter().any(|held| held[place] != held[place - 1]);
    (0..count)
        .filter(|place| *place == 0 || place + 1 == count || changes(*place) || changes(place + 1))
        .collect()
}

fn draw(name: &str, heights: &[u32], held: &[Holding], columns: &[usize]) -> String {
    let column = (WIDTH / columns.len() as f64).min(WIDEST);
    let width = column * columns.len() as f64;
    let value = |amount: leyden_core::units::Sat| amount.get() as f64;
    let shown = columns.iter().map(|place| held[*place]);
    let top = shown.clone().map(|holding| value(holding.total())).fold(0.0, f64::max);
    // What it had before its start coins came would make all else flat.
    let started = shown.clone().filter(|holding| value(holding.total()) * 2.0 >= top);
    let low = started.map(|holding| value(holding.wallet)).fold(top, f64::min);
    let span = (top - low).max(1.0);
    let floor = (low - span * 0.15).max(0.0);
    let y = |amount: f64| HEIGHT - (amount - floor).max(0.0) / (top + span * 0.08 - floor).max(1.0) * HEIGHT;
    let mut svg = format!(
        "<svg class=\"chart\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\">\n",
        w = (LEFT + WIDTH + 8.0).round(),
        h = (HEIGHT + BELOW).round()
    );
    for amount in [top, (top + low) / 2.0, low] {
        let line = y(amount);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {line:.1}h{width:.1}\"/><text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 6.0,
            line + 4.0,
            grouped(amount as u64)
        );
    }
    let layers: [(&str, &Layer); 3] = [
        ("wallet", &|held| (floor, value(held.wallet))),
        ("claimable", &|held| (value(held.wallet), value(held.wallet) + value(held.claimable))),
        ("open", &|held| (value(held.wallet) + value(held.claimable), value(held.total()))),
    ];
    for (class, layer) in layers {
        let mut path = String::new();
        for (number, holding) in shown.clone().enumerate() {
            let (from, to) = layer(&holding);
            if to > from {
                let x = LEFT + column * number as f64;
                let _ = write!(path, "M{x:.1} {:.1}h{column:.1}V{:.1}h-{column:.1}z", y(to), y(from));
            }
        }
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    let mut total = String::new();
    for (number, holding) in shown.clone().enumerate() {
        let x = LEFT + column * number as f64;
        let start = if number == 0 { format!("M{x:.1} ") } else { "V".into() };
        let _ = write!(total, "{start}{:.1}h{column:.1}", y(value(holding.total())));
    }
    let _ = writeln!(svg, "<path class=\"total\" d=\"{total}\"/>");
    write_columns(&mut svg, name, heights, held, columns, column);
    svg.push_str("</svg>");
    svg
}

/// What a reader can point at, and heights where they fit; dots where blocks were left out.
fn write_columns(
    svg: &mut String,
    name: &str,
    heights: &[u32],
    held: &[Holding],
    columns: &[usize],
    column: f64,
) {
    let mut free = 0.0;
    for (number, place) in columns.iter().enumerate() {
        let (x, height, holding) = (LEFT + column * number as f64, heights[*place], held[*place]);
        let skipped = number > 0 && columns[number - 1] + 1 < *place;
        if skipped {
            let _ = write!(svg, "<path class=\"skip\" d=\"M{x:.1} 0v{HEIGHT}\"/>");
        }
        let words = format!(
            "{name} at {height}: {} = wallet {} + due {} + channels {}",
            grouped(holding.total().get()),
            grouped(holding.wallet.get()),
            grouped(holding.claimable.get()),
            grouped(holding.open.get())
        );
        let _ = write!(
            svg,
            "<rect class=\"col\" data-col=\"{number}\" data-say=\"{words}\" x=\"{x:.1}\" y=\"0\" width=\"{column:.1}\" height=\"{HEIGHT}\">\
             <title>{words}</title></rect>",
            words = Text(words)
        );
        if x >= free {
            let _ = writeln!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{height}</text>",
                x + column / 2.0,
                HEIGHT + 15.0
            );
            free = x + 34.0;
        }
    }
}
