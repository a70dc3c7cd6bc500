//! Binary frames as values, borrowed from the bytes that contain them.

use super::id::Id;

/// The two high bits of a frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A long-lived connection.
    Session,
    /// A single SEND; the server answers it and closes.
    OneShot,
}

/// The frame types: the six low bits of a frame's first byte. Only types with a binary frame are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Asks whether the server is alive.
    Ping = 0,
    /// Asks whether the server accepts sessions.
    Connect = 1,
    /// States the device's id.
    Auth = 4,
    /// Data for the store.
    Send = 7,
    /// Data for another client, or from another client.
    Publish = 10,
    /// A command from the server.
    Cmd = 13,
    /// The device has executed a command.
    CmdOk = 14,
    /// The device could not execute a command.
    CmdFailure = 15,
}

impl Kind {
    /// The kind with this number, if it has a binary frame.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Ping,
            1 => Self::Connect,
            4 => Self::Auth,
            7 => Self::Send,
            10 => Self::Publish,
            13 => Self::Cmd,
            14 => Self::CmdOk,
            15 => Self::CmdFailure,
            _ => return None,
        })
    }
}

/// A frame, with its data as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `40 reserved`
    Ping,
    /// `41 reserved`
    Connect,
    /// `44 len:16 client`
    Auth {
        /// The id that the device states.
        client: Id<'a>,
    },
    /// `47` (or one-shot `87`) `data_len:16 id_len:8 client data`
    Send {
        /// Whether the connection ends after the answer.
        mode: Mode,
        /// The id of the device.
        client: Id<'a>,
        /// The data for the store.
        data: &'a [u8],
    },
    /// `4a data_len:16 id_len:8 client data`
    Publish {
        /// From a device: the recipient. From the server: the sender.
        client: Id<'a>,
        /// The data for the other device.
        data: &'a [u8],
    },
    /// `4d data_len:16 id_len:8 command data`
    Cmd {
        /// Identifies the command in its answer.
        command: Id<'a>,
        /// The content of the command.
        data: &'a [u8],
    },
    /// `4e data_len:16 id_len:8 command data`
    CmdOk {
        /// The answered command.
        command: Id<'a>,
        /// The result.
        data: &'a [u8],
    },
    /// `4f data_len:16 id_len:8 command data`
    CmdFailure {
        /// The answered command.
        command: Id<'a>,
        /// The error.
        data: &'a [u8],
    },
}

impl<'a> Frame<'a> {
    /// The frame's type.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ping => Kind::Ping,
            Self::Connect => Kind::Connect,
            Self::Auth { .. } => Kind::Auth,
            Self::Send { .. } => Kind::Send,
            Self::Publish { .. } => Kind::Publish,
            Self::Cmd { .. } => Kind::Cmd,
            Self::CmdOk { .. } => Kind::CmdOk,
            Self::CmdFailure { .. } => Kind::CmdFailure,
        }
    }

    /// The client or command id. PING and CONNECT have no id.
    pub const fn id(&self) -> Option<Id<'a>> {
        match *self {
            Self::Ping | Self::Connect => None,
            Self::Auth { client } | Self::Send { client, .. } | Self::Publish { client, .. } => Some(client),
            Self::Cmd { command, .. } | Self::CmdOk { command, .. } | Self::CmdFailure { command, .. } => {
                Some(command)
            }
        }
    }

    /// The data, empty for frames without data.
    pub const fn data(&self) -> &[u8] {
        match self {
            Self::Ping | Self::Connect | Self::Auth { .. } => &[],
            Self::Send { data, .. }
            | Self::Publish { data, .. }
            | Self::Cmd { data, .. }
            | Self::CmdOk { data, .. }
            | Self::CmdFailure { data, .. } => data,
        }
    }
}
