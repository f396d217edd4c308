//! DNS: which answers pass, which are not taken for one, and what is said of the others.

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder};
use lb_common::config::{DnsCheck, DnsRcode, DnsRecord};
use tokio::net::UdpSocket;

use super::*;

/// What a server makes of a question: datagrams.
type Reply = fn(&[u8]) -> Vec<Vec<u8>>;

async fn dns_server(reply: Reply) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 1024];
        while let Ok((length, client)) = socket.recv_from(&mut bytes).await {
            for datagram in reply(&bytes[..length]) {
                socket.send_to(&datagram, client).await.unwrap();
            }
        }
    });
    address
}

fn answer(request: &[u8], rcode: Rcode) -> Vec<u8> {
    let request = Message::from_octets(request).unwrap();
    MessageBuilder::new_vec().start_answer(&request, rcode).unwrap().finish()
}

fn check(expect_rcode: DnsRcode) -> HealthKind {
    let record = DnsRecord::Aaaa;
    HealthKind::Dns(DnsCheck { query: "www.example".into(), record, expect_rcode })
}

const SOON: Duration = Duration::from_millis(200);

#[tokio::test]
async fn the_response_code_that_is_expected_passes_and_another_is_told() {
    let fine = dns_server(|request| vec![answer(request, Rcode::NOERROR)]).await;
    let outcome = asked(fine, check(DnsRcode::NoError), LIMIT).await;
    assert_eq!((outcome.passed, outcome.detail.as_str()), (true, "NOERROR, 0 records"));
    let outcome = asked(fine, check(DnsRcode::NxDomain), LIMIT).await;
    assert!(!outcome.passed);
    assert_eq!(outcome.detail, "the answer is NOERROR, expected NXDOMAIN");

    let broken = dns_server(|request| vec![answer(request, Rcode::SERVFAIL)]).await;
    let outcome = asked(broken, check(DnsRcode::NoError), LIMIT).await;
    assert_eq!(
        (outcome.passed, outcome.detail.as_str()),
        (false, "the answer is SERVFAIL, expected NOERROR")
    );
    assert!(asked(broken, check(DnsRcode::ServFail), LIMIT).await.passed);
}

#[tokio::test]
async fn the_server_is_asked_for_the_name_and_the_records() {
    let knowing = dns_server(|request| {
        let message = Message::from_octets(request).unwrap();
        let question = message.sole_question().unwrap();
        let right = question.qname().to_string() == "www.example"
            && question.qtype().to_int() == 28
            && message.header().rd();
        vec![answer(request, if right { Rcode::NOERROR } else { Rcode::FORMERR })]
    });
    let outcome = asked(knowing.await, check(DnsRcode::NoError), LIMIT).await;
    assert!(outcome.passed, "{outcome:?}");
}

#[tokio::test]
async fn what_is_not_the_answer_to_the_question_is_passed_over() {
    fn others(request: &[u8]) -> Vec<Vec<u8>> {
        let right = answer(request, Rcode::NOERROR);
        let mut other_id = right.clone();
        other_id[0] ^= 1;
        let mut other_name = right.clone();
        other_name[13] = b'x';
        let mut a_question = right.clone();
        a_question[2] &= 0x7f;
        vec![other_id, other_name, a_question, b"?".to_vec(), request.to_vec(), Vec::new()]
    }
    let stranger = dns_server(others).await;
    let outcome = asked(stranger, check(DnsRcode::NoError), SOON).await;
    assert_eq!((outcome.passed, outcome.detail.as_str()), (false, "no answer within 200ms"));

    let late = dns_server(|request| {
        others(request).into_iter().chain([answer(request, Rcode::NOERROR)]).collect()
    });
    let outcome = asked(late.await, check(DnsRcode::NoError), LIMIT).await;
    assert!(outcome.passed, "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_and_a_port_that_is_closed_are_told_apart() {
    let silent = dns_server(|_| Vec::new()).await;
    let outcome = asked(silent, check(DnsRcode::NoError), SOON).await;
    assert_eq!((outcome.passed, outcome.detail.as_str()), (false, "no answer within 200ms"));

    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = asked(closed, check(DnsRcode::NoError), LIMIT).await;
    assert!(!outcome.passed);
    assert_eq!(outcome.detail, "the port is closed: nobody answers DNS there");
}
