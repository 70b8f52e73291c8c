package projections

import (
	"errors"
	"fmt"
	"log/slog"
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

	spaceEvery  = time.Second / 2 // how often a full disk is looked at
	enoughSpace = 4 << 20         // bytes: more than Pebble writes at once

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
	if err := fs.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("projections: %w", err)
	}
	if v.lock, err = pebble.LockDirectory(o.Dir, fs); err != nil {
		return fmt.Errorf("projections: %s cannot be locked; it may be open elsewhere: %w", o.Dir, err)
	}
	if v.db, err = pebble.Open(o.Dir, v.pebbleOptions(fs)); err != nil {
		return errors.Join(v.openError(err), v.lock.Close())
	}
	return nil
}

func (v *Views) closePebble() error { return errors.Join(v.db.Close(), v.lock.Close()) }

func (v *Views) pebbleOptions(fs vfs.FS) *pebble.Options {
	o := &v.options
	cache := o.CacheSize
	if cache == 0 {
		cache = defaultCache
	}
	options := &pebble.Options{
		Lock:                        v.lock,
		FS:                          vfs.OnDiskFull(fs, func() { v.awaitSpace(fs) }),
		FormatMajorVersion:          diskFormat,
		CacheSize:                   cache + 2*memTableSize, // Pebble takes the memtables off it: the one in use and the one before
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       6,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               512 << 20,
		MaxOpenFiles:                256,
		DisableWAL:                  true, // the ledger is the log: see flushEvery
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) },
		Logger:                      pebbleLogger{o.Logger},
		EventListener: &pebble.EventListener{
			BackgroundError: v.backgroundError,
			DataCorruption:  func(info pebble.DataCorruptionInfo) { v.backgroundError(v.openError(info.Details)) },
			DiskSlow: func(info pebble.DiskSlowInfo) {
				o.Logger.Warn("the disk of the views is slow", slog.String("detail", info.String()))
			},
		},
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return options
}

// openError says what to do about an error of reading the folder.
func (v *Views) openError(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.ENOENT { // what the disk says, not what is on it
		return fmt.Errorf("projections: the views in %s cannot be opened: %w", v.options.Dir, err)
	}
	return fmt.Errorf("projections: the views in %s cannot be read: %w; nothing is lost: delete the folder to have them "+
		"built anew from the ledger", v.options.Dir, err)
}

// backgroundError makes Run fail with what Pebble could not do in the background, unless that is for lack of space:
// Pebble tries again.
func (v *Views) backgroundError(err error) {
	if errors.Is(err, syscall.ENOSPC) {
		v.options.Logger.Error("the disk of the views is full", slog.Any("err", err))
		return
	}
	select {
	case v.broken <- err:
	default: // one is enough
	}
}

// awaitSpace returns when there is space on the disk again. Meanwhile the files of the views are not written; the views
// themselves go on as long as the memtables have room.
func (v *Views) awaitSpace(fs vfs.FS) {
	log := v.options.Logger.With(slog.String("dir", v.options.Dir))
	log.Error("the disk of the views is full: waiting for space")
	v.diskFull.Store(true)
	defer v.diskFull.Store(false)
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	for range tick.C {
		usage, err := fs.GetDiskUsage(v.options.Dir)
		if err != nil || usage.AvailBytes >= enoughSpace {
			log.Info("the disk of the views has space again")
			return
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
