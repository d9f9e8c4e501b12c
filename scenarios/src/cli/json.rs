//! Results for programs.
use leyden_harness::{Outcome, Run};
use serde_json::{json, Value};

/// One run as an object.
pub(super) fn of(run: &Run) -> Value {
    let settlement = &run.settlement;
    let name = |party: usize| settlement.parties.get(party).map(|party| party.name.as_str());
    let parties = settlement.parties.iter().map(|party| {
        json!({ "name": party.name, "start_sat": party.start, "end_sat": party.end, "fees_sat": party.fees })
    });
    let payments = settlement.payments.iter().map(|payment| {
        json!({
            "from": payment.from,
            "to": payment.to,
            "amount_msat": payment.amount,
            "fee_msat": payment.fee,
            "result": payment.result,
        })
    });
    let transactions = settlement.transactions.iter().map(|line| {
        json!({
            "label": line.seed,
            "channel": line.channel,
            "txid": line.tx.compute_txid().to_string(),
            "hex": bitcoin::consensus::encode::serialize_hex(&line.tx),
            "height": line.height,
            "by": name(line.by),
            "fee_sat": line.fee,
            "paid_by": name(line.payer),
            "published_by": line.published.and_then(name),
            "outputs": line.outputs.iter().map(|output| json!({
                "amount_sat": output.amount,
                "what": output.what,
                "spent_by": output.spent_by.map(|place| settlement.transactions[place].label.as_str()),
                "ended_with": output.ended.and_then(name),
            })).collect::<Vec<_>>(),
        })
    });
    let revenue = settlement.revenue.iter().map(|line| {
        json!({
            "from": name(line.party),
            "amount_sat": line.amount,
            "transactions": line.transactions,
            "dearest": line.dearest,
        })
    });
    let left_over =
        settlement.left_over.iter().map(|left| json!({ "what": left.what, "amount_sat": left.amount }));
    let mut object = json!({
        "scenario": run.scenario.name,
        "world": run.world.to_string(),
        "seed": run.seed,
        "variant": run.variant.as_ref().map(ToString::to_string),
        "outcome": match &run.outcome {
            Outcome::Passed => "passed",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Failed { .. } => "failed",
        },
        "skipped": run.skipped(),
        "parties": parties.collect::<Vec<_>>(),
        "miner_fees_sat": settlement.miner_fees,
        "miner_revenue": revenue.collect::<Vec<_>>(),
        "payments": payments.collect::<Vec<_>>(),
        "transactions": transactions.collect::<Vec<_>>(),
        "left_over": left_over.collect::<Vec<_>>(),
        "elapsed_ms": run.elapsed.as_secs_f64() * 1000.0,
    });
    if let (Outcome::Failed { message, place }, Some(fields)) = (&run.outcome, object.as_object_mut()) {
        fields.insert("failure".into(), json!({ "message": message, "place": place }));
    }
    object
}
