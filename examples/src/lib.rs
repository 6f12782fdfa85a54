//! Small programs on anyhub.
