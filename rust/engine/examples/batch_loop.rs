//! Many sequences in one bare llama.cpp loop, straight on the bindings: what the scheduler in its sandbox
//! is measured against.
//!
//! `batch_loop MODEL [KEY=VALUE …]` with the keys of [`Options`], then one line per run on standard input,
//! one line of JSON per run on standard output, as `benches/peers/serving.py` describes them. Each of a
//! line's prompts is continued greedily, until the model ends it or the tokens are there: all prompts are
//! decoded first, packed into batches, then one token of every sequence in each step. A beginning that
//! prompts share is decoded for each of them.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]
// A program for measuring, of one piece: its preconditions are those of the command line.
#![allow(clippy::multiple_unsafe_ops_per_block)]

use std::{
    ffi::{CStr, CString, c_char, c_void},
    fmt::Write as _,
    io::BufRead,
    time::Instant,
};

use llama_cpp_sys_2 as sys;

/// What the command line may say.
struct Options {
    threads: i32,
    /// Sequences decoded at once.
    streams: usize,
    /// Tokens of each.
    context: usize,
    /// Tokens of one batch at most, where prompts are decoded.
    chunk: usize,
    flash: sys::llama_flash_attn_type,
    /// Whether weights may be copied into layouts that are multiplied faster.
    repack: bool,
    /// Whether the likeliest token is searched for here, instead of by llama.cpp's sampler.
    argmax: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Self {
        let mut options = Self {
            threads: 2,
            streams: 1,
            context: 512,
            chunk: 512,
            flash: sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
            repack: false,
            argmax: false,
        };
        for argument in arguments {
            match argument.split_once('=').unwrap() {
                ("threads", value) => options.threads = value.parse().unwrap(),
                ("streams", value) => options.streams = value.parse().unwrap(),
                ("context", value) => options.context = value.parse().unwrap(),
                ("chunk", value) => options.chunk = value.parse().unwrap(),
                ("flash", "off") => options.flash = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
                ("flash", "on") => options.flash = sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
                ("repack", value) => options.repack = value.parse().unwrap(),
                ("argmax", value) => options.argmax = value.parse().unwrap(),
                _ => panic!("{argument} is no option"),
            }
        }
        options
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, options @ ..] = &arguments[..] else {
        eprintln!("usage: batch_loop MODEL [KEY=VALUE …]");
        std::process::exit(2);
    };
    let mut batches = Loop::load(path, Options::parse(options));
    println!(
        "{{\"version\":\"llama.cpp of this build\",\"system\":\"{}\",\"threads\":{}}}",
        escaped(&system()),
        batches.options.threads,
    );
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut fields = line.split('\t');
        let count = fields.next().unwrap().parse().unwrap();
        let _sharing = fields.next().unwrap();
        let prompts: Vec<String> = fields.map(|prompt| prompt.replace("\\n", "\n")).collect();
        println!("{}", batches.run(count, &prompts));
    }
}

/// What llama.cpp was compiled with.
fn system() -> String {
    // SAFETY: the call returns a string that lives as long as the process.
    unsafe { CStr::from_ptr(sys::llama_print_system_info()) }
        .to_string_lossy()
        .into_owned()
}

/// Processor time of the process, in seconds.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call fills the structure.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0);
    #[allow(clippy::cast_precision_loss)]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

unsafe extern "C" fn silent(_: sys::ggml_log_level, _: *const c_char, _: *mut c_void) {}

/// One sequence on its way.
struct Sequence {
    tokens: Vec<i32>,
    /// Of `tokens`, how many are in the cache.
    decoded: usize,
    prompt: usize,
    ended: bool,
    text: Vec<u8>,
    /// When each new token was there.
    times: Vec<f64>,
}

struct Loop {
    options: Options,
    vocabulary: *const sys::llama_vocab,
    context: *mut sys::llama_context,
    sampler: *mut sys::llama_sampler,
    batch: sys::llama_batch,
}

impl Loop {
    fn load(path: &str, options: Options) -> Self {
        let path = CString::new(path).unwrap();
        let threads = options.threads;
        let rows = options.chunk.max(options.streams);
        // SAFETY: every pointer passed is alive, and what is returned is checked before it is used.
        unsafe {
            sys::llama_log_set(Some(silent), std::ptr::null_mut());
            sys::llama_backend_init();
            let mut params = sys::llama_model_default_params();
            params.n_gpu_layers = 0;
            params.load_mode = sys::LLAMA_LOAD_MODE_MMAP;
            params.use_extra_bufts = options.repack;
            let model = sys::llama_model_load_from_file(path.as_ptr(), params);
            assert!(!model.is_null(), "the model doesn't load");
            let mut params = sys::llama_context_default_params();
            params.n_ctx = u32::try_from(options.context * options.streams).unwrap();
            params.n_seq_max = u32::try_from(options.streams).unwrap();
            params.n_outputs_max = params.n_seq_max;
            params.n_batch = u32::try_from(rows).unwrap();
            params.n_ubatch = params.n_batch;
            params.kv_unified = false;
            params.flash_attn_type = options.flash;
            params.n_threads = threads;
            params.n_threads_batch = threads;
            params.no_perf = true;
            let context = sys::llama_init_from_model(model, params);
            assert!(!context.is_null(), "the context can't be made");
            let mut params = sys::ggml_threadpool_params_default(threads);
            let pool = sys::ggml_threadpool_new(&raw mut params);
            sys::llama_attach_threadpool(context, pool, pool);
            Self {
                options,
                vocabulary: sys::llama_model_get_vocab(model),
                context,
                sampler: sys::llama_sampler_init_greedy(),
                batch: sys::llama_batch_init(i32::try_from(rows).unwrap(), 0, 1),
            }
        }
    }

    fn run(&mut self, count: usize, prompts: &[String]) -> String {
        assert_eq!(prompts.len(), self.options.streams, "prompts of a run");
        let (cpu, began) = (cpu_seconds(), Instant::now());
        let mut sequences: Vec<Sequence> = prompts.iter().map(|text| self.begin(text)).collect();
        while sequences.iter().any(|s| s.times.is_empty()) {
            self.step(&mut sequences, count, began, |s| s.times.is_empty());
        }
        while sequences.iter().any(|s| !s.ended) {
            self.step(&mut sequences, count, began, |s| !s.ended);
        }
        let (cpu, seconds) = (cpu_seconds() - cpu, began.elapsed().as_secs_f64());
        // SAFETY: the memory belongs to the context, which is idle.
        unsafe { sys::llama_memory_clear(sys::llama_get_memory(self.context), true) };
        report(&sequences, seconds, cpu)
    }

    fn begin(&self, text: &str) -> Sequence {
        let tokens = self.tokenize(text);
        Sequence {
            decoded: 0,
            prompt: tokens.len(),
            ended: false,
            text: Vec::new(),
            times: Vec::new(),
            tokens,
        }
    }

    /// Decodes what `chosen` sequences still have to, as far as one batch goes, and samples for those whose
    /// last token was among it.
    fn step(
        &mut self,
        sequences: &mut [Sequence],
        count: usize,
        began: Instant,
        chosen: impl Fn(&Sequence) -> bool,
    ) {
        let room = self.options.chunk.max(self.options.streams);
        let mut filled = 0;
        let mut outputs = Vec::new();
        for (id, sequence) in sequences.iter_mut().enumerate() {
            if !chosen(sequence) {
                continue;
            }
            let end = sequence.tokens.len().min(sequence.decoded + room - filled);
            for position in sequence.decoded..end {
                let last = position + 1 == sequence.tokens.len();
                // SAFETY: `filled` is below the number of rows that the batch was made with.
                unsafe {
                    *self.batch.token.add(filled) = sequence.tokens[position];
                    *self.batch.pos.add(filled) = i32::try_from(position).unwrap();
                    *self.batch.n_seq_id.add(filled) = 1;
                    **self.batch.seq_id.add(filled) = i32::try_from(id).unwrap();
                    *self.batch.logits.add(filled) = i8::from(last);
                }
                if last {
                    outputs.push((id, i32::try_from(filled).unwrap()));
                }
                filled += 1;
            }
            sequence.decoded = end;
        }
        self.batch.n_tokens = i32::try_from(filled).unwrap();
        // SAFETY: the first `n_tokens` rows were filled.
        let status = unsafe { sys::llama_decode(self.context, self.batch) };
        assert_eq!(status, 0, "decoding failed");
        for (id, row) in outputs {
            let token = self.likeliest(row);
            let sequence = &mut sequences[id];
            sequence.tokens.push(token);
            sequence.times.push(began.elapsed().as_secs_f64());
            self.write_piece(token, &mut sequence.text);
            // SAFETY: the vocabulary is alive.
            let end = unsafe { sys::llama_vocab_is_eog(self.vocabulary, token) };
            sequence.ended = end || sequence.times.len() == count;
        }
    }

    fn likeliest(&self, row: i32) -> i32 {
        if !self.options.argmax {
            // SAFETY: both are alive, and this row of the batch has logits.
            return unsafe { sys::llama_sampler_sample(self.sampler, self.context, row) };
        }
        // SAFETY: the row has logits, one for each token of the vocabulary.
        let logits = unsafe {
            let count = usize::try_from(sys::llama_vocab_n_tokens(self.vocabulary)).unwrap();
            std::slice::from_raw_parts(sys::llama_get_logits_ith(self.context, row), count)
        };
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let place = logits.iter().position(|&logit| logit >= most).unwrap();
        i32::try_from(place).unwrap()
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
                false,
            )
        };
        tokens.truncate(count.try_into().unwrap());
        tokens
    }

    fn write_piece(&self, token: i32, text: &mut Vec<u8>) {
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
        text.extend_from_slice(&piece[..usize::try_from(length).unwrap_or(0)]);
    }
}

fn report(sequences: &[Sequence], seconds: f64, cpu_seconds: f64) -> String {
    let mut line = format!("{{\"seconds\":{seconds},\"cpu_seconds\":{cpu_seconds},\"streams\":[");
    for (place, sequence) in sequences.iter().enumerate() {
        let times: Vec<String> = sequence.times.iter().map(f64::to_string).collect();
        write!(
            line,
            "{}{{\"prompt_tokens\":{},\"tokens\":{},\"times\":[{}],\"text\":\"{}\"}}",
            if place > 0 { "," } else { "" },
            sequence.prompt,
            sequence.times.len(),
            times.join(","),
            escaped(&String::from_utf8_lossy(&sequence.text)),
        )
        .unwrap();
    }
    line + "]}"
}

/// The inside of a JSON string.
fn escaped(text: &str) -> String {
    let mut inside = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' => inside.extend(['\\', character]),
            '\0'..='\x1f' => write!(inside, "\\u{:04x}", u32::from(character)).unwrap(),
            _ => inside.push(character),
        }
    }
    inside
}
