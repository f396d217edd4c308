//! What a server reports of itself: one line that it sends unasked on a port of its own.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;

use super::Failure;
use super::dial::dial_host;
use super::steps::Steps;
use crate::core::health::Report;

/// Of a line, no more is read.
const LINE_MAX_BYTES: u64 = 256;

/// Why there is no report. It says nothing about what the check asks.
#[derive(Debug, Error)]
pub(super) enum ReportFailure {
    #[error("{0}")]
    Connect(Box<Failure>),
    #[error("cannot read the report: {0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    Words(String),
}

/// Reads the line.
pub(super) async fn ask(address: SocketAddr, steps: &mut Steps) -> Result<Report, ReportFailure> {
    let failed = |failure| ReportFailure::Connect(Box::new(failure));
    let stream = dial_host(address, steps).await.map_err(failed)?;
    steps.begin("report");
    let line = line(stream).await?;
    let report = Report::parse(&line).map_err(ReportFailure::Words)?;
    steps.done(|| line.trim_end().to_owned());
    Ok(report)
}

async fn line(stream: TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LINE_MAX_BYTES)).read_until(b'\n', &mut line).await?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}
