//! The errors of a database, and what to do.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

/// The text of an error for the operator.
pub(in crate::credentials) fn trouble(err: &Error) -> String {
    match (err.as_db_error(), err.source()) {
        (Some(said), _) => with_advice(said),
        (None, Some(source)) => format!("{err}: {source}"),
        (None, None) => err.to_string(),
    }
}

/// Whether the encoding of the database lacks a character of the id. The connection is usable.
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
        Some("packaging/postgres.sql has the necessary grants")
    } else if is(&[&SqlState::INVALID_PASSWORD, &SqlState::INVALID_AUTHORIZATION_SPECIFICATION]) {
        Some("check the user of `url`, PGPASSWORD and pg_hba.conf")
    } else if is(&[&SqlState::INVALID_CATALOG_NAME]) {
        Some("create it with `createdb`, and apply packaging/postgres.sql to it")
    } else {
        None
    }
}
