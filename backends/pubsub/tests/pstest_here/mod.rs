//! pstest for tests of its own, where it can be had.

use crate::pstest_server::Server;

/// One of its own. None, said aloud, where there is none; with `CI` that is a failure.
pub(crate) async fn pstest(test: &str) -> Option<Server> {
    match Server::start().await {
        Ok(server) => Some(server),
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED {test}: no pstest here: {why}");
            None
        }
        Err(why) => panic!("pstest is required here but can't be had: {why}"),
    }
}
