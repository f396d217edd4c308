//! A fake agent: canned answers on a Unix socket, and a record of what was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

/// What the agent does when asked.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Sends a document with this status.
    Document(u16, Value),
    /// Sends plain text with this status.
    Text(u16, &'static str),
    /// Reads on and says nothing.
    Silence,
    /// Closes the connection.
    HangUp,
    /// The first of these, the next time the second, and so on; the last for ever.
    InTurn(Vec<Self>),
}

/// One request as it arrived.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Asked {
    /// `GET /v1/status`
    pub(crate) line: String,
    /// The JSON body, `Null` if there is none.
    pub(crate) body: Value,
}

/// A running fake agent; it stops when dropped.
pub(crate) struct Agent {
    directory: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// An agent that knows these requests, each as `METHOD /path`, and no others.
    pub(crate) fn start<const N: usize>(answers: [(&str, Answer); N]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("agent.sock")).unwrap();
        let answers: BTreeMap<String, Answer> =
            answers.into_iter().map(|(line, answer)| (line.to_owned(), answer)).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        let stops = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stops);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                serve(&mut stream.unwrap(), &answers, &record);
            }
        });
        Self { directory, asked, stops, thread: Some(thread) }
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("agent.sock")
    }

    /// What it has been asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The request lines alone.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        // It waits for one.
        drop(UnixStream::connect(self.socket()));
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Serves one connection. A client may give up before it has asked anything.
fn serve(stream: &mut UnixStream, answers: &BTreeMap<String, Answer>, record: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(asked) = read_request(&mut reader) else { return };
    let mut answer = answers.get(&asked.line).cloned();
    let before = record.lock().unwrap().iter().filter(|each| each.line == asked.line).count();
    if let Some(Answer::InTurn(turns)) = answer {
        answer = turns.get(before).or(turns.last()).cloned();
    }
    record.lock().unwrap().push(asked.clone());
    match answer {
        Some(Answer::Document(status, document)) => {
            let problem = status >= 400;
            let media = if problem { "application/problem+json" } else { "application/json" };
            respond(stream, status, media, &document.to_string());
        }
        Some(Answer::Text(status, text)) => respond(stream, status, "text/plain", text),
        Some(Answer::Silence) => {
            // The client gives up by closing: then this read ends.
            let _ = reader.read_to_end(&mut Vec::new());
        }
        Some(Answer::HangUp | Answer::InTurn(_)) => {}
        None => respond(stream, 599, "text/plain", &format!("unexpected: {}", asked.line)),
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let line = line.trim_end().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    Some(Asked { line, body })
}

fn respond(stream: &mut UnixStream, status: u16, media: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status} Canned\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // A client that has gone away is its own business.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}
