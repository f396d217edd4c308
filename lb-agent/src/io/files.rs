//! Files that are replaced whole: a reader, or a crash, sees the old text or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use thiserror::Error;

const NEW_FILE_MODE: u32 = 0o600;

/// A file could not be read or replaced.
#[derive(Debug, Error)]
#[error("cannot {operation} {path}", path = .path.display())]
pub struct FileError {
    /// What was to be done.
    pub operation: &'static str,
    /// With what.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError {
        operation: "read",
        path: path.to_owned(),
        source,
    })
}

/// Replaces a file: the text goes to a file beside it, to the disk, and then takes its name. Owner
/// and mode stay, and a new file is its owner's alone; of a symbolic link, the file it leads to is replaced.
///
/// # Errors
/// It cannot be written; the old file is then as it was.
pub fn replace(path: &Path, text: &str) -> Result<(), FileError> {
    write(path, text).map_err(|source| FileError {
        operation: "write",
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        other => other?,
    };
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary_name = name.to_owned();
    temporary_name.push(".new");
    let temporary = path.with_file_name(temporary_name);
    let written = write_beside(&temporary, &path, text);
    if written.is_err() {
        // On a full disk, what is left of it would keep the space; it may not even be there.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The new name is on the disk only once its directory is.
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

fn write_beside(temporary: &Path, path: &Path, text: &str) -> io::Result<()> {
    // Of a file that is new, nobody else is to read what is in it.
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(NEW_FILE_MODE)
        .open(temporary)?;
    if let Ok(old) = fs::metadata(path) {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        // After the owner: a change of owner takes set-id bits away.
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests;
