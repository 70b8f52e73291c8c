package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keyledger/ledger/jetstream"
)

// migrateFlags are the flags of serve that say what the target is.
func migrateFlags() []string {
	return []string{
		"data", "nats", "nats-creds", "nats-ca", "nats-cert", "nats-key", "cluster-name", "cluster-listen", "cluster-routes", "node-name",
		"replicas", "secret", "secret-file", "disk-reserve", "log-format", "log-level",
	}
}

// newMigrateCommand gives the command that brings the ledger of one server to a cluster.
func newMigrateCommand(env environment) *cobra.Command {
	c := &config{}
	all := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	c.flags(all)
	var from string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Copy the ledger of a stopped server to a cluster",
		Long: `Copies the ledger in the data folder --from, whose server has stopped, to an external NATS (--nats) or to a new cluster
of nodes (--cluster-name), which is empty. Every event keeps its sequence. At the end the trees over both and the secrets of
personal data are compared, and the folder is marked so that it is not served again by mistake. What was interrupted goes
on when it is started again. Recorded reads (--audit-reads) stay in the folder.

The secret must be that of the ledger: the file server.secret of the folder, unless one was configured. For a cluster of
nodes, run migrate with the settings of each node on each of them, with --from on one and without it on the others, which
hold the copy until they are stopped. Then start serve with the same settings.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := env.apply(cmd.Flags()); err != nil {
				return err
			}
			if err := c.check(); err != nil {
				return err
			}
			if c.nats == "" && c.cluster.name == "" {
				return &usageError{errors.New("--nats or --cluster-name: where the ledger goes to")}
			}
			if from == "" && c.cluster.name == "" {
				return &usageError{errors.New("--from: the data folder of the ledger")}
			}
			n := newNode(c, cmd.ErrOrStderr())
			return n.runMigration(cmd.Context(), from, func(done string) { fmt.Fprintln(cmd.OutOrStdout(), done) })
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&from, "from", "", "data folder of the ledger; empty: this node holds what another one copies")
	for _, name := range migrateFlags() {
		cmd.Flags().AddFlag(all.Lookup(name))
	}
	return cmd
}

// runMigration opens the target as serve does, copies the ledger there and stops. Without a ledger to copy it waits until ctx ends.
func (n *node) runMigration(ctx context.Context, from string, tell func(string)) (err error) {
	defer func() { err = errors.Join(err, n.undo.run(context.WithoutCancel(ctx))) }()
	for _, step := range []func(context.Context) error{n.takeFolder, n.readSecret, n.openLedger} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if from == "" {
		tell("ready: this node holds what is copied; stop it when the copy is done")
		<-ctx.Done()
		return nil
	}
	size, root, err := n.migrate(ctx, from)
	if err != nil {
		return err
	}
	tell(fmt.Sprintf("copied %d events; the root of both trees is %s", size, root))
	return nil
}

// migrate copies the ledger in a data folder to the one that is open.
func (n *node) migrate(ctx context.Context, from string) (size uint64, root string, err error) {
	folder, err := openSource(from)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, folder.close()) }()
	source, err := openStoreWith(ctx, jetstream.EmbedOptions{Dir: from}, jetstream.Options{Fingerprint: fingerprint(n.secret)})
	if err != nil {
		return 0, "", n.explain(err)
	}
	size, root, err = n.copyFrom(ctx, source)
	source.close()
	if err == nil {
		err = n.takeHead(from)
	}
	if err == nil {
		err = jetstream.Retire(from)
	}
	return size, root, err
}

// copyFrom copies an open ledger and compares what was copied.
func (n *node) copyFrom(ctx context.Context, source *store) (size uint64, root string, err error) {
	if err := source.log.Copy(ctx, n.events, func(done, total uint64) { n.progress.show("copy events", done, total) }); err != nil {
		return 0, "", err
	}
	if err := jetstream.SameVault(ctx, source.log, n.events); err != nil {
		return 0, "", err
	}
	return jetstream.SameTree(ctx, source.log, n.events)
}

// openSource takes a data folder that there must be.
func openSource(path string) (*dataFolder, error) {
	if _, err := os.Stat(filepath.Join(path, jetstream.FolderFile)); err != nil {
		return nil, &usageError{fmt.Errorf("--from: not a data folder: %w", err)}
	}
	return openDataFolder(path)
}

// takeHead takes the last signed head along: so the first start compares the copy with it.
func (n *node) takeHead(from string) error {
	note, err := os.ReadFile(filepath.Join(from, headFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return n.folder.write(headFile, strings.TrimSuffix(string(note), "\n"))
}
