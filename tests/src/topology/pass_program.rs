//! The smallest XDP program: everything passes.
//!
//! A veth interface delivers what its peer sends by `XDP_TX` only if it has a native XDP program
//! of its own, so the router's end towards the balancer gets this one. It is two instructions,
//! written here as an ELF object that `ip link set ... xdpdrv object FILE` loads.

use anyhow::{Context, Result};
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind};
use object::{SymbolFlags, SymbolKind, SymbolScope};

/// Name of the object file in the run's directory.
pub(super) const FILE: &str = "pass.o";
/// Section that holds the program, as `ip` wants it named.
pub(super) const SECTION: &str = "xdp";

/// `r0 = 2` (`XDP_PASS`) and `exit`, as eight bytes each: opcode, registers, offset, immediate.
const INSTRUCTIONS: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// The ELF object.
pub(super) fn object_file() -> Result<Vec<u8>> {
    let code = INSTRUCTIONS.as_flattened();
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let section = object.add_section(Vec::new(), SECTION.into(), SectionKind::Text);
    object.append_section_data(section, code, 8);
    object.add_symbol(Symbol {
        name: b"pass".into(),
        value: 0,
        size: u64::try_from(code.len()).context("size of the program")?,
        kind: SymbolKind::Text,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    let license = object.add_section(Vec::new(), b"license".into(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    object.write().context("writing the pass program's object file")
}
