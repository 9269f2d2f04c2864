//! From a source to a whole, proved file in the cache.

use std::{fmt, fs::File, path::PathBuf, sync::Arc};

use strongroom_verify::{Digest, Hasher};
use tokio::runtime;

use crate::{
    Cache, FetchError, Limits, Location, Policy, Progress, Proof, Remote, Resolve, Step, System,
    answer::Answer,
    body::{self, Sink},
    cache::{Stamp, key_of},
    exchange::Asker,
    partial::{self, Partial},
    watch::Watch,
};

/// What to do about a file that the cache has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recheck {
    /// Hash it again.
    Now,
    /// Leave it to the caller, who hashes it while loading and asks again with `Now` where it is no
    /// longer what it was, or what is proved. Where the proof is a digest that isn't SHA-256 it is
    /// hashed all the same.
    WhenLoaded,
}

/// A file in the cache.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Its digest, under which the cache has it.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Whether it was there already, or another process fetched it meanwhile.
    pub cached: bool,
}

/// Fetches sources into a cache, as a policy allows.
pub struct Fetcher<'a> {
    cache: &'a Cache,
    policy: &'a Policy,
    limits: Limits,
    resolver: Arc<dyn Resolve>,
}

impl fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("cache", &self.cache)
            .field("policy", &self.policy)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<'a> Fetcher<'a> {
    /// With the default limits and the system's resolver.
    pub fn new(cache: &'a Cache, policy: &'a Policy) -> Self {
        Self {
            cache,
            policy,
            limits: Limits::default(),
            resolver: Arc::new(System),
        }
    }

    /// With other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With another resolver.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Gets `remote` into the cache, or finds it there. `progress` is called in this thread.
    ///
    /// Only what came from this very source counts as found.
    ///
    /// A source that the policy doesn't allow is refused, also where the cache has it. Must not be
    /// called from within an asynchronous runtime.
    ///
    /// # Errors
    /// [`FetchError`]. What is whole and proved is then in the cache as before; what is under way
    /// stays there to be gone on with, unless it was refused.
    pub fn fetch(
        &self,
        remote: &Remote,
        mut proof: Proof<'_>,
        recheck: Recheck,
        progress: Progress<'_>,
    ) -> Result<Fetched, FetchError> {
        let location = self.policy.permit(remote)?;
        let mut watch = Watch::new(location.to_string(), self.limits.total, progress);
        // What the cache has from elsewhere is not from here, though it be the same: a policy may
        // hold a model to where it came from. The host is then asked.
        let before = self.cache.noted(&key_of(&location))?;
        if let Some((noted, _)) = &before
            && proof.may_be(noted)
            && let Some(found) = self.cached(noted, &mut proof, recheck, &mut watch)?
        {
            return Ok(found);
        }
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| FetchError::no_room(&location, &error))?;
        let before = before.map(|(_, stamp)| stamp);
        let fetched =
            runtime.block_on(self.shared(&location, &mut proof, recheck, before, &mut watch));
        // A resolver that never answers holds nobody up.
        runtime.shutdown_background();
        fetched
    }

    /// Downloads, or waits for another process that does. What was noted `before` isn't it.
    async fn shared(
        &self,
        location: &Location,
        proof: &mut Proof<'_>,
        recheck: Recheck,
        before: Option<Stamp>,
        watch: &mut Watch<'_>,
    ) -> Result<Fetched, FetchError> {
        let key = key_of(location);
        let lock = loop {
            if let Some(lock) = self.cache.partial.lock(&partial::lock(&key))? {
                break lock;
            }
            watch
                .pause(Step::Waiting(partial::size(self.cache, &key)))
                .await?;
        };
        // The answer may have come to another process since.
        if let Some((digest, stamp)) = self.cache.noted(&key)?
            && before != Some(stamp)
            && let Some(found) = self.cached(&digest, proof, recheck, watch)?
        {
            return Ok(found);
        }
        let fetched = self.download(location, &key, proof, watch).await;
        drop(lock);
        fetched
    }

    /// A file of the cache, if it is there and proved; one that isn't what its name says is removed.
    fn cached(
        &self,
        sha256: &Digest,
        proof: &mut Proof<'_>,
        recheck: Recheck,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Fetched>, FetchError> {
        let Some(mut file) = self.cache.find(sha256)? else {
            return Ok(None);
        };
        let path = self.cache.path_of(sha256);
        let size = file
            .metadata()
            .map_err(|error| FetchError::io("examine", path.clone(), error))?
            .len();
        let left = recheck == Recheck::WhenLoaded && proof.is_left_to_loading(sha256);
        if !left {
            let digests = Self::digests(&mut file, size, &path, proof, watch)?;
            if sha256.verify(&digests[0]).is_err() {
                self.cache.discard(sha256)?;
                return Ok(None);
            }
            match proof.verify(&digests, &file) {
                Ok(()) => {}
                // Sound, but of another version than the one that is wanted.
                Err(error) if is_of_the_bytes(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Fetched {
            path,
            sha256: *sha256,
            size,
            cached: true,
        }))
    }

    fn digests(
        file: &mut File,
        size: u64,
        path: &std::path::Path,
        proof: &Proof<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Digest>, FetchError> {
        watch.tell(Step::Checking(0, size))?;
        let mut hashers: Vec<Hasher> = proof.algorithms().into_iter().map(Hasher::new).collect();
        partial::hash(file, size, &mut hashers, watch)
            .map_err(|error| error.of(|error| FetchError::io("read", path.to_owned(), error)))?;
        Ok(hashers.into_iter().map(Hasher::finish).collect())
    }

    /// Downloads what is missing, and all of it where what was there turns out to be something else.
    async fn download(
        &self,
        location: &Location,
        key: &str,
        proof: &mut Proof<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Fetched, FetchError> {
        let mut partial = Partial::open(self.cache, key, proof.algorithms(), watch)?;
        let resumed = self.receive(location, &mut partial, watch).await?;
        let (mut digests, file) = partial.whole()?;
        let mut verdict = proof.verify(&digests, file);
        if resumed && verdict.as_ref().is_err_and(is_of_the_bytes) {
            // Its first part may be from another version, or damaged since: once more, from the
            // start.
            partial.discard()?;
            partial = Partial::open(self.cache, key, proof.algorithms(), watch)?;
            self.receive(location, &mut partial, watch).await?;
            let (again, file) = partial.whole()?;
            verdict = proof.verify(&again, file);
            digests = again;
        }
        if let Err(refusal) = verdict {
            if is_of_the_bytes(&refusal) {
                partial.discard()?;
            }
            return Err(refusal);
        }
        let (sha256, size) = (digests[0], partial.received());
        partial.install(&sha256)?;
        self.cache.note(key, &sha256)?;
        Ok(Fetched {
            path: self.cache.path_of(&sha256),
            sha256,
            size,
            cached: false,
        })
    }

    /// Receives until the file is whole; whether it went on with what was there.
    async fn receive(
        &self,
        location: &Location,
        partial: &mut Partial<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<bool, FetchError> {
        let asker = Asker {
            policy: self.policy,
            limits: &self.limits,
            resolver: &self.resolver,
        };
        if partial.is_complete() {
            return Ok(true);
        }
        let rest = partial.rest();
        let mut exchange = asker.ask(location, rest.as_ref(), watch).await?;
        if exchange.answer == Answer::StartOver {
            partial.start_over()?;
            exchange = asker.ask(location, None, watch).await?;
        }
        let (length, resumed) = match (&exchange.answer, rest) {
            (Answer::Whole { length, validator }, _) => {
                let length = *length;
                partial.begin(length, validator.clone())?;
                (length, false)
            }
            (Answer::Part, Some(rest)) => (Some(rest.length), true),
            // `judge` answers neither to a request for the whole, and `ask` follows redirects.
            _ => {
                return Err(FetchError::Protocol {
                    url: exchange.url,
                    reason: "an answer to another question".to_owned(),
                });
            }
        };
        body::receive(exchange, length, partial, &self.limits, watch).await?;
        Ok(resumed)
    }
}

/// Whether it is the bytes that a refusal speaks against.
const fn is_of_the_bytes(refusal: &FetchError) -> bool {
    match refusal {
        FetchError::Unproved(unproved) => !unproved.kept,
        FetchError::Checksum(_) => true,
        _ => false,
    }
}
