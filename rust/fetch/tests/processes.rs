//! Processes that share a download, or are killed in the middle of one; caches that are full, or not
//! to be trusted. The other processes are this very executable, told in the environment what to fetch.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    ops::ControlFlow,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
};

use rustls::pki_types::CertificateDer;
use strongroom_fetch::{Cache, Fetcher, Policy, Proof, Recheck, Resolve, Roots, Step};
use support::{Server, World, bytes, digest, names, offset, remote, rest, sound, whole};

const SIZE: usize = 4 << 20;

/// A process that fetches `path` of `server`; without `proved` it takes what comes.
fn child(world: &World, server: &Server, path: &str, wrapper: &[&str], proved: bool) -> Child {
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", "fetches", "--ignored", "--nocapture"];
    let mut command = match wrapper {
        [] => Command::new(program),
        [wrapper, rest @ ..] => {
            let mut command = Command::new(wrapper);
            command.args(rest).arg(program);
            command
        }
    };
    let root = world.directory.path().join("root");
    fs::write(&root, &world.authority.certificate).unwrap();
    command
        .args(arguments)
        .env("FETCH_URL", server.url(path))
        .env("FETCH_CACHE", world.directory.path().join("cache"))
        .env("FETCH_ROOT", root)
        .env("FETCH_PROVED", if proved { "yes" } else { "no" })
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "the child of the other tests"]
fn fetches() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let url = variable("FETCH_URL");
    let cache = Cache::open(Path::new(&variable("FETCH_CACHE"))).unwrap();
    let root = fs::read(variable("FETCH_ROOT")).unwrap();
    let remote = remote(&url).unwrap();
    let endpoint = "https://hf.test".parse().unwrap();
    let origin = remote.location(&endpoint).unwrap().origin().clone();
    let policy = Policy::deny(endpoint, Roots::Own(vec![CertificateDer::from(root)]))
        .allow_host(origin.clone())
        .danger_allow_addresses(origin, "127.0.0.0/8".parse().unwrap());
    let proof = match variable("FETCH_PROVED").as_str() {
        "yes" => Proof::Digest(digest(&bytes(SIZE))),
        _ => Proof::DangerNone,
    };
    let names: Arc<dyn Resolve> = Arc::new(support::Names::default());
    let mut waiting = false;
    let fetched = Fetcher::new(&cache, &policy).resolver(names).fetch(
        &remote,
        proof,
        Recheck::Now,
        &mut |step| {
            if matches!(step, Step::Waiting(_)) && !waiting {
                waiting = true;
                println!("\nwaiting");
            }
            ControlFlow::Continue(())
        },
    );
    match fetched {
        Ok(fetched) => println!(
            "\nfetched {}",
            if fetched.cached { "cached" } else { "fresh" }
        ),
        Err(error) => println!("\nrefused {}", error.code()),
    }
}

/// The lines that a child says itself.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .filter(|line| {
            ["waiting", "fetched", "refused"]
                .iter()
                .any(|word| line.starts_with(word))
        })
}

/// A gate that a server waits at.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        drop(
            self.1
                .wait_while(self.0.lock().unwrap(), |open| !*open)
                .unwrap(),
        );
    }
}

#[test]
fn two_processes_share_one_download() {
    for proved in [true, false] {
        let world = World::new();
        let (asked, go_on) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        let (asked_there, wait) = (Arc::clone(&asked), Arc::clone(&go_on));
        let server = world.serve(move |_, _, stream| {
            asked_there.open();
            wait.wait();
            whole(stream, &bytes(SIZE), "")
        });
        let mut first = child(&world, &server, "/m", &[], proved);
        asked.wait();
        let mut second = child(&world, &server, "/m", &[], proved);
        let mut second_says = said(&mut second);
        assert_eq!(second_says.next().unwrap(), "waiting");
        go_on.open();
        assert_eq!(said(&mut first).collect::<Vec<_>>(), ["fetched fresh"]);
        assert_eq!(second_says.collect::<Vec<_>>(), ["fetched cached"]);
        assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn who_waits_can_be_cancelled_and_goes_on_where_the_other_ended() {
    let world = World::new();
    let asked = Arc::new(Gate::default());
    let asked_there = Arc::clone(&asked);
    let server = world.serve(move |number, head, stream| {
        if number > 0 {
            return rest(stream, head, &bytes(SIZE), "\"v1\"");
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: \"v1\"\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(&bytes(SIZE)[..SIZE / 2])?;
        asked_there.open();
        loop {
            std::thread::park();
        }
    });
    let mut first = child(&world, &server, "/m", &[], true);
    asked.wait();
    let policy = world.policy(&server);
    let proof = || Proof::Digest(digest(&bytes(SIZE)));
    let error = world
        .watched(
            &policy,
            &server.url("/m"),
            proof(),
            &mut |step| match step {
                Step::Waiting(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            },
        )
        .unwrap_err();
    sound(&error);
    assert_eq!(error.code(), "fetch.cancelled");
    // Killed once something of the file has been written: nothing of it has a name.
    while partial_size(&world) == 0 {
        std::thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(names(&world.directory.path().join("cache/sha256")), [""; 0]);
    let left = partial_size(&world);
    let fetched = world.fetch(&policy, &server.url("/m"), proof()).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), bytes(SIZE));
    assert_eq!(
        offset(&server.requests()[1]),
        Some(usize::try_from(left).unwrap())
    );
}

fn partial_size(world: &World) -> u64 {
    let partial = world.directory.path().join("cache/partial");
    names(&partial)
        .iter()
        .filter(|name| name.contains(".part"))
        .map(|name| fs::metadata(partial.join(name)).unwrap().len())
        .sum()
}

#[test]
fn killed_at_any_time_nothing_is_half_installed() {
    let world = World::new();
    let server = world.serve(|_, head, stream| rest(stream, head, &bytes(SIZE), "\"v1\""));
    let content = world.directory.path().join("cache/sha256");
    // Not one of these times decides the test: whenever it is, what has a name is whole.
    for delay in 0..12_u64 {
        let path = format!("/{delay}");
        let mut child = child(&world, &server, &path, &[], true);
        std::thread::sleep(std::time::Duration::from_millis(delay * 15));
        child.kill().unwrap();
        child.wait().unwrap();
        for name in names(&content) {
            assert_eq!(
                fs::read(content.join(&name)).unwrap(),
                bytes(SIZE),
                "{name}"
            );
            fs::remove_file(content.join(name)).unwrap();
        }
    }
    let policy = world.policy(&server);
    let fetched = world.fetch(
        &policy,
        &server.url("/3"),
        Proof::Digest(digest(&bytes(SIZE))),
    );
    assert_eq!(fs::read(fetched.unwrap().path).unwrap(), bytes(SIZE));
}

#[test]
fn a_cache_without_room_is_refused_and_gone_on_with() {
    let world = World::new();
    let server = world.serve(|_, head, stream| rest(stream, head, &bytes(SIZE), "\"v1\""));
    // A limit on files of 1 MiB, whose signal is ignored as Python ignores it.
    let limited = [
        "sh",
        "-c",
        "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\"",
    ];
    let mut first = child(&world, &server, "/m", &limited, true);
    assert_eq!(
        said(&mut first).collect::<Vec<_>>(),
        ["refused fetch.no_space"]
    );
    first.wait().unwrap();
    assert_eq!(names(&world.directory.path().join("cache/sha256")), [""; 0]);
    let left = partial_size(&world);
    assert!(left > 0 && left < SIZE as u64, "{left}");
    let mut second = child(&world, &server, "/m", &[], true);
    assert_eq!(said(&mut second).collect::<Vec<_>>(), ["fetched fresh"]);
    second.wait().unwrap();
    assert_eq!(
        offset(&server.requests()[1]),
        Some(usize::try_from(left).unwrap())
    );
}

#[test]
fn more_than_the_disk_has_is_refused_before_a_byte_is_written() {
    let mut world = World::new();
    world.limits.size = u64::MAX;
    let server = world.serve(|_, _, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4611686018427387904\r\n\r\n")?;
        stream.write_all(&bytes(100_000))
    });
    let code = world.refused(&world.policy(&server), &server.url("/m"), Proof::DangerNone);
    assert_eq!(code, "fetch.no_space");
    assert_eq!(partial_size(&world), 0);
}

#[test]
fn a_cache_that_others_can_write_to_is_refused() {
    let world = World::new();
    let path = world.directory.path().join("cache");
    let code = |path: &PathBuf| {
        let error = Cache::open(path).unwrap_err();
        sound(&error);
        error.code()
    };
    world.cache();
    for (folder, mode) in [
        ("", 0o770),
        ("", 0o707),
        ("sha256", 0o777),
        ("partial", 0o720),
    ] {
        let changed = path.join(folder);
        fs::set_permissions(&changed, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(code(&path), "fetch.cache_unsafe", "{folder} {mode:o}");
        fs::set_permissions(&changed, fs::Permissions::from_mode(0o700)).unwrap();
    }
    world.cache();
    let file = world.directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(code(&file), "fetch.cache");
    assert_eq!(code(&file.join("below")), "fetch.cache");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert_eq!(code(&path), "fetch.cache_unsafe");
    }
}

#[test]
fn a_cache_that_others_can_replace_is_refused() {
    let world = World::new();
    let below = |name: &str| world.directory.path().join(name);
    let folder = |name: &str, mode| {
        fs::create_dir(below(name)).unwrap();
        fs::set_permissions(below(name), fs::Permissions::from_mode(mode)).unwrap();
        below(name)
    };
    let link = |to: &Path, name: &str| {
        std::os::unix::fs::symlink(to, below(name)).unwrap();
        below(name)
    };
    let code = |path: &Path| {
        let error = Cache::open(path).unwrap_err();
        sound(&error);
        error.code()
    };
    let open = folder("open", 0o777);
    let group = folder("group", 0o770);
    let sticky = folder("sticky", 0o1777);
    let own = folder("own", 0o700);
    for refused in [open.join("cache"), group.join("a/b/cache")] {
        assert_eq!(code(&refused), "fetch.cache_unsafe", "{refused:?}");
        assert!(!refused.exists(), "{refused:?}");
    }
    Cache::open(&sticky.join("a/cache")).unwrap();
    Cache::open(&own.join("a/../cache")).unwrap();
    // What is made on the way is this user's alone.
    let mode = fs::metadata(sticky.join("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    // A link of this user's own is followed, and so is the way that it leads, at every turn of it.
    Cache::open(&link(&own, "to-own").join("cache")).unwrap();
    Cache::open(&link(Path::new("own/cache"), "to-cache")).unwrap();
    link(&own, "open/hop");
    assert_eq!(
        code(&link(Path::new("open/hop"), "by-open")),
        "fetch.cache_unsafe"
    );
    assert_eq!(
        code(&link(&open, "to-open").join("../own")),
        "fetch.cache_unsafe"
    );
    let round = link(&below("round"), "round");
    assert_eq!(code(&round), "fetch.cache");
    // And one in it isn't.
    fs::remove_dir(own.join("cache/sha256")).unwrap();
    link(&folder("elsewhere", 0o700), "own/cache/sha256");
    assert_eq!(code(&own.join("cache")), "fetch.cache");

    if rustix::process::geteuid().is_root() {
        let stranger = |path: &Path| std::os::unix::fs::lchown(path, Some(65_534), None).unwrap();
        let theirs = link(&below("new"), "sticky/theirs");
        stranger(&theirs);
        assert_eq!(code(&theirs), "fetch.cache_unsafe");
        assert!(!below("new").exists());
        stranger(&sticky);
        assert_eq!(code(&sticky.join("a/cache")), "fetch.cache_unsafe");
    }
}

#[test]
fn links_in_the_cache_lead_nowhere() {
    let world = World::new();
    let body = b"hello";
    let server = world.serve(|_, _, stream| whole(stream, b"hello", ""));
    let policy = world.policy(&server);
    let url = server.url("/m");
    let fetched = world
        .fetch(&policy, &url, Proof::Digest(digest(body)))
        .unwrap();
    let elsewhere = world.directory.path().join("elsewhere");
    fs::rename(&fetched.path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &fetched.path).unwrap();
    let error = world
        .fetch(&policy, &url, Proof::Digest(digest(body)))
        .unwrap_err();
    sound(&error);
    assert_eq!(error.code(), "fetch.cache");
}
