//! HTTPS: whose certificates pass, and what is said of the others.

use std::fs;
use std::io::Write as _;
use std::time::SystemTime;

use lb_common::config::{Host as _, HttpCheck, TlsCheck, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::http::plain;
use super::*;

pub(super) const DAY: Duration = Duration::from_hours(24);

/// Whoever issues the certificates of a test.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("Authority {}", fastrand::u64(..));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn trusted(&self) -> Trust {
        let certificates = Arc::new(vec![self.0.der().to_vec()]);
        Trust::File { path: "/ca.pem".into(), certificates }
    }

    /// TLS of a server with a certificate for `name`, from one time since 1970 to another.
    pub(super) fn server(
        &self,
        name: &str,
        times: (Duration, Duration),
        alpn: &[u8],
    ) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(1970, 1, 1) + times.0;
        params.not_after = date_time_ymd(1970, 1, 1) + times.1;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config).into()
    }
}

#[expect(clippy::disallowed_methods, reason = "certificates end by the time of day")]
pub(super) fn now() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Duration::from_secs(now.as_secs())
}

/// A certificate that holds for 34 days and some hours.
fn good() -> (Duration, Duration) {
    (now().saturating_sub(DAY), now() + DAY * 34 + DAY / 2)
}

/// A server that shakes hands and answers 200, and tells which name it was asked for.
async fn https(acceptor: TlsAcceptor) -> (SocketAddr, mpsc::UnboundedReceiver<Option<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (names, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not like the certificate goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let name = stream.get_ref().1.server_name().map(ToOwned::to_owned);
            let _ = names.send(name);
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    (address, asked)
}

fn check(server_name: Option<&str>, trust: Trust) -> HealthKind {
    let tls = TlsCheck { server_name: server_name.map(ToOwned::to_owned), trust };
    HealthKind::Http(HttpCheck { tls: Some(tls), ..plain() })
}

#[tokio::test]
async fn a_certificate_of_the_own_authority_passes_and_its_end_is_told() {
    let authority = Authority::new();
    let (_, end) = good();
    let (address, mut asked_for) =
        https(authority.server("www.example", good(), b"http/1.1")).await;
    let outcome = asked(address, check(Some("www.example"), authority.trusted()), LIMIT).await;
    assert!(outcome.passed, "{outcome:?}");
    assert_eq!(outcome.detail, "200 OK, certificate ends in 34 days");
    assert_eq!(outcome.certificate_end_s, i64::try_from(end.as_secs()).ok());
    assert_eq!(asked_for.recv().await.unwrap().as_deref(), Some("www.example"));
}

#[tokio::test]
async fn without_a_name_the_certificate_is_the_addresss_and_none_is_asked_for() {
    let authority = Authority::new();
    let (address, mut asked_for) = https(authority.server("127.0.0.1", good(), b"http/1.1")).await;
    let outcome = asked(address, check(None, authority.trusted()), LIMIT).await;
    assert!(outcome.passed, "{outcome:?}");
    assert_eq!(asked_for.recv().await.unwrap(), None);
}

#[tokio::test]
async fn each_thing_that_can_be_wrong_with_a_certificate_is_told() {
    let authority = Authority::new();
    let ended = (Duration::ZERO, DAY * 20_000);
    let to_come = (now() + DAY * 400, now() + DAY * 500);
    let name = "www.example";
    for (times, trust, asked_for, detail) in [
        (ended, authority.trusted(), name, "the certificate ended on 2024-10-04"),
        (to_come, authority.trusted(), name, "the certificate does not begin before 20"),
        (
            good(),
            Authority::new().trusted(),
            name,
            "the certificate is from nobody that is trusted",
        ),
        (good(), Trust::System, name, "the certificate is from nobody that is trusted"),
        (good(), authority.trusted(), "other.example", "the certificate is not for other.example"),
    ] {
        let (address, _) = https(authority.server(name, times, b"http/1.1")).await;
        let outcome = asked(address, check(Some(asked_for), trust), LIMIT).await;
        assert!(!outcome.passed);
        assert!(outcome.detail.starts_with(detail), "{outcome:?}, not {detail}");
        let (address, _) = https(authority.server(name, times, b"http/1.1")).await;
        let unverified = asked(address, check(Some(asked_for), Trust::Anybody), LIMIT).await;
        assert!(unverified.passed, "not verified, but {unverified:?}");
    }
}

#[tokio::test]
async fn a_server_without_tls_fails_and_one_that_says_nothing_holds_no_check() {
    let clear = server(&["HTTP/1.1 400 Bad Request\r\n\r\n"], Duration::ZERO).await;
    let outcome = asked(clear, check(None, Trust::Anybody), LIMIT).await;
    assert!(outcome.detail.starts_with("no TLS: "), "{outcome:?}");
    assert!(!outcome.passed);

    let silent = server(&["", ""], LIMIT).await;
    let outcome = asked(silent, check(None, Trust::Anybody), Duration::from_millis(200)).await;
    assert_eq!((outcome.passed, outcome.detail.as_str()), (false, "no answer within 200ms"));
}

#[test]
fn days_are_whole_and_the_last_one_is_day_zero() {
    let day = 86_400;
    for (end_s, days) in [(14 * day, 14), (14 * day - 1, 13), (day - 1, 0), (0, 0), (-1, -1)] {
        assert_eq!(days_left(1_000_000 + end_s, 1_000_000), days);
    }
}

#[test]
fn a_file_of_certificates_is_read_whole_or_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let named = path.display().to_string();
    let refusal = || ThisHost { exec_checks: false }.certificates(&named).unwrap_err();
    assert_eq!(refusal(), format!("cannot read {named}: No such file or directory (os error 2)"));
    fs::write(&path, "certificates to follow\n").unwrap();
    assert_eq!(refusal(), format!("{named} has no certificate in PEM form"));
    let (first, second) = (Authority::new(), Authority::new());
    fs::write(&path, first.0.pem() + &second.0.pem()).unwrap();
    let certificates = ThisHost { exec_checks: false }.certificates(&named).unwrap();
    assert_eq!(certificates, [first.0.der().to_vec(), second.0.der().to_vec()]);
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(refusal().starts_with(&format!("certificate 3 of {named}: ")), "{}", refusal());
}
