//! What a person types: amounts with units, feerates, ids. Exact: no number here is ever a float.

use bitcoin::hex::FromHex;
use leyden_core::ids::{ChannelId, NodeId, ShortChannelId};
use leyden_core::units::{BlockHeight, FeeratePerKw, Msat, Sat};

/// Why something typed is not what it must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Typo {
    #[error("an amount is a number of satoshis, or has the unit sat, msat or btc, as in 0.0025btc")]
    Amount,
    #[error("this must be a whole number of satoshis")]
    Fraction,
    #[error("a feerate is a number of sat/vB, as in 2 or 1.25")]
    Feerate,
    #[error("a channel id has 64 hex digits")]
    ChannelId,
    #[error("a node id has 66 hex digits, and is a point on the curve")]
    NodeId,
    #[error("a peer is its node id, an @, and host:port")]
    Address,
    #[error("a short channel id is HEIGHTxINDEXxOUTPUT")]
    ShortChannelId,
    #[error("a block height is a number from 0 on")]
    Height,
    #[error("the parameters are a JSON object, as in `help payroute`")]
    Json,
}

/// A satoshi has so many decimal places down to the millisatoshi.
const SAT_PLACES: u32 = 3;
/// And a bitcoin so many.
const BTC_PLACES: u32 = 11;

pub(super) fn msat(text: &str) -> Result<Msat, Typo> {
    let (number, places) = [("msat", 0), ("sat", SAT_PLACES), ("btc", BTC_PLACES)]
        .into_iter()
        .find_map(|(unit, places)| Some((text.strip_suffix(unit)?, places)))
        .unwrap_or((text, SAT_PLACES));
    decimal(number.trim_end(), places).map(Msat::new).ok_or(Typo::Amount)
}

pub(super) fn sat(text: &str) -> Result<Sat, Typo> {
    let amount = msat(text)?;
    match amount.get() % 1000 {
        0 => Ok(amount.floor_to_sat()),
        _ => Err(Typo::Fraction),
    }
}

/// Satoshis per virtual byte, to satoshis per 1000 weight units: times 250, rounded down.
pub(super) fn feerate(text: &str) -> Result<FeeratePerKw, Typo> {
    let thousandths = decimal(text, 3).ok_or(Typo::Feerate)?;
    let per_kw = thousandths.checked_mul(250).and_then(|rate| u32::try_from(rate / 1000).ok());
    per_kw.map(FeeratePerKw::new).ok_or(Typo::Feerate)
}

/// A decimal number times ten to the power of `places`; nothing when that is no whole number.
fn decimal(text: &str, places: u32) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = places.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    format!("{whole}{fraction}").parse::<u64>().ok()?.checked_mul(10_u64.pow(missing))
}

pub(super) fn channel_id(text: &str) -> Result<ChannelId, Typo> {
    <[u8; 32]>::from_hex(text).map(ChannelId).map_err(|_| Typo::ChannelId)
}

pub(super) fn block_height(text: &str) -> Result<BlockHeight, Typo> {
    text.parse().map(BlockHeight::new).map_err(|_| Typo::Height)
}

pub(super) fn node_id(text: &str) -> Result<NodeId, Typo> {
    text.parse().map_err(|_| Typo::NodeId)
}

/// `id@host:port`, as nodes are written everywhere.
pub(super) fn peer_address(text: &str) -> Result<(NodeId, String), Typo> {
    let (id, address) = text.split_once('@').ok_or(Typo::Address)?;
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let port = port.and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| ()).ok_or(Typo::Address)?;
    Ok((node_id(id)?, address.to_owned()))
}

pub(super) fn short_channel_id(text: &str) -> Result<ShortChannelId, Typo> {
    let parts: Option<Vec<u32>> = text.split('x').map(|part| part.parse().ok()).collect();
    let [height, index, output] = parts.unwrap_or_default()[..] else { return Err(Typo::ShortChannelId) };
    ShortChannelId::new(height, index, output).ok_or(Typo::ShortChannelId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_say_their_unit_or_are_satoshis() {
        let amounts = [
            ("0", 0),
            ("250000", 250_000_000),
            ("250000sat", 250_000_000),
            ("250000 sat", 250_000_000),
            ("1.5", 1500),
            ("1.001sat", 1001),
            ("1500msat", 1500),
            ("0.0025btc", 250_000_000),
            ("1.00000000000btc", 100_000_000_000),
            ("0.00000000001btc", 1),
        ];
        for (text, expected) in amounts {
            assert_eq!(msat(text), Ok(Msat::new(expected)), "{text}");
        }
        let wrong =
            ["", "-1", "1e3", "1,5", ".5", "1.", "1.0001", "1.5msat", "sat", "0x1", "999999999999btc"];
        for text in wrong {
            assert_eq!(msat(text), Err(Typo::Amount), "{text}");
        }
        assert_eq!(sat("1500msat"), Err(Typo::Fraction));
        assert_eq!(sat("2000msat"), Ok(Sat::new(2)));
    }

    #[test]
    fn feerates_are_per_virtual_byte() {
        let rates = [("1", 250), ("2.5", 625), ("0.1", 25), ("1.001", 250)];
        for (text, expected) in rates {
            assert_eq!(feerate(text), Ok(FeeratePerKw::new(expected)), "{text}");
        }
        for text in ["", "1sat", "-1", "99999999", "18446744073709551615"] {
            assert_eq!(feerate(text), Err(Typo::Feerate), "{text}");
        }
    }

    #[test]
    fn a_peer_is_an_id_at_an_address() {
        let id = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        for address in ["127.0.0.1:9735", "[::1]:9735", "host.example:1"] {
            let parsed = peer_address(&format!("{id}@{address}")).expect("it is one");
            assert_eq!((parsed.0.to_string(), parsed.1), (id.to_owned(), address.to_owned()));
        }
        for text in
            [id, "@127.0.0.1:9735", &format!("{id}@host"), &format!("{id}@:1"), &format!("{id}@host:x")]
        {
            assert!(peer_address(text).is_err(), "{text}");
        }
    }
}
