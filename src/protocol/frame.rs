//! Binary frames as values, borrowed from the bytes they were read from.

use super::id::Id;

/// The two high bits of a frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A long-lived connection.
    Session,
    /// A single SEND, answered, then the server closes.
    OneShot,
}

/// The six low bits of a frame's first byte, as far as they travel as frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Is the server there?
    Ping = 0,
    /// Will the server have me?
    Connect = 1,
    /// This is who I am.
    Auth = 4,
    /// Data for the uplink.
    Send = 7,
    /// Data for another client, or from one.
    Publish = 10,
    /// A command from the server.
    Cmd = 13,
    /// A command was carried out.
    CmdOk = 14,
    /// A command was not carried out.
    CmdFailure = 15,
}

impl Kind {
    /// The kind with this number, if it is one that travels as a frame.
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

/// One frame. Its data is what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `40 reserved`
    Ping,
    /// `41 reserved`
    Connect,
    /// `44 len:16 client`
    Auth {
        /// Who the device says it is.
        client: Id<'a>,
    },
    /// `47` (or one-shot `87`) `data_len:16 id_len:8 client data`
    Send {
        /// Whether the connection ends with the answer.
        mode: Mode,
        /// Whose data this is.
        client: Id<'a>,
        /// For the uplink.
        data: &'a [u8],
    },
    /// `4a data_len:16 id_len:8 client data`
    Publish {
        /// From a device: for whom. From the server: of whom.
        client: Id<'a>,
        /// For the other device.
        data: &'a [u8],
    },
    /// `4d data_len:16 id_len:8 command data`
    Cmd {
        /// Names the command in its answer.
        command: Id<'a>,
        /// What is to be done.
        data: &'a [u8],
    },
    /// `4e data_len:16 id_len:8 command data`
    CmdOk {
        /// The command that is answered.
        command: Id<'a>,
        /// What came of it.
        data: &'a [u8],
    },
    /// `4f data_len:16 id_len:8 command data`
    CmdFailure {
        /// The command that is answered.
        command: Id<'a>,
        /// What went wrong.
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

    /// The client or command id. PING and CONNECT have none.
    pub const fn id(&self) -> Option<Id<'a>> {
        match *self {
            Self::Ping | Self::Connect => None,
            Self::Auth { client } | Self::Send { client, .. } | Self::Publish { client, .. } => Some(client),
            Self::Cmd { command, .. } | Self::CmdOk { command, .. } | Self::CmdFailure { command, .. } => {
                Some(command)
            }
        }
    }

    /// The data; empty where there is none.
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
