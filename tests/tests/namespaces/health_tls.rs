//! Checks over TLS and HTTP/2, of a second nginx on each origin.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::process::{Process, wait_until};
use lb_tests::topology::{Agent, Origin, Topology, on_topology};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use crate::health::{checked, wait_for};

const LIMIT: Duration = Duration::from_secs(20);
const TIMES: &str = "interval: 200ms, timeout: 150ms, rise: 2, fall: 2";
/// The name that certificates are for.
const NAME: &str = "web.example";
/// Years that are over, and that will not be for a while.
const PAST: i32 = 2020;
const FUTURE: i32 = 2199;

/// A response of the health service in its frame: `SERVING`, and `NOT_SERVING`.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 2];

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Writes its own certificate where the agent finds it.
    fn write(&self, topology: &Topology) -> Result<PathBuf> {
        let path = topology.dir().join("ca.pem");
        fs::write(&path, self.0.pem()).context("writing the authority's certificate")?;
        Ok(path)
    }

    /// Writes a certificate that ends in a year, and its key.
    fn issue(&self, dir: &Path, name: &str, until: i32) -> Result<()> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate()?;
        fs::write(dir.join("server.pem"), params.signed_by(&key, &self.0)?.pem())?;
        fs::write(dir.join("server.key"), key.serialize_pem())?;
        Ok(())
    }
}

/// Where the second nginx of an origin has its files.
fn directory(topology: &Topology, origin: &Origin) -> Result<PathBuf> {
    let dir = topology.dir().join(format!("{}-tls", origin.name()));
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(dir)
}

/// Starts nginx with TLS on port 443, and with HTTP/2 there and on port 50051. The health service of
/// gRPC answers with the file `health`, and is not there without one.
fn start_nginx(topology: &Topology, origin: &Origin) -> Result<Process> {
    let dir = directory(topology, origin)?;
    let configuration = "daemon off;\n\
         master_process off;\n\
         pid nginx.pid;\n\
         events { worker_connections 256; }\n\
         http {\n\
         \x20 access_log off;\n\
         \x20 client_body_temp_path body;\n\
         \x20 proxy_temp_path proxy;\n\
         \x20 fastcgi_temp_path fastcgi;\n\
         \x20 uwsgi_temp_path uwsgi;\n\
         \x20 scgi_temp_path scgi;\n\
         \x20 server {\n\
         \x20   listen 443 ssl http2;\n\
         \x20   listen 50051 http2;\n\
         \x20   ssl_certificate server.pem;\n\
         \x20   ssl_certificate_key server.key;\n\
         \x20   location / { return 200 \"fine\"; }\n\
         \x20   location = /grpc.health.v1.Health/Check {\n\
         \x20     default_type application/grpc;\n\
         \x20     error_page 405 =200 /health;\n\
         \x20     return 405;\n\
         \x20   }\n\
         \x20   location = /health {\n\
         \x20     root .;\n\
         \x20     default_type application/grpc;\n\
         \x20     add_trailer grpc-status 0;\n\
         \x20   }\n\
         \x20 }\n\
         }\n";
    fs::write(dir.join("nginx.conf"), configuration)?;
    let mut command = origin.host.command("nginx");
    command.arg("-p").arg(&dir).arg("-c").arg(dir.join("nginx.conf")).args(["-e", "stderr"]);
    Process::spawn(command, &format!("nginx-tls-{}", origin.name()), topology.dir())
}

/// Waits until the last check of a backend came to something that contains `words`.
fn wait_for_detail(agent: &Agent, backend: &str, words: &str) -> Result<()> {
    let mut shown = String::new();
    let said = wait_until(&format!("{words:?} of {backend}"), LIMIT, || {
        shown = agent.files.ctl(&["health", "show", "web"])?.with_code(0)?.stdout;
        let mut blocks = shown.split("Backend:");
        Ok(blocks.any(|block| block.contains(backend) && block.contains(words)).then_some(()))
    });
    said.with_context(|| format!("health show says\n{shown}"))
}

#[test]
fn a_certificate_that_has_ended_or_is_another_authoritys_takes_its_server_out() -> Result<()> {
    on_topology("https-check", |topology| {
        let (ours, theirs) = (Authority::new("ours")?, Authority::new("theirs")?);
        let ca = ours.write(topology)?;
        let certificates = [(&ours, FUTURE), (&ours, PAST), (&theirs, FUTURE)];
        let mut servers = Vec::new();
        for (origin, (authority, until)) in topology.origins.iter().zip(certificates) {
            authority.issue(&directory(topology, origin)?, NAME, until)?;
            servers.push(start_nginx(topology, origin)?);
        }
        let check = format!(
            "type: https, path: /, port: 443, expect_body: fine, server_name: {NAME}, \
             ca: {}, {TIMES}",
            ca.display()
        );
        let agent = topology.start_agent(&checked(&check))?;
        wait_for(&agent, "web/origin1", "active")?;
        wait_for(&agent, "web/origin2", "down")?;
        wait_for(&agent, "web/origin3", "down")?;
        wait_for_detail(&agent, "web/origin2", "ended")?;
        wait_for_detail(&agent, "web/origin3", "nobody that is trusted")?;
        let told = agent.files.ctl(&["health", "check", "web/origin1", "--once"])?;
        let told = told.with_code(0)?.stdout;
        ensure!(told.contains(NAME) && told.contains("2199"), "no end of the certificate: {told}");

        // It gets a new one, as by a robot that renews certificates.
        let origin = topology.origins.get(1).context("three origins")?;
        ours.issue(&directory(topology, origin)?, NAME, FUTURE)?;
        servers.get_mut(1).context("three servers")?.kill_now()?;
        let _renewed = start_nginx(topology, origin)?;
        wait_for(&agent, "web/origin2", "active")
    })
}

#[test]
fn a_grpc_server_that_says_it_does_not_serve_is_left_until_it_does() -> Result<()> {
    on_topology("grpc-check", |topology| {
        let authority = Authority::new("ours")?;
        let answers = [Some(SERVING), Some(NOT_SERVING), None];
        let mut servers = Vec::new();
        for (origin, answer) in topology.origins.iter().zip(answers) {
            let dir = directory(topology, origin)?;
            authority.issue(&dir, NAME, FUTURE)?;
            if let Some(answer) = answer {
                fs::write(dir.join("health"), answer)?;
            }
            servers.push(start_nginx(topology, origin)?);
        }
        let agent = topology.start_agent(&checked(&format!("type: grpc, port: 50051, {TIMES}")))?;
        wait_for(&agent, "web/origin1", "active")?;
        wait_for(&agent, "web/origin2", "down")?;
        wait_for(&agent, "web/origin3", "down")?;
        wait_for_detail(&agent, "web/origin2", "NOT_SERVING")?;
        wait_for_detail(&agent, "web/origin3", "404")?;

        let origin = topology.origins.get(1).context("three origins")?;
        fs::write(directory(topology, origin)?.join("health"), SERVING)?;
        wait_for(&agent, "web/origin2", "active")?;

        // The same over TLS.
        let ca = authority.write(topology)?;
        let check = format!(
            "type: grpc, port: 443, tls: true, server_name: {NAME}, ca: {}, {TIMES}",
            ca.display()
        );
        agent.files.write_configuration(&checked(&check))?;
        let generation = agent.generation()?;
        agent.reload()?;
        wait_until("the new checks", LIMIT, || {
            Ok((agent.generation()? > generation).then_some(()))
        })?;
        for backend in ["web/origin1", "web/origin2"] {
            wait_for(&agent, backend, "active")?;
        }
        let told = agent.files.ctl(&["health", "check", "web/origin2", "--once"])?;
        let told = told.with_code(0)?.stdout;
        ensure!(told.contains("SERVING") && told.contains("TLS"), "{told}");
        Ok(())
    })
}
