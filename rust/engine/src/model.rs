//! A loaded model.

use std::{ffi::CStr, ptr, ptr::NonNull, sync::Arc};

use llama_cpp_sys_2 as sys;

use crate::{EngineError, ImageFile, Vocabulary, backend, ffi, log};

/// A model in memory. Its weights are pages of the image, read-only and shared with every other
/// process that maps it.
#[derive(Debug, Clone)]
pub struct Model {
    handle: Arc<Handle>,
}

/// The model and what it reads from; freed in this order.
#[derive(Debug)]
pub(crate) struct Handle {
    model: NonNull<sys::llama_model>,
    _image: ImageFile,
}

impl Model {
    /// Lets llama.cpp parse `image` and map its weights.
    ///
    /// Weights are not repacked: that would copy them into private memory, outside of the seal.
    /// Their values are not searched for NaN (llama.cpp's `check_tensors` reads every byte, a
    /// second per gigabyte): a NaN that reaches the logits refuses the request instead.
    ///
    /// # Errors
    /// [`EngineError::Load`] with llama.cpp's reason, or [`EngineError::Context`] if that is memory.
    pub fn load(image: ImageFile) -> Result<Self, EngineError> {
        backend::init();
        // SAFETY: the call only fills a structure.
        let mut params = unsafe { sys::llama_model_default_params() };
        params.n_gpu_layers = 0;
        params.load_mode = sys::LLAMA_LOAD_MODE_MMAP;
        params.use_extra_bufts = false;
        params.check_tensors = false;
        params.progress_callback = Some(quiet);
        let (model, error) = log::first_error_of(|| {
            // SAFETY: the stream is open, and outlives the model; llama.cpp leaves it open.
            unsafe { ffi::llama_model_load_from_file_ptr(image.as_ptr(), params) }
        });
        let model = NonNull::new(model).ok_or_else(|| {
            if log::memory_ran_out() {
                EngineError::Context { detail: error }
            } else {
                EngineError::Load { detail: error }
            }
        })?;
        let model = Self {
            handle: Arc::new(Handle {
                model,
                _image: image,
            }),
        };
        model.require_decoder()?;
        Ok(model)
    }

    /// Refuses what loads but can't answer.
    fn require_decoder(&self) -> Result<(), EngineError> {
        let pointer = self.as_ptr();
        // SAFETY: the model is loaded; the calls only read it.
        let decodes = unsafe { sys::llama_model_has_decoder(pointer) };
        // SAFETY: as above.
        let encodes = unsafe { sys::llama_model_has_encoder(pointer) };
        // SAFETY: as above.
        let diffuses = unsafe { sys::llama_model_is_diffusion(pointer) };
        if !decodes || encodes || diffuses {
            return Err(EngineError::Load {
                detail: "the architecture doesn't continue text token by token".to_owned(),
            });
        }
        if self.context_trained() == 0 {
            return Err(EngineError::Load {
                detail: "the model has no context length".to_owned(),
            });
        }
        Ok(())
    }

    /// Tokens of context that it was trained with.
    pub fn context_trained(&self) -> u32 {
        // SAFETY: the model is loaded; the call only reads it.
        let tokens = unsafe { sys::llama_model_n_ctx_train(self.as_ptr()) };
        u32::try_from(tokens).unwrap_or(0)
    }

    /// Whether what a sequence leaves lies in cells of its own. It doesn't where the model keeps a
    /// state that runs along (Mamba, RWKV, hybrids).
    pub fn is_erasable_by_sequence(&self) -> bool {
        // SAFETY: the model is loaded; the call only reads it.
        let recurrent = unsafe { sys::llama_model_is_recurrent(self.as_ptr()) };
        // SAFETY: as above.
        let hybrid = unsafe { sys::llama_model_is_hybrid(self.as_ptr()) };
        !recurrent && !hybrid
    }

    /// Numbers of a vector that it makes of a text.
    pub fn dimensions(&self) -> u32 {
        // SAFETY: the model is loaded; the call only reads it.
        let numbers = unsafe { sys::llama_model_n_embd_out(self.as_ptr()) };
        u32::try_from(numbers).unwrap_or(0)
    }

    /// Tokens of the sliding window that some of its layers have; 0 where none has one.
    pub fn sliding_window(&self) -> u32 {
        // SAFETY: the model is loaded; the call only reads it.
        let tokens = unsafe { sys::llama_model_n_swa(self.as_ptr()) };
        u32::try_from(tokens).unwrap_or(0)
    }

    /// Weights, counted.
    pub fn parameters(&self) -> u64 {
        // SAFETY: the model is loaded; the call only reads it.
        unsafe { sys::llama_model_n_params(self.as_ptr()) }
    }

    /// The chat template in the file, if there is one and it is UTF-8.
    pub fn chat_template(&self) -> Option<&str> {
        // SAFETY: the model is loaded; a null name asks for the default template.
        let template = unsafe { sys::llama_model_chat_template(self.as_ptr(), ptr::null()) };
        if template.is_null() {
            return None;
        }
        // SAFETY: llama.cpp returns a string that ends in NUL and lives as long as the model.
        unsafe { CStr::from_ptr(template) }.to_str().ok()
    }

    /// The name of the pre-tokenizer in the file; llama.cpp takes none for "default".
    pub(crate) fn pre_tokenizer(&self) -> String {
        // Longer than every name that is known; what is cut is no known name.
        let mut name = [0_u8; 64];
        // SAFETY: the model is loaded, the key ends in NUL, and `name` has the room that is said.
        let length = unsafe {
            sys::llama_model_meta_val_str(
                self.as_ptr(),
                c"tokenizer.ggml.pre".as_ptr(),
                name.as_mut_ptr().cast(),
                name.len(),
            )
        };
        if length < 0 {
            return "default".to_owned();
        }
        CStr::from_bytes_until_nul(&name)
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Its vocabulary.
    ///
    /// # Errors
    /// [`EngineError::Load`] if there is none.
    pub fn vocabulary(&self) -> Result<Vocabulary, EngineError> {
        Vocabulary::of(self)
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::llama_model {
        self.handle.model.as_ptr()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: this is the last owner; contexts and vocabularies hold a clone of the `Arc`.
        unsafe { sys::llama_model_free(self.model.as_ptr()) };
    }
}

// SAFETY: nothing ties a loaded model to the thread that loaded it: it is plain memory, mapped weights and
// a stream, all of which any thread may free.
unsafe impl Send for Handle {}
// SAFETY: a loaded model is only read: llama.cpp passes it as `const` to everything that is called here
// but to the making of contexts, of which it lets several threads have one each.
unsafe impl Sync for Handle {}

/// Without a callback llama.cpp prints dots.
unsafe extern "C" fn quiet(_: f32, _: *mut std::ffi::c_void) -> bool {
    true
}
