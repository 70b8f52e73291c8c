package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FolderVersion is the version of a data folder's layout that this program writes. It reads every version from 1 on.
const FolderVersion = 1

// FolderFile is the name of the file that marks a data folder.
const FolderFile = "keyledger.json"

// Mode is how the nats-server of a data folder runs. A store that was written in one mode must not be opened in
// another: a cluster deletes the streams of a standalone server as orphans.
type Mode string

const (
	// Standalone is the one server of Embed.
	Standalone Mode = "standalone"
	// Clustered is a peer of a cluster of Embed.
	Clustered Mode = "cluster"
	// Migrated is no server any more: the ledger was copied to where it is served now.
	Migrated Mode = "migrated"
)

// Use is how a data folder is used.
type Use struct {
	Mode    Mode   `json:"mode"`
	Cluster string `json:"cluster,omitempty"` // of a peer
	Node    string `json:"node,omitempty"`    // of a peer: what its votes are counted under
}

func (u Use) String() string {
	if u.Mode == Clustered {
		return fmt.Sprintf("mode %q as node %q of cluster %q", u.Mode, u.Node, u.Cluster)
	}
	return fmt.Sprintf("mode %q", u.Mode)
}

// Folder is what the mark of a data folder says.
type Folder struct {
	Version int `json:"version"`
	Use
}

// UseError is what MarkFolder fails with when a data folder is used in another way.
type UseError struct {
	Dir           string
	Written, Want Use
}

func (e *UseError) Error() string {
	return fmt.Sprintf("jetstream: data folder %s was written in %s, not in %s", e.Dir, e.Written, e.Want)
}

// MarkFolder makes the folder dir if needed and marks it, or checks the mark it has. It refuses a folder of another
// use (*UseError), of a newer version, and one that holds a store without a mark.
func MarkFolder(dir string, use Use) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("jetstream: data folder: %w", err)
	}
	path := filepath.Join(dir, FolderFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(storeDir(dir), "jetstream")); err == nil {
			return fmt.Errorf("jetstream: data folder %s holds a store but no %s: it is not known how it was written", dir, FolderFile)
		}
		return writeMark(path, Folder{Version: FolderVersion, Use: use})
	}
	if err != nil {
		return fmt.Errorf("jetstream: data folder: %w", err)
	}
	var f Folder
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("jetstream: %s is damaged: %w", path, err)
	}
	switch {
	case f.Version > FolderVersion:
		return fmt.Errorf("jetstream: data folder %s has version %d, this program knows up to %d: use a newer program", dir, f.Version, FolderVersion)
	case f.Version < 1:
		return fmt.Errorf("jetstream: %s is damaged: version %d", path, f.Version)
	case f.Use != use:
		return &UseError{Dir: dir, Written: f.Use, Want: use}
	}
	return nil
}

// Retire marks a folder of a standalone server as Migrated. The server must have stopped.
func Retire(dir string) error {
	return writeMark(filepath.Join(dir, FolderFile), Folder{Version: FolderVersion, Use: Use{Mode: Migrated}})
}

// writeMark writes the mark whole or not at all, and durably: the mode of a store must never be unknown.
func writeMark(path string, f Folder) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), FolderFile+".*")
	if err != nil {
		return fmt.Errorf("jetstream: data folder: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("jetstream: data folder: %w", err)
	}
	return nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// storeDir is where the embedded server keeps its store.
func storeDir(dir string) string { return filepath.Join(dir, "nats") }
