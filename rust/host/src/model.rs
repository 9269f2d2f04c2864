//! A model that is loaded in a worker.

use std::{
    ops::ControlFlow,
    process,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use strongroom_memory::Image;
use strongroom_protocol::{
    Embed, Generate, MAX_MESSAGES, MAX_SEQUENCES, MAX_TEXT, Order, Prompt, Publish, Ready, Report,
    Tenant,
};

use crate::{
    Config, HostError, Stream, TenantName,
    desk::{Desk, Kind, Life},
    isolation,
    slot::{End, Taken},
    supervisor::Supervisor,
    tenant::Served,
};

/// How often the caller of [`Model::start_while`] is asked whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A model that is loaded in a worker, which is replaced when it dies. Dropping it closes it.
///
/// It may be used from many threads. After a fork every call in the child fails with
/// [`HostError::Forked`]: the worker is the parent's.
#[derive(Debug)]
pub struct Model {
    creator: u32,
    desk: Arc<Desk>,
    served: Served,
    separate: bool,
    request_timeout: Duration,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

/// Who all are taken for where tenants aren't kept apart.
const EVERYBODY: Tenant = Tenant([0; 32]);

impl Model {
    /// Starts a worker and waits until it is ready.
    ///
    /// # Errors
    /// The machine can't give the isolation, or the worker can't start, lock itself in or load the
    /// image: `sandbox.*`, `load.*`, `worker.*`.
    pub fn start(image: &Image, config: Config) -> Result<Self, HostError> {
        Self::start_while(image, config, &mut || ControlFlow::Continue(()))
    }

    /// Like [`start`](Self::start); `go_on` is called in this thread some 20 times a second, and its
    /// `Break` ends the worker.
    ///
    /// # Errors
    /// Also [`HostError::LoadCancelled`].
    pub fn start_while(
        image: &Image,
        config: Config,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Self, HostError> {
        let option = |option, reason: &str| HostError::Option {
            option,
            reason: reason.to_owned(),
        };
        if config.concurrent_requests == 0 {
            return Err(option("concurrent_requests", "must be at least 1"));
        }
        if !(1..=MAX_SEQUENCES).contains(&config.max_concurrent) {
            return Err(option("max_concurrent", "must be from 1 to 128"));
        }
        if config.batch_tokens == 0 {
            return Err(option("batch_tokens", "must be at least 1"));
        }
        if config.tenant_requests == Some(0) {
            return Err(option("tenant_requests", "must be at least 1"));
        }
        if config.cores == 0 {
            return Err(option("cores", "must be at least 1"));
        }
        let machine = isolation::machine(config.isolation)?;
        let executable = config.executable.clone();
        let not_started = |error: std::io::Error| HostError::not_started(&executable, &error);
        let desk = Desk::new(config.concurrent_requests, config.tenant_requests);
        let desk = Arc::new(desk.map_err(not_started)?);
        let served = Served {
            digest: image.digest().to_string(),
            chat_template: config.chat_template.clone(),
            secret: OnceLock::new(),
        };
        let (request_timeout, separate) = (config.request_timeout, config.separate);
        let supervisor = Supervisor::new(Arc::clone(&desk), image.clone(), config, &machine);
        let thread = thread::Builder::new()
            .name("strongroom-host".to_owned())
            .spawn(move || supervisor.run())
            .map_err(not_started)?;
        let model = Self {
            creator: process::id(),
            desk,
            served,
            separate,
            request_timeout,
            supervisor: Mutex::new(Some(thread)),
        };
        loop {
            match model.desk.wait_ready(ASK_EVERY) {
                Some(outcome) => return outcome.map(|()| model),
                None if go_on().is_break() => return Err(HostError::LoadCancelled),
                None => {}
            }
        }
    }

    /// What llama.cpp made of the image, in the latest worker; also of a model whose worker can't
    /// be replaced any more.
    ///
    /// # Errors
    /// [`HostError::Unloaded`], [`HostError::Forked`].
    pub fn ready(&self) -> Result<Ready, HostError> {
        Ok(self.life()?.0.ready)
    }

    /// What is in force in the latest worker, or was.
    ///
    /// # Errors
    /// [`HostError::Unloaded`], [`HostError::Forked`].
    pub fn report(&self) -> Result<Report, HostError> {
        Ok(self.life()?.0.ready.report)
    }

    /// The latest worker's process id, which may be gone.
    ///
    /// # Errors
    /// [`HostError::Unloaded`], [`HostError::Forked`].
    pub fn pid(&self) -> Result<u32, HostError> {
        Ok(self.life()?.0.pid)
    }

    /// How often the worker was replaced.
    ///
    /// # Errors
    /// [`HostError::Unloaded`], [`HostError::Forked`].
    pub fn restarts(&self) -> Result<u64, HostError> {
        Ok(self.life()?.1)
    }

    /// Why no worker is started and every request refused, until [`release`](Self::release).
    ///
    /// # Errors
    /// [`HostError::Forked`].
    pub fn quarantined(&self) -> Result<Option<HostError>, HostError> {
        self.same_process()?;
        Ok(self.desk.quarantined())
    }

    /// Lets a quarantined model start a worker again; nothing where it isn't quarantined.
    ///
    /// # Errors
    /// [`HostError::Forked`], or why the model is over.
    pub fn release(&self) -> Result<(), HostError> {
        self.same_process()?;
        self.desk.release()
    }

    /// Asks for an answer, for nobody in particular; never waits. The order's `request` is chosen here.
    ///
    /// # Errors
    /// [`HostError::TextTooLong`], [`HostError::TooManyMessages`], [`HostError::Option`] for a timeout of
    /// nothing or over `request_timeout`, [`HostError::Busy`], or why the model is over or quarantined. What the worker
    /// refuses comes as the stream's end.
    pub fn generate(&self, order: Generate) -> Result<Stream, HostError> {
        self.generate_for(None, order)
    }

    /// The same for a tenant; the order's `tenant` is chosen here.
    ///
    /// # Errors
    /// Also [`HostError::TenantBusy`] and [`HostError::Memory`].
    pub fn generate_for(
        &self,
        tenant: Option<&TenantName>,
        mut order: Generate,
    ) -> Result<Stream, HostError> {
        let (bytes, timeout) = (text_of(&order.prompt)?, order.timeout_ms);
        self.ask(tenant, bytes, timeout, |request, tenant| {
            order.request = request;
            order.tenant = tenant;
            Order::Generate(Box::new(order))
        })
    }

    /// Asks for the vectors of some texts; never waits. The order's `request` and `tenant` are chosen
    /// here.
    ///
    /// # Errors
    /// As [`generate_for`](Self::generate_for).
    pub fn embed(
        &self,
        tenant: Option<&TenantName>,
        mut order: Embed,
    ) -> Result<Stream, HostError> {
        let bytes = order.texts.iter().map(|text| text.0.len()).sum();
        self.ask(tenant, bytes, order.timeout_ms, |request, tenant| {
            order.request = request;
            order.tenant = tenant;
            Order::Embed(Box::new(order))
        })
    }

    /// Asks for a prefix that every tenant may begin with; never waits. A worker that takes this one's
    /// place reads it again. The order's `request` is chosen here.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn publish(&self, mut order: Publish) -> Result<Stream, HostError> {
        let (bytes, timeout) = (text_of(&order.prompt)?, order.timeout_ms);
        self.ask(None, bytes, timeout, |request, _| {
            order.request = request;
            Order::Publish(Box::new(order))
        })
    }

    fn ask(
        &self,
        tenant: Option<&TenantName>,
        bytes: usize,
        timeout_ms: u64,
        order: impl FnOnce(u64, Option<Tenant>) -> Order,
    ) -> Result<Stream, HostError> {
        self.same_process()?;
        check_length(bytes)?;
        let timeout = Duration::from_millis(timeout_ms);
        self.check_timeout(timeout)?;
        let tenant = tenant
            .map(|tenant| self.served.key_of(tenant))
            .transpose()?;
        let known = if self.separate {
            tenant
        } else {
            Some(EVERYBODY)
        };
        let slot = self
            .desk
            .submit(Kind::Generate, tenant, timeout, |request| {
                order(request, known)
            })?;
        Ok(Stream::new(self.creator, slot, Arc::clone(&self.desk)))
    }

    /// The token ids of `text`, special tokens not parsed; waits at most the request timeout.
    ///
    /// # Errors
    /// As [`generate`](Self::generate), and what the worker refuses.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>, HostError> {
        self.tokenize_within(text, self.request_timeout)
    }

    /// As [`tokenize`](Self::tokenize), but waits for `timeout` at most.
    ///
    /// # Errors
    /// As it has, and [`HostError::Option`] for a timeout of nothing or over the request timeout.
    pub fn tokenize_within(&self, text: &str, timeout: Duration) -> Result<Vec<u32>, HostError> {
        self.same_process()?;
        check_length(text.len())?;
        self.check_timeout(timeout)?;
        let slot = self
            .desk
            .submit(Kind::Tokenize, None, timeout, |request| Order::Tokenize {
                request,
                text: text.into(),
            })?;
        // The supervisor ends every request by its deadline.
        match slot.wait(None) {
            Taken::End(End::Tokens(ids)) => Ok(ids),
            Taken::End(End::Failed(error)) => Err(error),
            Taken::End(End::Finished) | Taken::Update(_) | Taken::Nothing => {
                Err(HostError::Unloaded)
            }
        }
    }

    /// Ends the worker and waits until it is gone; every request that is still held ends with
    /// [`HostError::Unloaded`]. A second call does nothing.
    ///
    /// # Errors
    /// [`HostError::Forked`].
    pub fn close(&self) -> Result<(), HostError> {
        self.same_process()?;
        self.desk.close();
        let mut supervisor = self
            .supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = supervisor.take() {
            // It catches its own panics.
            let _ = thread.join();
        }
        Ok(())
    }

    fn check_timeout(&self, timeout: Duration) -> Result<(), HostError> {
        if timeout.is_zero() || timeout > self.request_timeout {
            return Err(HostError::Option {
                option: "timeout",
                reason: format!("must be above 0 and at most {:?}", self.request_timeout),
            });
        }
        Ok(())
    }

    fn life(&self) -> Result<(Life, u64), HostError> {
        self.same_process()?;
        self.desk.life()
    }

    fn same_process(&self) -> Result<(), HostError> {
        if process::id() == self.creator {
            Ok(())
        } else {
            Err(HostError::Forked)
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // In a forked child there is nothing to close.
        let _ = self.close();
    }
}

/// Bytes of text, of messages that are not too many.
fn text_of(prompt: &Prompt) -> Result<usize, HostError> {
    let messages = match prompt {
        Prompt::Text(text) => return Ok(text.0.len()),
        Prompt::Chat(messages) => messages,
    };
    if messages.len() > MAX_MESSAGES {
        return Err(HostError::TooManyMessages {
            count: messages.len(),
            bound: MAX_MESSAGES,
        });
    }
    let texts = messages.iter().map(|message| {
        message.content.0.len() + message.name.as_ref().map_or(0, |name| name.0.len())
    });
    Ok(texts.sum())
}

const fn check_length(bytes: usize) -> Result<(), HostError> {
    if bytes > MAX_TEXT {
        return Err(HostError::TextTooLong {
            bytes,
            bound: MAX_TEXT,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use strongroom_protocol::{Private, Sampling};

    use super::*;

    fn order() -> Generate {
        Generate {
            request: 0,
            prompt: Prompt::Text(Private(String::new())),
            sampling: Sampling {
                logit_bias: Vec::new(),
                repeat_penalty: 1.0,
                presence_penalty: 0.0,
                frequency_penalty: 0.0,
                top_k: 0,
                top_p: 1.0,
                min_p: 0.0,
                temperature: 0.0,
                seed: 0,
            },
            max_tokens: None,
            stop: Vec::new(),
            timeout_ms: 1,
            piece_interval_ms: 0,
            tenant: None,
            priority: strongroom_protocol::Priority::Normal,
        }
    }

    /// As a child sees it after a fork: what it holds was made by another process, whose threads
    /// are not there to let go of a lock.
    #[test]
    fn after_a_fork_every_call_fails_and_touches_no_lock() {
        let desk = Arc::new(Desk::new(1, None).unwrap());
        let bell = Arc::new(crate::Bell::new().unwrap());
        let model = Model {
            creator: process::id() + 1,
            desk: Arc::clone(&desk),
            served: Served::default(),
            separate: true,
            request_timeout: Duration::from_secs(1),
            supervisor: Mutex::new(None),
        };
        let slot = desk
            .submit(Kind::Generate, None, Duration::from_secs(1), |request| {
                Order::Cancel { request }
            })
            .unwrap();
        let stream = Stream::new(model.creator, slot, Arc::clone(&desk));
        desk.while_locked(|| {
            assert_eq!(model.ready(), Err(HostError::Forked));
            assert_eq!(model.report(), Err(HostError::Forked));
            assert_eq!(model.pid(), Err(HostError::Forked));
            assert_eq!(model.restarts(), Err(HostError::Forked));
            assert_eq!(model.generate(order()).unwrap_err(), HostError::Forked);
            assert_eq!(model.release(), Err(HostError::Forked));
            assert_eq!(model.quarantined(), Err(HostError::Forked));
            assert_eq!(model.tokenize(""), Err(HostError::Forked));
            assert_eq!(model.close(), Err(HostError::Forked));
            assert_eq!(stream.next(None), Err(HostError::Forked));
            assert_eq!(stream.poll(), Err(HostError::Forked));
            assert_eq!(stream.cancel(), Err(HostError::Forked));
            assert_eq!(stream.watch(bell, 1), Err(HostError::Forked));
            // Neither would return if it waited for the lock that is held here.
            drop(stream);
            drop(model);
        });
    }
}
