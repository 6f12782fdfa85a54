// Google's client for Go against the local Pub/Sub, which PUBSUB_EMULATOR_HOST names.
//
//	interop publish TOPIC FOLDER SEED      makes the topic, sends events, reads them back, writes what a reader must find
//	interop read TOPIC FOLDER              reads what another program has sent, and compares
//	interop seek TOPIC FOLDER              the same from times on, ahead and back
//	interop nack TOPIC FOLDER              the same, and nacks some
//	interop exactly-once TOPIC FOLDER      the same, each ack confirmed; and acks that can't be
//	interop refusals                       asks for what can't be had
//
// Ends with status 1 at the first thing that differs. ../../README.md says what the files hold.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"cloud.google.com/go/pubsub/v2"
)

const (
	project = "local"
	// For what has to come next; nothing waits for as long where all is well.
	deadline = 60 * time.Second
)

// Topics, by what is done with one.
var commands = map[string]func(context.Context, *pubsub.Client, string, sent) error{
	"read":         read,
	"seek":         seek,
	"nack":         nack,
	"exactly-once": exactlyOnce,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "interop: Go: %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	ctx := context.Background()
	client, err := pubsub.NewClient(ctx, project)
	if err != nil {
		return err
	}
	defer client.Close()
	switch {
	case len(arguments) == 1 && arguments[0] == "refusals":
		return refusals(ctx, client)
	case len(arguments) == 4 && arguments[0] == "publish":
		seed, err := strconv.ParseUint(arguments[3], 10, 64)
		if err != nil {
			return err
		}
		return publish(ctx, client, arguments[1], arguments[2], seed)
	case len(arguments) == 3 && commands[arguments[0]] != nil:
		sent, err := readFiles(arguments[2])
		if err != nil {
			return err
		}
		return commands[arguments[0]](ctx, client, arguments[1], sent)
	}
	return fmt.Errorf("what is %q?", arguments)
}
