//! The one place where probes open TCP connections.
//!
//! Whatever all of them must have on their sockets is set here.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::Failure;
use super::steps::Steps;

/// Opens a connection for a probe.
pub(super) async fn dial(address: SocketAddr, steps: &mut Steps) -> Result<TcpStream, Failure> {
    steps.begin("connect");
    let stream = connect(address).await.map_err(Failure::Connect)?;
    steps.done(|| match stream.local_addr() {
        Ok(source) => format!("{source} to {address}"),
        Err(_) => address.to_string(),
    });
    Ok(stream)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Closed by a reset: thousands of checks a second would fill the ports with waiting ones.
    stream.set_zero_linger()?;
    Ok(stream)
}
