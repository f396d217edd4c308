//! TLS for probes: clients by what they trust, and what is wrong with a certificate in words.
//!
//! No session is resumed: each probe sees the certificate that a new client would see.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use lb_common::config::{TlsCheck, Trust};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::der::Decode as _;

use super::steps::Steps;

/// Clients that are kept; with more, as many reloads with other files leave behind, all are made anew.
const CLIENTS_MAX: usize = 64;
/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Why there is no TLS with a server.
#[derive(Debug, Error)]
pub(super) enum TlsFailure {
    #[error("no TLS: {0}")]
    Handshake(io::Error),
    #[error("no TLS: {0}")]
    Refused(rustls::Error),
    #[error("the certificate ended on {0}")]
    Expired(String),
    #[error("the certificate does not begin before {0}")]
    NotYet(String),
    #[error("the certificate is from nobody that is trusted")]
    Untrusted,
    #[error("the certificate is not for {0}")]
    OtherName(String),
    #[error("cannot ask: {0:?} is no name of a server")]
    Name(String, #[source] InvalidDnsNameError),
    #[error("cannot ask: {0}")]
    Client(rustls::Error),
}

/// What is spoken inside, as it is announced.
type Protocol = &'static [u8];

/// HTTP/1.1.
pub(super) const HTTP_1: Protocol = b"http/1.1";
/// HTTP/2.
pub(super) const HTTP_2: Protocol = b"h2";

/// TLS clients, made when they are first needed.
#[derive(Debug, Default)]
pub(super) struct TlsClients(Mutex<BTreeMap<(Trust, Protocol), Arc<ClientConfig>>>);

impl TlsClients {
    /// Shakes hands on a connection that is open, with a server at `address`.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        (check, inside): (&TlsCheck, Protocol),
        address: IpAddr,
        steps: &mut Steps,
    ) -> Result<TlsStream<TcpStream>, TlsFailure> {
        steps.begin("tls");
        let client = self.client(&check.trust, inside).map_err(TlsFailure::Client)?;
        let name = match &check.server_name {
            None => ServerName::from(address),
            Some(name) => ServerName::try_from(name.clone())
                .map_err(|source| TlsFailure::Name(name.clone(), source))?,
        };
        let asked = name.to_str().into_owned();
        let connected = TlsConnector::from(client).connect(name, stream).await;
        let stream = connected.map_err(|error| failure(error, &asked))?;
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        steps.certificate_end_s = certificate.and_then(end_s);
        steps.done(|| {
            let version = session.protocol_version().and_then(|version| version.as_str());
            let trusted = if check.trust == Trust::Anybody { "not verified" } else { "verified" };
            let end = certificate.and_then(end_s).map_or_else(String::new, |end| {
                format!(", ends on {}", day(Duration::from_secs(end.unsigned_abs())))
            });
            format!("{}, certificate for {asked} {trusted}{end}", version.unwrap_or("TLS"))
        });
        Ok(stream)
    }

    fn client(&self, trust: &Trust, inside: Protocol) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(trust.clone(), inside)) {
            return Ok(Arc::clone(client));
        }
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        let client = Arc::new(new_client(trust, inside)?);
        clients.insert((trust.clone(), inside), Arc::clone(&client));
        Ok(client)
    }
}

fn new_client(trust: &Trust, inside: Protocol) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let client = match trust {
        Trust::Anybody => {
            client.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        }
        Trust::System => client.with_root_certificates(system_roots()),
        Trust::File { certificates, .. } => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates.iter() {
                roots.add(CertificateDer::from(certificate.as_slice()))?;
            }
            client.with_root_certificates(roots)
        }
    };
    let mut client = client.with_no_client_auth();
    client.alpn_protocols = vec![inside.to_vec()];
    client.resumption = Resumption::disabled();
    Ok(client)
}

/// The root certificates of this host; those that cannot be used are left out.
pub(super) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn failure(error: io::Error, asked: &str) -> TlsFailure {
    let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(refused) = refused else { return TlsFailure::Handshake(error) };
    let rustls::Error::InvalidCertificate(wrong) = refused else {
        return TlsFailure::Refused(refused.clone());
    };
    let date = |time: &UnixTime| day(Duration::from_secs(time.as_secs()));
    match wrong {
        CertificateError::ExpiredContext { not_after, .. } => TlsFailure::Expired(date(not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            TlsFailure::NotYet(date(not_before))
        }
        CertificateError::UnknownIssuer => TlsFailure::Untrusted,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFailure::OtherName(asked.to_owned())
        }
        _ => TlsFailure::Refused(refused.clone()),
    }
}

/// The last second of a certificate, since 1970.
fn end_s(certificate: &CertificateDer<'_>) -> Option<i64> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    i64::try_from(end.as_secs()).ok()
}

/// `2026-01-31`
fn day(since_1970: Duration) -> String {
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970).to_string();
    time.split('T').next().unwrap_or_default().to_owned()
}

/// Whole days until a certificate ends, at `now_s`; negative once it has.
pub fn days_left(end_s: i64, now_s: i64) -> i64 {
    (end_s - now_s).div_euclid(DAY_S)
}

/// The answer, and how long the certificate of whoever gave it holds.
pub(super) fn with_days_left(answer: String, end_s: Option<i64>) -> String {
    let now_s = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    match end_s.map(|end_s| days_left(end_s, now_s)) {
        None => answer,
        Some(..=-1) => format!("{answer}, certificate has ended"),
        Some(1) => format!("{answer}, certificate ends in 1 day"),
        Some(days) => format!("{answer}, certificate ends in {days} days"),
    }
}

/// Takes any certificate, as long as its owner has signed the handshake.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
