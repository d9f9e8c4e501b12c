//! One run as one page that needs no network: verdict, balances, payments, the tree of transactions, the ladder. Styles, script and
//! drawings are inside. It shows what the run found and computes nothing of its own.

mod chart;
mod graph;
mod ladder;
mod overview;
mod text;

use crate::net::Net;
use crate::run::Run;
use text::Text;

/// How it looks.
const STYLE: &str = include_str!("style.css");
/// What it does when a reader points at something.
const SCRIPT: &str = include_str!("script.js");

/// The whole page.
pub fn render(run: &Run, net: &mut Net) -> String {
    let title = format!("{} in {}: {}", run.scenario.name, run.world, overview::verdict(run));
    let sections = [
        ("parties", "Parties", overview::parties(run)),
        ("balances", "Balances", chart::section(run, net)),
        ("payments", "Payments", overview::payments(run)),
        ("transactions", "Transactions", graph::section(run)),
        ("ladder", "Ladder", ladder::section(net)),
        ("checks", "Checks", overview::checks(run, net)),
    ];
    let links: String =
        sections.iter().map(|(id, name, _)| format!("<a href=\"#{id}\">{name}</a>")).collect();
    let bodies: String = sections
        .iter()
        .map(|(id, name, body)| {
            format!("<section id=\"{id}\"><details open><summary><h2>{name}</h2></summary>{body}</details></section>\n")
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <nav><b>{name}</b>{badge}{links}</nav>\n<main>\n{header}{bodies}</main>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        title = Text(title),
        name = Text(run.scenario.name),
        badge = overview::badge(run),
        header = overview::header(run, net),
    )
}
