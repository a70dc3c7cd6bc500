//! A network of its own, whose far end can be silenced. Linux only, and only for root.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

/// A network namespace, joined to this one by a pair of devices. Dropped, all of it is gone.
pub struct Namespace {
    name: String,
    near: String,
    far: String,
    /// This end.
    pub address: IpAddr,
}

impl Namespace {
    /// Fails with the error of the machine if that does not allow it.
    pub fn new() -> Result<Self, String> {
        let pid = std::process::id();
        // 198.18.0.0/15 is reserved for tests; each process has a network of four addresses there.
        let network = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + pid % 32_768 * 4;
        let [near_at, far_at] = [1, 2].map(|host| Ipv4Addr::from(network + host));
        let this = Self {
            name: format!("trap-test-{pid}"),
            near: format!("trn{pid}"),
            far: format!("trf{pid}"),
            address: near_at.into(),
        };
        let Self { name, near, far, .. } = &this;
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {near} type veth peer name {far} netns {name}"))?;
        ip(&format!("addr add {near_at}/30 dev {near}"))?;
        ip(&format!("link set {near} up"))?;
        ip(&format!("-n {name} addr add {far_at}/30 dev {far}"))?;
        ip(&format!("-n {name} link set {far} up"))?;
        Ok(this)
    }

    /// A program to be run at the far end.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Nothing comes from the far end any more, not even a farewell.
    pub fn silence(&self) {
        ip(&format!("-n {} link set {} down", self.name, self.far)).unwrap();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What was not made cannot be removed.
        let _ = ip(&format!("link del {}", self.near));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    let output =
        Command::new("ip").args(arguments.split(' ')).output().map_err(|err| format!("ip: {err}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
