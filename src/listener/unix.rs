//! The file of a Unix socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use log::info;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

/// Bytes in the path of a socket, without the zero at its end, see unix(7).
pub(super) const LONGEST: usize = 107;

/// The file of a socket. Dropping it removes the file, unless another one has its place by then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

/// Opens a socket at `path` with these permissions. It does not listen yet, so nobody can connect before the permissions
/// are right. A file that a dead server has left is replaced.
pub(super) fn open(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    check_length(path)?;
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.into(), id: id(path)? };
    file.set_mode(mode)?;
    Ok((socket.into(), file))
}

fn check_length(path: &Path) -> io::Result<()> {
    let len = path.as_os_str().as_bytes().len();
    if len <= LONGEST {
        return Ok(());
    }
    let text = format!("the path has {len} bytes; the path of a Unix socket has at most {LONGEST}");
    Err(io::Error::other(text))
}

/// Makes room for a socket: removes one that nobody listens on.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(err),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other(
                "a file that is not a socket has this path; move it, or change `bind`",
            ));
        }
        Ok(_) => {}
    }
    match connect(path) {
        Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => {
            info!("removing the socket of a server that has ended: {}", path.display());
            fs::remove_file(path)
        }
        Err(err) if err.kind() == io::ErrorKind::PermissionDenied => Err(err),
        // A full backlog is an error too.
        _ => Err(Errno::ADDRINUSE.into()),
    }
}

/// Without waiting, as the backlog of a live server may be full.
fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

impl SocketFile {
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id(&self.path).is_ok_and(|id| id == self.id) {
            // Whatever keeps the file, the next start removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn listen(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
        let opened = open(path, 0o600)?;
        socket2::SockRef::from(&opened.0).listen(1)?;
        Ok(opened)
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_or_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (live, file) = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(listen(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // A full backlog is alive too.
        let _clients = [UnixStream::connect(&path).unwrap()];
        assert_eq!(listen(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        std::mem::forget(file);
        drop(live);
        let (_live, file) = listen(&path).unwrap();
        drop(file);
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        assert!(listen(&path).unwrap_err().to_string().starts_with("a file that is not a socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn the_socket_of_another_server_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (_first, file) = listen(&path).unwrap();
        fs::remove_file(&path).unwrap();
        // The inode of the first one is in use until it is closed, so this is another one.
        let (_second, second_file) = listen(&path).unwrap();
        drop(file);
        assert!(path.exists());
        drop(second_file);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_is_too_long_is_a_clear_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(LONGEST));
        assert!(listen(&path).unwrap_err().to_string().ends_with("at most 107"));
    }
}
