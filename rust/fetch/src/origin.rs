//! Where something is served: https, a host and a port, compared exactly.

use std::{fmt, str::FromStr};

use url::{Host, Url};

use crate::{FetchError, Location};

/// A host and a port that speak https.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    host: Host<String>,
    port: u16,
}

impl Origin {
    /// Of a URL that was checked to be https and to have a host.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        Some(Self {
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// The host: a name in ASCII, or an address.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// As it stands in the `host` header: the port is left out where it is 443.
    pub(crate) fn authority(&self) -> String {
        match self.port {
            443 => self.host.to_string(),
            port => format!("{}:{port}", self.host),
        }
    }

    pub(crate) const fn parsed(&self) -> &Host<String> {
        &self.host
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl FromStr for Origin {
    type Err = FetchError;

    /// Reads `https://host` and, where it isn't 443, `:port`.
    fn from_str(text: &str) -> Result<Self, FetchError> {
        let location: Location = text.parse()?;
        if !location.is_bare() {
            return Err(FetchError::Policy {
                what: location.to_string(),
                reason: "a host is named as https://host or https://host:port, without a path",
            });
        }
        Ok(location.origin().clone())
    }
}
