//! The tree of transactions as a drawing, one for each channel: a box for each transaction, a row in it for each output, a line from an
//! output to what spends it. Colours say whose: a box's maker, a row's last owner.
use super::text::{colour, Text};
use crate::run::Run;
use crate::settlement::{grouped, Output, Settlement, Visit};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A box is so wide, in pixels.
const WIDTH: usize = 330;
/// Between a column of boxes and the next.
const GAP: usize = 74;
/// A box's head.
const HEAD: usize = 64;
/// A row of it.
const ROW: usize = 24;
/// Between boxes of one column.
const SPACE: usize = 16;

/// Where a transaction's box stands.
#[derive(Clone, Copy)]
struct Place {
    x: usize,
    y: usize,
}

struct Drawing<'a> {
    settlement: &'a Settlement,
    places: BTreeMap<usize, Place>,
    width: usize,
    svg: String,
}

/// All channels, then what stands outside of them.
pub(super) fn section(run: &Run) -> String {
    let settlement = &run.settlement;
    let mut text = legend(settlement);
    for root in settlement.trees() {
        let line = &settlement.transactions[root.transaction];
        let name = line.channel.as_deref().unwrap_or(&line.label);
        let funding = line.outputs.iter().find(|output| output.what == "funding output");
        let capacity = funding.map_or(0, |output| output.amount.get());
        let _ = writeln!(
            text,
            "<details open class=\"channel\"><summary><h3>{}</h3> <span class=\"quiet\">{} sat, opened by {}</span></summary>\n\
             <div class=\"wide\">{}</div></details>",
            Text(name),
            grouped(capacity),
            Text(settlement.party_name(line.by)),
            draw(settlement, &root),
        );
    }
    let outside = settlement.outside_trees();
    if !outside.is_empty() {
        text.push_str("<details open class=\"channel\"><summary><h3>outside of channels</h3></summary>\n");
        for place in outside {
            let alone = Visit { transaction: place, children: Vec::new(), again: false };
            let _ = writeln!(text, "<div class=\"wide\">{}</div>", draw(settlement, &alone));
        }
        text.push_str("</details>\n");
    }
    if settlement.transactions.is_empty() {
        text.push_str("<p class=\"quiet\">Nothing of any party's reached the chain.</p>\n");
    }
    text
}

fn legend(settlement: &Settlement) -> String {
    let names = settlement.parties.iter().enumerate();
    let names: String = names.map(|(number, line)| super::overview::party(&line.name, number)).collect();
    format!(
        "<p class=\"legend\">{names}<span class=\"party\" style=\"{}\">left over</span></p>\n",
        colour(None)
    )
}

fn draw(settlement: &Settlement, root: &Visit) -> String {
    let mut drawing = Drawing { settlement, places: BTreeMap::new(), width: 0, svg: String::new() };
    let height = drawing.lay_out(root, 1, 1) + 2;
    drawing.write_edges(root);
    drawing.write_boxes();
    let width = drawing.width + 8; // room for the dots of the last column
    format!(
        "<svg class=\"tree\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n{}</svg>",
        drawing.svg
    )
}

impl Drawing<'_> {
    /// Gives each transaction its place; the height that it and all that hangs on it need.
    fn lay_out(&mut self, visit: &Visit, x: usize, y: usize) -> usize {
        if visit.again {
            return 0;
        }
        self.places.insert(visit.transaction, Place { x, y });
        self.width = self.width.max(x + WIDTH);
        let own = HEAD + ROW * self.settlement.transactions[visit.transaction].outputs.len() + 6;
        let mut below = 0;
        for child in visit.children.iter().flatten() {
            let used = self.lay_out(child, x + WIDTH + GAP, y + below);
            below += if used == 0 { 0 } else { used + SPACE };
        }
        own.max(below.saturating_sub(SPACE))
    }

    fn write_edges(&mut self, visit: &Visit) {
        for (vout, child) in visit.children.iter().enumerate() {
            let Some(child) = child else { continue };
            let from = self.places.get(&visit.transaction).copied();
            let to = self.places.get(&child.transaction).copied();
            if let (Some(from), Some(to)) = (from, to) {
                let output = &self.settlement.transactions[visit.transaction].outputs[vout];
                let (x1, y1) = (from.x + WIDTH, from.y + HEAD + ROW * vout + ROW / 2);
                let (x2, y2) = (to.x, to.y + HEAD / 2);
                let middle = (x1 + x2) / 2;
                let _ = writeln!(
                    self.svg,
                    "<path class=\"edge\" style=\"{}\" d=\"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}\"/>",
                    colour(output.ended)
                );
            }
            self.write_edges(child);
        }
    }

    fn write_boxes(&mut self) {
        for (number, place) in self.places.clone() {
            let line = &self.settlement.transactions[number];
            let (Place { x, y }, rows) = (place, line.outputs.len());
            let height = HEAD + ROW * rows + 6;
            let paid = match line.payer == line.by {
                true => String::new(),
                false => format!(" paid by {}", self.settlement.party_name(line.payer)),
            };
            let weight = line.tx.weight().to_wu();
            let title = format!(
                "{} ({})\n{}\nheight {}, fee {} sat{paid}, {weight} weight units\n{}",
                line.label,
                line.bolt,
                line.tx.compute_txid(),
                line.height,
                grouped(line.fee.get()),
                self.settlement.publisher(line),
            );
            let _ = writeln!(
                self.svg,
                "<g class=\"tx\" style=\"{colour}\" transform=\"translate({x} {y})\"><title>{title}</title>\
                 <rect class=\"box\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\
                 <rect class=\"stripe\" width=\"6\" height=\"{height}\" rx=\"3\"/>\
                 <text class=\"label\" x=\"16\" y=\"23\">{seed}</text>\
                 <text class=\"height\" x=\"{right}\" y=\"23\">block {block}</text>\
                 <text class=\"small\" x=\"16\" y=\"40\">{bolt}</text>\
                 <text class=\"small\" x=\"16\" y=\"56\">fee {fee}{paid}, {publisher}</text>",
                colour = colour(Some(line.by)),
                title = Text(title),
                right = WIDTH - 12,
                seed = Text(&line.seed),
                block = line.height,
                bolt = Text(line.bolt),
                fee = grouped(line.fee.get()),
                paid = Text(paid),
                publisher = Text(self.settlement.publisher(line)),
            );
            for (vout, output) in line.outputs.iter().enumerate() {
                let row = self.row(vout, output);
                self.svg.push_str(&row);
            }
            self.svg.push_str("</g>\n");
        }
    }

    fn row(&self, vout: usize, output: &Output) -> String {
        let y = HEAD + ROW * vout;
        let end = match (output.in_channel, output.spent_by, output.ended) {
            (true, None, _) => "left over".to_string(),
            (true, Some(_), Some(party)) => format!("→ {}", self.settlement.party_name(party)),
            (false, ..) | (true, Some(_), None) => String::new(),
        };
        let shown = if end.is_empty() {
            Text(&output.what).to_string()
        } else {
            format!("{} <tspan class=\"end\">{}</tspan>", Text(&output.what), Text(end))
        };
        format!(
            "<g class=\"out\" style=\"{}\"><rect class=\"row\" x=\"8\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"3\"/>\
             <circle cx=\"{WIDTH}\" cy=\"{}\" r=\"5\"/>\
             <text class=\"amount\" x=\"112\" y=\"{base}\">{}</text><text class=\"what\" x=\"122\" y=\"{base}\">{shown}</text></g>\n",
            colour(output.ended),
            WIDTH - 12,
            ROW - 2,
            y + ROW / 2 - 1,
            grouped(output.amount.get()),
            base = y + 16,
        )
    }
}
