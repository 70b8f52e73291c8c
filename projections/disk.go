package projections

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	defaultCache = 32 << 20
	memTableSize = 16 << 20

	// diskFormat is the newest file format of Pebble that is written. A program that raises it keeps reading the older
	// ones, and brings a folder to it when it opens it.
	diskFormat = pebble.FormatValueSeparation
)

func (v *Views) openPebble() (err error) {
	o := &v.options
	fs := o.FS
	if fs == nil {
		fs = vfs.Default
	}
	cache := o.CacheSize
	if cache == 0 {
		cache = defaultCache
	}
	options := &pebble.Options{
		FS:                          vfs.OnDiskFull(fs, func() { v.awaitSpace(fs) }),
		FormatMajorVersion:          diskFormat,
		CacheSize:                   cache,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                256,
		DisableWAL:                  true, // the ledger is the log: see flushEvery
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) },
		Logger:                      pebbleLogger{o.Logger},
		EventListener: &pebble.EventListener{
			BackgroundError: v.backgroundError,
			DiskSlow: func(info pebble.DiskSlowInfo) {
				o.Logger.Warn("the disk of the views is slow", slog.String("detail", info.String()))
			},
		},
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	v.db, err = pebble.Open(o.Dir, options)
	if err != nil {
		return v.openError(err)
	}
	return nil
}

// openError says what to do about an error of opening the folder.
func (v *Views) openError(err error) error {
	dir := v.options.Dir
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES):
		return fmt.Errorf("projections: %s cannot be opened; another process may have it open: %w", dir, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("projections: %s cannot be opened for lack of space: %w", dir, err)
	}
	return fmt.Errorf("projections: the views in %s cannot be read: %w; nothing is lost: delete the folder to have them "+
		"built anew from the ledger", dir, err)
}

// backgroundError makes Run fail with what Pebble could not do in the background.
func (v *Views) backgroundError(err error) {
	select {
	case v.broken <- err:
	default: // one is enough
	}
}

// awaitSpace returns when there is space on the disk again. Meanwhile Pebble waits, and so does Run.
func (v *Views) awaitSpace(fs vfs.FS) {
	log := v.options.Logger
	log.Error("the disk of the views is full: waiting for space", slog.String("dir", v.options.Dir))
	v.diskFull.Store(true)
	defer v.diskFull.Store(false)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-v.closing:
			return
		case <-tick.C:
			usage, err := fs.GetDiskUsage(filepath.Dir(v.options.Dir))
			if err != nil || usage.AvailBytes >= 2*memTableSize {
				log.Info("the disk of the views has space again", slog.String("dir", v.options.Dir))
				return
			}
		}
	}
}

// pebbleLogger passes on what Pebble says.
type pebbleLogger struct{ log *slog.Logger }

func (l pebbleLogger) Infof(format string, args ...any) {
	l.log.Debug(fmt.Sprintf("pebble: "+format, args...))
}
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error(fmt.Sprintf("pebble: "+format, args...))
}

// Fatalf must not return: Pebble could not go on without harm to its files.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.log.Error(fmt.Sprintf("pebble: "+format, args...))
	panic(fmt.Sprintf("pebble: "+format, args...))
}
