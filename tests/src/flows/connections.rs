//! TCP connections that last: HTTP requests one after the other on the same connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result};

use super::{Answer, Flow, LIMIT};
use crate::topology::Host;

/// The place on the origins whose connections nginx keeps open.
pub const PATH: &str = "/stay";

/// Longest answer that is believed.
const BODY_LIMIT: usize = 1024;

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// Opens `count` connections from `client`, to each of `targets` in turn.
///
/// # Errors
/// When one cannot be opened.
pub fn open(client: &Host, targets: &[SocketAddr], count: usize) -> Result<Vec<Connection>> {
    client.enter(|| targets.iter().cycle().take(count).map(connect).collect())?
}

fn connect(target: &SocketAddr) -> Result<Connection> {
    let stream = TcpStream::connect_timeout(target, LIMIT)
        .with_context(|| format!("connecting to {target}"))?;
    stream.set_read_timeout(Some(LIMIT)).context("time limit")?;
    stream.set_write_timeout(Some(LIMIT)).context("time limit")?;
    stream.set_nodelay(true).context("sending at once")?;
    Ok(Connection { stream: BufReader::new(stream) })
}

impl Flow for Connection {
    fn ask(&mut self) -> Result<(), String> {
        let request = format!("GET {PATH} HTTP/1.1\r\nHost: lb\r\n\r\n");
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .map_err(|error| format!("send: {error}"))
    }

    /// A connection to another origin than before cannot live on, so there are no strangers.
    fn answer(&mut self) -> Result<Answer, String> {
        let status = self.line()?;
        if status.split(' ').nth(1) != Some("200") {
            return Err(format!("status: {status:?}"));
        }
        let mut length = None;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let length = length.filter(|length| *length <= BODY_LIMIT).ok_or("no sound length")?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).map_err(|error| format!("receive: {error}"))?;
        Ok(Answer::From(String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Connection {
    /// The next line, without its end.
    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err("receive: the connection was closed".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("receive: {error}")),
        }
    }
}
