//! What a configuration's checks name on this host, looked at when the configuration is taken.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

use lb_common::config::Host;
use nix::unistd::User;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::icmp;
use super::tls::system_roots;

/// Largest file of certificates that is read: ten times what a distribution's own takes.
const CERTIFICATES_MAX_BYTES: u64 = 4 << 20;

/// This host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThisHost {
    /// Whether checks may run commands. Whoever may change the configuration may then run them.
    pub exec_checks: bool,
}

/// Opens a file that can be read to its end: a pipe would hold the agent until somebody writes to it.
fn open_file(path: &str) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok(file)
}

impl Host for ThisHost {
    fn certificates(&self, path: &str) -> Result<Vec<Vec<u8>>, String> {
        let mut pem = Vec::new();
        let read = open_file(path)
            .and_then(|file| file.take(CERTIFICATES_MAX_BYTES).read_to_end(&mut pem));
        read.map_err(|error| format!("cannot read {path}: {error}"))?;
        let mut certificates = Vec::new();
        for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
            let number = index + 1;
            let unusable = |why: String| format!("certificate {number} of {path}: {why}");
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            let added = RootCertStore::empty().add(certificate.clone());
            added.map_err(|error| unusable(error.to_string()))?;
            certificates.push(certificate.to_vec());
        }
        if certificates.is_empty() {
            return Err(format!("{path} has no certificate in PEM form"));
        }
        Ok(certificates)
    }

    fn has_roots(&self) -> Result<(), String> {
        if system_roots().is_empty() {
            return Err("this host has no root certificates: name a file of its own, or say \
                 verify: false"
                .to_owned());
        }
        Ok(())
    }

    fn may_ping(&self) -> Result<(), String> {
        icmp::may_ask().map_err(|error| {
            format!(
                "cannot ping ({error}): the agent needs CAP_NET_RAW, or its group in \
                 net.ipv4.ping_group_range"
            )
        })
    }

    fn may_run_commands(&self) -> Result<(), String> {
        if self.exec_checks {
            return Ok(());
        }
        Err("this agent runs no commands: start it with --allow-exec-checks".to_owned())
    }

    fn user(&self, name: &str) -> Result<(u32, u32), String> {
        match User::from_name(name) {
            Ok(Some(user)) => Ok((user.uid.as_raw(), user.gid.as_raw())),
            Ok(None) => Err(format!("there is no user {name:?} on this host")),
            Err(error) => Err(format!("cannot look up user {name:?}: {error}")),
        }
    }
}
