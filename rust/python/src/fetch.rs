//! From a source on a host to a file in the cache; its bytes never pass through Python.

use std::{
    cell::RefCell,
    ffi::OsString,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use pyo3::{prelude::*, types::PyString};
use strongroom_fetch::{
    Cache, FetchError, Fetcher, Limits, Network, Origin, Pins, Policy, Recheck, Reference, Roots,
    Step,
};
use strongroom_verify::{Digest, VerifyError};

use crate::{
    arguments,
    detach::{self, Caller},
    download::Held,
    errors::Error,
    image,
    manifest::Manifest,
    proof::Listed,
    side_file::Given,
    signature::{Claim, Evidence},
};

/// Which hosts may be asked, and what they have to show.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Sources {
    pub(crate) policy: Policy,
    pub(crate) limits: Limits,
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
    evidence: Option<Py<Evidence>>,
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

/// The name that a signed manifest has for a source on a host; the manifest's own where it is on one.
#[pyfunction]
#[pyo3(signature = (reference, *, manifest=None))]
pub(crate) fn name_in_manifest(reference: &str, manifest: Option<&str>) -> Result<String, Error> {
    let remote = |text: &str| {
        Ok::<_, FetchError>(match text.parse()? {
            Reference::Local(_) => None,
            Reference::Remote(remote) => Some(remote),
        })
    };
    let manifest = manifest.map(remote).transpose()?.flatten();
    let name = remote(reference)?.and_then(|source| source.name_in(manifest.as_ref()));
    name.ok_or_else(|| Error::option("manifest", "can't list a file whose name is no text"))
}

/// Gives the files of a model in parts, which the cache has, their names beside each other.
#[pyfunction]
#[pyo3(signature = (files, *, cache))]
pub(crate) fn assemble(
    py: Python<'_>,
    files: Vec<(String, String)>,
    cache: PathBuf,
) -> Result<OsString, Error> {
    let files = files
        .iter()
        .map(|(name, digest)| Ok((name.as_str(), digest.parse()?)))
        .collect::<Result<Vec<_>, VerifyError>>()?;
    let first = detach::run(py, || Cache::open(&cache)?.assemble(&files))?;
    Ok(first.into_os_string())
}

/// Gets a source on a host into the cache, or finds it there.
#[pyfunction]
#[pyo3(signature = (reference, *, sources, cache, checksum, signature=None, public_key=None, hash=None, manifest=None, manifest_name=None, danger_unverified=false, recheck=true, progress=None))]
pub(crate) fn fetch(
    py: Python<'_>,
    reference: &str,
    sources: &Bound<'_, Sources>,
    cache: PathBuf,
    checksum: Option<&Bound<'_, PyString>>,
    signature: Option<Given>,
    public_key: Option<PathBuf>,
    hash: Option<&str>,
    manifest: Option<Py<Manifest>>,
    manifest_name: Option<String>,
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
    let name = remote.to_string();
    let digest = checksum.map(image::parse).transpose()?;
    if signature.is_none() && public_key.is_some() {
        return Err(Error::option(
            "signature",
            "must be named: beside a source on a host none is looked for",
        ));
    }
    let claim = Claim::new(Path::new(&name), signature, public_key, hash)?;
    let listed = manifest
        .map(|manifest| Listed::new(manifest, manifest_name.into_iter().collect()))
        .transpose()?;
    let verified = digest.is_some() || claim.is_some() || listed.is_some();
    if !verified && !danger_unverified {
        return Err(Error::nothing_to_prove(&name));
    }
    let Sources { policy, limits } = sources.get();
    let recheck = if recheck {
        Recheck::Now
    } else {
        Recheck::WhenLoaded
    };
    let (fetched, evidence) = detach::interruptible(py, progress, |caller| {
        // What proves the file is read before it: it says what the one pass has to yield.
        let held = Held {
            name: name.clone().into(),
            digest,
            signature: claim.map(Claim::read).transpose()?,
            listed,
        };
        let cache = Cache::open(&cache)?;
        let caller = RefCell::new(caller);
        let mut evidence = None;
        let fetched = Fetcher::new(&cache, policy).limits(limits.clone()).fetch(
            &remote,
            held.proof(&caller, &mut evidence),
            recheck,
            &mut |step| told(*caller.borrow_mut(), step),
        )?;
        Ok::<_, Error>((fetched, evidence))
    })?;
    let evidence = evidence.map(|evidence| Py::new(py, Evidence::from(evidence)));
    Ok(Fetched {
        source: name,
        path: fetched.path.into_os_string(),
        digest: fetched.sha256.to_string(),
        size: fetched.size,
        verified,
        cached: fetched.cached,
        evidence: evidence.transpose()?,
    })
}

/// Tells Python how far a download is.
pub(crate) fn told(caller: &mut Caller, step: Step) -> ControlFlow<()> {
    match step {
        Step::Connecting => caller.go_on(),
        Step::Waiting(done) => caller.progress(done, 0),
        Step::Receiving(done, total) => caller.progress(done, total.unwrap_or(0)),
        Step::Checking(done, total) => caller.progress(done, total),
    }
}
