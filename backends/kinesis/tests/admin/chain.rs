//! What the SDK's usual chain does not give. The environment is a process's own, so each of these is
//! a process: this test program again, with one test to run.

use crate::world::refused;
use anyhub_core::{ErrorKind, Hub, TopicConfig};
use anyhub_kinesis::{KinesisConfig, KinesisHub};
use anyhub_local::Kinesis;
use std::{
    env,
    process::{Command, Stdio},
};

const CHILD: &str = "ANYHUB_TEST_CHAIN";

/// Runs `test` once more, in an environment of nothing but this.
fn run_alone(test: &str, environment: &[(&str, &str)]) {
    let home = tempfile::tempdir().unwrap();
    let run = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("chain::{test}")])
        .env_clear()
        .env(CHILD, "1")
        .env("HOME", home.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(told.contains("1 passed"), "{told}");
}

fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

fn hub(config: KinesisConfig) -> KinesisHub {
    KinesisHub::new(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_it_is_denied() {
    if !is_child() {
        return run_alone("without_credentials_it_is_denied", &[]);
    }
    let hub = hub(KinesisConfig::new().region("us-east-1"));
    let admin = hub.admin();
    let kind = ErrorKind::Denied;
    refused(admin.list_topics().await, kind, "set AWS_PROFILE");
    refused(admin.describe_topic("s").await, kind, "set AWS_PROFILE");
    let topic = TopicConfig::new("s");
    refused(admin.create_topic(&topic).await, kind, "no credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_profile_that_is_not_there_it_is_denied() {
    if !is_child() {
        let profile = [("AWS_PROFILE", "nobody")];
        return run_alone("with_a_profile_that_is_not_there_it_is_denied", &profile);
    }
    let hub = hub(KinesisConfig::new().region("us-east-1"));
    let admin = hub.admin();
    refused(admin.list_topics().await, ErrorKind::Denied, "AWS_PROFILE");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_region_it_is_a_missing_setting() {
    if !is_child() {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        return run_alone("without_a_region_it_is_a_missing_setting", &keys);
    }
    let hub = hub(KinesisConfig::new());
    let admin = hub.admin();
    refused(admin.list_topics().await, ErrorKind::Config, "AWS_REGION");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_region_of_the_environment_will_do() {
    if !is_child() {
        let kinesis = Kinesis::builder().start().unwrap();
        let endpoint = kinesis.endpoint();
        let environment = [("AWS_REGION", "us-east-1"), ("ENDPOINT", &endpoint)];
        return run_alone("the_region_of_the_environment_will_do", &environment);
    }
    let endpoint = env::var("ENDPOINT").unwrap();
    let hub = hub(KinesisConfig::new().endpoint(endpoint));
    let admin = hub.admin();
    admin.create_topic(&TopicConfig::new("s")).await.unwrap();
    assert_eq!(admin.list_topics().await.unwrap(), ["s"]);
}

#[test]
fn a_text_that_is_no_region_is_a_wrong_setting() {
    for region in ["useast1", "US-EAST-1", "us-east-1.amazonaws.com", ""] {
        let checked = KinesisHub::new(KinesisConfig::new().region(region));
        refused(checked, ErrorKind::Config, "is no region");
    }
}
