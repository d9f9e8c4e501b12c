//! The ladder: a column for each node, an arrow for each message, and between them what reached the chain. One part for each stretch
//! between blocks, which folds away; what nodes saved and told their owners is there too, hidden until wanted.
use super::text::{colour, Text};
use crate::net::Net;
use crate::transcript::{Deed, Step};
use std::fmt::Write;

struct Ladder<'a> {
    net: &'a Net,
    count: usize,
    text: String,
    open: bool,
}

/// The whole ladder, with its controls.
pub(super) fn section(net: &mut Net) -> String {
    let steps = net.world.transcript().steps(&net.names);
    let count = net.node_count();
    let mut ladder = Ladder { net, count, text: String::new(), open: false };
    ladder.text.push_str(
        "<p class=\"controls\"><input id=\"filter\" type=\"search\" placeholder=\"filter: update_add_htlc, C3a, alice…\" \
         aria-label=\"filter\"><label><input type=\"checkbox\" data-show=\"notices\" checked> notices</label>\
         <label><input type=\"checkbox\" data-show=\"saves\"> saves</label>\
         <label><input type=\"checkbox\" data-show=\"details\" checked> details</label>\
         <button data-fold=\"close\">fold all</button><button data-fold=\"open\">unfold all</button></p>\n",
    );
    let _ = writeln!(
        ladder.text,
        "<div id=\"rungs\" class=\"rungs notices details\" style=\"--n:{}\">",
        count.max(1)
    );
    ladder.write_heads();
    let mut rest = steps.as_slice();
    while let Some((step, after)) = rest.split_first() {
        let until =
            after.iter().position(|step| matches!(step.deed, Deed::Blocks { .. })).unwrap_or(after.len());
        let (inside, next) = after.split_at(until);
        match &step.deed {
            Deed::Blocks { first, last, inside: held } => ladder.write_block(*first, *last, held, inside),
            _ => {
                ladder.begin("start", inside.len() + 1);
                ladder.write_step(step);
            }
        }
        inside.iter().for_each(|step| ladder.write_step(step));
        ladder.end();
        rest = next;
    }
    ladder.text.push_str("</div>\n");
    ladder.text
}

impl Ladder<'_> {
    fn write_heads(&mut self) {
        self.text.push_str("<div class=\"heads\"><span class=\"at\"></span><span class=\"lanes\">");
        for node in 0..self.count {
            let party = self.net.names.node_party(node);
            let _ = write!(
                self.text,
                "<span class=\"head\" style=\"--i:{node};{}\">{}</span>",
                colour(party),
                Text(self.net.node_name(node))
            );
        }
        self.text.push_str("</span></div>\n");
    }

    /// A part that folds away, if anything is in it.
    fn begin(&mut self, title: &str, steps: usize) {
        self.open = steps > 0;
        if self.open {
            let _ = writeln!(self.text, "<details open class=\"part\"><summary>{title}</summary>");
        } else {
            let _ = writeln!(self.text, "<div class=\"part still\">{title}</div>");
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            self.text.push_str("</details>\n");
        }
    }

    fn write_block(&mut self, first: u32, last: u32, held: &[String], steps: &[Step]) {
        let messages = steps.iter().filter(|step| matches!(step.deed, Deed::Message { .. })).count();
        let heights = if first == last {
            format!("<b>block {first}</b>")
        } else {
            format!("<b>blocks {first} to {last}</b>")
        };
        let held: Vec<String> =
            held.iter().map(|name| format!("<span class=\"mined\">{}</span>", Text(name))).collect();
        let held = if held.is_empty() { "<span class=\"quiet\">empty</span>".into() } else { held.join(" ") };
        let messages = match messages {
            0 => String::new(),
            1 => " <span class=\"count\">1 message</span>".into(),
            several => format!(" <span class=\"count\">{several} messages</span>"),
        };
        self.begin(&format!("{heights} {held}{messages}"), steps.len());
    }

    fn write_step(&mut self, step: &Step) {
        match &step.deed {
            Deed::Message { number, from, to, name, detail } => {
                self.write_message(&step.at, *number, [*from, *to], name, detail);
            }
            Deed::Save { node, text } => self.write_line(&step.at, "save", Some(*node), text),
            Deed::Broadcast { node, text, refused } => {
                let class = if *refused { "cast refused" } else { "cast" };
                self.write_line(&step.at, class, Some(*node), text);
            }
            Deed::Blocks { .. } => {}
            Deed::Notice { node, text } => self.write_line(&step.at, "notice", Some(*node), text),
            Deed::Note { text } => self.write_line(&step.at, "note", None, text),
        }
    }

    fn write_message(&mut self, at: &str, number: u64, [from, to]: [usize; 2], name: &str, detail: &str) {
        let (left, right) = (from.min(to), from.max(to));
        let way = if from < to { "right" } else { "left" };
        let (sender, recipient) = (self.net.node_name(from), self.net.node_name(to));
        let title = format!("{number}: {sender} → {recipient}: {name} {detail}");
        let party = self.net.names.node_party(from);
        let _ = writeln!(
            self.text,
            "<div class=\"rung\" title=\"{}\"><span class=\"at\">{at} <i>{number}</i></span><span class=\"lanes\">\
             <span class=\"arrow {way}\" style=\"--l:{left};--r:{right};{}\"><b>{}</b> <small>{}</small></span></span></div>",
            Text(title),
            colour(party),
            Text(name),
            Text(detail)
        );
    }

    fn write_line(&mut self, at: &str, class: &str, node: Option<usize>, text: &str) {
        let party = node.and_then(|node| self.net.names.node_party(node));
        let lane = node.map_or_else(String::new, |node| format!("--i:{node};"));
        // On the right half the words stand on the left of the dot.
        let side = if node.is_some_and(|node| node * 2 >= self.count) { " west" } else { "" };
        let dot = if node.is_some() { "<span class=\"dot\"></span>" } else { "" };
        let _ = writeln!(
            self.text,
            "<div class=\"rung {class}\"><span class=\"at\">{at}</span><span class=\"lanes{side}\" style=\"{lane}{}\">{dot}\
             <span class=\"said\">{}</span></span></div>",
            colour(party),
            Text(text)
        );
    }
}
