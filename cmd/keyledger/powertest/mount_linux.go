package powertest

import (
	"context"
	"maps"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// cached is how long the kernel may remember what it was told: all changes go through it.
const cached = time.Hour

// blockSize is the unit in which the room on the disk is told, in bytes.
const blockSize = 4096

// Mount mounts a disk on a folder, and gives what unmounts it: whoever used it must have ended. Where nobody may mount, it
// skips the test, or fails it if CI=true and there is a /dev/fuse: it needs Linux, that and root.
func Mount(t testing.TB, d *Disk, folder string) (unmount func()) {
	t.Helper()
	unmount, err := mount(t, d, folder)
	_, absent := os.Stat("/dev/fuse")
	switch {
	case err != nil && os.Getenv("CI") == "true" && absent == nil:
		t.Fatalf("FUSE: %v", err)
	case err != nil:
		t.Skipf("NO POWER WAS CUT, and no disk was slow or full: this needs FUSE (/dev/fuse and root), and cannot mount: %v", err)
	}
	return unmount
}

func mount(t testing.TB, d *Disk, folder string) (unmount func(), err error) {
	timeout := cached
	server, err := fs.Mount(folder, &node{disk: d, inode: d.root}, &fs.Options{
		EntryTimeout: &timeout, AttrTimeout: &timeout,
		RootStableAttr: &fs.StableAttr{Ino: d.root.number, Mode: syscall.S_IFDIR},
		MountOptions:   fuse.MountOptions{DirectMount: true, FsName: "powertest", MaxWrite: 1 << 20},
	})
	if err != nil {
		return nil, err
	}
	mounted := true
	unmount = func() {
		for deadline := time.Now().Add(10 * time.Second); mounted; <-time.After(10 * time.Millisecond) {
			err := server.Unmount()
			mounted = err != nil
			if mounted && time.Now().After(deadline) {
				t.Fatalf("unmount %s: %v", folder, err)
			}
		}
	}
	return unmount, nil
}

// node shows an inode to the kernel.
type node struct {
	fs.Inode
	disk  *Disk
	inode *inode
}

// handle is an open file.
type handle struct{ synced bool } // each write is durable at once

func handleOf(flags uint32) *handle { return &handle{flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0} }

// child shows another inode.
func (n *node) child(ctx context.Context, c *inode, out *fuse.EntryOut) *fs.Inode {
	c.fill(n.disk, &out.Attr)
	return n.NewInode(ctx, &node{disk: n.disk, inode: c}, fs.StableAttr{Mode: c.mode & syscall.S_IFMT, Ino: c.number})
}

// fill tells the attributes of an inode.
func (n *inode) fill(d *Disk, out *fuse.Attr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out.Ino, out.Mode, out.Nlink = n.number, n.mode, 1
	out.Size = uint64(len(n.live.data))
	out.Blocks = (out.Size + 511) / 512
	out.SetTimes(nil, &n.modified, &n.modified)
}

func (n *node) of(other fs.InodeEmbedder) *inode {
	return other.EmbeddedInode().Operations().(*node).inode
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	c, err := n.disk.lookup(n.inode, name)
	if err != nil {
		return nil, fs.ToErrno(err)
	}
	return n.child(ctx, c, out), 0
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.inode.fill(n.disk, &out.Attr)
	return 0
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if err := n.disk.write(n.inode, write{at: int64(size), cut: true}, false); err != nil {
			return fs.ToErrno(err)
		}
	}
	n.disk.mu.Lock()
	if mode, ok := in.GetMode(); ok {
		n.inode.mode = n.inode.mode&syscall.S_IFMT | mode&^syscall.S_IFMT
	}
	if modified, ok := in.GetMTime(); ok {
		n.inode.modified = modified
	}
	n.disk.mu.Unlock()
	n.inode.fill(n.disk, &out.Attr)
	return 0
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	out.Bsize, out.Frsize, out.NameLen = blockSize, blockSize, 255
	out.Blocks = uint64(n.disk.options.Capacity / blockSize)
	out.Bfree = uint64(max(0, n.disk.room-n.disk.used) / blockSize)
	out.Bavail = out.Bfree
	return 0
}

func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	var list []fuse.DirEntry
	for _, name := range slices.Sorted(maps.Keys(n.inode.live.names)) {
		c := n.inode.live.names[name]
		list = append(list, fuse.DirEntry{Name: name, Mode: c.mode, Ino: c.number})
	}
	return fs.NewListDirStream(list), 0
}

// make makes something new and shows it.
func (n *node) make(ctx context.Context, name string, mode uint32, data []byte, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	c, err := n.disk.make(n.inode, name, mode, data)
	if err != nil {
		return nil, fs.ToErrno(err)
	}
	return n.child(ctx, c, out), 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(ctx, name, syscall.S_IFDIR|mode, nil, out)
}

func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(ctx, name, syscall.S_IFLNK|0o777, []byte(target), out)
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	c, errno := n.make(ctx, name, syscall.S_IFREG|mode, nil, out)
	return c, handleOf(flags), 0, errno
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	c := n.of(target)
	if err := n.disk.link(c, n.inode, name); err != nil {
		return nil, fs.ToErrno(err)
	}
	return n.child(ctx, c, out), 0
}

func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) { return n.inode.live.data, 0 }

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	return fs.ToErrno(n.disk.remove(n.inode, name, false))
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return fs.ToErrno(n.disk.remove(n.inode, name, true))
}

func (n *node) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	return fs.ToErrno(n.disk.move(n.inode, name, n.of(to), newName))
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_TRUNC != 0 {
		if err := n.disk.write(n.inode, write{cut: true}, false); err != nil {
			return nil, 0, fs.ToErrno(err)
		}
	}
	return handleOf(flags), fuse.FOPEN_KEEP_CACHE, 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, b []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	read, err := n.disk.read(n.inode, b, at)
	return fuse.ReadResultData(b[:read]), fs.ToErrno(err)
}

func (n *node) Write(_ context.Context, h fs.FileHandle, b []byte, at int64) (uint32, syscall.Errno) {
	if err := n.disk.write(n.inode, write{at: at, data: b}, h.(*handle).synced); err != nil {
		return 0, fs.ToErrno(err)
	}
	return uint32(len(b)), 0
}

// Fsync is for files and folders.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return fs.ToErrno(n.disk.sync(n.inode))
}

// Allocate promises room, and changes no size.
func (n *node) Allocate(_ context.Context, _ fs.FileHandle, _, _ uint64, mode uint32) syscall.Errno {
	if mode&1 == 0 { // FALLOC_FL_KEEP_SIZE
		return syscall.EOPNOTSUPP
	}
	return 0
}
