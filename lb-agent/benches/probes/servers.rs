//! Servers that answer as checks expect, on threads of their own.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, LazyLock};
use std::thread;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, Full};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// A response of the health service of gRPC in its frame: SERVING.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

/// The name of the server that speaks TLS.
pub(crate) const NAME: &str = "web.example";

/// Nobody: who is asked needs no server.
pub(crate) fn none() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Answers 200 to whatever it is sent.
pub(crate) fn http() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A check of type tcp sends nothing and resets.
            if stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {
                let _ = stream.write_all(ANSWER);
            }
        }
    });
    address
}

/// Who issues the certificate of [`https`].
static AUTHORITY: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(|| {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
});

/// The certificate of whom clients have to trust.
pub(crate) fn authority() -> Vec<u8> {
    AUTHORITY.der().to_vec()
}

/// The same over TLS 1.3, with a certificate for [`NAME`].
pub(crate) fn https() -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![NAME.into()]).unwrap();
    let certificate = params.signed_by(&key, &*AUTHORITY);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.unwrap().der().clone()], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::Stream::new(&mut session, &mut stream);
            if tls.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {
                let _ = tls.write_all(ANSWER);
            }
        }
    });
    address
}

/// Answers every question with itself.
pub(crate) fn dns() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut message = [0; 512];
        loop {
            let (length, client) = socket.recv_from(&mut message).unwrap();
            // It is an answer (RFC 1035 §4.1.1).
            message[2] |= 0x80;
            let _ = socket.send_to(message.get(..length).unwrap(), client);
        }
    });
    address
}

async fn serving(_request: Request<hyper::body::Incoming>) -> Result<Response<Body>, Infallible> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from_static(SERVING));
    let body = body.with_trailers(async { Some(Ok::<_, Infallible>(trailers)) });
    Ok(Response::new(Body::new(body)))
}

/// A gRPC server whose services all serve.
pub(crate) fn grpc() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(serving));
                tokio::spawn(connection);
            }
        });
    });
    address
}
