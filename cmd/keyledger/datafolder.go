package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// dataFolder is the --data folder, held by this process alone:
//
//	lock            locked while a process uses the folder; holds its process id
//	keyledger.json  how the folder is used, and the version of its layout
//	nats/           the embedded server's store: the ledger itself
//	views/          the views; may be deleted while no process runs, they are rebuilt from the ledger
//	server.secret   the server secret, when none was configured
//	root.token      the first root key's token, when none was configured
//	ledger.head     the last signed head of the ledger: at the next start it is compared with it
//	import.unfinished  the head that an import into the folder is to reach, until it has
//	http.addr       where this process serves HTTP, while it runs
//	nats.addr       where the NATS in this process takes subscribers, while it does
type dataFolder struct {
	path string
	lock *flock.Flock
}

// openDataFolder makes the folder if needed and locks it, or refuses it when another process has it.
func openDataFolder(path string) (*dataFolder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	d := &dataFolder{path: path}
	d.lock = flock.New(d.file("lock"), flock.SetPermissions(0o600))
	locked, err := d.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder %s: %w", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("data folder %s is in use by another keyledger process%s", path, d.holder())
	}
	// The process id is for humans only: what counts is the lock, which ends with its process.
	if err := os.WriteFile(d.file("lock"), fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("lock data folder %s: %w", path, err), d.lock.Close())
	}
	return d, nil
}

// holder names the process that has the folder, if it is known.
func (d *dataFolder) holder() string {
	content, err := os.ReadFile(d.file("lock"))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

func (d *dataFolder) file(name string) string { return filepath.Join(d.path, name) }

func (d *dataFolder) close() error { return d.lock.Close() }

// secret reads the file name, or makes it of what mint gives, readable by its owner only. It tells whether it made it.
func (d *dataFolder) secret(name string, mint func() (string, error)) (value string, made bool, err error) {
	content, err := os.ReadFile(d.file(name))
	if err == nil {
		value = strings.TrimSpace(string(content))
		if value == "" {
			return "", false, fmt.Errorf("%s is empty", d.file(name))
		}
		return value, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	if value, err = mint(); err != nil {
		return "", false, err
	}
	if err := d.write(name, value); err != nil {
		return "", false, err
	}
	return value, true, nil
}

// write writes a file whole or not at all, durably. What a crash leaves half written is overwritten by the next one.
func (d *dataFolder) write(name, value string) error {
	tmp, err := os.OpenFile(d.file(name+".tmp"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = fmt.Fprintln(tmp, value)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), d.file(name)); err != nil {
		return err
	}
	dir, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// mintSecret gives a random secret of 256 bits.
func mintSecret() (string, error) { return rand.Text() + rand.Text(), nil }
