//! What a configuration says about the host that it is for, asked while it is checked.
//!
//! The agent looks ([`Host`]), so that a configuration with a file that cannot be read is refused
//! with its line, not found out by a failing check. `lb-ctl config validate` may run anywhere
//! ([`Anywhere`]), and takes such things on trust.

use std::string::String;
use std::vec::Vec;

/// The host that a configuration is for. What is wrong is told in words for its operator.
pub trait Host {
    /// The certificates in the PEM file `path`, each in DER.
    ///
    /// # Errors
    /// It cannot be read, or has no certificate that can be used.
    fn certificates(&self, path: &str) -> Result<Vec<Vec<u8>>, String>;

    /// Whether the host has root certificates of its own.
    ///
    /// # Errors
    /// It has none.
    fn has_roots(&self) -> Result<(), String>;

    /// Whether ICMP echo requests may be sent from here.
    ///
    /// # Errors
    /// They may not.
    fn may_ping(&self) -> Result<(), String>;

    /// Whether checks may run commands on it.
    ///
    /// # Errors
    /// They may not.
    fn may_run_commands(&self) -> Result<(), String>;

    /// The numbers of a user and of its group.
    ///
    /// # Errors
    /// There is no such user.
    fn user(&self, name: &str) -> Result<(u32, u32), String>;
}

/// No host in particular: whatever is said of it may be so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Anywhere;

impl Host for Anywhere {
    fn certificates(&self, _path: &str) -> Result<Vec<Vec<u8>>, String> {
        Ok(Vec::new())
    }

    fn has_roots(&self) -> Result<(), String> {
        Ok(())
    }

    fn may_ping(&self) -> Result<(), String> {
        Ok(())
    }

    fn may_run_commands(&self) -> Result<(), String> {
        Ok(())
    }

    fn user(&self, _name: &str) -> Result<(u32, u32), String> {
        Ok((u32::MAX, u32::MAX))
    }
}
