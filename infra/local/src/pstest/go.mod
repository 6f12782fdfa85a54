module anyhub.local/pstest

go 1.24

require cloud.google.com/go/pubsub/v2 v2.8.1
