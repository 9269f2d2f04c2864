//! One request and its answer, over one connection.

use std::sync::Arc;

use http_body_util::Empty;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{self, Parts, SendRequest},
    header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, IF_RANGE, RANGE, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncReadExt, net::TcpStream, task::JoinHandle};
use tokio_rustls::client::TlsStream;

use crate::{
    FetchError, Limits, Location, Policy, Resolve,
    answer::{self, Answer, Rest, Unusable},
    connect,
    error::shown,
    tls,
    watch::{Step, Watch},
};

/// Longest head of an answer.
const LONGEST_HEAD: usize = 64 << 10;
/// Headers in it.
const MOST_HEADERS: usize = 100;
/// Bytes read at once.
const BUFFER: usize = 256 << 10;
/// How long a host may take to end a connection whose body is complete.
const FAREWELL: std::time::Duration = std::time::Duration::from_millis(250);

/// What asking takes.
pub(crate) struct Asker<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) limits: &'a Limits,
    pub(crate) resolver: &'a Arc<dyn Resolve>,
}

/// An answer whose body has not been read.
pub(crate) struct Exchange {
    pub(crate) answer: Answer,
    pub(crate) body: Incoming,
    pub(crate) url: String,
    connection: Connection,
}

struct Connection {
    task: JoinHandle<hyper::Result<Parts<TokioIo<TlsStream<TcpStream>>>>>,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Asker<'_> {
    /// Asks for `location`, or for the rest of it, and follows its redirects.
    pub(crate) async fn ask(
        &self,
        location: &Location,
        rest: Option<&Rest>,
        watch: &mut Watch<'_>,
    ) -> Result<Exchange, FetchError> {
        let mut here = location.clone();
        for _ in 0..=self.limits.redirects {
            self.policy.permit_location(&here)?;
            let exchange = self.once(&here, rest, watch).await?;
            let Answer::Redirect(target) = &exchange.answer else {
                return Ok(exchange);
            };
            here = here.join(target)?;
        }
        Err(FetchError::Redirect {
            url: location.to_string(),
            reason: format!("more than {} times", self.limits.redirects),
        })
    }

    async fn once(
        &self,
        location: &Location,
        rest: Option<&Rest>,
        watch: &mut Watch<'_>,
    ) -> Result<Exchange, FetchError> {
        watch.tell(Step::Connecting)?;
        let origin = location.origin();
        let stream =
            connect::connect(origin, self.policy, self.limits, self.resolver, watch).await?;
        let stream = tls::handshake(stream, origin, self.policy, self.limits, watch).await?;
        let request = request(location, rest)?;
        let url = location.to_string();
        let (connection, response) = watch
            .within(self.limits.head, "answer", exchange(stream, request))
            .await?
            .map_err(|error| nonsense(&url, &error))?;
        let answer = answer::judge(response.status(), response.headers(), rest).map_err(|bad| {
            let url = url.clone();
            match bad {
                Unusable::Status(status) => FetchError::Status { url, status },
                Unusable::Encoded => FetchError::Encoding { url },
                Unusable::Nowhere => FetchError::Redirect {
                    url,
                    reason: "to nowhere".to_owned(),
                },
                Unusable::Nonsense(reason) => FetchError::Protocol {
                    url,
                    reason: reason.to_owned(),
                },
            }
        })?;
        Ok(Exchange {
            answer,
            body: response.into_body(),
            url,
            connection,
        })
    }
}

async fn exchange(
    stream: TlsStream<TcpStream>,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<(Connection, Response<Incoming>)> {
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MOST_HEADERS)
        .max_header_size(LONGEST_HEAD)
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut connection = Connection {
        task: tokio::spawn(connection.without_shutdown()),
        sender: None,
    };
    let response = sender.send_request(request).await?;
    connection.sender = Some(sender);
    Ok((connection, response))
}

fn request(location: &Location, rest: Option<&Rest>) -> Result<Request<Empty<Bytes>>, FetchError> {
    let mut request = Request::get(location.target())
        .header(HOST, location.origin().authority())
        .header(
            USER_AGENT,
            concat!("strongroom/", env!("CARGO_PKG_VERSION")),
        )
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close");
    if let Some(rest) = rest {
        request = request
            .header(RANGE, format!("bytes={}-", rest.offset))
            .header(IF_RANGE, rest.validator.as_str());
    }
    request
        .body(Empty::new())
        .map_err(|_| FetchError::Protocol {
            url: location.to_string(),
            reason: "it can't be asked for".to_owned(),
        })
}

impl Exchange {
    /// After the whole body: whether the host has nothing more to say.
    pub(crate) async fn ends(mut self) -> bool {
        self.connection.sender = None;
        let farewell = async {
            match (&mut self.connection.task).await {
                Ok(Ok(parts)) if parts.read_buf.is_empty() => {
                    let mut byte = [0];
                    // An error is as good an end as any: what was declared is here.
                    let read = parts.io.into_inner().read(&mut byte).await;
                    read.unwrap_or_default() == 0
                }
                Ok(Ok(_)) => false,
                // hyper saw bytes where none may be; it says so without a cause.
                Ok(Err(error)) => std::error::Error::source(&error).is_some(),
                Err(_) => true,
            }
        };
        tokio::time::timeout(FAREWELL, farewell)
            .await
            .unwrap_or(true)
    }
}

/// What hyper makes of an answer that is none.
pub(crate) fn nonsense(url: &str, error: &hyper::Error) -> FetchError {
    let cause = std::error::Error::source(error)
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    FetchError::Protocol {
        url: url.to_owned(),
        reason: shown(&format!("{error}{cause}")),
    }
}
