//! Where a decode leaves its traces, so that they can be erased, sequence by sequence.
//!
//! A tensor of the key-value cache has the dimensions (width of a cell, cells, sequences): what one
//! sequence left lies in one piece, from its first cell on. Values are kept the other way round,
//! cell by cell within each of their numbers, where flash attention is off.

use std::{cell::RefCell, ffi::CStr, ffi::c_void, slice};

use llama_cpp_sys_2 as sys;

/// The memory that the computations of one context write to. llama.cpp doesn't name it, so it is
/// read off the tensors of each computation.
#[derive(Debug, Default)]
pub(crate) struct Buffers(RefCell<Found>);

#[derive(Debug, Default)]
struct Found {
    /// The tensors of the key-value cache; they live as long as the context.
    cache: Vec<*mut sys::ggml_tensor>,
    /// The buffers of intermediate results; valid until the next computation.
    compute: Vec<sys::ggml_backend_buffer_t>,
    /// A computation used flash attention.
    flash: bool,
}

impl Buffers {
    /// For `cb_eval`: asks for no data, so that the graph is computed in one go as without it.
    ///
    /// # Safety
    /// `data` points to a `Buffers` and `tensor` to a node of the graph that is being computed.
    pub(crate) unsafe extern "C" fn observe(
        tensor: *mut sys::ggml_tensor,
        _ask: bool,
        data: *mut c_void,
    ) -> bool {
        // SAFETY: the context was made with a pointer to its `Buffers`, which outlives it.
        let buffers = unsafe { &*data.cast::<Self>() };
        // SAFETY: llama.cpp passes a node of the graph.
        let node = unsafe { &*tensor };
        if let Ok(mut found) = buffers.0.try_borrow_mut() {
            found.flash |= node.op == sys::GGML_OP_FLASH_ATTN_EXT;
            found.add(tensor);
            for &source in node.src.iter().filter(|source| !source.is_null()) {
                found.add(source);
            }
        }
        false
    }

    /// Forgets the buffers of intermediate results: the next computation may replace them.
    pub(crate) fn forget_compute(&self) {
        self.0.borrow_mut().compute.clear();
    }

    /// Overwrites the intermediate results of the last computation.
    ///
    /// # Safety
    /// The context that was observed is alive and idle, and no buffer was forgotten since.
    pub(crate) unsafe fn erase_compute(&self) {
        for &buffer in &self.0.borrow().compute {
            // SAFETY: the buffer belongs to the context, by the caller's word, and holds nothing
            // that a computation doesn't write first.
            unsafe { sys::ggml_backend_buffer_clear(buffer, 0) };
        }
    }

    /// Overwrites the first `cells` cells that a sequence has in the key-value cache, and no other's.
    ///
    /// # Safety
    /// The context that was observed is alive and idle.
    pub(crate) unsafe fn erase_sequence(&self, sequence: usize, cells: usize) {
        let found = self.0.borrow();
        for &tensor in &found.cache {
            // SAFETY: the tensor is alive, by the caller's word.
            let Some((offset, size)) = (unsafe { found.place(tensor, sequence, cells) }) else {
                continue;
            };
            if size > 0 {
                // SAFETY: as above; the place lies inside the tensor.
                unsafe { sys::ggml_backend_tensor_memset(tensor, 0, offset, size) };
            }
        }
    }

    /// A copy of what a sequence left in the key-value cache.
    ///
    /// # Safety
    /// As for [`Self::erase_sequence`].
    pub(crate) unsafe fn contents_of(&self, sequence: usize) -> Vec<u8> {
        let found = self.0.borrow();
        let mut contents = Vec::new();
        for &tensor in &found.cache {
            // SAFETY: the tensor is alive, by the caller's word.
            if let Some((offset, size)) = unsafe { found.place(tensor, sequence, usize::MAX) } {
                // SAFETY: as above; the place lies inside the tensor.
                contents.extend(unsafe { bytes_of(tensor, offset, size) });
            }
        }
        contents
    }

    /// A copy of everything that lies there.
    ///
    /// # Safety
    /// As for [`Self::erase_compute`].
    pub(crate) unsafe fn contents(&self) -> Vec<u8> {
        let found = self.0.borrow();
        let mut contents = Vec::new();
        for &tensor in &found.cache {
            // SAFETY: the tensor is alive, by the caller's word.
            let size = unsafe { sys::ggml_nbytes(tensor) };
            // SAFETY: as above.
            contents.extend(unsafe { bytes_of(tensor, 0, size) });
        }
        for &buffer in &found.compute {
            // SAFETY: the buffer is alive, by the caller's word.
            let base = unsafe { sys::ggml_backend_buffer_get_base(buffer) };
            // SAFETY: as above.
            let size = unsafe { sys::ggml_backend_buffer_get_size(buffer) };
            // SAFETY: the buffers of the CPU are memory of this process, `size` bytes from `base`.
            contents.extend_from_slice(unsafe { slice::from_raw_parts(base.cast(), size) });
        }
        contents
    }
}

/// A copy of a part of a tensor.
///
/// # Safety
/// The tensor is alive and idle, and the part lies inside of it.
unsafe fn bytes_of(tensor: *mut sys::ggml_tensor, offset: usize, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    // SAFETY: `bytes` has room for `size` bytes; the rest is the caller's word.
    unsafe { sys::ggml_backend_tensor_get(tensor, bytes.as_mut_ptr().cast(), offset, size) };
    bytes
}

impl Found {
    /// Where in a tensor the first `cells` cells of a sequence lie: offset and size, in bytes.
    ///
    /// # Safety
    /// The tensor is alive.
    unsafe fn place(
        &self,
        tensor: *mut sys::ggml_tensor,
        sequence: usize,
        cells: usize,
    ) -> Option<(usize, usize)> {
        // SAFETY: by the caller's word; nobody writes to it during the call.
        let tensor = unsafe { &*tensor };
        let sequences = usize::try_from(tensor.ne[2]).ok()?;
        let most = usize::try_from(tensor.ne[1]).ok()?;
        if sequence >= sequences {
            return None;
        }
        // SAFETY: a tensor's name ends in NUL.
        let name = unsafe { CStr::from_ptr(tensor.name.as_ptr()) };
        let transposed = !self.flash && name.to_bytes().starts_with(b"cache_v");
        let cells = if transposed { most } else { cells.min(most) };
        Some((sequence * tensor.nb[2], cells * tensor.nb[1]))
    }

    fn add(&mut self, tensor: *mut sys::ggml_tensor) {
        // SAFETY: a node or a source of a graph that is being computed.
        let given = unsafe { &*tensor };
        // A view's source is never a view itself.
        let root = if given.view_src.is_null() {
            tensor
        } else {
            given.view_src
        };
        // SAFETY: as above.
        let buffer = unsafe { (*root).buffer };
        if buffer.is_null() || self.compute.contains(&buffer) {
            return;
        }
        // SAFETY: the buffer of a tensor is alive while it is computed with.
        let usage = unsafe { sys::ggml_backend_buffer_get_usage(buffer) };
        if usage == sys::GGML_BACKEND_BUFFER_USAGE_COMPUTE {
            self.compute.push(buffer);
        } else if usage != sys::GGML_BACKEND_BUFFER_USAGE_WEIGHTS && !self.cache.contains(&root) {
            // SAFETY: as above; nobody writes to it during the call.
            let name = unsafe { &(*root).name };
            // SAFETY: a tensor's name ends in NUL.
            let name = unsafe { CStr::from_ptr(name.as_ptr()) };
            if name.to_bytes().starts_with(b"cache_") {
                self.cache.push(root);
            }
        }
    }
}
