//! Which way imports may point, read from the sources. The rows are those of the crate's design: a module may use the rows
//! above its own, and nothing beside it or below.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. The binaries are the last row; they see the crate from outside.
const ROWS: [&[&str]; 5] = [
    &["protocol", "access", "address", "stats", "faults", "logging", "when"],
    &["config", "database", "supervisor"],
    &["listener", "credentials", "registry", "store"],
    &["session"],
    &["server", "client"],
];

/// What a module may use, where that is less than its row allows.
const NARROWER: [(&str, &[&str]); 3] = [
    ("client", &["protocol"]),
    ("supervisor", &["logging"]),
    ("listener", &["access", "address", "faults", "logging", "stats", "supervisor"]),
];

/// The modules that may use actix; the binary runs the actix system.
const ACTORS: [&str; 6] = ["supervisor", "listener", "registry", "store", "session", "server"];

#[test]
fn imports_point_upward_only() {
    let sources = sources();
    assert!(sources.len() > 50, "only {} files were read", sources.len());
    for module in ROWS.concat() {
        assert!(sources.iter().any(|source| source.module == module), "there is no module {module}");
    }
    let wrong: Vec<_> = sources.iter().flat_map(Source::mistakes).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn forbidden_imports_are_found() {
    for (path, line) in [
        ("listener/door.rs", "use crate::session::Session;"),
        ("listener/door.rs", "fn f() { crate::session::stop_all() }"),
        ("listener/door.rs", "use crate::{\n    access::Rules,\n    session::{self, Open},\n};"),
        ("listener/door.rs", "use crate::registry::Table;"),
        ("listener/door.rs", "use crate::config::Listener;"),
        ("listener/door.rs", "use super::super::session;"),
        ("listener/mod.rs", "use super::session;"),
        ("registry.rs", "mod tests {\n    use super::super::session;\n}"),
        ("config/file.rs", "use crate::supervisor::Intensity;"),
        ("access/rules.rs", "use crate::protocol::Frame;"),
        ("supervisor/mod.rs", "use crate::faults::Faults;"),
        ("client/wire.rs", "use crate::access::Rules;"),
        ("client/wire.rs", "use actix::prelude::*;"),
        ("credentials/list.rs", "#[actix_rt::test]"),
        ("session/mod.rs", "use crate::server::Server;"),
        ("session/mod.rs", "use crate::brand_new::Thing;"),
    ] {
        assert_eq!(Source::new(Path::new(path), line).mistakes().len(), 1, "{path}: {line}");
    }
}

#[test]
fn allowed_imports_are_not_reported() {
    for (path, line) in [
        ("listener/door.rs", "use crate::{access::Rules, stats::Stats, supervisor::{exit, Stop}};"),
        ("listener/door.rs", "// [`Session`](crate::session::Session)\nuse super::stream::Stream;"),
        ("listener/door.rs", "use crate::listener::Stream;\npub(crate) fn f() {}"),
        ("registry.rs", "mod tests {\n    use super::*;\n}"),
        ("logging/writer/outlet.rs", "use super::super::line::Line;"),
        ("session/mod.rs", "use actix::prelude::*;"),
        ("bin/trap-server/main.rs", "actix_rt::System::new()"),
    ] {
        assert_eq!(Source::new(Path::new(path), line).mistakes(), [""; 0], "{path}: {line}");
    }
}

struct Source {
    path: PathBuf,
    /// The module of the crate that it belongs to, or a binary.
    module: String,
    /// How many modules it is below the crate.
    depth: usize,
    /// Without comments.
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push(Source::new(path.strip_prefix(&root).unwrap(), &text));
            }
        }
    }
    sources
}

impl Source {
    fn new(path: &Path, text: &str) -> Self {
        let parts: Vec<_> =
            path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        let depth = parts.len() - usize::from(path.ends_with("mod.rs"));
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        Self { path: path.into(), module: parts[0].clone(), depth, text: code.collect::<Vec<_>>().join("\n") }
    }

    fn mistakes(&self) -> Vec<String> {
        // The binaries see the crate from outside.
        if ["lib", "bin"].contains(&self.module.as_str()) {
            return Vec::new();
        }
        let (path, module) = (self.path.display(), &self.module);
        let used = self.used().into_iter().filter(|used| !may_use(module, used));
        let mut mistakes: Vec<_> = used.map(|used| format!("{path}: {module} must not use {used}")).collect();
        if self.names_actix() && !ACTORS.contains(&module.as_str()) {
            mistakes.push(format!("{path}: {module} must not know actix"));
        }
        mistakes
    }

    /// The modules of the crate that are named here.
    fn used(&self) -> BTreeSet<String> {
        let absolute = self.behind("crate::").flat_map(names);
        // So many `super` are the crate; within a file's inner modules the file is deeper than it looks, never less deep.
        let up = "super::".repeat(self.depth);
        let relative = self.behind(&up).flat_map(|path| names(path.trim_start_matches("super::")));
        let is_module = |name: &String| ROWS.concat().contains(&name.as_str());
        absolute.chain(relative.filter(is_module)).filter(|name| *name != self.module).collect()
    }

    fn behind<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.match_indices(prefix).map(|(at, _)| &self.text[at + prefix.len()..])
    }

    fn names_actix(&self) -> bool {
        let mut words = self.text.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == "actix" || word == "actix_rt")
    }
}

/// The first names of a path, which are several if it begins with a brace.
fn names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()];
    };
    let (mut names, mut depth) = (vec![String::new()], 1);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(String::new()),
            _ if depth == 1 => names.last_mut().unwrap().push(c),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    let first = |name: String| name.trim().split("::").next().unwrap_or_default().to_owned();
    names.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

fn may_use(module: &str, used: &str) -> bool {
    if let Some((_, allowed)) = NARROWER.iter().find(|(narrow, _)| *narrow == module) {
        return allowed.contains(&used);
    }
    row(used).is_some_and(|used| row(module).unwrap_or(ROWS.len()) > used)
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}
