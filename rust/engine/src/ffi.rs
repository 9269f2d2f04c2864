//! The functions of llama.cpp that may throw.
//!
//! The bindings declare them `extern "C"`, across which unwinding is undefined. Declared
//! `"C-unwind"` and called from code that is built with `panic = "abort"`, as the worker is, an
//! exception ends in the panic hook instead: "panic in a function that cannot unwind".

use std::ffi::c_char;

use llama_cpp_sys_2 as sys;

unsafe extern "C-unwind" {
    pub(crate) fn llama_model_load_from_file_ptr(
        file: *mut libc::FILE,
        params: sys::llama_model_params,
    ) -> *mut sys::llama_model;

    pub(crate) fn llama_init_from_model(
        model: *mut sys::llama_model,
        params: sys::llama_context_params,
    ) -> *mut sys::llama_context;

    pub(crate) fn llama_decode(ctx: *mut sys::llama_context, batch: sys::llama_batch) -> i32;

    pub(crate) fn llama_get_logits_ith(ctx: *mut sys::llama_context, i: i32) -> *mut f32;

    pub(crate) fn llama_get_logits(ctx: *mut sys::llama_context) -> *mut f32;

    pub(crate) fn llama_get_embeddings_seq(
        ctx: *mut sys::llama_context,
        sequence: sys::llama_seq_id,
    ) -> *mut f32;

    pub(crate) fn llama_memory_clear(memory: sys::llama_memory_t, data: bool);

    pub(crate) fn llama_memory_seq_rm(
        memory: sys::llama_memory_t,
        sequence: sys::llama_seq_id,
        from: sys::llama_pos,
        to: sys::llama_pos,
    ) -> bool;

    pub(crate) fn llama_memory_seq_pos_min(
        memory: sys::llama_memory_t,
        sequence: sys::llama_seq_id,
    ) -> sys::llama_pos;

    pub(crate) fn llama_state_seq_get_size(
        ctx: *mut sys::llama_context,
        sequence: sys::llama_seq_id,
    ) -> usize;

    pub(crate) fn llama_state_seq_get_data(
        ctx: *mut sys::llama_context,
        to: *mut u8,
        size: usize,
        sequence: sys::llama_seq_id,
    ) -> usize;

    pub(crate) fn llama_state_seq_set_data(
        ctx: *mut sys::llama_context,
        from: *const u8,
        size: usize,
        sequence: sys::llama_seq_id,
    ) -> usize;

    pub(crate) fn llama_tokenize(
        vocab: *const sys::llama_vocab,
        text: *const c_char,
        text_len: i32,
        tokens: *mut sys::llama_token,
        n_tokens_max: i32,
        add_special: bool,
        parse_special: bool,
    ) -> i32;

    pub(crate) fn llama_token_to_piece(
        vocab: *const sys::llama_vocab,
        token: sys::llama_token,
        buf: *mut c_char,
        length: i32,
        lstrip: i32,
        special: bool,
    ) -> i32;

    pub(crate) fn llama_vocab_get_text(
        vocab: *const sys::llama_vocab,
        token: sys::llama_token,
    ) -> *const c_char;

    pub(crate) fn llama_vocab_get_attr(
        vocab: *const sys::llama_vocab,
        token: sys::llama_token,
    ) -> sys::llama_token_attr;
}
