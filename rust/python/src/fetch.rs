//! From a source on a host to a file in the cache; its bytes never pass through Python.

use std::{ffi::OsString, path::PathBuf};

use pyo3::{prelude::*, types::PyString};
use strongroom_fetch::{
    Cache, FetchError, Fetcher, Limits, Network, Origin, Pins, Policy, Proof, Recheck, Reference,
    Roots, Step,
};
use strongroom_verify::Digest;

use crate::{arguments, detach, errors::Error, image};

/// Which hosts may be asked, and what they have to show.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Sources {
    policy: Policy,
    limits: Limits,
}

#[pymethods]
impl Sources {
    #[new]
    #[pyo3(signature = (*, hosts, hf_organisations, hf_endpoint, ca_file, pins, danger_allow_addresses, max_size))]
    fn new(
        py: Python<'_>,
        hosts: Vec<String>,
        hf_organisations: Vec<String>,
        hf_endpoint: &str,
        ca_file: Option<PathBuf>,
        pins: Vec<(String, Vec<String>)>,
        danger_allow_addresses: Vec<(String, Vec<String>)>,
        max_size: &Bound<'_, PyAny>,
    ) -> Result<Self, Error> {
        let roots = detach::run(py, || {
            ca_file.map_or(Ok(Roots::Mozilla), |path| Roots::from_file(&path))
        })?;
        let mut policy = Policy::deny(read("hf_endpoint", hf_endpoint)?, roots);
        for host in hosts {
            policy = policy.allow_host(read("hosts", &host)?);
        }
        for organisation in hf_organisations {
            policy = named("hf_organisations", policy.allow_organisation(&organisation))?;
        }
        for (host, keys) in pins {
            let host: Origin = read("pins", &host)?;
            let keys = keys
                .iter()
                .map(|key| key.parse::<Digest>())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Error::setting("pins", &format!("can't be used: {error}")))?;
            policy = policy.pin(named("pins", Pins::new(host, &keys))?);
        }
        for (host, networks) in danger_allow_addresses {
            let host: Origin = read("danger_allow_addresses", &host)?;
            for network in networks {
                let network: Network = read("danger_allow_addresses", &network)?;
                policy = policy.danger_allow_addresses(host.clone(), network);
            }
        }
        let limits = Limits {
            size: arguments::integer("max_size", max_size, Error::setting)?,
            ..Limits::default()
        };
        Ok(Self { policy, limits })
    }
}

/// A value of the option `name`.
fn read<T: std::str::FromStr<Err = FetchError>>(name: &str, text: &str) -> Result<T, Error> {
    named(name, text.parse())
}

/// The crate doesn't know the options' names.
fn named<T>(name: &str, result: Result<T, FetchError>) -> Result<T, Error> {
    result.map_err(|error| Error::setting(name, &format!("can't be used: {error}")))
}

/// A file in the cache.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Fetched {
    source: String,
    path: OsString,
    digest: String,
    size: u64,
    verified: bool,
    cached: bool,
}

/// The path that a reference names, or None where it is a source on a host.
#[pyfunction]
pub(crate) fn local_path(reference: &str) -> Result<Option<OsString>, Error> {
    Ok(match reference.parse()? {
        Reference::Local(path) => Some(path.into_os_string()),
        Reference::Remote(_) => None,
    })
}

/// Whose a source on a host is, as a policy names it; None for a path.
#[pyfunction]
pub(crate) fn owner_of(reference: &str) -> Result<Option<(&'static str, String)>, Error> {
    Ok(match reference.parse()? {
        Reference::Local(_) => None,
        Reference::Remote(remote) => Some(remote.owner()),
    })
}

/// Gets a source on a host into the cache, or finds it there.
#[pyfunction]
#[pyo3(signature = (reference, *, sources, cache, checksum, danger_unverified=false, recheck=true, progress=None))]
pub(crate) fn fetch(
    py: Python<'_>,
    reference: &str,
    sources: &Bound<'_, Sources>,
    cache: PathBuf,
    checksum: Option<&Bound<'_, PyString>>,
    danger_unverified: bool,
    recheck: bool,
    progress: Option<Py<PyAny>>,
) -> Result<Fetched, Error> {
    let Reference::Remote(remote) = reference.parse()? else {
        return Err(FetchError::Reference {
            reference: "a path".to_owned(),
            reason: "it is on this machine already",
        }
        .into());
    };
    let expected = checksum.map(image::parse).transpose()?;
    if expected.is_none() && !danger_unverified {
        return Err(Error::nothing_to_prove(&remote.to_string()));
    }
    let Sources { policy, limits } = sources.get();
    let recheck = if recheck {
        Recheck::Now
    } else {
        Recheck::WhenLoaded
    };
    let fetched = detach::interruptible(py, progress, |caller| {
        let cache = Cache::open(&cache)?;
        let proof = expected.map_or(Proof::DangerNone, Proof::Digest);
        Fetcher::new(&cache, policy).limits(limits.clone()).fetch(
            &remote,
            proof,
            recheck,
            &mut |step| match step {
                Step::Connecting => caller.go_on(),
                Step::Waiting(done) => caller.progress(done, 0),
                Step::Receiving(done, total) => caller.progress(done, total.unwrap_or(0)),
                Step::Checking(done, total) => caller.progress(done, total),
            },
        )
    })?;
    Ok(Fetched {
        source: remote.to_string(),
        path: fetched.path.into_os_string(),
        digest: fetched.sha256.to_string(),
        size: fetched.size,
        verified: expected.is_some(),
        cached: fetched.cached,
    })
}
