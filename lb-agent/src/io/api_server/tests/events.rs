//! Events over the socket: as a list, and as lines that come when they happen.

use lb_common::api::{Event, EventKind, List, NDJSON_MEDIA_TYPE};

use super::limits::{SOON, client, impatient, rest};
use super::*;
use crate::core::events::{Occurrence, RING_EVENTS};
use crate::io::journal::FOLLOWERS_MAX;

const FOLLOW: &str = "GET /v1/events?follow=true HTTP/1.1\r\nHost: agent\r\n\r\n";

fn add(server: &Server, events: usize) {
    for _ in 0..events {
        let occurrence = Occurrence::new(EventKind::DrainBegun, "backend web/b", "by command");
        server.journal.add(occurrence, 7);
    }
}

/// Reads until the stream has said `count` of these.
async fn read_until(stream: &mut UnixStream, word: &str, count: usize) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while text.matches(word).count() < count {
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "ended after {text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

#[tokio::test]
async fn events_are_listed_after_a_number_without_the_loop() {
    let (server, _called) = Server::without_loop().await;
    let empty = server.ask("GET", "/v1/events", "").await;
    assert_eq!((empty.status, &empty.body["items"]), (200, &json!([])));
    add(&server, 3);
    let last = server.journal.last();

    let all = server.ask("GET", "/v1/events", "").await;
    let all: List<Event> = serde_json::from_value(all.body).unwrap();
    assert_eq!((all.kind.as_str(), all.generation, all.items.len()), ("EventList", 7, 3));
    assert_eq!(all.items[2].sequence, last);

    let since = server.ask("GET", &format!("/v1/events?since={}", last - 1), "").await;
    assert_eq!(since.body["items"][0]["sequence"], json!(last));
    assert_eq!(since.body["items"].as_array().unwrap().len(), 1);
    problem(&server.ask("GET", "/v1/events?since=x", "").await, 400);
    problem(&server.ask("GET", "/v1/events?folow=true", "").await, 400);
}

#[tokio::test]
async fn who_follows_gets_a_line_for_each_event_as_it_happens() {
    let (server, _called) = Server::without_loop().await;
    add(&server, 1);
    let mut stream = client(&server, FOLLOW).await;
    let text = read_until(&mut stream, "\n{", 1).await;
    assert!(text.contains(&format!("content-type: {NDJSON_MEDIA_TYPE}\r\n")), "{text}");
    assert!(text.contains("transfer-encoding: chunked\r\n"), "{text}");
    add(&server, 1);
    let line = read_until(&mut stream, "}\n", 1).await;
    let event = &line[line.find('{').unwrap()..=line.find('}').unwrap()];
    let event: Event = serde_json::from_str(event).unwrap();
    assert_eq!(event.sequence, server.journal.last());

    server.journal.close(SOON).await;
    assert!(rest(stream).await.ends_with("0\r\n\r\n"), "not ended as a whole");
}

#[tokio::test]
async fn who_follows_and_does_not_read_is_told_what_it_lost_and_cut_off() {
    let (server, _called) = Server::without_loop().await;
    add(&server, 1);
    let mut stream = client(&server, FOLLOW).await;
    read_until(&mut stream, "\n{", 1).await;
    // More than the socket and the buffers on the way hold, in turns that it may take.
    for _ in 0..100 {
        add(&server, RING_EVENTS / 4);
        tokio::task::yield_now().await;
    }
    let text = rest(stream).await;
    let lost = text.lines().rfind(|line| line.contains("\"events_lost\"")).unwrap();
    let lost: Event = serde_json::from_str(lost).unwrap();
    assert!(lost.reason.contains(" events lost: "), "{lost:?}");
    assert!(text.ends_with("0\r\n\r\n"), "not ended as a whole");
    assert!(server.journal.lost() > 0);
}

#[tokio::test]
async fn only_so_many_may_follow_and_they_keep_nobody_else_out() {
    let (server, _called) = Server::without_loop().await;
    add(&server, 1);
    let mut streams = Vec::new();
    for _ in 0..FOLLOWERS_MAX {
        let mut stream = client(&server, FOLLOW).await;
        read_until(&mut stream, "\n{", 1).await;
        streams.push(stream);
    }
    let reply = server.ask("GET", "/v1/events?follow=true", "").await;
    assert_eq!(
        problem(&reply, 503),
        ("busy".to_owned(), "16 clients follow events already".into())
    );
    assert_eq!(server.ask("GET", "/v1/events", "").await.status, 200);

    // A place is free again once somebody has gone.
    streams.pop();
    let again = timeout(PATIENCE, async {
        loop {
            let mut stream = client(&server, FOLLOW).await;
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.unwrap();
            if head.ends_with(b"200") {
                break;
            }
        }
    });
    again.await.unwrap();
}

#[tokio::test]
async fn who_follows_stays_longer_than_others_unless_it_leaves_events_lying() {
    let (server, _called) = impatient().await;
    add(&server, 1);
    let mut reading = client(&server, FOLLOW).await;
    read_until(&mut reading, "\n{", 1).await;
    // Others of this server are cut off after a tenth of a second: here are several in a row.
    for _ in 0..4 {
        rest(client(&server, "").await).await;
    }
    add(&server, 1);
    read_until(&mut reading, "}\n", 1).await;
}
