module anyhub.local/pstest

go 1.26.0

require cloud.google.com/go/pubsub/v2 v2.8.1
