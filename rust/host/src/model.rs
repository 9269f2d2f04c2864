//! A model that is loaded in a worker.

use std::ops::ControlFlow;

use strongroom_memory::Image;
use strongroom_protocol::{Generate, Ready, Report};

use crate::{Config, HostError, Stream};

/// A model that is loaded in a worker, which is replaced when it dies. Dropping it closes it.
#[derive(Debug)]
pub struct Model {}

impl Model {
    /// Starts a worker and waits until it is ready.
    pub fn start(image: &Image, config: Config) -> Result<Self, HostError> {
        Self::start_while(image, config, &mut || ControlFlow::Continue(()))
    }

    /// Like [`start`](Self::start); `go_on` is called in this thread some 20 times a second, and its
    /// `Break` ends the worker.
    ///
    /// # Errors
    /// Also [`HostError::LoadCancelled`].
    pub fn start_while(
        _image: &Image,
        _config: Config,
        _go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Self, HostError> {
        Err(HostError::Unloaded)
    }

    /// What llama.cpp made of the image, in the latest worker.
    pub fn ready(&self) -> Result<Ready, HostError> {
        Err(HostError::Unloaded)
    }

    /// What is in force in the latest worker.
    pub fn report(&self) -> Result<Report, HostError> {
        Err(HostError::Unloaded)
    }

    /// The latest worker's process id.
    pub fn pid(&self) -> Result<u32, HostError> {
        Err(HostError::Unloaded)
    }

    /// How often the worker was replaced.
    pub fn restarts(&self) -> Result<u64, HostError> {
        Err(HostError::Unloaded)
    }

    /// Asks for an answer. `request` in the order is chosen here. Never waits.
    pub fn generate(&self, _order: Generate) -> Result<Stream, HostError> {
        Err(HostError::Unloaded)
    }

    /// The token ids of `text`, special tokens not parsed; waits at most the request timeout.
    pub fn tokenize(&self, _text: &str) -> Result<Vec<u32>, HostError> {
        Err(HostError::Unloaded)
    }

    /// Ends the worker and waits until it is gone; every request still held ends with
    /// [`HostError::Unloaded`]. A second call does nothing.
    pub fn close(&self) -> Result<(), HostError> {
        Ok(())
    }
}
