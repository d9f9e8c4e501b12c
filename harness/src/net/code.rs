//! The failure codes of BOLT 4 ("Failure Messages") by name, for [`super::Net::expect_failure`].

const BADONION: u16 = 0x8000;
const PERM: u16 = 0x4000;
const NODE: u16 = 0x2000;
const UPDATE: u16 = 0x1000;

macro_rules! codes {
    ($($name:ident = $value:expr;)*) => {
        $(#[doc = concat!("`", stringify!($name), "` of BOLT 4.")] pub const $name: u16 = $value;)*

        /// The BOLT's name of a code.
        pub fn name(code: u16) -> String {
            match code {
                0 => "never left".into(),
                $($name => stringify!($name).to_lowercase(),)*
                other => format!("code {other:#06x}"),
            }
        }
    };
}

codes! {
    TEMPORARY_NODE_FAILURE = NODE | 2;
    PERMANENT_NODE_FAILURE = PERM | NODE | 2;
    REQUIRED_NODE_FEATURE_MISSING = PERM | NODE | 3;
    INVALID_ONION_VERSION = BADONION | PERM | 4;
    INVALID_ONION_HMAC = BADONION | PERM | 5;
    INVALID_ONION_KEY = BADONION | PERM | 6;
    TEMPORARY_CHANNEL_FAILURE = UPDATE | 7;
    PERMANENT_CHANNEL_FAILURE = PERM | 8;
    REQUIRED_CHANNEL_FEATURE_MISSING = PERM | 9;
    UNKNOWN_NEXT_PEER = PERM | 10;
    AMOUNT_BELOW_MINIMUM = UPDATE | 11;
    FEE_INSUFFICIENT = UPDATE | 12;
    INCORRECT_CLTV_EXPIRY = UPDATE | 13;
    EXPIRY_TOO_SOON = UPDATE | 14;
    INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS = PERM | 15;
    FINAL_INCORRECT_CLTV_EXPIRY = 18;
    FINAL_INCORRECT_HTLC_AMOUNT = 19;
    CHANNEL_DISABLED = UPDATE | 20;
    EXPIRY_TOO_FAR = 21;
    INVALID_ONION_PAYLOAD = PERM | 22;
    MPP_TIMEOUT = 23;
    INVALID_ONION_BLINDING = BADONION | PERM | 24;
}
