//! Attachments: one pinned link per interface.
//!
//! Interfaces are told apart by kernel index, so that one that is renamed keeps its link. Nothing
//! is taken off an interface before the kernel has been asked to put something in its place, with
//! one exception: it allows one mode at a time, so a change of mode is a short gap, in which
//! packets go to the kernel as if there were no program. If the new mode is refused, the old one
//! is put back.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use lb_common::config::Mode;
use nix::errno::Errno;
use nix::net::if_::if_indextoname;

use super::{BpfError, Datapath, PROGRAM, refused};
use crate::io::pins::Pins;
use crate::io::sys;

/// An attached interface.
#[derive(Debug)]
pub struct Attachment {
    /// Its name.
    pub interface: String,
    /// Kernel index.
    pub ifindex: u32,
    /// Whether it runs in the network stack instead of the driver.
    pub generic: bool,
    /// Kernel id of the program.
    pub program_id: u32,
    /// Why the driver would not run it, where mode auto fell back to generic.
    pub fallback: Option<String>,
    /// Its pin.
    path: PathBuf,
    /// Open as long as the agent runs, so that removing the pin from outside detaches nothing.
    link: OwnedFd,
}

/// The attachments of one agent, by kernel index.
#[derive(Debug, Default)]
pub struct Attachments(BTreeMap<u32, Attachment>);

/// What an interface had before [`Attachments::attach`]: the way back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Before {
    ifindex: u32,
    /// Name, whether generic, why; none if the program was not attached.
    attached: Option<(String, bool, Option<String>)>,
}

impl Before {
    /// Whether the interface was attached, in another mode than `attachment`.
    pub fn in_other_mode(&self, attachment: &Attachment) -> bool {
        self.attached.as_ref().is_some_and(|(_, generic, _)| *generic != attachment.generic)
    }

    /// Whether the interface was not attached at all.
    pub const fn is_new(&self) -> bool {
        self.attached.is_none()
    }
}

/// What [`Attachments::tend`] found and did.
#[derive(Debug)]
pub enum Tended {
    /// The link is no longer on its interface; it is forgotten.
    Lost,
    /// Its pin was gone; it has a new one.
    PinnedAgain,
    /// Its pin was gone, and it cannot be pinned.
    NotPinned(BpfError),
}

impl Attachments {
    /// The pinned links of an earlier agent, its program still running on them. Links whose
    /// interface has gone are unpinned.
    ///
    /// # Errors
    /// A pin cannot be opened or is no link.
    pub fn adopt(pins: &Pins) -> Result<Self, BpfError> {
        let mut attachments = BTreeMap::new();
        for (generic, path) in pins.links()? {
            let link = sys::open_pinned(&path).map_err(|source| failed("open", &path, source))?;
            let info =
                sys::link_info(link.as_fd()).map_err(|source| failed("read", &path, source))?;
            let (ifindex, program_id) = (info.ifindex, info.program_id);
            if ifindex == 0 {
                unpin(&path)?;
                continue;
            }
            let interface = name_of(ifindex).unwrap_or_else(|| format!("interface {ifindex}"));
            let fallback = None;
            let adopted =
                Attachment { interface, ifindex, generic, program_id, fallback, path, link };
            attachments.insert(ifindex, adopted);
        }
        Ok(Self(attachments))
    }

    /// All of them, with names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Attachment)> {
        self.0.values().map(|attachment| (&attachment.interface, attachment))
    }

    /// That of one interface.
    pub fn of(&self, interface: &str) -> Option<&Attachment> {
        self.0.values().find(|attachment| attachment.interface == interface)
    }

    /// Name of the interface that `before` tells of, if it was not attached then and is now.
    pub fn new_since(&self, before: &Before) -> Option<&str> {
        let attachment = self.0.get(&before.ifindex).filter(|_| before.is_new())?;
        Some(&attachment.interface)
    }

    /// Whether the program runs on the interface of this index.
    pub fn on(&self, ifindex: u32) -> bool {
        self.0.contains_key(&ifindex)
    }

    /// Sees to it that an interface is attached in `mode`. A link that is there stays, with the
    /// program it has, if it is of that mode.
    ///
    /// Mode auto takes what is there too, except a generic link for which this process has not
    /// yet asked the driver: what was in its way once may be gone.
    ///
    /// # Errors
    /// The interface is somebody else's, or the kernel refuses; all is as it was then.
    pub fn attach(
        &mut self,
        datapath: &mut Datapath,
        pins: &Pins,
        interface: &str,
        ifindex: u32,
        mode: Mode,
    ) -> Result<Before, BpfError> {
        if self.0.is_empty() {
            datapath.take_unusual()?;
        }
        let fd = datapath.program(PROGRAM)?.fd().map_err(refused)?.as_fd();
        let attached = self
            .0
            .get(&ifindex)
            .map(|there| (there.interface.clone(), there.generic, there.fallback.clone()));
        match self.0.get_mut(&ifindex) {
            Some(there) if there.fits(mode) => {
                interface.clone_into(&mut there.interface);
                if mode == Mode::Generic {
                    there.fallback = None;
                }
            }
            Some(_) => self.change_mode(pins, fd, interface, ifindex, mode)?,
            None => {
                let link = create(fd, interface, ifindex, mode)?;
                self.0.insert(ifindex, link.pin(pins, interface, ifindex)?);
            }
        }
        Ok(Before { ifindex, attached })
    }

    /// Goes back to what an interface had before.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn undo(
        &mut self,
        datapath: &mut Datapath,
        pins: &Pins,
        before: &Before,
    ) -> Result<(), BpfError> {
        let Some((interface, generic, fallback)) = &before.attached else {
            return self.detach(before.ifindex).map(drop);
        };
        self.attach(datapath, pins, interface, before.ifindex, mode_of(*generic))?;
        if let Some(attachment) = self.0.get_mut(&before.ifindex) {
            attachment.fallback.clone_from(fallback);
        }
        Ok(())
    }

    /// Makes `datapath`'s the programs of every link; no packet is seen by neither the old program
    /// nor the new one.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn replace_programs(&mut self, datapath: &mut Datapath) -> Result<(), BpfError> {
        datapath.take_unusual()?;
        let program = datapath.program(PROGRAM)?;
        let id = program.info().map_err(refused)?.id();
        let fd = program.fd().map_err(refused)?.as_fd();
        for attachment in self.0.values_mut().filter(|attachment| attachment.program_id != id) {
            sys::link_update(attachment.link.as_fd(), fd)
                .map_err(|source| failed("update", &attachment.path, source))?;
            attachment.program_id = id;
        }
        Ok(())
    }

    /// Detaches from every interface whose index `wanted` does not have; their names.
    ///
    /// # Errors
    /// A pin cannot be removed.
    pub fn detach_others(&mut self, wanted: &[u32]) -> Result<Vec<String>, BpfError> {
        let others: Vec<u32> =
            self.0.keys().copied().filter(|ifindex| !wanted.contains(ifindex)).collect();
        let mut detached = Vec::new();
        for ifindex in others {
            detached.extend(self.detach(ifindex)?);
        }
        Ok(detached)
    }

    /// Whether a link is still pinned and still on its interface.
    pub fn is_intact(&self, interface: &str) -> bool {
        self.of(interface)
            .is_some_and(|attachment| attachment.is_on_interface() && attachment.path.exists())
    }

    /// Looks after what outsiders can do to links: those that were lost are forgotten, those that
    /// were unpinned are pinned again, and those whose interface was renamed get its name.
    pub fn tend(&mut self) -> Vec<(String, Tended)> {
        let mut found = Vec::new();
        self.0.retain(|ifindex, attachment| {
            let on_interface = attachment.is_on_interface();
            if !on_interface {
                // Nothing runs by it any more; at worst the next start removes the pin.
                let _ = fs::remove_file(&attachment.path);
                found.push((attachment.interface.clone(), Tended::Lost));
            } else if !attachment.path.exists() {
                let path = &attachment.path;
                let tended = match sys::pin(attachment.link.as_fd(), path) {
                    Ok(()) => Tended::PinnedAgain,
                    Err(source) => Tended::NotPinned(failed("pin", path, source)),
                };
                found.push((attachment.interface.clone(), tended));
            }
            if let Some(name) = name_of(*ifindex) {
                attachment.interface = name;
            }
            on_interface
        });
        found
    }

    /// Another mode for an attached interface: the old link goes first, as the kernel wants it.
    fn change_mode(
        &mut self,
        pins: &Pins,
        program: BorrowedFd<'_>,
        interface: &str,
        ifindex: u32,
        mode: Mode,
    ) -> Result<(), BpfError> {
        let Some(old) = self.0.remove(&ifindex) else { return Ok(()) };
        if let Err(source) = sys::link_detach(old.link.as_fd()) {
            let error = failed("detach", &old.path, source);
            self.0.insert(ifindex, old);
            return Err(error);
        }
        let new = create(program, interface, ifindex, mode).and_then(|link| {
            // Its pin may have been removed from outside; and what it pins is dead.
            let _ = fs::remove_file(&old.path);
            link.pin(pins, interface, ifindex)
        });
        match new {
            Ok(new) => {
                self.0.insert(ifindex, new);
                Ok(())
            }
            Err(error) => {
                let _ = fs::remove_file(&old.path);
                let link = create(program, &old.interface, ifindex, mode_of(old.generic))?;
                let again = link.pin(pins, &old.interface, ifindex)?;
                self.0.insert(ifindex, Attachment { fallback: old.fallback, ..again });
                Err(error)
            }
        }
    }

    /// Takes the program off an interface; its name.
    fn detach(&mut self, ifindex: u32) -> Result<Option<String>, BpfError> {
        let Some(attachment) = self.0.get(&ifindex) else { return Ok(None) };
        if attachment.path.exists() {
            unpin(&attachment.path)?;
        }
        sys::link_detach(attachment.link.as_fd())
            .map_err(|source| failed("detach", &attachment.path, source))?;
        Ok(self.0.remove(&ifindex).map(|attachment| attachment.interface))
    }
}

impl Attachment {
    /// Whether it is of a mode that was asked for.
    const fn fits(&self, mode: Mode) -> bool {
        match mode {
            Mode::Auto => !self.generic || self.fallback.is_some(),
            Mode::Native => !self.generic,
            Mode::Generic => self.generic,
        }
    }

    /// The kernel says index 0 once the interface has gone or somebody detached the link.
    fn is_on_interface(&self) -> bool {
        sys::link_info(self.link.as_fd()).is_ok_and(|info| info.ifindex == self.ifindex)
    }
}

/// A new link, not yet pinned.
struct Made {
    link: OwnedFd,
    generic: bool,
    fallback: Option<String>,
}

impl Made {
    fn pin(self, pins: &Pins, interface: &str, ifindex: u32) -> Result<Attachment, BpfError> {
        let Self { link, generic, fallback } = self;
        let path = pins.link(ifindex, generic);
        sys::pin(link.as_fd(), &path).map_err(|source| failed("pin", &path, source))?;
        let info = sys::link_info(link.as_fd()).map_err(|source| failed("read", &path, source))?;
        let (interface, program_id) = (interface.to_owned(), info.program_id);
        Ok(Attachment { interface, ifindex, generic, program_id, fallback, path, link })
    }
}

fn create(
    program: BorrowedFd<'_>,
    interface: &str,
    ifindex: u32,
    mode: Mode,
) -> Result<Made, BpfError> {
    let generic = mode == Mode::Generic;
    match link(program, interface, ifindex, generic) {
        Err(BpfError::NotNative { source, .. } | BpfError::Attach { source, .. })
            if mode == Mode::Auto =>
        {
            let link = link(program, interface, ifindex, true)?;
            Ok(Made { link, generic: true, fallback: Some(refusal(&source)) })
        }
        other => Ok(Made { link: other?, generic, fallback: None }),
    }
}

/// Why a driver would not, in the words of the kernel where we know no better.
fn refusal(source: &io::Error) -> String {
    match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EOPNOTSUPP) => "its driver cannot run XDP programs".to_owned(),
        _ => format!("its driver refused the program: {source}"),
    }
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

const fn mode_of(generic: bool) -> Mode {
    if generic { Mode::Generic } else { Mode::Native }
}

/// The name of an interface of this network namespace.
fn name_of(ifindex: u32) -> Option<String> {
    if_indextoname(ifindex).ok()?.into_string().ok()
}

fn unpin(path: &Path) -> Result<(), BpfError> {
    fs::remove_file(path).map_err(|source| failed("remove", path, source))
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> BpfError {
    BpfError::Link { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
