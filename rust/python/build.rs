//! Builds the worker, once per instruction set, and leaves it where maturin packs it from.
//!
//! The worker is built by a cargo of its own: its flags (static, with the instruction set's target
//! features) must not reach the module, and its target directory, `target/worker/SET`, is the one
//! that lint, tests and benchmarks use, so that llama.cpp is compiled once. For that the inner cargo
//! must see the environment that a call from the command line sees: a changed variable is a changed
//! fingerprint, and minutes of compiling.
//!
//! - `STRONGROOM_INSTRUCTION_SETS`: names of files in `rust/worker/instruction-sets`; `avx2` if unset.
//! - `STRONGROOM_WORKER=skip`: builds none, for checking the Rust side alone.

use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Variables that cargo, rustup or maturin set for this script, and those that would change how the
/// worker is compiled. `CARGO_HOME` and what configures the registry and the network stay.
const CLEARED: &[&str] = &[
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_CRATE_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_FEATURE_",
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "CARGO_UNSTABLE_",
    "DEBUG",
    "DEP_",
    "GGML_",
    "HOST",
    "LD_LIBRARY_PATH",
    "MAKEFLAGS",
    "NUM_JOBS",
    "OPT_LEVEL",
    "OUT_DIR",
    "PROFILE",
    "PYO3_",
    "RUSTC",
    "RUSTC_",
    "RUSTDOC",
    "RUSTFLAGS",
    "TARGET",
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=STRONGROOM_WORKER");
    println!("cargo::rerun-if-env-changed=STRONGROOM_INSTRUCTION_SETS");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR")?);
    clear(&out).map_err(|error| format!("can't clear {}: {error}", out.display()))?;
    match env::var("STRONGROOM_WORKER") {
        Err(_) => {}
        Ok(word) if word == "skip" => return Ok(()),
        Ok(_) => return Err("STRONGROOM_WORKER has one value, skip".to_owned()),
    }

    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
        .ancestors()
        .nth(2)
        .ok_or("the crate has no workspace above it")?
        .to_owned();
    for path in [
        "Cargo.toml",
        "Cargo.lock",
        "rust/engine",
        "rust/protocol",
        "rust/sandbox",
        "rust/template",
        "rust/worker",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    require(
        "cmake",
        "`pip install cmake`, or your distribution's package",
    )?;
    require("c++", "your distribution's package, such as Debian's g++")?;
    let libclang = libclang(&root)?;
    let headers = compiler_headers()?;
    let sets = env::var("STRONGROOM_INSTRUCTION_SETS").unwrap_or_else(|_| "avx2".to_owned());
    for set in sets.split_whitespace() {
        let worker = build(&root, set, &libclang, &headers)?;
        let packed = out.join(format!("strongroom-worker-{set}"));
        fs::copy(&worker, &packed)
            .map_err(|error| format!("can't copy {}: {error}", worker.display()))?;
    }
    Ok(())
}

/// Builds the worker for one instruction set; returns the executable.
fn build(root: &Path, set: &str, libclang: &Path, headers: &str) -> Result<PathBuf, String> {
    let config = root.join(format!("rust/worker/instruction-sets/{set}.toml"));
    if !config.is_file() {
        return Err(format!(
            "STRONGROOM_INSTRUCTION_SETS names {set:?}, but there is no {}",
            config.display()
        ));
    }
    let mut cargo = Command::new(variable("CARGO")?);
    for (name, _) in env::vars_os() {
        let cleared = name.to_str().is_some_and(|name| {
            CLEARED.iter().any(|cleared| {
                name == *cleared || cleared.ends_with('_') && name.starts_with(cleared)
            })
        });
        if cleared {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .current_dir(root)
        .arg("--config")
        .arg(&config)
        .args(["build", "--locked", "--profile", "worker"])
        .args(["--package", "strongroom-worker"])
        .env("LIBCLANG_PATH", libclang)
        .env("BINDGEN_EXTRA_CLANG_ARGS", headers)
        .status()
        .map_err(|error| format!("can't run cargo: {error}"))?;
    if !status.success() {
        return Err(format!(
            "the worker for {set} was not built: cargo's messages stand above"
        ));
    }
    Ok(root.join(format!(
        "target/worker/{set}/{TARGET}/worker/strongroom-worker"
    )))
}

/// The folder of libclang: where `LIBCLANG_PATH` says, else a link to the one of the package
/// `libclang` on `PyPI`. bindgen, and llama.cpp after it, are built anew when the variable changes,
/// and the build environments of pip lie somewhere else each time: the link stays where it is.
fn libclang(root: &Path) -> Result<PathBuf, String> {
    if let Some(given) = env::var_os("LIBCLANG_PATH") {
        return Ok(given.into());
    }
    let place = root.join("target/worker/libclang");
    let link = place.join("libclang.so");
    if !link.is_file() {
        let library = packaged_libclang().ok_or(
            "libclang is missing: `pip install libclang`, or set LIBCLANG_PATH to the folder of \
             libclang.so",
        )?;
        let linked = || -> io::Result<()> {
            fs::create_dir_all(&place)?;
            // What is there links to an environment that is gone.
            match fs::remove_file(&link) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            symlink(&library, &link)
        };
        linked().map_err(|error| format!("can't link {}: {error}", link.display()))?;
    }
    Ok(place)
}

/// The library in the package `libclang` on `PyPI`, of the Python that the module is built for.
fn packaged_libclang() -> Option<PathBuf> {
    let script = "import clang.native as native; print(list(native.__path__)[0])";
    [env::var_os("PYO3_PYTHON"), Some("python3".into())]
        .into_iter()
        .flatten()
        .filter_map(|python| Command::new(python).args(["-c", script]).output().ok())
        .filter(|output| output.status.success())
        .filter_map(|output| String::from_utf8(output.stdout).ok())
        .map(|folder| Path::new(folder.trim_end()).join("libclang.so"))
        .find(|library| library.is_file())
}

/// The package of libclang on `PyPI` has no headers of the compiler (`stddef.h`); the C++ compiler has.
fn compiler_headers() -> Result<String, String> {
    if let Ok(given) = env::var("BINDGEN_EXTRA_CLANG_ARGS") {
        return Ok(given);
    }
    let output = Command::new("c++")
        .arg("-print-file-name=include")
        .output()
        .map_err(|error| format!("can't run c++: {error}"))?;
    let path = String::from_utf8_lossy(&output.stdout);
    Ok(format!("-isystem {}", path.trim_end()))
}

/// Fails in one line where `tool` can't be run.
fn require(tool: &str, from: &str) -> Result<(), String> {
    let runs = Command::new(tool)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if runs {
        return Ok(());
    }
    Err(format!(
        "{tool} is missing, and llama.cpp is built with it: {from}"
    ))
}

/// Removes workers of an earlier run: another set may have been asked for now.
fn clear(out: &Path) -> io::Result<()> {
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("strongroom-worker-")
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo did not set {name}"))
}
