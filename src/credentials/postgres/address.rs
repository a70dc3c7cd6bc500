//! From the config's `url` to a connection.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::Unusable;

/// The environment variable of the password.
const PASSWORD: &str = "PGPASSWORD";

/// The port of a URL without one.
const PORT: u16 = 5432;

/// The address of a database. Displayed, it has no password.
pub(in crate::credentials) struct Address(Config);

impl Address {
    /// Reads `url`, and the password from the environment. `timeout` limits each attempt to connect.
    pub(in crate::credentials) fn parse(url: &str, timeout: Duration) -> Result<Self, Unusable> {
        let mut config = Config::from_str(url).map_err(|err| Unusable::Url(with_source(&err)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Unusable::Url("it has no host, such as 127.0.0.1 or ?host=/run/postgresql".into()));
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(Unusable::Tls);
        }
        if let Some(password) = std::env::var_os(PASSWORD) {
            config.password(password.into_encoded_bytes());
        }
        config.connect_timeout(timeout).tcp_user_timeout(timeout).application_name("trap-server");
        Ok(Self(config))
    }

    /// Sets a timeout for statements on the server too: a caller that no longer waits must not leave them behind.
    pub(in crate::credentials) fn with_limit(mut self, timeout: Duration) -> Config {
        let options = self.0.get_options().unwrap_or_default();
        let options = format!("{options} -c statement_timeout={}", timeout.as_millis());
        self.0.options(options.trim_start());
        self.0
    }
}

fn with_source(err: &dyn std::error::Error) -> String {
    err.source().map_or_else(|| err.to_string(), |source| format!("{err}: {source}"))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(config) = self;
        f.write_str("PostgreSQL ")?;
        for (index, host) in config.get_hosts().iter().enumerate() {
            let port = config.get_ports().get(index).or(config.get_ports().first()).unwrap_or(&PORT);
            let comma = if index > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                Host::Unix(folder) => write!(f, "{comma}{}:{port}", folder.display())?,
            }
        }
        write!(f, "/{}", config.get_dbname().or(config.get_user()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(url: &str) -> Result<String, String> {
        Address::parse(url, SECOND).map(|address| address.to_string()).map_err(|err| err.to_string())
    }

    #[test]
    fn a_database_has_a_name_of_its_own() {
        assert_eq!(address("postgres://trap@db:7/x").unwrap(), "PostgreSQL db:7/x");
        assert_eq!(address("postgres://trap@127.0.0.1").unwrap(), "PostgreSQL 127.0.0.1:5432/trap");
        let socket = "postgres://trap@/x?host=/run/postgresql";
        assert_eq!(address(socket).unwrap(), "PostgreSQL /run/postgresql:5432/x");
    }

    #[test]
    fn a_url_without_a_usable_address_is_rejected() {
        for (url, why) in [
            ("postgres://trap@db/x?sslmode=require", "TLS to the database"),
            ("postgres://trap@db/x?sslmode=never", "sslmode"),
            ("postgres://trap@db:port/x", "port"),
            ("postgres:///x", "it has no host"),
        ] {
            let err = address(url).unwrap_err();
            assert!(err.contains(why), "{url}: {err}");
        }
    }

    #[test]
    fn a_limit_is_added_to_the_options_of_the_url() {
        let options = |url: &str| {
            let config = Address::parse(url, SECOND).unwrap().with_limit(SECOND);
            config.get_options().unwrap().to_owned()
        };
        assert_eq!(options("postgres://db/x"), "-c statement_timeout=1000");
        let url = "postgres://db/x?options=-c%20search_path%3Dtrap";
        assert_eq!(options(url), "-c search_path=trap -c statement_timeout=1000");
    }
}
