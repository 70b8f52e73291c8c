package projections_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"keyledger/ledger"
	"keyledger/ledger/ledgertest"
	"keyledger/projections"
)

// session opens views, lets them catch up with a log, calls with with them and closes them.
func session(t *testing.T, o projections.Options, log bothLogs, with func(v *running)) {
	t.Helper()
	v, err := projections.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, v, log)
	r.catchUp(t, 0)
	with(r)
	r.stop()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
}

func nothing(*running) {}

// counted tells that views have n keys of the workspace acme.
func counted(t *testing.T, n int) func(v *running) {
	return func(v *running) {
		t.Helper()
		if keys := allKeys(t, v, ledger.Query{Workspace: "acme", Limit: 7}); len(keys) != n {
			t.Errorf("there are %d keys, not %d", len(keys), n)
		}
	}
}

// TestAReopenedFolderGoesOn closes the views and opens them on more events, on a real disk.
func TestAReopenedFolderGoesOn(t *testing.T) {
	modes(t, func(t *testing.T, diskIndex bool) {
		o := projections.Options{Dir: filepath.Join(t.TempDir(), "made", "views"), DiskIndex: diskIndex}
		log, keys := filled(t, 20)
		session(t, o, log, counted(t, 20))
		v, err := projections.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		k, ok, err := v.Key(t.Context(), keys[3].Key.ID)
		if err != nil || !ok || k.Name != keys[3].Key.Name || v.Position() != uint64(log.Len()) {
			t.Errorf("%+v %v %v at %d", k, ok, err, v.Position())
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		session(t, o, log, func(v *running) {
			s := ledger.New(ledger.Config{Log: log, State: v})
			create(t, s, &ledger.Call{Principal: ledger.Principal{Scopes: ledger.ScopeAll}}, "acme", 5)
		})
		session(t, o, log, counted(t, 25))
	})
}

func TestAViewOfAnotherVersionIsBuiltAnew(t *testing.T) {
	log, keys := filled(t, 20)
	registry := prometheus.NewRegistry()
	o := projections.Options{FS: vfs.NewMem(), Dir: "views", Metrics: registry}
	for _, name := range []string{"keys", "all", "agent keys", "history", "roots", "claims", "agents"} {
		session(t, o, log, func(v *running) {
			if err := v.SetVersion(name, 0); err != nil {
				t.Fatal(err)
			}
		})
		v, err := projections.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if k, ok, err := v.Key(t.Context(), keys[0].Key.ID); ok || err != nil || v.Position() != 0 {
			t.Errorf("%s: the views are at %d and have %v %v", name, v.Position(), k, err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		session(t, o, log, func(v *running) {
			counted(t, 20)(v)
			if n := metric(t, registry, "keyledger_views_keys"); n != 21 {
				t.Errorf("%s: %v keys are counted", name, n)
			}
		})
	}
}

func TestANewerFolderIsRefused(t *testing.T) {
	for _, name := range []string{"keys", "uses", "digests", "a view to come"} {
		log, _ := filled(t, 5)
		o := projections.Options{FS: vfs.NewMem(), Dir: "views", DiskIndex: true}
		session(t, o, log, func(v *running) {
			if err := v.SetVersion(name, 99); err != nil {
				t.Fatal(err)
			}
		})
		_, err := projections.Open(o)
		if err == nil || !strings.Contains(err.Error(), "newer program") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: opened with %v", name, err)
		}
	}
}

func TestADamagedFolderSaysWhatToDo(t *testing.T) {
	log, _ := filled(t, 50)
	for _, pattern := range []string{"MANIFEST-*", "marker.manifest*", "*.sst"} {
		o := projections.Options{Dir: filepath.Join(t.TempDir(), "views")}
		session(t, o, log, nothing)
		files, err := filepath.Glob(filepath.Join(o.Dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v %v", pattern, files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i := range data {
				data[i] ^= 0x55
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if len(data) == 0 {
				if err := os.Rename(file, file+"x"); err != nil {
					t.Fatal(err)
				}
			}
		}
		v, err := projections.Open(o)
		if err == nil || !strings.Contains(err.Error(), "delete the folder") || !strings.Contains(err.Error(), o.Dir) {
			t.Errorf("%s: opened with %v", pattern, err)
		}
		if err == nil {
			v.Close()
		}
		if err := os.RemoveAll(o.Dir); err != nil { // as it says
			t.Fatal(err)
		}
		session(t, o, log, counted(t, 50))
	}
}

func TestAFolderInUseIsRefused(t *testing.T) {
	o := projections.Options{Dir: t.TempDir()}
	open(t, o)
	_, err := projections.Open(o)
	if err == nil || !strings.Contains(err.Error(), "open") || strings.Contains(err.Error(), "delete") {
		t.Errorf("opened with %v", err)
	}
}

// smallDisk is a disk that can be full.
type smallDisk struct {
	vfs.FS
	full atomic.Bool
}

func (d *smallDisk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if d.full.Load() {
		return nil, syscall.ENOSPC
	}
	f, err := d.FS.Create(name, category)
	return smallFile{f, d}, err
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if d.full.Load() {
		return vfs.DiskUsage{TotalBytes: 1 << 30, AvailBytes: 4096}, nil
	}
	return vfs.DiskUsage{TotalBytes: 1 << 30, AvailBytes: 1 << 30}, nil
}

type smallFile struct {
	vfs.File
	disk *smallDisk
}

func (f smallFile) Write(p []byte) (int, error) {
	if f.disk.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

// TestAFullDiskIsWaitedFor fills the disk: the views go on in memory, and go on for good when there is space again.
func TestAFullDiskIsWaitedFor(t *testing.T) {
	disk := &smallDisk{FS: vfs.NewMem()}
	var out bytes.Buffer
	registry := prometheus.NewRegistry()
	o := projections.Options{FS: disk, Dir: "views", Metrics: registry, Logger: slog.New(slog.NewTextHandler(&out, nil))}
	log, _ := filled(t, 10)
	session(t, o, log, func(v *running) {
		disk.full.Store(true)
		s := ledger.New(ledger.Config{Log: log, State: v})
		create(t, s, &ledger.Call{Principal: ledger.Principal{Scopes: ledger.ScopeAll}}, "acme", 10)
		flushed := make(chan error, 1)
		go func() { flushed <- v.Flush() }()
		for metric(t, registry, "keyledger_views_disk_full") != 1 {
			time.Sleep(time.Millisecond) // until the flush has met the full disk
		}
		create(t, s, &ledger.Call{Principal: ledger.Principal{Scopes: ledger.ScopeAll}}, "acme", 10)
		counted(t, 30)(v)
		disk.full.Store(false)
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		if metric(t, registry, "keyledger_views_disk_full") != 0 {
			t.Error("the disk is still said to be full")
		}
	})
	if !strings.Contains(out.String(), "waiting for space") || !strings.Contains(out.String(), "has space again") {
		t.Errorf("the log says %s", &out)
	}
	o.Metrics = nil
	session(t, o, log, counted(t, 30))
}

// metric is the value of a metric.
func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	log, _ := filled(t, 20)
	o := projections.Options{FS: vfs.NewMem(), Metrics: registry}
	session(t, o, log, func(*running) {
		for name, want := range map[string]float64{
			"keyledger_views_position":             float64(log.Len()),
			"keyledger_views_events_applied_total": float64(log.Len()),
			"keyledger_views_keys":                 21,
			"keyledger_views_lag_events":           0,
			"keyledger_views_building":             0,
		} {
			if got := metric(t, registry, name); got != want {
				t.Errorf("%s is %v, not %v", name, got, want)
			}
		}
		for _, name := range []string{"table_bytes", "memtable_bytes", "burst_events", "last_applied_timestamp_seconds"} {
			if metric(t, registry, "keyledger_views_"+name) == 0 {
				t.Errorf("%s is 0", name)
			}
		}
		if _, err := projections.Open(projections.Options{FS: vfs.NewMem(), Metrics: registry}); err == nil {
			t.Error("metrics are registered twice")
		}
	})
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("%d metrics are left after Close: %v", len(families), err)
	}
}

func TestProgress(t *testing.T) {
	var reports []string
	var out bytes.Buffer
	v := open(t, projections.Options{
		FS:       vfs.NewMem(),
		Logger:   slog.New(slog.NewTextHandler(&out, nil)),
		Progress: func(what string, done, total uint64) { reports = append(reports, what) },
	})
	v.Report(time.Second)
	if len(reports) != 0 {
		t.Errorf("what takes a second is reported: %v", reports)
	}
	v.Report(3 * time.Second)
	if len(reports) != 2 || !strings.Contains(out.String(), "testing") {
		t.Errorf("what takes three seconds is reported as %v, and logged as %s", reports, &out)
	}
}

// TestBuilding: views that lack what the ledger held when they began are said to be building, and no longer than that.
func TestBuilding(t *testing.T) {
	registry := prometheus.NewRegistry()
	log, _ := filled(t, 20)
	goOn := make(chan struct{})
	log.Inject(func(_ context.Context, op ledgertest.Op) ledgertest.Fault {
		if op == ledgertest.OpTail {
			<-goOn
		}
		return ledgertest.Fault{}
	})
	v := run(t, open(t, projections.Options{FS: vfs.NewMem(), Metrics: registry}), log)
	for metric(t, registry, "keyledger_views_building") != 1 {
		time.Sleep(time.Millisecond) // until they have begun
	}
	close(goOn)
	v.catchUp(t, 0)
	if metric(t, registry, "keyledger_views_building") != 0 {
		t.Error("they are still said to be building")
	}
}
