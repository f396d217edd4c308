//! Attachments: one pinned link per interface.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use lb_common::config::Mode;
use nix::errno::Errno;

use super::{BpfError, Datapath};
use crate::io::pins::Pins;
use crate::io::sys;

/// An attached interface.
#[derive(Debug)]
pub struct Attachment {
    /// Kernel index.
    pub ifindex: u32,
    /// Whether it runs in the network stack instead of the driver.
    pub generic: bool,
    /// Kernel id of the program.
    pub program_id: u32,
    /// Its pin.
    path: PathBuf,
    /// Open as long as the agent runs, so that removing the pin from outside detaches nothing.
    link: OwnedFd,
}

/// The attachments of one agent, by interface name.
#[derive(Debug, Default)]
pub struct Attachments(BTreeMap<String, Attachment>);

impl Attachments {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Attachment)> {
        self.0.iter()
    }

    /// That of one interface.
    pub fn of(&self, interface: &str) -> Option<&Attachment> {
        self.0.get(interface)
    }

    /// Whether the program runs on the interface of this index.
    pub fn on(&self, ifindex: u32) -> bool {
        self.0.values().any(|attachment| attachment.ifindex == ifindex)
    }

    /// Makes `datapath` the program of an interface: in place of an earlier agent's if its link is
    /// pinned, else by a new link. True if the driver would not do and `mode` let it be generic.
    ///
    /// # Errors
    /// The interface is somebody else's, or the kernel refuses.
    pub fn attach(
        &mut self,
        datapath: &Datapath,
        pins: &Pins,
        interface: &str,
        ifindex: u32,
        mode: Mode,
    ) -> Result<bool, BpfError> {
        let program = datapath.program()?;
        let fd = program.fd().map_err(|source| BpfError::Program(Box::new(source)))?.as_fd();
        let adopted = adopt(pins, fd, interface, ifindex, mode)?;
        let (link, generic, path) = match adopted {
            Some(adopted) => adopted,
            None => create(pins, fd, interface, ifindex, mode)?,
        };
        let info = sys::link_info(link.as_fd()).map_err(|source| failed("read", &path, source))?;
        let program_id = info.program_id;
        let attachment = Attachment { ifindex, generic, program_id, path, link };
        self.0.insert(interface.to_owned(), attachment);
        Ok(generic && mode == Mode::Auto)
    }

    /// Detaches from every interface that `keep` refuses, those of earlier agents included.
    ///
    /// # Errors
    /// A pin cannot be removed.
    pub fn detach_others(
        &mut self,
        pins: &Pins,
        keep: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, BpfError> {
        let mut detached = Vec::new();
        for (interface, _, path) in pins.links()? {
            if !keep(&interface) {
                unpin(&path)?;
                detached.push(interface);
            }
        }
        self.0.retain(|interface, _| keep(interface));
        Ok(detached)
    }

    /// Whether a link is still pinned and still on its interface.
    pub fn is_intact(&self, interface: &str) -> bool {
        self.of(interface).is_some_and(|attachment| {
            let on_interface = sys::link_info(attachment.link.as_fd())
                .is_ok_and(|info| info.ifindex == attachment.ifindex);
            on_interface && attachment.path.exists()
        })
    }
}

type Made = (OwnedFd, bool, PathBuf);

/// The pinned link of an interface, its program replaced; none if there is none that fits.
fn adopt(
    pins: &Pins,
    program: BorrowedFd<'_>,
    interface: &str,
    ifindex: u32,
    mode: Mode,
) -> Result<Option<Made>, BpfError> {
    let mut adopted = None;
    for (name, generic, path) in pins.links()? {
        if name != interface {
            continue;
        }
        let link = sys::open_pinned(&path).map_err(|source| failed("open", &path, source))?;
        let info = sys::link_info(link.as_fd()).map_err(|source| failed("read", &path, source))?;
        let fits = match mode {
            Mode::Auto => true,
            Mode::Native => !generic,
            Mode::Generic => generic,
        };
        // Index 0: the interface it was on has gone, and another has come by that name.
        if info.ifindex != ifindex || !fits {
            unpin(&path)?;
            continue;
        }
        sys::link_update(link.as_fd(), program)
            .map_err(|source| failed("update", &path, source))?;
        adopted = Some((link, generic, path));
    }
    Ok(adopted)
}

/// A new link, pinned.
fn create(
    pins: &Pins,
    program: BorrowedFd<'_>,
    interface: &str,
    ifindex: u32,
    mode: Mode,
) -> Result<Made, BpfError> {
    let (link, generic) = match mode {
        Mode::Generic => (link(program, interface, ifindex, true)?, true),
        Mode::Native => (link(program, interface, ifindex, false)?, false),
        Mode::Auto => match link(program, interface, ifindex, false) {
            Err(BpfError::NotNative { .. }) => (link(program, interface, ifindex, true)?, true),
            other => (other?, false),
        },
    };
    let path = pins.link(interface, generic);
    sys::pin(link.as_fd(), &path).map_err(|source| failed("pin", &path, source))?;
    Ok((link, generic, path))
}

fn link(
    program: BorrowedFd<'_>,
    interface: &str,
    ifindex: u32,
    generic: bool,
) -> Result<OwnedFd, BpfError> {
    let interface = || interface.to_owned();
    sys::link_create_xdp(program, ifindex, generic).map_err(|source| {
        match source.raw_os_error().map(Errno::from_raw) {
            // EEXIST: a program of the other mode; EBUSY: a link or program of this one.
            Some(Errno::EBUSY | Errno::EEXIST) => BpfError::Occupied { interface: interface() },
            Some(Errno::EOPNOTSUPP) if !generic => {
                BpfError::NotNative { interface: interface(), source }
            }
            _ => BpfError::Attach { interface: interface(), source },
        }
    })
}

fn unpin(path: &Path) -> Result<(), BpfError> {
    fs::remove_file(path).map_err(|source| failed("remove", path, source))
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> BpfError {
    BpfError::Link { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
