//! The page's words and tables: verdict, failure, parties, payments, miners' revenue, checks.
use super::text::{colour, Text};
use crate::checks;
use crate::net::Net;
use crate::run::Run;
use crate::settlement::{grouped, msat};
use leyden_core::units::{Msat, Sat};

/// `passed` or `FAILED`.
pub(super) fn verdict(run: &Run) -> &'static str {
    if run.passed() {
        "passed"
    } else {
        "FAILED"
    }
}

pub(super) fn badge(run: &Run) -> String {
    let class = if run.passed() { "good" } else { "bad" };
    format!("<span class=\"badge {class}\">{}</span>", verdict(run))
}

/// What ran, how it ended, how to run it again.
pub(super) fn header(run: &Run, net: &mut Net) -> String {
    let variant = run.variant.as_ref().map(|variant| format!(" · <b>{}</b>", Text(variant.words())));
    let blocks = run.shape.blocks.len();
    let facts = [
        (grouped(net.node_count() as u64), "nodes"),
        (grouped(net.names.channels().len() as u64), "channels"),
        (grouped(run.shape.messages), "messages"),
        (grouped(blocks as u64), "blocks"),
        (grouped(run.settlement.transactions.len() as u64), "transactions"),
        (grouped(run.settlement.payments.len() as u64), "payments"),
        (grouped(run.elapsed.as_millis().try_into().unwrap_or(u64::MAX)), "ms"),
    ];
    let facts: String = facts.iter().map(|(number, of)| format!("<li><b>{number}</b> {of}</li>")).collect();
    let failure = if run.passed() {
        String::new()
    } else {
        format!("<pre class=\"failure\">{}</pre>\n", Text(run.failure().trim_end()))
    };
    format!(
        "<header>\n<h1>{name} {badge}</h1>\n<p class=\"doc\">{doc}</p>\n\
         <p class=\"quiet\">{world}, seed {seed}{variant} · {file}:{line}</p>\n<ul class=\"facts\">{facts}</ul>\n\
         {failure}<p class=\"repeat\"><code id=\"command\">{command}</code><button data-copy=\"command\">copy</button></p>\n\
         </header>\n",
        name = Text(run.scenario.name),
        badge = badge(run),
        doc = Text(run.scenario.doc),
        world = run.world,
        seed = run.seed,
        variant = variant.unwrap_or_default(),
        file = Text(run.scenario.file),
        line = run.scenario.line,
        command = Text(run.command()),
    )
}

/// A party's name with its colour.
pub(super) fn party(name: &str, party: usize) -> String {
    format!("<span class=\"party\" style=\"{}\">{}</span>", colour(Some(party)), Text(name))
}

/// Who had what, has what, and paid what to the miners.
pub(super) fn parties(run: &Run) -> String {
    let settlement = &run.settlement;
    let rows: String = settlement
        .parties
        .iter()
        .enumerate()
        .map(|(number, line)| {
            let (change, class) = change(line.start, line.end);
            let revenue = settlement.revenue.iter().find(|revenue| revenue.party == number);
            let dearest = revenue.map_or_else(String::new, |revenue| {
                format!("{} transactions, most for {}", revenue.transactions, Text(&revenue.dearest))
            });
            format!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n end\">{}</td><td class=\"n {class}\">{change}</td>\
                 <td class=\"n\">{}</td><td class=\"quiet\">{dearest}</td></tr>\n",
                party(&line.name, number),
                grouped(line.start.get()),
                grouped(line.end.get()),
                grouped(line.fees.get()),
            )
        })
        .collect();
    let left: Sat = settlement.left_over.iter().fold(Sat::ZERO, |sum, left| sum.saturating_add(left.amount));
    format!(
        "<div class=\"wide\"><table>\n<thead><tr><th>party</th><th class=\"n\">start sat</th><th class=\"n\">end sat</th>\
         <th class=\"n\">change</th><th class=\"n\">to miners</th><th></th></tr></thead>\n<tbody>\n{rows}\
         <tr class=\"quiet\"><td>miners</td><td></td><td class=\"n\">{}</td><td></td><td></td><td></td></tr>\n\
         <tr class=\"quiet\"><td>left over</td><td></td><td class=\"n\">{}</td><td></td><td></td><td>{}</td></tr>\n\
         </tbody></table></div>\n",
        grouped(settlement.miner_fees.get()),
        grouped(left.get()),
        left_over(run),
    )
}

fn left_over(run: &Run) -> String {
    let lines: Vec<String> = run
        .settlement
        .left_over
        .iter()
        .map(|left| format!("{} sat: {}", grouped(left.amount.get()), Text(&left.what)))
        .collect();
    lines.join("<br>")
}

fn change(start: Sat, end: Sat) -> (String, &'static str) {
    match end.checked_sub(start) {
        Some(Sat::ZERO) => ("0".into(), ""),
        Some(gain) => (format!("+{}", grouped(gain.get())), "up"),
        None => (format!("−{}", grouped(start.saturating_sub(end).get())), "down"),
    }
}

/// Every payment; those in a row that went alike are one line.
pub(super) fn payments(run: &Run) -> String {
    let all = &run.settlement.payments;
    if all.is_empty() {
        return "<p class=\"quiet\">No payment was made.</p>\n".into();
    }
    let number = |name: &str| run.settlement.parties.iter().position(|line| line.name == name);
    let named = |name: &str| match number(name) {
        Some(of) => party(name, of),
        None => Text(name).to_string(),
    };
    let rows: String = all
        .chunk_by(|one, next| one == next)
        .filter_map(|same| same.first().map(|first| (first, same.len())))
        .map(|(payment, times)| {
            let class = if payment.result == "succeeded" { "up" } else { "down" };
            let times = if times == 1 { String::new() } else { format!("{times} times") };
            let fee = if payment.fee == Msat::ZERO { String::new() } else { msat(payment.fee) };
            format!(
                "<tr><td>{} → {}</td><td class=\"n\">{}</td><td class=\"n\">{fee}</td><td class=\"{class}\">{}</td>\
                 <td class=\"quiet\">{times}</td></tr>\n",
                named(&payment.from),
                named(&payment.to),
                msat(payment.amount),
                Text(&payment.result),
            )
        })
        .collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr><th>payment</th><th class=\"n\">amount</th><th class=\"n\">fee</th>\
         <th>result</th><th></th></tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// What the safety checks say of how things stand.
pub(super) fn checks(run: &Run, net: &mut Net) -> String {
    let found = checks::run(&net.evidence());
    let (class, said) = match &found {
        Ok(()) => ("good", "every safety check holds".to_string()),
        Err(broken) => ("bad", broken.to_string()),
    };
    let refused: String = net
        .world
        .refused()
        .iter()
        .map(|refused| {
            let what = net.names.full_label(&refused.txid);
            let what = what.unwrap_or_else(|| format!("tx {:.8}", refused.txid.to_string()));
            format!(
                "<li>{} of {}: {}</li>",
                Text(what),
                Text(net.node_name(refused.node)),
                Text(&refused.reason)
            )
        })
        .collect();
    let refused = match refused.is_empty() {
        true => String::new(),
        false => format!("<p>Transactions that the chain refused:</p><ul>{refused}</ul>\n"),
    };
    let ended =
        if run.passed() { "the run ended as its scenario expects" } else { "the run failed; see above" };
    format!("<p><span class=\"badge {class}\">checks</span> {}</p>\n<p>{ended}.</p>\n{refused}", Text(said))
}
