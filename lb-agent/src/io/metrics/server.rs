//! `GET /metrics` over TCP, for Prometheus.
//!
//! Nothing can be changed here, and nothing is asked of a client; so it is bounded instead: few
//! connections, one request each, a time limit on all of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{MEDIA_TYPE, Scraper};

/// Connections at once: a few Prometheus servers and a person. Others wait.
const CONNECTIONS_MAX: usize = 8;
/// Time for the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// Time for all of it.
const CONNECTION: Duration = Duration::from_secs(30);
/// Pause after the kernel refused to hand over a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address} for metrics")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// An address that is listened on, for as long as this lives.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    /// Until somebody serves it.
    bound: Option<TcpListener>,
    task: Option<AbortHandle>,
}

impl Listener {
    /// Takes the address. Whoever connects waits until [`Self::serve`].
    ///
    /// # Errors
    /// It is in use, or not this host's.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = TcpListener::bind(address).await;
        let bound = bound.map_err(|source| ListenError { address, source })?;
        Ok(Self { address, bound: Some(bound), task: None })
    }

    /// Where.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, from now on.
    pub fn serve(&mut self, scraper: &Scraper) {
        if let Some(bound) = self.bound.take() {
            self.task = Some(tokio::spawn(serve(bound, scraper.clone())).abort_handle());
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn serve(listener: TcpListener, scraper: Scraper) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // What is under way ends with this.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let scraper = scraper.clone();
                connections.spawn(async move {
                    serve_one(stream, scraper).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "cannot accept a scrape");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, scraper: Scraper) {
    let router = Router::new().route("/metrics", get(metrics)).with_state(scraper);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Who takes longer has gone, or means no good.
    let _ = timeout(CONNECTION, connection).await;
}

async fn metrics(State(scraper): State<Scraper>) -> Response {
    match scraper.text().await {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
