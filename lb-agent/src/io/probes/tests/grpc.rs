//! gRPC: which answers of the health service pass, and what is said of the others.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, Full};
use hyper::header::HeaderMap;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lb_common::config::{GrpcCheck, TlsCheck};
use tokio::io::{AsyncRead, AsyncWrite};

use super::tls::{Authority, DAY, now};
use super::*;

/// A body, and the status of gRPC that comes after it.
type Answer = (&'static [u8], &'static str);

async fn answered(request: Request<hyper::body::Incoming>, answer: Answer) -> Response<Body> {
    let (parts, body) = request.into_parts();
    assert_eq!(parts.uri.path(), "/grpc.health.v1.Health/Check");
    assert_eq!(parts.headers["content-type"], "application/grpc");
    assert_eq!(parts.headers["te"], "trailers");
    let question = body.collect().await.unwrap().to_bytes();
    assert_eq!(&question[..], b"\0\0\0\0\x06\x0a\x04shop");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", answer.1.parse().unwrap());
    trailers.insert("grpc-message", "as it is".parse().unwrap());
    let body = Full::new(Bytes::from_static(answer.0));
    let body = body.with_trailers(async { Some(Ok::<_, Infallible>(trailers)) });
    Response::new(Body::new(body))
}

async fn served(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, answer: Answer) {
    let service =
        service_fn(
            move |request| async move { Ok::<_, Infallible>(answered(request, answer).await) },
        );
    // The client hangs up as soon as it knows.
    let _ = http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn grpc_server(answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(served(stream, answer));
        }
    });
    address
}

fn check(tls: Option<TlsCheck>) -> HealthKind {
    HealthKind::Grpc(GrpcCheck { service: "shop".into(), tls })
}

const SERVING: Answer = (&[0, 0, 0, 0, 2, 8, 1], "0");

#[tokio::test]
async fn only_a_service_that_is_serving_passes() {
    for (answer, passed, detail) in [
        (SERVING, true, "SERVING"),
        ((&[0, 0, 0, 0, 2, 8, 2][..], "0"), false, "the service is NOT_SERVING, expected SERVING"),
        ((&[0, 0, 0, 0, 0], "0"), false, "the service is UNKNOWN, expected SERVING"),
        ((&[0, 0, 0, 0, 2, 8, 9], "0"), false, "the service is in status 9, expected SERVING"),
        ((&[], "5"), false, "the server does not know service \"shop\""),
        ((&[], "12"), false, "the server has no health service"),
        ((&[], "14"), false, "the status of gRPC is 14: as it is"),
        // What comes after an answer may take it back.
        ((&[0, 0, 0, 0, 2, 8, 1], "13"), false, "the status of gRPC is 13: as it is"),
        ((b"OK", "0"), false, "the answer is no health response"),
        ((&[], "0"), false, "the answer is no health response"),
    ] {
        let outcome = asked(grpc_server(answer).await, check(None), LIMIT).await;
        assert_eq!((outcome.passed, outcome.detail.as_str()), (passed, detail), "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_of_another_kind_fails_and_one_that_says_nothing_holds_no_check() {
    let other = server(&["HTTP/1.1 400 Bad Request\r\n\r\n"], Duration::ZERO).await;
    let outcome = asked(other, check(None), LIMIT).await;
    assert!(!outcome.passed);
    assert!(outcome.detail.starts_with("no gRPC answer: http2 error: "), "{outcome:?}");

    let silent = server(&["", ""], LIMIT).await;
    let outcome = asked(silent, check(None), Duration::from_millis(200)).await;
    assert_eq!((outcome.passed, outcome.detail.as_str()), (false, "no answer within 200ms"));
}

#[tokio::test]
async fn with_tls_the_certificate_must_be_right_too() {
    let authority = Authority::new();
    let times = (now().saturating_sub(DAY), now() + DAY * 9 + DAY / 2);
    let acceptor = authority.server("shop.example", times, b"h2");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(served(stream, SERVING));
            }
        }
    });
    let with = |authority: &Authority| {
        let server_name = Some("shop.example".to_owned());
        check(Some(TlsCheck { server_name, trust: authority.trusted() }))
    };
    let outcome = asked(address, with(&authority), LIMIT).await;
    assert!(outcome.passed, "{outcome:?}");
    assert_eq!(outcome.detail, "SERVING, certificate ends in 9 days");
    let outcome = asked(address, with(&Authority::new()), LIMIT).await;
    assert_eq!(outcome.detail, "the certificate is from nobody that is trusted");
}
