//! What can be wrong with a database, and what to do.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

/// What an operator reads of an error.
pub(in crate::credentials) fn trouble(err: &Error) -> String {
    match (err.as_db_error(), err.source()) {
        (Some(said), _) => with_advice(said),
        (None, Some(source)) => format!("{err}: {source}"),
        (None, None) => err.to_string(),
    }
}

/// Whether the encoding of the database has no such character. The connection is fine.
pub(super) fn concerns_the_id(err: &Error) -> bool {
    let codes = [&SqlState::UNTRANSLATABLE_CHARACTER, &SqlState::CHARACTER_NOT_IN_REPERTOIRE];
    err.code().is_some_and(|code| codes.contains(&code))
}

fn with_advice(said: &DbError) -> String {
    let message = said.message();
    match advice(said.code()) {
        Some(advice) => format!("{message}; {advice}"),
        None => message.into(),
    }
}

fn advice(code: &SqlState) -> Option<&'static str> {
    let code = code.code();
    let is = |known: &[&SqlState]| known.iter().any(|known| known.code() == code);
    if is(&[&SqlState::UNDEFINED_TABLE, &SqlState::UNDEFINED_COLUMN, &SqlState::INVALID_SCHEMA_NAME]) {
        Some("apply packaging/postgres.sql to the database")
    } else if is(&[&SqlState::INSUFFICIENT_PRIVILEGE]) {
        Some("packaging/postgres.sql has the grants that are needed")
    } else if is(&[&SqlState::INVALID_PASSWORD, &SqlState::INVALID_AUTHORIZATION_SPECIFICATION]) {
        Some("look at the user of `url`, at PGPASSWORD, and at pg_hba.conf")
    } else if is(&[&SqlState::INVALID_CATALOG_NAME]) {
        Some("make it with `createdb`, and apply packaging/postgres.sql to it")
    } else {
        None
    }
}
