//! Metrics over the socket: text that the loop's numbers are in.

use super::*;
use crate::io::metrics::Snapshot;

#[tokio::test]
async fn metrics_are_text_with_what_the_loop_saw() {
    let (mut server, _called) = Server::without_loop().await;
    let asked = "GET /v1/metrics HTTP/1.1\r\nHost: agent\r\n\r\n";
    let mut stream = UnixStream::connect(&server.socket).await.unwrap();
    stream.write_all(asked.as_bytes()).await.unwrap();
    let scrape = timeout(PATIENCE, server.scrapes.recv()).await.unwrap().unwrap();
    scrape.send(Ok(Snapshot { generation: 42, ..Snapshot::default() })).unwrap();
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();

    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("content-type: application/openmetrics-text; version=1.0.0"), "{text}");
    assert!(text.contains("\nlb_config_generation 42\n"), "{text}");
    assert!(text.trim_end().ends_with("# EOF"), "{text}");
}

#[tokio::test]
async fn without_the_loop_there_are_none() {
    let (mut server, _called) = Server::without_loop().await;
    server.scrapes.close();
    let reply = server.ask("GET", "/v1/metrics", "").await;
    assert_eq!(problem(&reply, 503), ("internal".into(), "the agent is shutting down".into()));
}
