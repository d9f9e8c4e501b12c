//! TCP ports of 127.0.0.1 for programs that cannot bind port 0 and say what they got. They lie below those that the system gives to
//! whoever asks for any, so that nobody gets one by chance between our look and the program's bind, nor while it is started again.
//! A lock keeps other harnesses on this machine off; only a stranger who wants this very port is in the way.
use std::collections::hash_map::RandomState;
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::PathBuf;

/// Below Linux's own (`net.ipv4.ip_local_port_range`), above what services are known by.
const RANGE: Range<u16> = 10_000..32_000;

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Each is taken.
    #[error("every TCP port of 127.0.0.1 from {} to {} is taken", RANGE.start, RANGE.end)]
    AllTaken,
    /// The folder of the locks could not be used.
    #[error("cannot use {}, where harnesses note the ports that they chose: {source}", path.display())]
    Locks {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A port that was free, and that no other harness chooses while this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Any free one.
    ///
    /// # Errors
    /// There is none, or no place for the locks.
    pub fn choose() -> Result<Self, PortError> {
        let folder = std::env::temp_dir().join("leyden-ports");
        let locks = |source| PortError::Locks { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(locks)?;
        let chance = RandomState::new().build_hasher().finish() as usize;
        for number in RANGE.cycle().skip(chance % RANGE.len()).take(RANGE.len()) {
            let lock = File::create(folder.join(format!("{number}.lock"))).map_err(locks)?;
            match lock.try_lock() {
                Ok(()) if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() => {
                    return Ok(Self { number, _lock: lock });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(locks(source)),
            }
        }
        Err(PortError::AllTaken)
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
