//! Any text as a config file: its mistakes are inside it, and a config that it describes means one thing.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::{Corpus, fuzz_target};
use trap_server::config::{Config, Effect, Mistake, Mistakes, changes};
use trap_server::protocol::MAX_DATA;

const FILE: &str = "fuzzed.toml";

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(input) else { return Corpus::Reject };
    check(text);
    Corpus::Keep
});

fn check(text: &str) {
    match Config::parse(text, FILE) {
        Ok(config) => {
            check_values(&config);
            check_meaning(&config);
            assert_eq!(Config::parse(&format!("{text}\n# the same"), FILE), Ok(config), "{text:?}");
        }
        Err(mistakes) => check_mistakes(text, &mistakes),
    }
}

fn check_mistakes(text: &str, mistakes: &Mistakes) {
    let Mistakes { told, untold } = mistakes;
    assert!(!told.is_empty() && (*untold == 0 || told.len() == 100), "{mistakes:?}");
    assert!(told.is_sorted_by_key(|mistake| (mistake.line, mistake.column)), "{mistakes:?}");
    let lines: Vec<&str> = text.split('\n').collect();
    for Mistake { file, line, column, message, .. } in told {
        let source = line.checked_sub(1).and_then(|index| lines.get(index));
        let last = source.map(|source| source.chars().count() + 1);
        assert!(last.is_some_and(|last| (1..=last).contains(column)), "{line}:{column}: {message}");
        assert!(file == FILE && !message.is_empty());
    }
    let shown = mistakes.to_string();
    assert!(shown.starts_with(FILE), "{shown:?}");
    let is_harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    assert!(shown.chars().all(is_harmless), "{shown:?} has control characters");
}

/// What the types of a config do not say.
fn check_values(config: &Config) {
    assert!(config.server.workers > 0);
    assert!((1..=MAX_DATA).contains(&config.session.max_frame));
    assert!(config.credentials.cache_size > 0 && config.store.batch_records > 0);
    assert!(!config.listeners.is_empty());
    let (mut names, mut binds) = (HashSet::new(), HashSet::new());
    for listener in &config.listeners {
        assert!(listener.acceptors > 0 && listener.max_connections > 0);
        assert!(i32::try_from(listener.backlog).is_ok());
        assert!((1..=32).contains(&listener.name.len()) && names.insert(&listener.name), "{}", listener.name);
        let is_chosen = listener.bind.ip().is_some_and(|address| address.port() == 0);
        assert!(is_chosen || binds.insert(listener.bind.to_string()), "{}", listener.bind);
    }
}

fn check_meaning(config: &Config) {
    assert!(!config.to_string().is_empty());
    assert_eq!(changes(config, config), []);
    assert_eq!(config.reloaded(config), *config);
    let (used, all) = (config.settings(), config.all_settings());
    assert!(!used.is_empty() && used.iter().all(|setting| all.contains(setting)));
    // A reload takes over all that does not need a restart, in both directions.
    let default = Config::default();
    for (old, new) in [(&default, config), (config, &default)] {
        for change in changes(&old.reloaded(new), new) {
            assert_eq!(change.effect(), Effect::Restart, "{change}");
        }
    }
}
