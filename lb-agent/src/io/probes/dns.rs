//! DNS over UDP: one question, and whether the answer to it has the response code that is expected.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, Question};
use lb_common::abi::ProbeMark;
use lb_common::config::{DnsCheck, DnsRcode};
use thiserror::Error;
use tokio::net::UdpSocket;

use super::steps::Steps;
use super::tunnel;

/// Of an answer, no more is read: without EDNS it has no more (RFC 1035 §4.2.1), and what is looked
/// at, header and question, is shorter in any case.
const ANSWER_MAX_BYTES: usize = 512;

/// Why there is no answer, or what is wrong with it.
#[derive(Debug, Error)]
pub(super) enum DnsFailure {
    #[error("cannot ask: {0}")]
    Socket(io::Error),
    #[error("cannot ask: {name:?} is no name")]
    Name { name: String },
    #[error("the port is closed: nobody answers DNS there")]
    Closed,
    #[error("no answer: {0}")]
    NoAnswer(io::Error),
    #[error("the answer is {got}, expected {expected}")]
    Rcode { got: String, expected: &'static str },
}

/// Asks, and waits for the answer to this very question; other datagrams are passed over.
pub(super) async fn ask(
    (address, mark): (SocketAddr, Option<ProbeMark>),
    check: &DnsCheck,
    steps: &mut Steps,
) -> Result<String, DnsFailure> {
    steps.begin("request");
    let id = fastrand::u16(..);
    let question = question(check)?;
    let socket = socket(address, mark).await.map_err(DnsFailure::Socket)?;
    socket.send(&request(id, &question)).await.map_err(no_answer)?;
    let record = check.record.name();
    steps.done(|| format!("{} {record} as number {id} to {address}", check.query));
    steps.begin("answer");
    let mut bytes = [0; ANSWER_MAX_BYTES];
    loop {
        let length = socket.recv(&mut bytes).await.map_err(no_answer)?;
        let datagram = bytes.get(..length).unwrap_or_default();
        if let Some(answer) = Answer::to((id, &question), datagram) {
            steps.done(|| answer.told());
            return answer.judged(check.expect_rcode);
        }
    }
}

/// Nothing but what this address sends comes in, and what ICMP says of it.
async fn socket(address: SocketAddr, mark: Option<ProbeMark>) -> io::Result<UdpSocket> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    tunnel::set_mark(&socket, mark)?;
    socket.connect(address).await?;
    Ok(socket)
}

fn no_answer(error: io::Error) -> DnsFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DnsFailure::Closed,
        _ => DnsFailure::NoAnswer(error),
    }
}

fn question(check: &DnsCheck) -> Result<Question<Name<Vec<u8>>>, DnsFailure> {
    let name = check.query.parse::<Name<Vec<u8>>>().ok();
    let name = name.ok_or_else(|| DnsFailure::Name { name: check.query.clone() })?;
    Ok(Question::new(name, Rtype::from_int(check.record.number()), Class::IN))
}

fn request(id: u16, question: &Question<Name<Vec<u8>>>) -> Vec<u8> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut message = message.question();
    // A vector has room for one name.
    let _ = message.push(question);
    message.finish()
}

/// What an answer says.
struct Answer {
    rcode: Rcode,
    answers: u16,
    is_cut: bool,
}

impl Answer {
    /// Reads a datagram, if it is the answer to this question.
    fn to((id, asked): (u16, &Question<Name<Vec<u8>>>), datagram: &[u8]) -> Option<Self> {
        let message = Message::from_octets(datagram).ok()?;
        let header = message.header();
        if header.id() != id || !header.qr() {
            return None;
        }
        // A server that fails early may leave the question out.
        if message.header_counts().qdcount() > 0 {
            let question = message.sole_question().ok()?;
            let same = question.qname() == asked.qname() && question.qtype() == asked.qtype();
            same.then_some(())?;
        }
        let answers = message.header_counts().ancount();
        Some(Self { rcode: header.rcode(), answers, is_cut: header.tc() })
    }

    fn judged(&self, expected: DnsRcode) -> Result<String, DnsFailure> {
        if self.rcode == Rcode::masked_from_int(expected.number()) {
            Ok(self.told())
        } else {
            Err(DnsFailure::Rcode { got: self.rcode.to_string(), expected: expected.name() })
        }
    }

    fn told(&self) -> String {
        let records = if self.answers == 1 { "record" } else { "records" };
        let cut = if self.is_cut { ", cut off" } else { "" };
        format!("{}, {} {records}{cut}", self.rcode, self.answers)
    }
}
