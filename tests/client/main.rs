//! The client, as a library and as a program, against servers that follow a script, each on a port of its own.

mod device;
mod options;
mod script;
mod trap_client;

const AUTH: &[u8] = b"\x44\x00\x0aclient0012";
const SEND: &[u8] = b"\x47\x00\x05\x0aclient0012hello";
const PUBLISH: &[u8] = b"\x4a\x00\x04\x05otherdata";
const COMMAND: &[u8] = b"\x4d\x00\x02\x02c1up";
