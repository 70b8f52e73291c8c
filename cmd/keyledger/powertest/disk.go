// Package powertest has a disk that can lose power: a file system in memory, mounted with FUSE, that knows what was synced
// and forgets the rest when it is told to. It can also be slow, or full.
package powertest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Options say how a disk behaves. The zero value is a disk as ext4 and XFS make one of their block device: what is
// not synced is lost, and syncing a file keeps the name it was made under.
type Options struct {
	// OnlyFolders makes a name durable by a sync of its folder only, which is all that POSIX asks.
	OnlyFolders bool
	// Torn lets a part of what was not synced survive, by chance, as a kernel does that has written back some of its cache:
	// any of the writes to a file, also cut off, and the first changes of names.
	Torn bool
	// Lies makes nothing durable, whatever is synced.
	Lies bool
	// Capacity is how many bytes there is room for; 0 is a gigabyte.
	Capacity int64
}

// Disk is a file system in memory. What happens to it from several goroutines happens in some order.
type Disk struct {
	options Options

	mu      sync.Mutex
	root    *inode
	last    uint64    // number of the youngest inode
	journal []*change // changes of names that are not durable, oldest first
	used    int64     // bytes of files
	room    int64     // for so many
	delay   time.Duration
	left    int // operations until the power is lost; below 0: never
	lost    chan struct{}
}

// inode is a file, a folder or a symbolic link.
type inode struct {
	number   uint64
	mode     uint32 // type and permissions
	modified time.Time
	live     content
	durable  content
	pending  []write // of a file: what its durable content lacks, oldest first
}

// content is the bytes of a file, the target of a link, or the names in a folder.
type content struct {
	data  []byte
	names map[string]*inode
}

// write is some bytes at an offset; cut: the end of the file there.
type write struct {
	at   int64
	data []byte
	cut  bool
}

// change is a change of names that happens whole or not at all.
type change struct {
	of      *inode // what is named
	entries []entry
}

// entry is a name in a folder, and what it is from now on; nil: nothing.
type entry struct {
	folder *inode
	name   string
	to     *inode
}

// NewDisk makes an empty disk.
func NewDisk(o Options) *Disk {
	if o.Capacity == 0 {
		o.Capacity = 1 << 30
	}
	d := &Disk{options: o, left: -1, room: o.Capacity}
	d.root = d.newInode(syscall.S_IFDIR | 0o700)
	return d
}

func (d *Disk) newInode(mode uint32) *inode {
	d.last++
	n := &inode{number: d.last, mode: mode, modified: time.Now()}
	if n.isFolder() {
		n.live.names, n.durable.names = map[string]*inode{}, map[string]*inode{}
	}
	return n
}

func (n *inode) isFolder() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

// Slow lets each write and each sync take so much longer, from now on.
func (d *Disk) Slow(delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay = delay
}

// wait takes the time that a write or a sync takes. Several wait at the same time.
func (d *Disk) wait() {
	d.mu.Lock()
	delay := d.delay
	d.mu.Unlock()
	if delay > 0 {
		<-time.After(delay)
	}
}

// Leave leaves room for so many more bytes, as another one does who fills the disk. When none is left, neither is there room
// for a new name.
func (d *Disk) Leave(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = d.used + bytes
}

// Free frees what Leave took.
func (d *Disk) Free() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = d.options.Capacity
}

// full tells whether there is no room for so many more bytes. The caller holds the lock.
func (d *Disk) full(bytes int64) bool { return d.used+bytes > d.room }

// LoseAfter lets the power go out after so many more operations: writes, syncs and changes of names. From then on everything
// fails, until Restore. The channel is closed then.
func (d *Disk) LoseAfter(operations int) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.lost = operations, make(chan struct{})
	if d.left == 0 {
		close(d.lost)
	}
	return d.lost
}

// act counts an operation, and fails without power. The caller holds the lock.
func (d *Disk) act() error {
	if err := d.alive(); err != nil {
		return err
	}
	d.left--
	if d.left == 0 {
		close(d.lost)
	}
	return nil
}

// alive fails without power. The caller holds the lock.
func (d *Disk) alive() error {
	if d.left == 0 {
		return syscall.EIO
	}
	return nil
}

// Restore gives the disk its power back, with what is durable. It must not be mounted. It gives the targets of the symbolic
// links there are, for those that lead into memory.
func (d *Disk) Restore(chance *rand.Rand) (links []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.options.Torn {
		for _, c := range d.journal[:chance.IntN(len(d.journal)+1)] {
			c.apply(durable)
		}
	}
	d.journal, d.left, d.used = nil, -1, 0
	seen := map[*inode]bool{}
	var restore func(n *inode)
	restore = func(n *inode) {
		if seen[n] {
			return
		}
		seen[n] = true
		if d.options.Torn {
			n.tear(chance)
		}
		n.pending = nil
		n.live = content{data: slices.Clone(n.durable.data), names: maps.Clone(n.durable.names)}
		d.used += int64(len(n.live.data))
		if n.mode&syscall.S_IFMT == syscall.S_IFLNK {
			links = append(links, string(n.live.data))
		}
		for _, name := range slices.Sorted(maps.Keys(n.live.names)) {
			restore(n.live.names[name])
		}
	}
	restore(d.root)
	return links
}

// tear makes some of the pending writes durable, of each a part.
func (n *inode) tear(chance *rand.Rand) {
	for _, w := range n.pending {
		if chance.IntN(2) == 0 {
			continue
		}
		if !w.cut && chance.IntN(4) == 0 {
			w.data = w.data[:chance.IntN(len(w.data)+1)]
		}
		n.durable.apply(w)
	}
}

func (c *content) apply(w write) {
	end := w.at
	if !w.cut {
		end = max(w.at+int64(len(w.data)), int64(len(c.data)))
	}
	if grow := end - int64(len(c.data)); grow > 0 {
		c.data = append(c.data, make([]byte, grow)...)
	}
	c.data = c.data[:end]
	copy(c.data[w.at:], w.data)
}

func live(n *inode) *content    { return &n.live }
func durable(n *inode) *content { return &n.durable }

// apply makes a change of names in one of the contents of the folders.
func (c *change) apply(of func(*inode) *content) {
	for _, e := range c.entries {
		if e.to == nil {
			delete(of(e.folder).names, e.name)
		} else {
			of(e.folder).names[e.name] = e.to
		}
	}
}
