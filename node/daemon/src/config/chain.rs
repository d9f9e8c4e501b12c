//! The settings that say where the chain comes from, and how they fit together: one source, and Core knows us in one way.
use super::{ChainConfig, ConfigError, CoreAuth, CoreConfig, Secret};
use std::path::PathBuf;

/// What was set.
#[derive(Default)]
pub(super) struct ChainDraft {
    pub core_url: Option<String>,
    pub cookie_file: Option<PathBuf>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub electrum_url: Option<String>,
}

impl ChainDraft {
    /// The source; without any setting this one.
    pub fn finish(self, usual: ChainConfig) -> Result<ChainConfig, ConfigError> {
        if let Some(url) = self.electrum_url {
            let cores = [
                ("core-url", self.core_url.is_some()),
                ("core-cookie-file", self.cookie_file.is_some()),
                ("core-user", self.user.is_some()),
                ("core-password", self.password.is_some()),
            ];
            return match cores.into_iter().find(|(_, set)| *set) {
                Some((core, _)) => {
                    Err(ConfigError::Together("electrum-url", core, "the chain comes from one of them"))
                }
                None => Ok(ChainConfig::Electrum(url)),
            };
        }
        let ChainConfig::Core(CoreConfig { url, auth }) = usual else { return Ok(usual) };
        let auth = match (self.cookie_file, self.user, self.password) {
            (None, None, None) => auth,
            (Some(path), None, None) => CoreAuth::CookieFile(path),
            (None, Some(user), Some(password)) => CoreAuth::Password { user, password },
            (None, _, _) => {
                return Err(ConfigError::Together("core-user", "core-password", "one needs the other"))
            }
            (Some(_), _, _) => {
                let why = "Core knows us by its cookie or by a name and a password, not both";
                return Err(ConfigError::Together("core-cookie-file", "core-user", why));
            }
        };
        Ok(ChainConfig::Core(CoreConfig { url: self.core_url.unwrap_or(url), auth }))
    }
}
