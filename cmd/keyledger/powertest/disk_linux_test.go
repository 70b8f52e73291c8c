package powertest

import (
	"bytes"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestDisk does something to a mounted disk, and looks at what is left when the power was out.
func TestDisk(t *testing.T) {
	for _, test := range []struct {
		name  string
		do    func(t *testing.T, dir string)
		want  map[string]string // files; folders end with /
		posix map[string]string // not nil: what OnlyFolders makes of it
	}{
		{name: "nothing is synced", do: func(t *testing.T, dir string) { put(t, dir, "a", "1") }, want: map[string]string{}},
		{
			name: "a file is synced", do: func(t *testing.T, dir string) { put(t, dir, "a", "1"); flush(t, dir, "a"); put(t, dir, "b", "2") },
			want: map[string]string{"a": "1"}, posix: map[string]string{},
		},
		{
			name: "a folder is synced, its file not", do: func(t *testing.T, dir string) { put(t, dir, "a", "1"); flush(t, dir, ".") },
			want: map[string]string{"a": ""},
		},
		{
			name: "both are synced", do: func(t *testing.T, dir string) { put(t, dir, "a", "1"); flush(t, dir, "a"); flush(t, dir, ".") },
			want: map[string]string{"a": "1"},
		},
		{
			name: "more is written", do: func(t *testing.T, dir string) {
				put(t, dir, "a", "123")
				flush(t, dir, "a")
				flush(t, dir, ".")
				put(t, dir, "a", "4567")
			},
			want: map[string]string{"a": "123"},
		},
		{
			name: "a file deep down is synced", do: func(t *testing.T, dir string) {
				must(t, os.MkdirAll(filepath.Join(dir, "d", "e"), 0o700))
				put(t, dir, "d/e/a", "1")
				flush(t, dir, "d/e/a")
			},
			want: map[string]string{"d/": "", "d/e/": "", "d/e/a": "1"}, posix: map[string]string{},
		},
		{
			name: "renamed", do: func(t *testing.T, dir string) {
				put(t, dir, "a", "1")
				flush(t, dir, "a")
				flush(t, dir, ".")
				must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
			},
			want: map[string]string{"a": "1"},
		},
		{
			name: "renamed over another one, and the folder synced", do: func(t *testing.T, dir string) {
				put(t, dir, "a", "1")
				put(t, dir, "b", "2")
				flush(t, dir, "a")
				must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
				flush(t, dir, ".")
			},
			want: map[string]string{"b": "1"},
		},
		{
			name: "removed, and another one made in its place", do: func(t *testing.T, dir string) {
				put(t, dir, "a", "1")
				flush(t, dir, "a")
				flush(t, dir, ".")
				must(t, os.Remove(filepath.Join(dir, "a")))
				put(t, dir, "a", "2")
				flush(t, dir, "a")
			},
			want: map[string]string{"a": "2"}, posix: map[string]string{"a": "1"},
		},
		{
			name: "opened to be synced", do: func(t *testing.T, dir string) {
				f, err := os.OpenFile(filepath.Join(dir, "a"), os.O_CREATE|os.O_WRONLY|os.O_SYNC, 0o600)
				must(t, err)
				_, err = f.WriteString("1")
				must(t, err)
				must(t, f.Close())
			},
			want: map[string]string{"a": "1"}, posix: map[string]string{},
		},
		{
			name: "cut short", do: func(t *testing.T, dir string) {
				put(t, dir, "a", "123")
				flush(t, dir, "a")
				flush(t, dir, ".")
				must(t, os.Truncate(filepath.Join(dir, "a"), 1))
			},
			want: map[string]string{"a": "123"},
		},
	} {
		for _, only := range []bool{false, true} {
			t.Run(map[bool]string{false: "ext4/", true: "POSIX/"}[only]+test.name, func(t *testing.T) {
				d := NewDisk(Options{OnlyFolders: only})
				dir := t.TempDir()
				unmount := Mount(t, d, dir)
				test.do(t, dir)
				unmount()
				d.Restore(nil)
				want := test.want
				if only && test.posix != nil {
					want = test.posix
				}
				defer Mount(t, d, dir)()
				if got := tree(t, dir); !maps.Equal(got, want) {
					t.Errorf("left are %q, want %q", got, want)
				}
			})
		}
	}
}

// TestDiskLosesPower: after so many operations everything fails, and what was synced before is there afterwards.
func TestDiskLosesPower(t *testing.T) {
	d := NewDisk(Options{})
	dir := t.TempDir()
	unmount := Mount(t, d, dir)
	put(t, dir, "a", "1")
	flush(t, dir, "a")
	lost := d.LoseAfter(1)
	put(t, dir, "a", "2") // cut and written: the second one fails
	select {
	case <-lost:
	default:
		t.Fatal("the power is not lost")
	}
	if _, err := os.ReadFile(filepath.Join(dir, "b")); err == nil {
		t.Fatal("a disk without power was read")
	}
	unmount()
	d.Restore(nil)
	defer Mount(t, d, dir)()
	if got := tree(t, dir); !maps.Equal(got, map[string]string{"a": "1"}) {
		t.Errorf("left are %q", got)
	}
}

// TestDiskTorn: what was not synced survives in part, and differently each time.
func TestDiskTorn(t *testing.T) {
	left := map[string]bool{}
	for seed := range uint64(20) {
		d := NewDisk(Options{Torn: true})
		n, err := d.make(d.root, "a", syscall.S_IFREG, nil)
		must(t, err)
		must(t, d.sync(n))
		for i := range 4 {
			must(t, d.write(n, write{at: int64(2 * i), data: bytes.Repeat([]byte{byte('a' + i)}, 2)}, false))
		}
		d.Restore(rand.New(rand.NewPCG(seed, 0)))
		left[string(n.live.data)] = true
	}
	if len(left) < 10 {
		t.Errorf("only %q were left", slices.Sorted(maps.Keys(left)))
	}
}

// TestDiskFull: there is no more room than the disk has.
func TestDiskFull(t *testing.T) {
	d := NewDisk(Options{Capacity: 10})
	n, err := d.make(d.root, "a", syscall.S_IFREG, nil)
	must(t, err)
	must(t, d.write(n, write{data: make([]byte, 10)}, false))
	if err := d.write(n, write{at: 10, data: []byte{1}}, false); err != syscall.ENOSPC {
		t.Fatalf("got %v", err)
	}
	must(t, d.remove(d.root, "a", false))
	n, err = d.make(d.root, "b", syscall.S_IFREG, nil)
	must(t, err)
	must(t, d.write(n, write{data: make([]byte, 10)}, false))
}

// TestDiskIsFilled: what somebody else takes is missing to the files, and to names, until it is freed.
func TestDiskIsFilled(t *testing.T) {
	d := NewDisk(Options{})
	n, err := d.make(d.root, "a", syscall.S_IFREG, nil)
	must(t, err)
	must(t, d.write(n, write{data: make([]byte, 5)}, false))
	d.Leave(1)
	must(t, d.write(n, write{at: 5, data: make([]byte, 1)}, false))
	for what, err := range map[string]error{
		"a write": d.write(n, write{at: 6, data: make([]byte, 1)}, false),
		"a name":  func() error { _, err := d.make(d.root, "b", syscall.S_IFREG, nil); return err }(),
	} {
		if err != syscall.ENOSPC {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, d.write(n, write{data: make([]byte, 6)}, false)) // in place
	d.Free()
	must(t, d.write(n, write{at: 6, data: make([]byte, 1)}, false))
}

// TestDiskIsSlow: writes and syncs take as long as they were told to.
func TestDiskIsSlow(t *testing.T) {
	const delay = 20 * time.Millisecond
	d := NewDisk(Options{})
	n, err := d.make(d.root, "a", syscall.S_IFREG, nil)
	must(t, err)
	d.Slow(delay)
	began := time.Now()
	must(t, d.write(n, write{data: make([]byte, 1)}, false))
	must(t, d.sync(n))
	if took := time.Since(began); took < 2*delay {
		t.Errorf("it took %v", took)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Log(err) // the power may be out
	}
}

func flush(t *testing.T, dir, name string) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
}

// tree is the files of a folder with what is in them, and the folders.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || e.IsDir() {
			files[name+"/"] = ""
			return err
		}
		text, err := os.ReadFile(path)
		files[name] = string(text)
		return err
	}))
	return files
}
