//! Starts the hostile worker as the host starts a worker, and reads how it went.

// Each test uses its part; a broken harness may panic.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, OFlags, SealFlags};

/// A second user that owns nothing: `nobody`.
pub const NOBODY: u32 = 65534;

/// Nothing here takes a second; a run that takes this long is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    Root,
    Ordinary,
}

impl User {
    /// Both when the tests run as root; otherwise only the one that we are.
    pub fn all() -> Vec<Self> {
        if we_are_root() {
            vec![Self::Root, Self::Ordinary]
        } else {
            vec![Self::Ordinary]
        }
    }
}

pub fn we_are_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The attack got what it wanted.
    Works(String),
    /// It was answered with this errno.
    Errno(i32),
    /// It died of this signal, after it was locked in.
    Signal(i32),
    /// The worker said why it didn't start.
    Failed(String),
    /// It ended in no way that the worker has.
    Odd(String),
}

/// What the worker finds as its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// As the host makes it: sealed, opened read-only.
    Sealed,
    /// Without a seal and writable, as a control.
    Open,
    /// Sealed, but opened for writing.
    Writable,
    /// Opened read-only, but without a seal.
    Unsealed,
}

/// One run, with the host's choices as defaults.
#[derive(Debug, Clone)]
pub struct Run {
    pub layers: &'static str,
    pub from: &'static str,
    pub attack: String,
    pub argument: String,
    pub user: User,
    pub image: Image,
}

impl Run {
    pub fn of(attack: &str, layers: &'static str, user: User) -> Self {
        Self {
            layers,
            from: "main",
            attack: attack.to_owned(),
            argument: String::new(),
            user,
            image: Image::Sealed,
        }
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.argument = argument.into();
        self
    }

    pub fn in_thread(mut self) -> Self {
        self.from = "thread";
        self
    }

    pub fn image(mut self, image: Image) -> Self {
        self.image = image;
        self
    }
}

/// A started worker and the host's end of its socket.
#[derive(Debug)]
pub struct Running {
    pub child: Child,
    pub socket: BufReader<UnixStream>,
}

impl Running {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The next line that isn't empty; `None` when the worker hung up.
    pub fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            match self.socket.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) if line.trim().is_empty() => {}
                Ok(_) => return Some(line.trim().to_owned()),
            }
        }
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Outcome {
        let mut ready = false;
        let mut said = None;
        while let Some(line) = self.line() {
            if line == "ready" {
                ready = true;
            } else {
                said = Some(line);
            }
        }
        let status = self.wait();
        let mut log = String::new();
        self.child
            .stderr
            .take()
            .map(|mut stderr| stderr.read_to_string(&mut log));
        match said.as_deref().and_then(|said| said.split_once(' ')) {
            Some(("failed", why)) => return Outcome::Failed(why.to_owned()),
            Some(("works", text)) if ready => return Outcome::Works(text.to_owned()),
            Some(("errno", number)) if ready => return Outcome::Errno(number.parse().unwrap()),
            _ => {}
        }
        match status.signal() {
            Some(signal) if ready => Outcome::Signal(signal),
            _ => Outcome::Odd(format!(
                "ready: {ready}, said {said:?}, {status}, log {log:?}"
            )),
        }
    }

    /// Waits for its end, not forever.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("worker {} does not end", self.child.id());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills the worker and reaps it.
    pub fn end(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What the attacks are aimed at, and the program that makes them.
#[derive(Debug)]
pub struct Target {
    program: PathBuf,
    copy: Option<PathBuf>,
    tcp: TcpListener,
    udp: UdpSocket,
    abstract_name: String,
    _abstract_socket: UnixListener,
    secret: Box<[u8; 16]>,
}

impl Target {
    pub fn new() -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let unique = format!(
            "strongroom-hostile-{}-{}",
            std::process::id(),
            SERIAL.fetch_add(1, Ordering::Relaxed)
        );
        let mut program = PathBuf::from(env!("CARGO_BIN_EXE_hostile-worker"));
        let mut copy = None;
        if we_are_root() {
            // The ordinary user may not be able to reach the folder of the build.
            let directory = std::env::temp_dir().join(&unique);
            std::fs::create_dir(&directory).unwrap();
            std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).unwrap();
            let place = directory.join("hostile-worker");
            // By another process: what this one holds open for writing, a worker that another
            // thread starts meanwhile would inherit, and what is open for writing can't be run.
            let copied = Command::new("cp").arg(&program).arg(&place).status();
            assert!(copied.unwrap().success());
            program = place;
            copy = Some(directory);
        }
        let address = SocketAddr::from_abstract_name(&unique).unwrap();
        Self {
            program,
            copy,
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            _abstract_socket: UnixListener::bind_addr(&address).unwrap(),
            abstract_name: unique,
            secret: Box::new(*b"the host's notes"),
        }
    }

    /// The argument that aims `attack` at us.
    pub fn aim(&self, attack: &str) -> String {
        match attack {
            "tcp_connect" => self.tcp.local_addr().unwrap().port().to_string(),
            "udp_send" => self.udp.local_addr().unwrap().port().to_string(),
            "abstract_connect" => self.abstract_name.clone(),
            "vm_read" | "vm_write" => self.secret.as_ptr().addr().to_string(),
            "allocate" => (64_u64 << 30).to_string(),
            _ => String::new(),
        }
    }

    /// Starts a worker with the descriptors that the host gives, one more that it shouldn't have,
    /// and an environment that it shouldn't have.
    pub fn start(&self, run: &Run) -> Running {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.start_with(run, ours, theirs.into(), image(run.image), Stdio::piped())
    }

    pub fn start_with(
        &self,
        run: &Run,
        ours: UnixStream,
        socket: OwnedFd,
        image: OwnedFd,
        log: Stdio,
    ) -> Running {
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(&self.program);
        command
            .args([run.layers, run.from, &run.attack, &run.argument])
            .env_clear()
            .env("GGML_NO_BACKTRACE", "1")
            .env("STRONGROOM_TEST_SECRET", "SECRET-VALUE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if run.user == User::Ordinary && we_are_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mapping = |parent_fd, child_fd| FdMapping {
            parent_fd,
            child_fd,
        };
        command
            .fd_mappings(vec![
                mapping(socket, 3),
                mapping(image, 4),
                mapping(secret(), 9),
            ])
            .unwrap();
        Running {
            child: command.spawn().unwrap(),
            socket: BufReader::new(ours),
        }
    }

    pub fn run(&self, run: &Run) -> Outcome {
        self.start(run).finish()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(directory) = &self.copy {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// Two pages of a model.
pub fn image(kind: Image) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("model", flags).unwrap();
    let mut file = File::from(memory);
    file.write_all(&[7; 8192]).unwrap();
    if matches!(kind, Image::Sealed | Image::Writable) {
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    }
    if matches!(kind, Image::Sealed | Image::Unsealed) {
        reopen(&file)
    } else {
        file.into()
    }
}

/// An independent, read-only description of the same file.
pub fn reopen(file: &File) -> OwnedFd {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap()
}

fn secret() -> OwnedFd {
    let memory = rustix::fs::memfd_create("secret", MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(memory);
    file.write_all(b"SECRET").unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file.into()
}

/// Runs `check` for every item, a few at a time; panics with everything that it complained of.
pub fn for_each<T: Sync>(items: &[T], check: impl Fn(&T) -> Result<(), String> + Sync) {
    let next = AtomicU64::new(0);
    let complaints = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                    let Some(item) = items.get(index) else { break };
                    if let Err(complaint) = check(item) {
                        complaints.lock().unwrap().push(complaint);
                    }
                }
            });
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
