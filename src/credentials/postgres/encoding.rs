//! The encoding of a database. With any other than UTF-8, it cannot hold every id.

use tokio_postgres::{Client, Error};

/// PostgreSQL's name for UTF-8.
const UTF8: &str = "UTF8";

/// The encoding of the database, if it is not UTF-8.
pub(in crate::credentials) async fn foreign(connection: &Client) -> Result<Option<String>, Error> {
    let row = connection.query_one("SHOW server_encoding", &[]).await?;
    let encoding: String = row.try_get(0)?;
    Ok((encoding != UTF8).then_some(encoding))
}
