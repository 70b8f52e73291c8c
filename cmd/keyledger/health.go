package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"keyledger/client"
)

// newHealthCommand gives the check that a container runs in itself, where there is no other program to ask with.
func newHealthCommand(env environment) *cobra.Command {
	var server, serverCA string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Tell whether a server is ready",
		Long:  "Asks /readyz of a server: exit code 0 when it is ready, 4 when it is not or gives no answer.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := env.apply(cmd.Flags()); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return checkReady(ctx, server, serverCA)
		},
	}
	cmd.Flags().StringVar(&server, "server", "http://localhost:8080", "address of the server")
	cmd.Flags().StringVar(&serverCA, "server-ca", "", "PEM file of the certificates that may vouch for the server")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	return cmd
}

func checkReady(ctx context.Context, server, serverCA string) error {
	h := http.DefaultClient
	if serverCA != "" {
		var err error
		if h, err = trusting(serverCA); err != nil {
			return &usageError{err}
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/readyz", nil)
	if err != nil {
		return &usageError{err}
	}
	answer, err := h.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", client.ErrNoAnswer, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		said = nil
	}
	return fmt.Errorf("%w: not ready: %s: %s", client.ErrNoAnswer, answer.Status, bytes.TrimSpace(said))
}
