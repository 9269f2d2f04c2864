pub fn init() { unsafe { llama_cpp_sys_2::llama_backend_init() } }
