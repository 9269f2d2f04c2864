//! A TLS server that plays the attacker: what it says is written by hand, so that it can lie.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    unreachable_pub
)]

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use strongroom_fetch::{
    Cache, FetchError, Fetched, Fetcher, Limits, Network, Origin, Policy, Proof, Recheck,
    Reference, Remote, Resolve, Roots, Step,
};
use strongroom_verify::{Algorithm, Digest, Hasher};
use tempfile::TempDir;

pub const HOST: &str = "models.test";

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: CertificateDer<'static>,
    pub pin: Digest,
}

/// What a server shows.
#[derive(Clone)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    pub pin: Digest,
}

impl Identity {
    pub fn key(&self) -> Vec<u8> {
        self.key.clone()
    }
}

pub fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let pin = digest(&key.subject_public_key_info());
        Self {
            issuer: Issuer::new(params, key),
            certificate,
            pin,
        }
    }

    pub fn issue(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            pin: digest(&key.subject_public_key_info()),
            key: key.serialize_der(),
        }
    }
}

pub fn self_signed(host: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    Identity {
        chain: vec![params.self_signed(&key).unwrap().der().clone()],
        pin: digest(&key.subject_public_key_info()),
        key: key.serialize_der(),
    }
}

pub type Stream = StreamOwned<ServerConnection, TcpStream>;

/// A server on the loopback interface.
pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Answers the request of a number, from 0 on, whose head it is given.
pub trait Answers: Fn(usize, &str, &mut Stream) -> io::Result<()> + Send + Sync + 'static {}
impl<F: Fn(usize, &str, &mut Stream) -> io::Result<()> + Send + Sync + 'static> Answers for F {}

impl Server {
    /// Speaks TLS.
    pub fn tls(identity: &Identity, answer: impl Answers) -> Self {
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    identity.chain.clone(),
                    PrivateKeyDer::try_from(identity.key.clone()).unwrap(),
                )
                .unwrap();
        Self::with(Arc::new(config), answer)
    }

    pub fn with(config: Arc<ServerConfig>, answer: impl Answers) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let answer = Arc::new(answer);
        let port = listen(move |tcp| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, tcp);
            // Whoever refuses the certificate hangs up.
            let Ok(head) = head_of(&mut stream) else {
                return;
            };
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(head.clone());
                seen.len() - 1
            };
            // The client may hang up at any time.
            if answer(number, &head, &mut stream).is_ok() {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { port, requests }
    }

    /// Speaks whatever `talk` does.
    pub fn raw(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self {
            port: listen(talk),
            requests: Arc::default(),
        }
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub fn origin(&self) -> Origin {
        self.origin_of(HOST)
    }

    pub fn origin_of(&self, host: &str) -> Origin {
        format!("https://{host}:{}", self.port).parse().unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }
}

fn listen(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let talk = Arc::new(talk);
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let Ok(tcp) = tcp else { return };
            let talk = Arc::clone(&talk);
            thread::spawn(move || talk(tcp));
        }
    });
    port
}

fn head_of(stream: &mut Stream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The value of a header of a request.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Writes a whole, honest answer.
pub fn whole(stream: &mut Stream, body: &[u8], more: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{more}\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// Where a request's range begins.
pub fn offset(head: &str) -> Option<usize> {
    header(head, "range")?
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

/// Writes the rest of `body` as an honest server does.
pub fn rest(stream: &mut Stream, head: &str, body: &[u8], etag: &str) -> io::Result<()> {
    match offset(head) {
        Some(start) if header(head, "if-range") == Some(etag) => {
            let text = format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nETag: {etag}\r\n\
                 Content-Range: bytes {start}-{}/{}\r\n\r\n",
                body.len() - start,
                body.len() - 1,
                body.len()
            );
            stream.write_all(text.as_bytes())?;
            stream.write_all(&body[start..])
        }
        _ => whole(stream, body, &format!("ETag: {etag}\r\n")),
    }
}

/// Writes the beginning of `body` and hangs up.
pub fn cut(stream: &mut Stream, body: &[u8], sent: usize, etag: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: {etag}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body[..sent])?;
    stream.flush()
}

pub fn redirect(stream: &mut Stream, to: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes())
}

pub fn bytes(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

/// A resolver that says what it is told; a name's last answer is repeated.
#[derive(Default)]
pub struct Names {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    pub asked: Mutex<Vec<String>>,
}

impl Names {
    #[must_use]
    pub fn with(mut self, name: &str, answers: &[&[&str]]) -> Self {
        let parsed = answers
            .iter()
            .map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect())
            .collect();
        self.answers.insert(name.to_owned(), parsed);
        self
    }
}

impl Resolve for Names {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|&name| name == host).count();
        asked.push(host.to_owned());
        let Some(answers) = self.answers.get(host) else {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        };
        Ok(answers[before.min(answers.len() - 1)].clone())
    }
}

/// A cache, an authority, and a client that trusts it.
pub struct World {
    pub authority: Authority,
    pub directory: TempDir,
    pub limits: Limits,
    pub names: Arc<Names>,
}

impl World {
    pub fn new() -> Self {
        Self {
            authority: Authority::new("an authority"),
            directory: TempDir::new().unwrap(),
            limits: Limits {
                size: 64 << 20,
                connect: Duration::from_secs(20),
                handshake: Duration::from_secs(20),
                head: Duration::from_secs(20),
                idle: Duration::from_secs(20),
                ..Limits::default()
            },
            names: Arc::default(),
        }
    }

    pub fn serve(&self, answer: impl Answers) -> Server {
        Server::tls(&self.authority.issue(HOST, |_| {}), answer)
    }

    /// Allows `server`, on the loopback interface.
    pub fn policy(&self, server: &Server) -> Policy {
        let loopback: Network = "127.0.0.0/8".parse().unwrap();
        self.closed(server)
            .danger_allow_addresses(server.origin(), loopback)
    }

    /// Allows `server`, on the public internet.
    pub fn closed(&self, server: &Server) -> Policy {
        let roots = Roots::Own(vec![self.authority.certificate.clone()]);
        Policy::deny("https://hf.test".parse().unwrap(), roots).allow_host(server.origin())
    }

    pub fn cache(&self) -> Cache {
        Cache::open(&self.directory.path().join("cache")).unwrap()
    }

    pub fn fetch(
        &self,
        policy: &Policy,
        url: &str,
        proof: Proof<'_>,
    ) -> Result<Fetched, FetchError> {
        self.watched(policy, url, proof, &mut |_| ControlFlow::Continue(()))
    }

    pub fn watched(
        &self,
        policy: &Policy,
        url: &str,
        proof: Proof<'_>,
        progress: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Fetched, FetchError> {
        Fetcher::new(&self.cache(), policy)
            .limits(self.limits.clone())
            .resolver(Arc::clone(&self.names) as Arc<dyn Resolve>)
            .fetch(&remote(url)?, proof, Recheck::Now, progress)
    }

    /// The code of the refusal, after a look at what it says and at what it left behind.
    pub fn refused(&self, policy: &Policy, url: &str, proof: Proof<'_>) -> &'static str {
        let error = self.fetch(policy, url, proof).unwrap_err();
        sound(&error);
        assert_eq!(names(&self.directory.path().join("cache/sha256")), [""; 0]);
        error.code()
    }
}

/// What holds for every error.
pub fn sound(error: &FetchError) {
    let message = error.to_string();
    assert!(!message.is_empty() && !error.next_step().is_empty());
    assert!(
        !message.contains("SECRET") && !error.next_step().contains("SECRET"),
        "{message}"
    );
    assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

pub fn remote(url: &str) -> Result<Remote, FetchError> {
    match url.parse()? {
        Reference::Remote(remote) => Ok(remote),
        Reference::Local(path) => panic!("{} is local", path.display()),
    }
}

/// The names in a directory; none where it isn't there.
pub fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
