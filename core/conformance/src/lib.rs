//! The contract of anyhub as trials that every hub runs, and the mutants that prove the trials can fail.
