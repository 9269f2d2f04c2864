//! A model that is loaded in a worker.

use std::{path::PathBuf, sync::Arc};

use pyo3::{prelude::*, types::PyString};
use strongroom_host::Config;
use strongroom_protocol::{
    Embed, Generate, LayerState, PrefixCache, Publish, Ready, Report, Sampling, Task,
};

use crate::{arguments, detach, errors::Error, image::Image, stream::Stream};

/// One layer of a worker's sandbox.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Layer {
    name: &'static str,
    state: &'static str,
    detail: String,
}

impl Layer {
    /// Those of a report.
    pub(crate) fn all(report: Report) -> Vec<Self> {
        let layers = report.layers.into_iter();
        let layer = |layer: strongroom_protocol::Layer| Self {
            name: layer.name.as_str(),
            state: match layer.state {
                LayerState::InForce => "in_force",
                LayerState::Absent => "absent",
                LayerState::Off => "off",
            },
            detail: layer.detail,
        };
        layers.map(layer).collect()
    }
}

/// A worker that serves one image, replaced when it dies. Safe to use from many threads.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Model(Arc<strongroom_host::Model>);

impl Model {
    fn ready(&self) -> Result<Ready, Error> {
        Ok(self.0.ready()?)
    }
}

impl Drop for Model {
    /// Waiting for the end of a worker takes a tenth of a second: other threads go on meanwhile.
    fn drop(&mut self) {
        detach::at_end(|| {
            // Refused in a forked child, where there is nothing to close.
            let _ = self.0.close();
        });
    }
}

#[pymethods]
impl Model {
    /// Starts a worker and waits until it is ready, or `proceed` returns false.
    #[staticmethod]
    #[pyo3(signature = (image, *, executable, isolation, address_space, cores, load_timeout, request_timeout, concurrent_requests, tenant_requests, max_concurrent, batch_tokens, threads, prefix_quota, prefix_tenants, prefix_idle, erase, separate, embeddings, context_length, chat_template, proceed=None))]
    fn start(
        image: &Bound<'_, Image>,
        executable: PathBuf,
        isolation: &str,
        address_space: &Bound<'_, PyAny>,
        cores: &Bound<'_, PyAny>,
        load_timeout: f64,
        request_timeout: f64,
        concurrent_requests: &Bound<'_, PyAny>,
        tenant_requests: Option<&Bound<'_, PyAny>>,
        max_concurrent: &Bound<'_, PyAny>,
        batch_tokens: &Bound<'_, PyAny>,
        threads: Option<&Bound<'_, PyAny>>,
        prefix_quota: &Bound<'_, PyAny>,
        prefix_tenants: &Bound<'_, PyAny>,
        prefix_idle: &Bound<'_, PyAny>,
        erase: bool,
        separate: bool,
        embeddings: Option<&str>,
        context_length: Option<&Bound<'_, PyAny>>,
        chat_template: Option<&Bound<'_, PyString>>,
        proceed: Option<Py<PyAny>>,
    ) -> Result<Self, Error> {
        let refuse = Error::setting;
        let config = Config {
            isolation: arguments::isolation(isolation)?,
            address_space: arguments::integer("address_space", address_space, refuse)?,
            cores: arguments::integer("cores", cores, refuse)?,
            load_timeout: arguments::seconds("load_timeout", load_timeout, refuse)?,
            request_timeout: arguments::seconds("request_timeout", request_timeout, refuse)?,
            concurrent_requests: arguments::integer(
                "concurrent_requests",
                concurrent_requests,
                refuse,
            )?,
            tenant_requests: tenant_requests
                .map(|value| arguments::integer("tenant_requests", value, refuse))
                .transpose()?,
            max_concurrent: arguments::integer("max_concurrent", max_concurrent, refuse)?,
            batch_tokens: arguments::integer("batch_tokens", batch_tokens, refuse)?,
            threads: threads
                .map(|value| arguments::integer("threads", value, refuse))
                .transpose()?,
            prefix_cache: PrefixCache {
                quota: arguments::integer("prefix_cache", prefix_quota, refuse)?,
                tenants: arguments::integer("prefix_cache", prefix_tenants, refuse)?,
                idle_seconds: arguments::integer("prefix_cache", prefix_idle, refuse)?,
            },
            erase,
            separate,
            task: embeddings.map_or(Ok(Task::Generate), arguments::pooling)?,
            context_length: context_length
                .map(|value| arguments::integer("context_length", value, refuse))
                .transpose()?,
            chat_template: chat_template
                .map(|template| arguments::text("chat_template", template))
                .transpose()?,
            ..Config::new(executable)
        };
        let sealed = image.get().sealed();
        let model = detach::interruptible(image.py(), None, |caller| {
            strongroom_host::Model::start_while(sealed, config, &mut || {
                caller.proceed(proceed.as_ref())
            })
        })?;
        Ok(Self(Arc::new(model)))
    }

    /// The sandbox of the worker that serves now, as the worker found it in force.
    fn report(&self) -> Result<Vec<Layer>, Error> {
        Ok(Layer::all(self.0.report()?))
    }

    #[getter]
    fn context_length(&self) -> Result<u32, Error> {
        Ok(self.ready()?.context_length)
    }

    #[getter]
    fn context_trained(&self) -> Result<u32, Error> {
        Ok(self.ready()?.context_trained)
    }

    #[getter]
    fn vocabulary_size(&self) -> Result<u32, Error> {
        Ok(self.ready()?.vocabulary_size)
    }

    #[getter]
    fn parameters(&self) -> Result<u64, Error> {
        Ok(self.ready()?.parameters)
    }

    /// Sequences decoded at once.
    #[getter]
    fn max_concurrent(&self) -> Result<u32, Error> {
        Ok(self.ready()?.max_concurrent)
    }

    /// Numbers of a vector; 0 of a model that answers.
    #[getter]
    fn dimensions(&self) -> Result<u32, Error> {
        Ok(self.ready()?.dimensions)
    }

    /// Compute threads.
    #[getter]
    fn threads(&self) -> Result<u32, Error> {
        Ok(self.ready()?.threads)
    }

    /// Of the worker that serves now, or of the last one.
    #[getter]
    fn pid(&self) -> Result<u32, Error> {
        Ok(self.0.pid()?)
    }

    /// Workers replaced.
    #[getter]
    fn restarts(&self) -> Result<u64, Error> {
        Ok(self.0.restarts()?)
    }

    /// In llama.cpp: parsing the image and making the context.
    #[getter]
    fn load_seconds(&self) -> Result<f64, Error> {
        Ok(crate::stream::seconds(self.ready()?.load_micros))
    }

    /// From the worker's first order to its sandbox in force.
    #[getter]
    fn lock_seconds(&self) -> Result<f64, Error> {
        Ok(crate::stream::seconds(self.ready()?.lock_micros))
    }

    /// Code and detail of why a conversation will be refused, where it will.
    #[getter]
    fn chat_refusal(&self) -> Result<Option<(&'static str, String)>, Error> {
        let refusal = self.ready()?.chat;
        Ok(refusal.map(|fault| (fault.code.as_str(), fault.detail)))
    }

    /// Code and message of why no worker is started until `release()`, where none is.
    #[getter]
    fn quarantine(&self) -> Result<Option<(&'static str, String)>, Error> {
        let quarantined = self.0.quarantined()?;
        Ok(quarantined.map(|error| (error.code(), error.to_string())))
    }

    /// Lets a quarantined model start a worker again; nothing where it isn't quarantined.
    fn release(&self) -> Result<(), Error> {
        Ok(self.0.release()?)
    }

    /// Asks for a continuation of text, or an answer to messages of (role, content, name).
    #[pyo3(signature = (prompt, *, temperature, top_k, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty, seed, logit_bias, stop, max_tokens, timeout, piece_interval, tenant, priority))]
    fn generate(
        &self,
        py: Python<'_>,
        prompt: &Bound<'_, PyAny>,
        temperature: f32,
        top_k: &Bound<'_, PyAny>,
        top_p: f32,
        min_p: f32,
        repeat_penalty: f32,
        presence_penalty: f32,
        frequency_penalty: f32,
        seed: &Bound<'_, PyAny>,
        logit_bias: Vec<(Bound<'_, PyAny>, f32)>,
        stop: Vec<Bound<'_, PyString>>,
        max_tokens: Option<&Bound<'_, PyAny>>,
        timeout: f64,
        piece_interval: Option<f64>,
        tenant: Option<&Bound<'_, PyAny>>,
        priority: &str,
    ) -> Result<Stream, Error> {
        let refuse = Error::option;
        let timeout = arguments::seconds("timeout", timeout, refuse)?;
        let piece_interval = piece_interval
            .map(|seconds| arguments::seconds("piece_interval", seconds, refuse))
            .transpose()?;
        let order = Generate {
            request: 0, // The host numbers the requests.
            prompt: arguments::prompt(prompt)?,
            sampling: Sampling {
                logit_bias: logit_bias
                    .into_iter()
                    .map(|(token, bias)| {
                        Ok((arguments::integer("logit_bias", &token, refuse)?, bias))
                    })
                    .collect::<Result<_, Error>>()?,
                repeat_penalty,
                presence_penalty,
                frequency_penalty,
                top_k: arguments::integer("top_k", top_k, refuse)?,
                top_p,
                min_p,
                temperature,
                seed: arguments::integer("seed", seed, refuse)?,
            },
            max_tokens: max_tokens
                .map(|value| arguments::integer("max_tokens", value, refuse))
                .transpose()?,
            stop: stop
                .iter()
                .map(|text| {
                    let text = arguments::text("stop", text)
                        .map_err(|_| refuse("stop", "holds a lone surrogate"))?;
                    Ok(text.into())
                })
                .collect::<Result<_, Error>>()?,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            // None is one piece at the end: no time that the worker can measure.
            piece_interval_ms: piece_interval.map_or(u32::MAX, |time| {
                u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
            }),
            tenant: None, // The host knows the tenant's key.
            priority: arguments::priority(priority)?,
        };
        let tenant = tenant.map(arguments::tenant).transpose()?;
        let stream = detach::run(py, || self.0.generate_for(tenant.as_ref(), order))?;
        Ok(Stream::new(stream))
    }

    /// Asks for the vectors of some texts; the stream yields `Began`, then `Embedded`.
    #[pyo3(signature = (texts, *, normalize, timeout, tenant, priority))]
    fn embed(
        &self,
        py: Python<'_>,
        texts: Vec<Bound<'_, PyString>>,
        normalize: bool,
        timeout: f64,
        tenant: Option<&Bound<'_, PyAny>>,
        priority: &str,
    ) -> Result<Stream, Error> {
        let timeout = arguments::seconds("timeout", timeout, Error::option)?;
        let order = Embed {
            request: 0,
            texts: texts
                .iter()
                .map(|text| Ok(arguments::text("the text", text)?.into()))
                .collect::<Result<_, Error>>()?,
            normalize,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            tenant: None,
            priority: arguments::priority(priority)?,
        };
        let tenant = tenant.map(arguments::tenant).transpose()?;
        let stream = detach::run(py, || self.0.embed(tenant.as_ref(), order))?;
        Ok(Stream::new(stream))
    }

    /// Asks for a prefix that every tenant may begin with; the stream yields `Began`, then `Published`.
    #[pyo3(signature = (prompt, *, timeout))]
    fn publish(
        &self,
        py: Python<'_>,
        prompt: &Bound<'_, PyAny>,
        timeout: f64,
    ) -> Result<Stream, Error> {
        let timeout = arguments::seconds("timeout", timeout, Error::option)?;
        let order = Publish {
            request: 0,
            prompt: arguments::prompt(prompt)?,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        };
        let stream = detach::run(py, || self.0.publish(order))?;
        Ok(Stream::new(stream))
    }

    /// Ids of plain text; special tokens in it are not parsed. BOS as the model says.
    #[pyo3(signature = (text, *, timeout))]
    fn tokenize(&self, text: &Bound<'_, PyString>, timeout: f64) -> Result<Vec<u32>, Error> {
        let model = Arc::clone(&self.0);
        let plain = arguments::text("the text", text)?;
        let timeout = arguments::seconds("timeout", timeout, Error::option)?;
        detach::abandonable(text.py(), move || model.tokenize_within(&plain, timeout))
    }

    /// Ends the worker and its requests. Again is nothing; other methods then raise.
    fn close(&self, py: Python<'_>) -> Result<(), Error> {
        Ok(detach::run(py, || self.0.close())?)
    }
}
