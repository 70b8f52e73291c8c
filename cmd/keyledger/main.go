// Command keyledger issues, verifies and revokes API keys; every change is an event in a NATS JetStream stream.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run does what args ask and returns the exit code: see exit.go.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	started := false
	root := newRootCommand(newEnvironment(env), &started)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !started {
		err = &usageError{err} // what cobra itself refuses: unknown commands, flags and arguments
	}
	return report(stderr, err)
}
