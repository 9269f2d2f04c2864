//! Every `free` and `realloc` of the executable, llama.cpp's and the C++ library's included, goes through
//! `src/memory.rs`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-Wl,--wrap=free,--wrap=realloc");
}
