//! Which hosts may be asked, and what they have to show.

use std::net::IpAddr;

use strongroom_verify::{Algorithm, Digest};

use crate::{FetchError, Location, Network, Origin, Remote, Roots, address, reference::is_name};

/// Which hosts may be asked, and what they have to show. Without anything named, none.
#[derive(Debug, Clone)]
pub struct Policy {
    hosts: Vec<Origin>,
    organisations: Vec<String>,
    endpoint: Origin,
    danger_addresses: Vec<(Origin, Network)>,
    pins: Vec<Pins>,
    roots: Roots,
}

impl Policy {
    /// No host at all; `endpoint` is where `hf://` is, once an organisation is named.
    pub fn deny(endpoint: Origin, roots: Roots) -> Self {
        Self {
            hosts: Vec::new(),
            organisations: Vec::new(),
            endpoint,
            danger_addresses: Vec::new(),
            pins: Vec::new(),
            roots,
        }
    }

    /// Allows everything that one host serves.
    #[must_use]
    pub fn allow_host(mut self, host: Origin) -> Self {
        self.hosts.push(host);
        self
    }

    /// Allows `hf://` of an organisation, and what the endpoint serves below its name.
    ///
    /// # Errors
    /// [`FetchError::Policy`] where it is no name.
    pub fn allow_organisation(mut self, organisation: &str) -> Result<Self, FetchError> {
        if !is_name(organisation) {
            return Err(FetchError::Policy {
                what: format!("{:?}", organisation.chars().take(60).collect::<String>()),
                reason: "it is no organisation's name",
            });
        }
        self.organisations.push(organisation.to_owned());
        Ok(self)
    }

    /// Lets a host be at addresses of `network`, which may be private or this machine's.
    #[must_use]
    pub fn danger_allow_addresses(mut self, host: Origin, network: Network) -> Self {
        self.danger_addresses.push((host, network));
        self
    }

    /// Requires one of the pinned keys of a host, on top of its certificate.
    #[must_use]
    pub fn pin(mut self, pins: Pins) -> Self {
        self.pins.push(pins);
        self
    }

    /// Where `hf://` is.
    pub const fn endpoint(&self) -> &Origin {
        &self.endpoint
    }

    pub(crate) const fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Whether a source may be fetched at all, before any host is asked.
    pub(crate) fn permit(&self, remote: &Remote) -> Result<Location, FetchError> {
        if let Remote::HuggingFace(repository) = remote {
            let organisation = repository.organisation();
            if !self.organisations.iter().any(|name| name == organisation) {
                return Err(FetchError::Organisation {
                    organisation: organisation.to_owned(),
                });
            }
        }
        let location = remote.location(&self.endpoint)?;
        self.permit_location(&location)?;
        Ok(location)
    }

    /// Whether a URL may be asked for; redirects come through here as well.
    pub(crate) fn permit_location(&self, location: &Location) -> Result<(), FetchError> {
        let origin = location.origin();
        let of_organisation = || {
            *origin == self.endpoint
                && location
                    .segments()
                    .next()
                    .is_some_and(|first| self.organisations.iter().any(|name| name == first))
        };
        if self.hosts.contains(origin) || of_organisation() {
            return Ok(());
        }
        Err(FetchError::Host {
            url: location.to_string(),
            origin: origin.to_string(),
        })
    }

    /// Whether a host may be at an address.
    pub(crate) fn permit_address(&self, host: &Origin, address: IpAddr) -> Result<(), FetchError> {
        let named = || {
            self.danger_addresses
                .iter()
                .any(|(origin, network)| origin == host && network.contains(address))
        };
        match address::special(address) {
            Some(kind) if !named() => Err(FetchError::Address {
                host: host.host(),
                address,
                kind,
            }),
            _ => Ok(()),
        }
    }

    /// The pinned keys of a host; `None` where any valid certificate will do.
    pub(crate) fn pins_of(&self, host: &Origin) -> Option<Vec<[u8; 32]>> {
        let mut own = self
            .pins
            .iter()
            .filter(|pins| pins.host == *host)
            .peekable();
        own.peek()?;
        Some(own.flat_map(|pins| pins.keys.iter().copied()).collect())
    }
}

/// Keys of which a host must show one: SHA-256 of a `SubjectPublicKeyInfo` of its chain.
#[derive(Debug, Clone)]
pub struct Pins {
    host: Origin,
    keys: Vec<[u8; 32]>,
}

impl Pins {
    /// At least two: with a single one, the day on which the host changes its key ends all
    /// downloads.
    ///
    /// # Errors
    /// [`FetchError::Policy`] where there are fewer, or one isn't SHA-256.
    pub fn new(host: Origin, pins: &[Digest]) -> Result<Self, FetchError> {
        let refuse = |reason| FetchError::Policy {
            what: format!("the pins of {host}"),
            reason,
        };
        let mut keys = Vec::new();
        for pin in pins {
            if pin.algorithm() != Algorithm::Sha256 {
                return Err(refuse("a pin is the SHA-256 of a public key"));
            }
            let key = <[u8; 32]>::try_from(pin.as_bytes())
                .map_err(|_| refuse("a pin is the SHA-256 of a public key"))?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if keys.len() < 2 {
            return Err(refuse(
                "a second key, kept in reserve, must be pinned as well",
            ));
        }
        Ok(Self { host, keys })
    }
}
