// Google's own fake of Pub/Sub, as a server on a port of 127.0.0.1.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	// It panics where the port is taken, and says so.
	server := pstest.NewServerWithAddress(os.Args[1])
	fmt.Println("ready", server.Addr)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	server.Close()
}
