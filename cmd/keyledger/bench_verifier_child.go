package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"keyledger/client"
)

// benchTokenVar holds the token of the process that newVerifierCommand runs.
const benchTokenVar = "BENCH_TOKEN"

// newVerifierCommand gives the process with a Verifier that bench asks how soon it refuses what was revoked.
func newVerifierCommand() *cobra.Command {
	var dir, server, nats string
	cmd := &cobra.Command{
		Use:    "verifier",
		Short:  "Watch keys with a Verifier for bench",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveVerifier(cmd.Context(), dir, server, nats)
		},
	}
	cmd.Flags().StringVar(&dir, "data", "", "folder for the address file")
	cmd.Flags().StringVar(&server, "server", "", "address of the server")
	cmd.Flags().StringVar(&nats, "nats", "", "its address for subscribers")
	return cmd
}

func serveVerifier(ctx context.Context, dir, server, nats string) error {
	c, err := client.New(server, client.NewToken(os.Getenv(benchTokenVar)), client.WithNATS(nats))
	if err != nil {
		return err
	}
	v, err := client.NewVerifier(c, client.VerifierOptions{})
	if err != nil {
		return err
	}
	if err := v.Ready(ctx); err != nil {
		return errors.Join(err, v.Close())
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, v.Close())
	}
	if err := os.WriteFile(filepath.Join(dir, addrFile), []byte(listener.Addr().String()), 0o600); err != nil {
		return errors.Join(err, v.Close())
	}
	handler := http.NewServeMux()
	handler.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	handler.HandleFunc("GET /watch", func(w http.ResponseWriter, r *http.Request) { watchKey(w, r, v) })
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, v.Close())
	}
	return v.Close()
}

// watchKey writes what the Verifier says of a token each time that changes, until it was valid and is not any more. It
// asks five thousand times a second, so as not to take the processor from what is measured.
func watchKey(w http.ResponseWriter, r *http.Request, v *client.Verifier) {
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for valid := false; r.Context().Err() == nil; <-tick.C {
		d, err := v.Verify(r.Header.Get("X-API-Key"))
		switch {
		case err != nil:
			fmt.Fprintln(w, err)
			return
		case valid && !d.Valid():
			fmt.Fprintln(w, d.Code)
			return
		case !valid && d.Valid():
			valid = true
			fmt.Fprintln(w, d.Code)
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
		}
	}
}
