//! The one place where probes open TCP connections.
//!
//! Whatever all of them must have on their sockets is set here.

use std::io;
use std::net::SocketAddr;

use lb_common::abi::ProbeMark;
use tokio::net::{TcpSocket, TcpStream};

use super::steps::Steps;
use super::{Failure, tunnel};
use crate::core::health::Probe;

/// Opens a connection for a probe, the way that it is to travel.
pub(super) async fn dial(probe: &Probe, steps: &mut Steps) -> Result<TcpStream, Failure> {
    open(probe.address, tunnel::mark(probe), steps).await
}

/// Opens a connection to a host's own address.
pub(super) async fn dial_host(
    address: SocketAddr,
    steps: &mut Steps,
) -> Result<TcpStream, Failure> {
    open(address, None, steps).await
}

async fn open(
    address: SocketAddr,
    mark: Option<ProbeMark>,
    steps: &mut Steps,
) -> Result<TcpStream, Failure> {
    steps.begin("connect");
    let stream = connect(address, mark).await.map_err(Failure::Connect)?;
    steps.done(|| match stream.local_addr() {
        Ok(source) => format!("{source} to {address}"),
        Err(_) => address.to_string(),
    });
    Ok(stream)
}

async fn connect(address: SocketAddr, mark: Option<ProbeMark>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    tunnel::set_mark(&socket, mark)?;
    let stream = socket.connect(address).await?;
    // Closed by a reset: thousands of checks a second would fill the ports with waiting ones.
    stream.set_zero_linger()?;
    Ok(stream)
}
