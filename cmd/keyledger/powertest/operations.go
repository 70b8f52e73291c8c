package powertest

import (
	"slices"
	"syscall"
	"time"
)

// lookup finds a name in a folder.
func (d *Disk) lookup(folder *inode, name string) (*inode, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.alive(); err != nil {
		return nil, err
	}
	n := folder.live.names[name]
	if n == nil {
		return nil, syscall.ENOENT
	}
	return n, nil
}

// rename changes names in one step. check may refuse.
func (d *Disk) rename(of *inode, check func() error, entries ...entry) error {
	if err := d.act(); err != nil {
		return err
	}
	if err := check(); err != nil {
		return err
	}
	c := &change{of: of, entries: entries}
	c.apply(live)
	for _, e := range entries {
		e.folder.modified = time.Now()
	}
	d.journal = append(d.journal, c)
	return nil
}

// make makes something new under a name.
func (d *Disk) make(folder *inode, name string, mode uint32, data []byte) (*inode, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.newInode(mode)
	n.live.data, n.durable.data = data, slices.Clone(data)
	return n, d.rename(n, func() error {
		switch {
		case folder.live.names[name] != nil:
			return syscall.EEXIST
		case d.full(1):
			return syscall.ENOSPC
		}
		return nil
	}, entry{folder, name, n})
}

// link gives a file one more name.
func (d *Disk) link(n, folder *inode, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rename(n, func() error {
		if folder.live.names[name] != nil {
			return syscall.EEXIST
		}
		return nil
	}, entry{folder, name, n})
}

// remove takes a name away.
func (d *Disk) remove(folder *inode, name string, isFolder bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := folder.live.names[name]
	err := d.rename(n, func() error {
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.isFolder() != isFolder:
			return syscall.EISDIR
		case len(n.live.names) > 0:
			return syscall.ENOTEMPTY
		}
		return nil
	}, entry{folder, name, nil})
	d.measure()
	return err
}

// move gives something another name, in place of what has it.
func (d *Disk) move(from *inode, old string, to *inode, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := from.live.names[old]
	err := d.rename(n, func() error {
		there := to.live.names[name]
		switch {
		case n == nil:
			return syscall.ENOENT
		case there != nil && len(there.live.names) > 0:
			return syscall.ENOTEMPTY
		}
		return nil
	}, entry{from, old, nil}, entry{to, name, n})
	d.measure()
	return err
}

// write writes to a file; it is durable at once if the file was opened so.
func (d *Disk) write(n *inode, w write, synced bool) error {
	d.wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.act(); err != nil {
		return err
	}
	before := int64(len(n.live.data))
	if end := w.at + int64(len(w.data)); end > before && d.full(end-before) {
		return syscall.ENOSPC
	}
	w.data = slices.Clone(w.data)
	n.live.apply(w)
	n.pending = append(n.pending, w)
	n.modified = time.Now()
	d.used += int64(len(n.live.data)) - before
	if synced {
		d.keep(n)
	}
	return nil
}

// read reads from a file.
func (d *Disk) read(n *inode, b []byte, at int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.alive(); err != nil {
		return 0, err
	}
	if at >= int64(len(n.live.data)) {
		return 0, nil
	}
	return copy(b, n.live.data[at:]), nil
}

// sync makes a file or the names in a folder durable.
func (d *Disk) sync(n *inode) error {
	d.wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.act(); err != nil {
		return err
	}
	d.keep(n)
	return nil
}

// keep makes durable what a sync of n promises: the writes to a file, the names in a folder, and, unless only folders do that,
// the name of n itself with the names of the folders above it. What was done to the same names before comes with it.
func (d *Disk) keep(n *inode) {
	if d.options.Lies {
		return
	}
	for _, w := range n.pending {
		n.durable.apply(w)
	}
	n.pending = nil
	wanted := map[*inode]bool{n: !d.options.OnlyFolders} // their names are to be durable
	type place struct {
		folder *inode
		name   string
	}
	places := map[place]bool{}
	var kept, rest []*change
	for _, c := range slices.Backward(d.journal) {
		keep := wanted[c.of]
		for _, e := range c.entries {
			keep = keep || e.folder == n || places[place{e.folder, e.name}]
		}
		if !keep {
			rest = append(rest, c)
			continue
		}
		kept = append(kept, c)
		for _, e := range c.entries {
			places[place{e.folder, e.name}] = true
			wanted[e.folder] = wanted[e.folder] || !d.options.OnlyFolders
		}
	}
	for _, c := range slices.Backward(kept) {
		c.apply(durable)
	}
	slices.Reverse(rest)
	d.journal = rest
}

// measure counts the bytes of all files anew.
func (d *Disk) measure() {
	seen := map[*inode]bool{}
	d.used = 0
	var walk func(n *inode)
	walk = func(n *inode) {
		if seen[n] {
			return
		}
		seen[n] = true
		d.used += int64(len(n.live.data))
		for _, child := range n.live.names {
			walk(child)
		}
	}
	walk(d.root)
}
