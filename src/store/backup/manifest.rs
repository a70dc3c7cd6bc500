//! What is in a backup: the last file that is written, so that a folder that has it is complete.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::Failed;
use super::copy::WRITTEN;
use crate::database::{STATE_FILE, sync_folder};
use crate::store::segments::folder::RESCUED;

const NAME: &str = "backup.json";

/// Its name while it is written.
const PART: &str = "backup.json.part";

/// The version of the layout of a backup.
const FORMAT: u32 = 1;

/// How many files of a damaged backup are named.
const NAMED: usize = 3;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the layout.
    pub format: u32,
    /// The program that made it.
    pub program: String,
    /// When it was begun.
    pub created_at: String,
    /// The first message.
    pub first_id: Option<i64>,
    /// The last message.
    pub last_id: Option<i64>,
    /// The number of messages.
    pub messages: u64,
    /// All other files.
    pub files: Vec<File>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path within the backup.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

impl Manifest {
    /// A backup of nothing.
    pub(super) fn new(created_at: String) -> Self {
        let program = format!("trap-server {}", env!("CARGO_PKG_VERSION"));
        Self {
            format: FORMAT,
            program,
            created_at,
            first_id: None,
            last_id: None,
            messages: 0,
            files: vec![],
        }
    }

    /// The size of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The number of segments.
    pub fn segments(&self) -> usize {
        let is_segment = |file: &&File| file.name != STATE_FILE && !file.name.starts_with(RESCUED);
        self.files.iter().filter(is_segment).count()
    }

    /// Notes messages, which are older than all before.
    pub(super) fn add_older(&mut self, first_id: i64, last_id: i64) {
        self.first_id = Some(first_id);
        self.last_id = self.last_id.or(Some(last_id));
        self.messages += last_id.abs_diff(first_id).saturating_add(1);
    }

    /// Completes a backup.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Failed> {
        let (path, part) = (folder.join(NAME), folder.join(PART));
        let write = || -> io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(WRITTEN).open(&part)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            sync_folder(folder)
        };
        write().map_err(Failed::at(&path))
    }

    /// The manifest of a complete backup.
    pub(super) fn read(folder: &Path) -> Result<Self, Failed> {
        let not_a_backup = |why: String| Failed::NotABackup { folder: folder.into(), why };
        let text = fs::read(folder.join(NAME)).map_err(|err| match err.kind() {
            io::ErrorKind::NotFound => not_a_backup(format!("it has no {NAME}")),
            _ => not_a_backup(format!("{NAME}: {err}")),
        })?;
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|err| not_a_backup(format!("{NAME}: {err}")))?;
        if manifest.format > FORMAT {
            return Err(not_a_backup(format!("it was made by a newer program ({})", manifest.program)));
        }
        let mut wrong = manifest.files.iter().filter_map(|file| file.mistake(folder));
        let named: Vec<_> = wrong.by_ref().take(NAMED).collect();
        match (named.is_empty(), wrong.count()) {
            (true, _) => Ok(manifest),
            (false, 0) => Err(not_a_backup(named.join(", "))),
            (false, more) => Err(not_a_backup(format!("{}, and {more} more", named.join(", ")))),
        }
    }
}

impl File {
    /// What is wrong with it.
    fn mistake(&self, folder: &Path) -> Option<String> {
        let Self { name, bytes } = self;
        let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        match fs::metadata(folder.join(name)) {
            _ if !is_inside => Some(format!("{name} is outside of it")),
            Ok(found) if found.len() == *bytes => None,
            Ok(found) => Some(format!("{name} has {} bytes instead of {bytes}", found.len())),
            Err(err) => Some(format!("{name}: {err}")),
        }
    }
}
