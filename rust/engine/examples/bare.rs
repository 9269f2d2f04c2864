//! A bare llama.cpp loop, straight on the bindings: what the engine in its sandbox is measured
//! against.
//!
//! `bare MODEL THREADS CONTEXT`, then one line per run on standard input, one line of JSON per run
//! on standard output:
//!
//! - `run N SAMPLING TEXT`: decodes N tokens after TEXT, in which control tokens are parsed and the
//!   two characters `\n` stand for a line break. SAMPLING is `greedy` or a seed for the engine's
//!   default chain.
//! - `memory`: what the process holds.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]
// A program for measuring, of one piece: its preconditions are those of the command line.
#![allow(clippy::multiple_unsafe_ops_per_block)]

use std::{
    ffi::{CString, c_char, c_void},
    io::BufRead,
    time::Instant,
};

use llama_cpp_sys_2 as sys;

struct Bare {
    vocabulary: *const sys::llama_vocab,
    context: *mut sys::llama_context,
    load_seconds: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, path, threads, context] = &arguments[..] else {
        eprintln!("usage: bare MODEL THREADS CONTEXT");
        std::process::exit(2);
    };
    let bare = Bare::load(path, threads.parse().unwrap(), context.parse().unwrap());
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        if line == "memory" {
            println!("{}", memory());
            continue;
        }
        let mut words = line.splitn(4, ' ');
        assert_eq!(words.next(), Some("run"), "{line}");
        let count = words.next().unwrap().parse().unwrap();
        let seed = words.next().unwrap().parse().ok();
        let text = words.next().unwrap_or("").replace("\\n", "\n");
        println!("{}", bare.run(count, seed, &text));
    }
}

unsafe extern "C" fn silent(_: sys::ggml_log_level, _: *const c_char, _: *mut c_void) {}

impl Bare {
    fn load(path: &str, threads: i32, length: u32) -> Self {
        let began = Instant::now();
        let path = CString::new(path).unwrap();
        // SAFETY: every pointer passed is alive, and what is returned is checked before it is used.
        unsafe {
            sys::llama_log_set(Some(silent), std::ptr::null_mut());
            sys::llama_backend_init();
            let mut params = sys::llama_model_default_params();
            params.n_gpu_layers = 0;
            params.load_mode = sys::LLAMA_LOAD_MODE_MMAP;
            params.use_extra_bufts = false;
            let model = sys::llama_model_load_from_file(path.as_ptr(), params);
            assert!(!model.is_null(), "the model doesn't load");
            let mut params = sys::llama_context_default_params();
            params.n_ctx = length;
            params.n_seq_max = 1;
            params.n_outputs_max = 1;
            params.n_threads = threads;
            params.n_threads_batch = threads;
            params.no_perf = true;
            let context = sys::llama_init_from_model(model, params);
            assert!(!context.is_null(), "the context can't be made");
            let mut params = sys::ggml_threadpool_params_default(threads);
            let pool = sys::ggml_threadpool_new(&raw mut params);
            sys::llama_attach_threadpool(context, pool, pool);
            Self {
                vocabulary: sys::llama_model_get_vocab(model),
                context,
                load_seconds: began.elapsed().as_secs_f64(),
            }
        }
    }

    fn run(&self, count: usize, seed: Option<u32>, text: &str) -> String {
        let mut tokens = self.tokenize(text);
        let sampler = chain(seed);
        let began = Instant::now();
        self.decode(&mut tokens);
        // SAFETY: the sampler and the context are alive, the last token has logits.
        let mut token = unsafe { sys::llama_sampler_sample(sampler, self.context, -1) };
        let prefilled = began.elapsed();
        let mut answer = Vec::new();
        let mut decoded = 0;
        // SAFETY: the vocabulary is alive.
        while decoded < count && !unsafe { sys::llama_vocab_is_eog(self.vocabulary, token) } {
            decoded += 1;
            self.write_piece(token, &mut answer);
            if decoded < count {
                self.decode(&mut [token]);
                // SAFETY: as above.
                token = unsafe { sys::llama_sampler_sample(sampler, self.context, -1) };
            }
        }
        let seconds = began.elapsed().as_secs_f64() - prefilled.as_secs_f64();
        // SAFETY: this is the only owner of the sampler; the memory belongs to the context.
        unsafe {
            sys::llama_sampler_free(sampler);
            sys::llama_memory_clear(sys::llama_get_memory(self.context), true);
        }
        format!(
            "{{\"load_seconds\":{},\"prompt_tokens\":{},\"prefill_seconds\":{},\"tokens\":{decoded},\
             \"decode_seconds\":{seconds},\"tokens_per_second\":{},\"text\":{:?}}}",
            self.load_seconds,
            tokens.len(),
            prefilled.as_secs_f64(),
            // The first token came of the prefill.
            decoded.saturating_sub(1) as f64 / seconds,
            String::from_utf8_lossy(&answer),
        )
    }

    fn tokenize(&self, text: &str) -> Vec<i32> {
        let mut tokens = vec![0; text.len() + 8];
        // SAFETY: the text has the length that is passed, the vector the capacity.
        let count = unsafe {
            sys::llama_tokenize(
                self.vocabulary,
                text.as_ptr().cast(),
                text.len().try_into().unwrap(),
                tokens.as_mut_ptr(),
                tokens.len().try_into().unwrap(),
                true,
                true,
            )
        };
        tokens.truncate(count.try_into().unwrap());
        tokens
    }

    fn decode(&self, tokens: &mut [i32]) {
        // SAFETY: `batch_get_one` borrows `tokens` for the call only.
        let status = unsafe {
            let batch =
                sys::llama_batch_get_one(tokens.as_mut_ptr(), tokens.len().try_into().unwrap());
            sys::llama_decode(self.context, batch)
        };
        assert_eq!(status, 0, "decoding failed");
    }

    fn write_piece(&self, token: i32, answer: &mut Vec<u8>) {
        let mut piece = [0_u8; 256];
        // SAFETY: the buffer has the capacity that is passed.
        let length = unsafe {
            sys::llama_token_to_piece(
                self.vocabulary,
                token,
                piece.as_mut_ptr().cast(),
                256,
                0,
                false,
            )
        };
        answer.extend_from_slice(&piece[..usize::try_from(length).unwrap_or(0)]);
    }
}

/// The chain that the engine uses for its default options, or the likeliest token.
fn chain(seed: Option<u32>) -> *mut sys::llama_sampler {
    // SAFETY: each sampler is handed to the chain, which frees it.
    unsafe {
        let chain =
            sys::llama_sampler_chain_init(sys::llama_sampler_chain_params { no_perf: true });
        let samplers = match seed {
            Some(seed) => vec![
                sys::llama_sampler_init_top_k(40),
                sys::llama_sampler_init_top_p(0.95, 1),
                sys::llama_sampler_init_min_p(0.05, 1),
                sys::llama_sampler_init_temp(0.7),
                sys::llama_sampler_init_dist(seed),
            ],
            None => vec![sys::llama_sampler_init_greedy()],
        };
        for sampler in samplers {
            sys::llama_sampler_chain_add(chain, sampler);
        }
        chain
    }
}

/// Kibibytes, from `/proc/self/smaps_rollup`.
fn memory() -> String {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let field = |name: &str| {
        rollup
            .lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .split_whitespace()
                    .next()?
                    .parse::<u64>()
                    .ok()
            })
            .unwrap_or(0)
    };
    format!(
        "{{\"rss_kib\":{},\"private_kib\":{}}}",
        field("Rss:"),
        field("Private_Clean:") + field("Private_Dirty:"),
    )
}
