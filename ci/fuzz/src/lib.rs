//! What the fuzz targets do with their bytes, a file for each target; `targets` only hands the bytes over. A finding is
//! fixed in the core and kept there as a test, so that the ordinary test command guards it.

pub mod channel;
pub mod failure;
pub mod invoice;
pub mod message;
pub mod onion;
pub mod records;
pub mod seeds;
pub mod step;
pub mod tlv;
pub mod transport;

mod bytes;
mod chain;
mod life;
mod world;
